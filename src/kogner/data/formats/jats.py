"""Articles in JATS (jats.nlm.nih.gov), as PubMed Central has them: an `.nxml` file each, or many in one file.

A document is an article, its passages the title, the abstracts, each paragraph and section title of the body and of
appendices, and the captions and footnotes of figures and tables, with a blank line between them. Infons are named as in
BioC's PubMed Central: `type` (`title`, `abstract`, `abstract_title`, `paragraph`, `title_1` and so on, `fig_caption`,
`table_caption`, `table_footnote`), `section` with the titles of the sections around it, `label` of figures and tables,
and at the title `article-id_pmid`, `article-id_pmc`, `article-id_doi`, `journal`, `year` and `keywords`.

Left out and counted are references, marks of them in superscript (`patients12,13`), cells of tables, formulas set
apart, footnotes of the text, other languages, supplements, acknowledgements and what else stands behind the text, and
answers to an article. Other superscripts stay: 10<sup>6</sup> is `106`. XML is read as in
`kogner.data.formats.pubmed`; names of characters that JATS's own DTD declares (`&alpha;`) are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.entities import html5
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kogner.data.formats.files import DAMAGED, Record, opened, stem
from kogner.data.formats.pubmed import check_prolog
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Passage

ROOTS = ("article", "articles", "pmc-articleset", "OAI-PMH")
NO_TEXT = "article without text"
NO_BODY = "article without a body"
REFERENCES = "reference left out"
MARKS = "mark of a reference in superscript left out"
BEHIND = "<{}> behind the text left out"
LEFT_OUT = {  # not counted where the reason is None: they hold no text of their own
    "table": "table cells left out, its caption kept",
    "disp-formula": "formula left out", "disp-formula-group": "formula left out", "tex-math": "formula left out",
    "fn": "footnote left out", "fn-group": "footnote left out", "preformat": "code left out", "code": "code left out",
    "supplementary-material": "supplement left out",
    "graphic": None, "inline-graphic": None, "media": None, "object-id": None, "label": None, "alt-text": None,
    "long-desc": None, "permissions": None, "attrib": None, "sec-meta": None,
}  # fmt: skip
OTHERS = {"sub-article": "answer to an article left out", "response": "answer to an article left out"}
BETWEEN = "\n\n"

_BLOCKS = frozenset(
    ("p", "list", "list-item", "def-list", "disp-quote", "speech", "statement", "verse-group", "verse-line",
     "fig-group", "table-wrap-group", "boxed-text", "chem-struct-wrap", "array", "question", "answer")
)  # fmt: skip
_SECTIONS = frozenset(("sec", "app", "boxed-text", "glossary"))
_FLOATS = {"fig": "fig", "table-wrap": "table"}
_IDS = ("pmid", "pmc", "pmcid", "doi", "publisher-id", "pii")


@dataclass
class _Reading:
    """An article while it is read. buffer: text of the passage that is not finished; path: titles of its sections."""

    report: Report
    passages: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    buffer: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def end(self, kind: str, *more: tuple[str, str]) -> str:
        """Finish the passage; its text, empty where there is none."""
        text = " ".join("".join(self.buffer).split())
        self.buffer.clear()
        if text:
            section = [("section", " > ".join(self.path))] if self.path else []
            self.passages.append((text, [("type", kind), *section, *more]))
        return text

    def inside(self, element: Element, kind: str, *more: tuple[str, str]) -> None:
        """Read what an element holds as text of passages of a kind."""
        self.buffer.append(element.text or "")
        for child in element:
            self.element(child, kind, *more)
            self.buffer.append(child.tail or "")

    def element(self, element: Element, kind: str, *more: tuple[str, str]) -> None:
        """Read one element."""
        name = element.tag
        if name in LEFT_OUT:
            reason = LEFT_OUT[name]
            if reason is not None:
                self.report.note(reason)
        elif name == "ref-list":
            self.report.note(REFERENCES, sum(1 for _ in element.iter("ref")))
        elif name == "sup" and (count := _marks(element)):
            self.report.note(MARKS, count)
        elif name == "xref" and _is_mark(element):
            self.report.note(MARKS)
        elif name == "break":
            self.buffer.append(" ")
        elif name in _FLOATS:
            self.end(kind, *more)
            self.float(element, _FLOATS[name])
        elif name in _SECTIONS:
            self.end(kind, *more)
            self.section(element, kind)
        elif name == "def-item":
            self.end(kind, *more)
            for part in element:
                self.buffer.append(f" {''.join(part.itertext())} ")
            self.end(kind, *more)
        elif name in _BLOCKS:
            self.end(kind, *more)
            self.inside(element, kind, *more)
            self.end(kind, *more)
        else:
            self.inside(element, kind, *more)

    def section(self, element: Element, kind: str) -> None:
        """A section: its title, then what it holds."""
        title = element.find("title")
        named = False
        if title is not None:
            self.inside(title, kind)
            depth = len(self.path) + 1
            text = self.end("abstract_title" if kind == "abstract" else f"title_{depth}")
            named = bool(text)
            if named:
                self.path.append(text)
        self.buffer.append(element.text or "")
        for child in element:
            if child is not title:
                self.element(child, kind)
            self.buffer.append(child.tail or "")
        self.end(kind)
        if named:
            self.path.pop()

    def float(self, element: Element, what: str) -> None:
        """A figure or table: its caption and footnotes."""
        label = _plain(element.find("label"))
        more = [("label", label)] if label else []
        for child in element:
            if child.tag == "caption":
                self.inside(child, f"{what}_caption", *more)
                self.end(f"{what}_caption", *more)
            elif child.tag == "table-wrap-foot":
                for part in child:
                    self.inside(part, "table_footnote", *more)
                    self.end("table_footnote", *more)
            else:
                self.element(child, f"{what}_caption", *more)
                self.end(f"{what}_caption", *more)


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the articles of a file one by one, packed or not; in memory is one at a time.

    An id is that of PubMed Central (`PMC123`), else the PMID, the DOI, or the file's name and a number. Raises
    InputError for what is no JATS, cannot be unpacked or parsed, declares XML entities of its own, or is too large.
    """
    try:
        with opened(path) as stream:
            check_prolog(stream, path)
        with opened(path) as stream:
            yield from _articles(Record(stream, path), path, report)
    except ElementTree.ParseError as error:
        raise InputError(f"is not well-formed XML: {error}", path=path, line=error.position[0]) from error
    except InputError:
        raise
    except RecursionError:
        raise InputError("has elements within elements without end", path=path) from None
    except (OSError, ValueError, LookupError, *DAMAGED) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error


def _articles(record: Record, path: Path, report: Report) -> Iterator[Document]:
    parser = ElementTree.XMLParser()
    parser.entity.update({name[:-1]: signs for name, signs in html5.items() if name.endswith(";")})
    root: Element | None = None
    number = 0
    for event, element in ElementTree.iterparse(record, events=("start", "end"), parser=parser):
        element.tag = element.tag.rpartition("}")[2]
        if root is None:
            root = element
            if root.tag not in ROOTS:
                raise InputError(f"is no JATS: its root is <{root.tag}>, not <article>", path=path)
        if event == "end" and element.tag == "article":
            number += 1
            document = _document(element, f"{stem(path)}:{number}", report)
            root.clear()
            record.done()
            if document.text:
                yield document
            else:
                report.skip(NO_TEXT, "neither title nor text", path=path, line=None, document=document.id)
    if not number:
        raise InputError("holds no article", path=path)


def _document(article: Element, name: str, report: Report) -> Document:
    reading = _Reading(report)
    meta = article.find("front/article-meta")
    about: list[tuple[str, str]] = []
    if meta is not None:
        ids = _ids(meta)
        name = next((ids[key] for key in ("pmc", "pmid", "doi") if key in ids), name)
        about = [(f"article-id_{key}", value) for key, value in ids.items()] + _metadata(article, meta)
        _front(meta, reading)
    body = article.find("body")
    if body is None:
        report.note(NO_BODY)
    else:
        reading.inside(body, "paragraph")
        reading.end("paragraph")
    for place in ("floats-group", "back/floats-group", "floats-wrap"):
        for group in article.iterfind(place):
            reading.inside(group, "paragraph")
            reading.end("paragraph")
    for child in article.iterfind("back/*"):
        if child.tag in ("sec", "app-group", "app", "glossary", "ref-list"):
            reading.element(child, "paragraph")
            reading.end("paragraph")
        elif child.tag not in ("floats-group", "title", "label"):
            report.note(BEHIND.format(child.tag))
    for child in article:
        if child.tag in OTHERS:
            report.note(OTHERS[child.tag])
    return _assembled(name, reading.passages, about)


def _front(meta: Element, reading: _Reading) -> None:
    for title in meta.iterfind("title-group/article-title"):
        reading.inside(title, "title")
        reading.end("title")
    for title in meta.iterfind("title-group/subtitle"):
        reading.inside(title, "subtitle")
        reading.end("subtitle")
    for abstract in meta.iterfind("abstract"):
        kind = abstract.get("abstract-type")
        more = [("abstract-type", kind)] if kind else []
        reading.buffer.append(abstract.text or "")
        for child in abstract:
            if child.tag == "title":
                reading.end("abstract", *more)
                reading.inside(child, "abstract_title", *more)
                reading.end("abstract_title", *more)
            else:
                reading.element(child, "abstract", *more)
            reading.buffer.append(child.tail or "")
        reading.end("abstract", *more)
    others = len(meta.findall("trans-abstract")) + len(meta.findall("title-group/trans-title-group"))
    if others:
        reading.report.note("title or abstract in another language left out", others)


def _assembled(name: str, passages: list[tuple[str, list[tuple[str, str]]]], about: list[tuple[str, str]]) -> Document:
    placed: list[Passage] = []
    at = 0
    for number, (text, infons) in enumerate(passages):
        placed.append(Passage(at, at + len(text), tuple(infons if number else [*infons, *about])))
        at += len(text) + len(BETWEEN)
    return Document(name, BETWEEN.join(text for text, _ in passages), passages=tuple(placed))


def _ids(meta: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in meta.iterfind("article-id"):
        kind, value = element.get("pub-id-type", ""), (element.text or "").strip()
        if kind in _IDS and value:
            kind = "pmc" if kind == "pmcid" else kind
            found.setdefault(kind, f"PMC{value}" if kind == "pmc" and value.isdecimal() else value)
    return found


def _metadata(article: Element, meta: Element) -> list[tuple[str, str]]:
    journal = next(article.iterfind("front/journal-meta//journal-title"), None)
    year = next(meta.iterfind("pub-date/year"), None)
    found = [("journal", _plain(journal)), ("year", _plain(year))]
    found.append(("keywords", "; ".join(filter(None, map(_plain, meta.iterfind("kwd-group/kwd"))))))
    return [(key, value) for key, value in found if value]


def _plain(element: Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _is_mark(xref: Element) -> bool:
    """Whether a reference is a superscript and nothing beside it."""
    if len(xref) != 1 or xref[0].tag != "sup":
        return False
    return not any(character.isalnum() for character in (xref.text or "") + (xref[0].tail or ""))


def _marks(element: Element) -> int:
    """How many references a superscript points to, where it does nothing else."""
    links = [child for child in element if child.tag == "xref"]
    if not links or len(links) < len(element):
        return 0
    beside = "".join([element.text or "", *(child.tail or "" for child in links)])
    return 0 if any(character.isalnum() for character in beside) else len(links)
