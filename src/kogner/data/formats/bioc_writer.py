"""BioC written, as XML and as JSON, so that `kogner.data.formats.bioc` reads the same text and offsets.

BioC does not say what stands between two passages. So what stands outside of them, blanks too, is written as a passage
of its own where the reader would put something else there. Passages come in the order of their offsets; of those that
overlap the first is written, of those with one start the longest, and the others are counted.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from kogner.artifacts import write_lines
from kogner.data.formats.pubtator import written_ids
from kogner.data.report import Report
from kogner.records import Document, Mention, Passage

GAP = "text outside of passages, written as one"
OVERLAPS = "passage that overlaps an earlier one not kept"
ACROSS = "mention across passages, written in the first"
NO_XML = "characters that XML cannot hold written as blanks"
READ_ALIKE = ("", " ", "\n\n")  # what the reader puts between passages that are as far apart

_NO_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_xml(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents as a BioC XML collection, all or nothing; reading gives the same text, offsets and types."""
    write_lines(path, _xml_lines(documents, report))


def write_json(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents as a BioC JSON collection, all or nothing, one document a line."""

    def lines() -> Iterator[str]:
        about = {"source": "KoGNER", "date": date.today().isoformat(), "key": "", "infons": {}}
        yield json.dumps(about)[:-1] + ', "documents": ['
        waiting: str | None = None
        for document in documents:
            if waiting is not None:
                yield waiting + ","
            written = _object(document, report)
            waiting = json.dumps(written, ensure_ascii=False)
            if not _is_utf8(waiting):  # an id or a text with half a surrogate pair, which JSON can escape
                waiting = json.dumps(written)
        yield (waiting or "") + "]}"

    write_lines(path, lines())


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _object(document: Document, report: Report) -> dict[str, Any]:
    passages = []
    number = 0
    for passage, mentions in _parted(document, report):
        annotations = []
        for mention in mentions:
            number += 1
            place = {"offset": mention.start, "length": mention.end - mention.start}
            annotations.append({
                "id": f"T{number}", "infons": _infons(mention, report), "locations": [place],
                "text": document.text[mention.start : mention.end],
            })  # fmt: skip
        passages.append({
            "offset": passage.start, "infons": dict(passage.infons), "text": document.text[passage.start : passage.end],
            "sentences": [], "annotations": annotations, "relations": [],
        })  # fmt: skip
    return {"id": document.id, "infons": {}, "passages": passages, "relations": []}


def _infons(mention: Mention, report: Report) -> dict[str, str]:
    found = {"type": mention.type}
    if ids := written_ids(mention, report):
        found["identifier"] = ids
    return found if mention.score is None else found | {"score": repr(float(mention.score))}


def _parted(document: Document, report: Report) -> Iterator[tuple[Passage, list[Mention]]]:
    """Each passage that is written, with the mentions that begin in it."""
    passages = tuple(_placed(document, report))
    starts = [passage.start for passage in passages]
    inside: list[list[Mention]] = [[] for _ in passages]
    for one in document.mentions:
        inside[max(bisect_right(starts, one.start) - 1, 0)].append(one)
    for passage, own in zip(passages, inside, strict=True):
        across = sum(one.end > passage.end for one in own)
        if across:
            report.note(ACROSS, across)
        yield passage, own


def _placed(document: Document, report: Report) -> Iterator[Passage]:
    """A document's passages in order, none in another, with what lies outside of them; without any it is one."""
    text, at = document.text, 0
    if not document.passages:
        yield Passage(0, len(text))
        return
    for passage in sorted(document.passages, key=lambda one: (one.start, one.end > one.start, -one.end)):
        if passage.start < at:
            report.note(OVERLAPS)
            continue
        between = text[at : passage.start]
        if between not in READ_ALIKE:
            if between.strip():
                report.note(GAP)
            yield Passage(at, passage.start)
        yield passage
        at = passage.end
    if at < len(text):
        if text[at:].strip():
            report.note(GAP)
        yield Passage(at, len(text))


def _xml_lines(documents: Iterable[Document], report: Report) -> Iterator[str]:
    def cleaned(text: str) -> str:
        found = _NO_XML.sub(" ", text)
        if found != text:
            report.note(NO_XML)
        return found

    def plain(text: str) -> str:
        return escape(cleaned(text))

    def infons(found: Iterable[tuple[str, str]]) -> str:
        return "".join(f"<infon key={quoteattr(cleaned(key))}>{plain(value)}</infon>" for key, value in found)

    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<!DOCTYPE collection SYSTEM "BioC.dtd">'
    yield f"<collection><source>KoGNER</source><date>{date.today().isoformat()}</date><key></key>"
    for document in documents:
        yield f"<document><id>{plain(document.id)}</id>"
        number = 0
        for passage, mentions in _parted(document, report):
            text = plain(document.text[passage.start : passage.end])
            yield f"<passage>{infons(passage.infons)}<offset>{passage.start}</offset><text>{text}</text>"
            for mention in mentions:
                number += 1
                inside = plain(document.text[mention.start : mention.end])
                place = f'<location offset="{mention.start}" length="{mention.end - mention.start}"/>'
                said = infons(_infons(mention, report).items())
                yield f'<annotation id="T{number}">{said}{place}<text>{inside}</text></annotation>'
            yield "</passage>"
        yield "</document>"
    yield "</collection>"
