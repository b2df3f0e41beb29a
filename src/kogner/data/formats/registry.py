"""The formats that documents come in and go out in: their names, endings, signs, readers and writers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from kogner.data.formats import (
    bioc,
    bioc_writer,
    brat,
    conll,
    conll_writer,
    docbin,
    genia,
    gliner,
    jats,
    jsonl,
    pubmed,
    pubtator,
    tables,
)
from kogner.data.formats.columns import Columns
from kogner.data.formats.files import DAMAGED, opened, packed, without_packing
from kogner.data.report import Report
from kogner.errors import ConfigError, InputError
from kogner.records import Document

HEAD = 65_536  # bytes that a format is told by
_XML = re.compile(
    r"<\?xml|<!DOCTYPE|<!--|<(?:collection|html|PubmedArticle|MedlineCitation|articles?\b|pmc-articleset|OAI-PMH)"
)
_ELEMENT = re.compile(r"<(?:\w+:)?([A-Za-z_][\w.-]*)")
_ASIDE = re.compile(r"<!--(?:.*?-->|.*)|<\?(?:.*?\?>|.*)", re.DOTALL)  # one without an end takes the rest
_JSON = re.compile(r"\{|\[\s*[{\]]")
_ENTITY = re.compile(r"\S[\t ]+[BIESLUM]-\S+[\t ]*\r?$", re.MULTILINE)
_TAGGED = re.compile(r"\S+(?:[\t ]\S+)*[\t ](?:O|[BIESLUM]-\S+)$")


_BIOC = re.compile(rf'"(?:passages|{"|".join(bioc.COLLECTIONS)})"\s*:')


@dataclass(frozen=True)
class Format:
    """A format. read, write: None where it is written, or read, only. endings: of file names.

    keeps: what of a document a file of it holds beside mentions and ids, of that which `not_kept` asks for; what else a
    format cannot hold its writer counts. counts: what of it the writer counts, as it depends.
    has_columns: those of texts and ids were said (`by_name`). Content tells the format of a file that is read, and its
    ending where that does not.
    """

    name: str
    about: str
    endings: tuple[str, ...]
    read: Callable[..., Iterable[Document]] | None = None
    write: Callable[..., None] | None = None
    keeps: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()
    has_columns: bool = False

    def save(self, path: Path, documents: Iterable[Document], *, report: Report) -> None:
        """Write documents, packed where the name ends in .gz, .xz or .zst. Raises ConfigError for what is read only."""
        if self.write is None:
            written = ", ".join(one.name for one in FORMATS.values() if one.write)
            raise ConfigError(f"format {self.name} is read only; take one of {written}")
        with packed(path, folder="/" in self.endings) as place:
            self.write(place, documents, report=report)

    def not_kept(self, document: Document) -> Iterator[tuple[str, int]]:
        """What of a document a file of this format does not hold, and how many."""
        linked = [one for one in document.mentions if one.entity is not None]
        there = {
            "annotated type": len(document.types),
            "entity beside id": sum(bool(one.ids) and one.entity not in one.ids for one in linked),
            "score": sum(one.score is not None for one in document.mentions),
            "unsure span": len(document.unsure),
            "passage": len(document.passages),
            "score of link": sum(bool(one.links) for one in document.mentions),
            "link but the best": sum(max(len(one.links) - 1, 0) for one in document.mentions),
        }
        return (
            (f"{what} not kept", count)
            for what, count in there.items()
            if count and what not in self.keeps | self.counts
        )


def _text(path: Path, *, report: Report) -> Iterator[Document]:
    from kogner.annotate.texts import read_texts

    yield from read_texts(str(path))


def _jsonl(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    jsonl.write(path, documents)


COLUMNED = {"csv": tables.read_delimited, "parquet": tables.read_parquet, "jsonl": jsonl.read_columns}
_PARTS = frozenset({"score", "passage"})
_TYPED = _PARTS | {"annotated type", "entity beside id"}
FORMATS = {
    one.name: one
    for one in (
        Format("text", "plain text, one document", (".txt",), _text),
        Format(
            "jsonl",
            "KoGNER's JSON lines; those of others as `jsonl:TEXT`",
            (".jsonl", ".jsonlines"),
            jsonl.read,
            _jsonl,
            _TYPED | {"unsure span"},
        ),
        Format("pubtator", "PubTator", (".pubtator",), pubtator.read, pubtator.write, counts=frozenset({"passage"})),
        Format("bioc-xml", "BioC XML", (".bioc.xml", ".bioc"), bioc.read_xml, bioc_writer.write_xml, _PARTS),
        Format("bioc-json", "BioC JSON", (".bioc.json",), bioc.read_json, bioc_writer.write_json, _PARTS),
        Format("brat", "BRAT standoff, a folder", ("/",), brat.read, brat.write),
        Format("conll", "CoNLL: token and tag", (".conll", ".iob", ".iob2", ".bio"), conll.read, conll_writer.write),
        Format(
            "gliner",
            "GLiNER's training JSON of words, without ids",
            (".gliner.json",),
            gliner.read,
            gliner.write,
            frozenset({"annotated type"}),
        ),
        Format("genia", "GENIA as JSON lines with nested spans", (), genia.read),
        Format("pubmed", "PubMed's XML", (".xml",), pubmed.read),
        Format("jats", "JATS XML, as PubMed Central has it", (".nxml", ".jats.xml"), jats.read),
        Format("docbin", "spaCy's DocBin", (".spacy",), docbin.read, docbin.write, _TYPED | {"score of link"}),
        Format(
            "csv", "CSV or TSV with a column `text`, or as `csv:TEXT`", (".csv", ".tsv", ".tab"), tables.read_delimited
        ),
        Format("parquet", "Parquet with a column `text`, or as `parquet:TEXT`", (".parquet",), tables.read_parquet),
    )
}


def by_name(name: str) -> Format:
    """A format; of tables and JSON lines also with the columns that are read, as `csv:TEXT` or `csv:TEXT,ID`.

    Raises ConfigError for one that is not known, and for columns of one that has none.
    """
    name, colon, columns = name.partition(":")
    if name not in FORMATS:
        raise ConfigError(f"format {name!r} is not known; formats: {', '.join(FORMATS)}")
    if not colon:
        return FORMATS[name]
    if name not in COLUMNED:
        raise ConfigError(f"format {name} has no columns to choose; {', '.join(COLUMNED)} have")
    return replace(FORMATS[name], read=partial(COLUMNED[name], columns=Columns.of(columns)), has_columns=True)


def of_output(target: str) -> Format:
    """The format that a file to write is meant to have, by its ending. Raises ConfigError where that tells none."""
    name = without_packing(Path(target).name.lower())
    if target.endswith("/") or Path(target).is_dir():
        return FORMATS["brat"]
    fitting = [
        (len(ending), one) for one in FORMATS.values() for ending in one.endings if one.write and name.endswith(ending)
    ]
    if not fitting:
        known = ", ".join(ending for one in FORMATS.values() if one.write for ending in one.endings)
        raise ConfigError(f"{target} does not say its format; name the format, or take one of the endings {known}")
    return max(fitting, key=lambda item: item[0])[1]


def of_input(path: Path) -> Format:
    """The format of a file by what it begins with, else by its ending. Raises InputError for what cannot be read."""
    if path.is_dir():
        if brat.holds_documents(path):
            return FORMATS["brat"]
        raise InputError("is a folder, but none of .txt and .ann files alone; give the files in it", path=path)
    try:
        with opened(path) as stream:
            head = stream.read(HEAD)
    except (OSError, *DAMAGED) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error
    if not head:
        raise InputError("the file is empty", path=path)
    if head.startswith(b"PAR1"):
        return FORMATS["parquet"]
    start = head.decode("utf-8-sig", errors="replace").lstrip()
    if docbin.is_docbin(head):
        return FORMATS["docbin"]
    name = without_packing(path.name.lower())
    form = told(start, name)
    if form is None:
        raise InputError("is HTML; take its text out first, or give a format that keeps it", path=path)
    return FORMATS[form]


def told(start: str, name: str = "") -> str | None:
    """The name of the format of what begins like this, None for HTML. name: of the file, in small letters."""
    first = start.split("\n", 1)[0].rstrip("\r")
    if _XML.match(start):
        return _of_xml(start)
    if _JSON.match(start):
        return _of_json(start, first, name)
    if re.match(r"[^|\t\n]+\|[ta]\|", first):
        return "pubtator"
    lines = [line for line in start.split("\n")[:20] if line.strip()]
    tagged = sum(bool(_TAGGED.match(line.rstrip("\r"))) for line in lines)
    if first.startswith("-DOCSTART-") or name.endswith(FORMATS["conll"].endings):
        return "conll"
    if len(lines) > 1 and tagged == len(lines) and not name.endswith(".md"):
        # Prose may end its lines with "group O"; a name that says nothing else asks for more than that.
        prose = "." not in name or name.endswith(".txt")
        if not prose or all("\t" in line for line in lines) or _ENTITY.search(start):
            return "conll"
    return "csv" if name.endswith(FORMATS["csv"].endings) else "text"


def _of_xml(start: str) -> str | None:
    """Which of the XML formats it is, by its first element; None for HTML."""
    found = _ELEMENT.search(_ASIDE.sub("", start))
    name = found[1] if found else ""
    if name.lower() == "html":
        return None
    if name in jats.ROOTS:
        return "jats"
    return "pubmed" if name.startswith(("PubmedArticle", "MedlineCitation")) else "bioc-xml"


def _of_json(start: str, first: str, name: str) -> str:
    """Which of the JSON formats it is: by the keys of the first object, or by what stands where no line is one.

    Of a file that is said to be in lines the first one that is JSON counts, since one that is not ends nothing.
    """
    raw = _decoded(first)
    if raw is None and name.endswith(FORMATS["jsonl"].endings):
        raw = next((found for line in start.split("\n") if (found := _decoded(line)) is not None), None)
    keys = set(raw) if isinstance(raw, dict) else set()
    if isinstance(raw, dict) and isinstance(raw.get("text"), str):
        return "jsonl"
    if "tokenized_text" in keys or (not keys and '"tokenized_text"' in start):
        return "gliner"
    if keys & {"passages", *bioc.COLLECTIONS} or (not keys and _BIOC.search(start)):
        return "bioc-json"
    return "genia" if keys & {"entity_mentions", "tokens"} else "jsonl"


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
