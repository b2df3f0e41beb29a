"""PubMed's baseline and update files (`pubmedYYnNNNN.xml.gz`): title and abstract of each citation, by PMID."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from kogner.data.formats.files import DAMAGED, Record, opened
from kogner.data.formats.pubtator import ABSTRACT, TITLE
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Passage

NO_TEXT = "citation without title and abstract"
NO_ID = "citation without a PMID"
TITLE_ONLY = "citation without an abstract, title only"
OTHER = "<{}> of a citation not kept"
DELETED = "deleted citation (DeleteCitation) not kept"
ASIDE = ("Article/VernacularTitle", "OtherAbstract")  # the same in other languages, or by others than the authors
BOOK = "book of PubMed, not a citation"
ROOTS = ("PubmedArticleSet", "MedlineCitationSet", "PubmedArticle", "MedlineCitation")
Infons = tuple[tuple[str, str], ...]
PROLOG, PIECE = 1 << 20, 1 << 14  # bytes in which the first element has to begin, and of them at a time


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the citations of a file one by one, packed or not; memory does not depend on its size.

    The text is the title and the parts of the abstract, one blank between them, each a passage; a part's heading
    (`BACKGROUND`) is its infon `section`, and not in the text. What has no text is counted in `report`, as are titles
    and abstracts in other languages, and the ids of deleted citations, none of which are kept.
    A file that declares entities or attributes of its own is refused, since those can grow without bounds; nothing
    outside the file is ever read. Raises InputError for what cannot be unpacked or parsed.
    """
    try:
        with opened(path) as stream:
            check_prolog(stream, path)
        with opened(path) as stream:
            yield from _citations(stream, path, report)
    except ElementTree.ParseError as error:
        raise InputError(f"is not well-formed XML: {error}", path=path, line=error.position[0]) from error
    except InputError:
        raise
    except (OSError, ValueError, LookupError, *DAMAGED) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error


def check_prolog(stream: IO[bytes], path: Path) -> None:
    """Raise InputError for what begins with no XML element, or whose DOCTYPE declares things of its own in brackets.

    An entity of entities, or an attribute's default that each element gets, grows without bounds. A DOCTYPE that only
    names a DTD elsewhere is taken; that DTD is never read.
    """
    parser, begun = expat.ParserCreate(), False

    def doctype(name: str, system: str | None, public: str | None, own: int) -> None:
        if own:
            raise InputError(
                "declares XML entities of its own, or attributes, in the brackets of its DOCTYPE, which is refused, "
                "since those can grow without bounds",
                path=path,
            )

    def element(*_: object) -> None:
        nonlocal begun
        begun = True
        raise _BegunError

    parser.StartDoctypeDeclHandler, parser.StartElementHandler = doctype, element
    try:
        with suppress(_BegunError):
            for _ in range(PROLOG // PIECE):
                piece = stream.read(PIECE)
                parser.Parse(piece, not piece)
                if not piece:
                    break
    except expat.ExpatError:
        return  # which the reader meets as well, and says where
    if not begun:
        raise InputError(f"has no XML element in its first {PROLOG:,} bytes", path=path)


class _BegunError(Exception):
    """The first element has begun."""


def _citations(stream: IO[bytes], path: Path, report: Report) -> Iterator[Document]:
    root: ElementTree.Element | None = None
    record = Record(stream, path)
    for event, element in ElementTree.iterparse(record, events=("start", "end")):
        if root is None:
            root = element
            if root.tag not in ROOTS:
                raise InputError(f"is no PubMed: its root is <{root.tag}>, not <{ROOTS[0]}>", path=path)
        if event == "end" and element.tag == "PubmedBookArticle":
            report.skip(BOOK, element.findtext(".//PMID") or "", path=path, line=None)
            root.clear()
            record.done()
        if event == "end" and element.tag == "DeleteCitation":
            report.note(DELETED, len(element.findall("PMID")))
        if event != "end" or element.tag not in ("PubmedArticle", "MedlineCitation"):
            continue
        if element.tag == "MedlineCitation" and root.tag.startswith("PubmedArticle"):
            continue  # seen again at the end of its PubmedArticle
        citation = element.find("MedlineCitation") if element.tag == "PubmedArticle" else element
        if citation is None:
            citation = element
        number = (citation.findtext("PMID") or "").strip()
        title = _text(citation.find("Article/ArticleTitle"))
        abstract = list(map(_part, citation.iterfind("Article/Abstract/AbstractText")))
        text, passages = _joined([(title, (("type", TITLE),)), *abstract])
        for name in ASIDE:
            if found := citation.findall(name):
                report.note(OTHER.format(found[0].tag), len(found))
        root.clear()
        record.done()
        if not number or not text:
            report.skip(
                NO_TEXT if number else NO_ID, text[:60] or "empty", path=path, line=None, document=number or None
            )
            continue
        if not any(part for part, _ in abstract):
            report.note(TITLE_ONLY)
        yield Document(number, text, passages=passages)


def _part(element: ElementTree.Element) -> tuple[str, Infons]:
    label = " ".join((element.get("Label") or "").split())
    return _text(element), (("type", ABSTRACT), *([("section", label)] if label else []))


def _joined(parts: list[tuple[str, Infons]]) -> tuple[str, tuple[Passage, ...]]:
    """The text of parts, without empty ones, and where each stands."""
    passages: list[Passage] = []
    for part, infons in parts:
        if part:
            start = passages[-1].end + 1 if passages else 0
            passages.append(Passage(start, start + len(part), infons))
    return " ".join(part for part, _ in parts if part), tuple(passages)


def _text(element: ElementTree.Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())
