"""BioC (Comeau et al. 2013, doi:10.1093/database/bat064), as XML and as JSON: documents of passages with annotations.

Offsets count code points of the document. A document's text is its passages at their offsets, with a blank between
them, as PubTator has it, or line ends where there is more room, so that every offset of the file is one of the text.
Where a passage's offset lies inside the one before, as in files that count bytes, it is put behind that, its
annotations with it, and counted.

Read are passages and sentences, infons of passages, and annotations with their type and identifiers, not their other
infons. Relations, and annotations outside passages, are counted, not kept. XML is parsed as a stream by the standard
library, which reads nothing outside the file; a file that declares entities of its own is refused, as in
`kogner.data.formats.pubmed`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from kogner.artifacts import write_lines
from kogner.data.formats.files import DAMAGED, Record, opened
from kogner.data.formats.json_stream import values
from kogner.data.formats.pubmed import check_prolog
from kogner.data.formats.pubtator import OFFSET_MISMATCH, OFFSET_REPAIRED, identifiers, nearest, written_ids
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention, Passage

BEHIND = "passage whose offset lies in the one before, put behind it"
FAR = "passage whose offset lies far behind the one before, put behind it"
MOST_BETWEEN = 100_000  # code points between the passages of a document, all of them together
IN_PIECES = "mention in several pieces, kept from the first to the last"
RELATIONS = "relation not kept"
OUTSIDE = "annotation outside passages not kept"
NO_TYPE = "annotation without a type"
NO_PLACE = "annotation without a place"
GAP = "text outside of passages, written as one"
ACROSS = "mention across passages, written in the first"
NO_XML = "characters that XML cannot hold written as blanks"
COLLECTIONS = ("documents", "PubTator3")  # keys of a collection's documents; the second of PubTator 3's API
TYPES = ("type", "Type", "class")
IDS = ("identifier", "Identifier", "MESH", "MeSH", "NCBI Gene", "NCBI_Gene", "NCBIGene", "NCBI Taxonomy", "NCBITaxon")
PREFIXES = {"NCBI Gene": "NCBIGene", "NCBI_Gene": "NCBIGene", "NCBI Taxonomy": "NCBITaxon", "MeSH": "MESH"}

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class _Part:
    """A passage as a file has it. annotations: (infons, [(offset, length)], text)."""

    offset: int
    text: str
    infons: dict[str, str] = field(default_factory=dict)
    annotations: list[tuple[dict[str, str], list[tuple[int, int]], str]] = field(default_factory=list)


def read_xml(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a BioC XML file one by one, packed or not. Raises InputError for what is no such file."""
    try:
        with opened(path) as stream:
            check_prolog(stream, path)
        with opened(path) as stream:
            root: ElementTree.Element | None = None
            record = Record(stream, path)
            for event, element in ElementTree.iterparse(record, events=("start", "end")):
                if root is None:
                    root = element
                    if root.tag != "collection":
                        raise InputError(f"is no BioC: its root is <{root.tag}>, not <collection>", path=path)
                if event == "end" and element.tag == "document":
                    yield _document(element.findtext("id") or "", _of_xml(element, report), path, report)
                    root.clear()
                    record.done()
    except ElementTree.ParseError as error:
        raise InputError(f"is not well-formed XML: {error}", path=path, line=error.position[0]) from error
    except InputError:
        raise
    except (OSError, ValueError, LookupError, *DAMAGED) as error:  # of them an encoding that is none
        raise InputError(f"cannot be read: {error}", path=path) from error


def read_json(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a BioC JSON file one by one: of a collection or several, or documents behind one another.

    Raises InputError for what is no such file.
    """
    any_document = False
    for found in values(path, inside=COLLECTIONS):
        raw = found.value
        if not found.element and not isinstance(raw, dict):
            raise InputError(
                "is no BioC: an object with documents or passages is needed", path=path, line=found.line
            )  # fmt: skip
        if found.element or ("passages" in raw and not any(key in raw for key in COLLECTIONS)):
            any_document = True
            yield _of_json(raw, path, report)
        elif not any(isinstance(raw.get(key), list) for key in COLLECTIONS):
            raise InputError("is no BioC: it has neither documents nor passages", path=path, line=found.line)
    if not any_document:
        raise InputError("holds no document", path=path)


def _of_json(raw: Any, path: Path, report: Report) -> Document:
    try:
        name = str(raw.get("id", ""))
        parts = []
        for passage in raw["passages"]:
            parts += [
                _json_part(one, path, name)
                for one in ([passage] if passage.get("text") else passage.get("sentences") or [passage])
            ]
            if passage.get("text"):
                for sentence in passage.get("sentences") or ():
                    parts[-1].annotations += _json_part(sentence, path, name).annotations
            if not passage.get("text") and passage.get("sentences"):
                parts[-len(passage["sentences"])].annotations += _json_part(passage, path, name).annotations
            report_relations(passage, report)
        report_relations(raw, report)
        if raw.get("annotations"):
            report.note(OUTSIDE, len(raw["annotations"]))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(f"a document is no BioC ({error!r})", path=path) from error
    return _document(name, parts, path, report)


def report_relations(raw: Mapping[str, Any], report: Report) -> None:
    """Count the relations of a document or passage."""
    if raw.get("relations"):
        report.note(RELATIONS, len(raw["relations"]))


def _json_part(raw: Mapping[str, Any], path: Path, name: str) -> _Part:
    part = _Part(int(raw.get("offset", 0)), str(raw.get("text") or ""), _plain(raw.get("infons")))
    for annotation in raw.get("annotations") or ():
        places = [(int(one["offset"]), int(one["length"])) for one in annotation.get("locations") or ()]
        part.annotations.append((_plain(annotation.get("infons")), places, str(annotation.get("text") or "")))
    return part


def _plain(infons: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (infons or {}).items() if value is not None}


def _of_xml(element: ElementTree.Element, report: Report) -> list[_Part]:
    parts = []
    relations = sum(1 for _ in element.iter("relation"))
    if relations:
        report.note(RELATIONS, relations)
    for passage in element.iterfind("passage"):
        sentences = passage.findall("sentence")
        whole = _xml_part(passage)
        if whole.text or not sentences:
            whole.annotations += [one for sentence in sentences for one in _xml_part(sentence).annotations]
            parts.append(whole)
        else:
            own = [_xml_part(sentence) for sentence in sentences]
            own[0].annotations += whole.annotations
            parts += own
    outside = len(element.findall("annotation"))
    if outside:
        report.note(OUTSIDE, outside)
    return parts


def _xml_part(element: ElementTree.Element) -> _Part:
    part = _Part(_number(element.findtext("offset")) or 0, element.findtext("text") or "", _xml_infons(element))
    for annotation in element.iterfind("annotation"):
        places = [_place(one) for one in annotation.iterfind("location")]
        known = [place for place in places if place is not None]
        whole = known if len(known) == len(places) else []
        part.annotations.append((_xml_infons(annotation), whole, annotation.findtext("text") or ""))
    return part


def _xml_infons(element: ElementTree.Element) -> dict[str, str]:
    return {infon.get("key", ""): infon.text or "" for infon in element.iterfind("infon")}


def _place(element: ElementTree.Element) -> tuple[int, int] | None:
    offset, length = _number(element.get("offset")), _number(element.get("length"))
    return None if offset is None or length is None else (offset, length)


def _number(text: str | None) -> int | None:
    try:
        return int((text or "").strip())
    except ValueError:
        return None


def _document(name: str, parts: list[_Part], path: Path, report: Report) -> Document:
    text = ""
    passages: list[Passage] = []
    mentions: list[Mention] = []
    shifts: list[int] = []
    room = MOST_BETWEEN
    for part in parts:
        start = part.offset
        if not len(text) <= start <= len(text) + room:
            reason = BEHIND if start < len(text) else FAR
            report.repair(reason, f"offset {start} at {len(text)}", path=path, line=None, document=name)
            start = len(text) + 1
        between = start - len(text)
        room = max(room - between, 1)
        text += (" " if between == 1 else "\n" * between) + part.text
        passages.append(Passage(start, start + len(part.text), tuple(part.infons.items())))
        shifts.append(start - part.offset)
    for part, shift in zip(parts, shifts, strict=True):  # in all of the text, since one may end in the next passage
        for infons, places, stated in part.annotations:
            mention = _mention(infons, places, stated, shift, text, path, name, report)
            if mention is not None:
                mentions.append(mention)
    kept = tuple(one for one in passages if one.end > one.start or one.infons)
    if [(one.start, one.end, one.infons) for one in kept] == [(0, len(text), ())]:
        kept = ()
    mentions.sort(key=lambda one: one.key)
    return Document(name or "-", text, tuple(mentions), passages=kept)


def _mention(
    infons: Mapping[str, str],
    places: list[tuple[int, int]],
    stated: str,
    shift: int,
    text: str,
    path: Path,
    name: str,
    report: Report,
) -> Mention | None:
    kind = next((infons[key] for key in TYPES if infons.get(key)), None)
    if kind is None or not places:
        reason = NO_TYPE if kind is None else NO_PLACE
        report.skip(reason, repr(stated[:60]), path=path, line=None, document=name, mention=kind)
        return None
    start = min(offset for offset, _ in places) + shift
    end = max(offset + length for offset, length in places) + shift
    if len(places) > 1:
        report.note(IN_PIECES)
    elif stated and text[max(start, 0) : end] != stated:
        found = nearest(text, stated, max(start, 0))
        detail = f"{stated[:60]!r} is not at [{start}, {end})"
        if found is None:
            report.skip(OFFSET_MISMATCH, detail, path=path, line=None, document=name, mention=kind)
            return None
        report.repair(OFFSET_REPAIRED, detail, path=path, line=None, document=name)
        start, end = found
    if not 0 <= start < end <= len(text):
        detail = f"[{start}, {end}) of {len(text)} characters"
        report.skip(OFFSET_MISMATCH, detail, path=path, line=None, document=name, mention=kind)
        return None
    ids: list[str] = []
    for key in IDS:
        if infons.get(key):
            vocabulary = PREFIXES.get(key, key if key not in ("identifier", "Identifier") else None)
            ids += identifiers(infons[key], vocabulary=vocabulary)
    score = infons.get("score")
    try:
        certain = None if score is None else float(score)
    except ValueError:
        certain = None
    return Mention(start, end, kind, text[start:end], tuple(dict.fromkeys(ids)), score=certain)


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
    return found if mention.score is None else found | {"score": f"{mention.score:g}"}


def _parted(document: Document, report: Report) -> Iterator[tuple[Passage, list[Mention]]]:
    """Each passage with the mentions that begin in it; a document without any is one.

    Text between passages becomes one of its own, unless there are only blanks.
    """
    passages = tuple(_without_gaps(document, report))
    starts = [passage.start for passage in passages]
    inside: list[list[Mention]] = [[] for _ in passages]
    for one in document.mentions:
        inside[max(bisect_right(starts, one.start) - 1, 0)].append(one)
    for passage, own in zip(passages, inside, strict=True):
        across = sum(one.end > passage.end for one in own)
        if across:
            report.note(ACROSS, across)
        yield passage, own


def _without_gaps(document: Document, report: Report) -> Iterator[Passage]:
    text, at = document.text, 0
    if not document.passages:
        yield Passage(0, len(text))
    for passage in document.passages:
        if text[at : passage.start].strip():
            report.note(GAP)
            yield Passage(at, passage.start)
        yield passage
        at = max(at, passage.end)
    if document.passages and text[at:].strip():
        report.note(GAP)
        yield Passage(at, len(text))


def _xml_lines(documents: Iterable[Document], report: Report) -> Iterator[str]:
    def plain(text: str) -> str:
        cleaned = _NO_XML.sub(" ", text).replace("\r", " ")
        if cleaned != text:
            report.note(NO_XML)
        return escape(cleaned)

    def infons(found: Iterable[tuple[str, str]]) -> str:
        return "".join(f"<infon key={quoteattr(_NO_XML.sub(' ', key))}>{plain(value)}</infon>" for key, value in found)

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
