"""BioC (Comeau et al. 2013, doi:10.1093/database/bat064), as XML and as JSON: documents of passages with annotations.

Offsets count code points of the document. A document's text is its passages at their offsets, with a blank between
them, as PubTator has it, or line ends where there is more room, so that every offset of the file is one of the text.
Where a passage's offset lies inside the one before, as in files that count bytes, it is put behind that, its
annotations with it, and counted.

Read are passages, their infons, and annotations with their type, identifiers and score. Of a passage that has its text
in sentences each sentence is one, with the infons of both. Other infons, relations, and annotations outside passages
are counted, not kept; so are infons of sentences of a passage that has a text of its own. XML is parsed as a stream by
the standard library, which reads nothing outside the file; a file that declares entities of its own is refused, as in
`kogner.data.formats.pubmed`. Files are written by `kogner.data.formats.bioc_writer`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kogner.data.formats.files import DAMAGED, Record, opened
from kogner.data.formats.json_stream import values
from kogner.data.formats.pubmed import check_prolog
from kogner.data.formats.pubtator import OFFSET_MISMATCH, OFFSET_REPAIRED, identifiers, nearest
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
INFON = "infon '{}' of {} not kept"
COLLECTIONS = ("documents", "PubTator3")  # keys of a collection's documents; the second of PubTator 3's API
TYPES = ("type", "Type", "class")
IDS = ("identifier", "Identifier", "MESH", "MeSH", "NCBI Gene", "NCBI_Gene", "NCBIGene", "NCBI Taxonomy", "NCBITaxon")
PREFIXES = {"NCBI Gene": "NCBIGene", "NCBI_Gene": "NCBIGene", "NCBI Taxonomy": "NCBITaxon", "MeSH": "MESH"}
LONGEST_KEY = 60  # characters of an infon's key in a report


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
                    _not_kept(_xml_infons(root), "a collection", report)
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
            yield _of_json(raw, path, found.line, report)
        elif any(isinstance(raw.get(key), list) for key in COLLECTIONS):
            if isinstance(raw.get("infons"), dict):
                _not_kept(_infons(raw), "a collection", report)
        else:
            raise InputError("is no BioC: it has neither documents nor passages", path=path, line=found.line)
    if not any_document:
        raise InputError("holds no document", path=path)


def _of_json(raw: Any, path: Path, line: int, report: Report) -> Document:
    if not isinstance(raw, dict):
        raise InputError(f"a document must be an object, not {type(raw).__name__}", path=path, line=line)
    name = "" if raw.get("id") is None else str(raw["id"])
    try:
        if raw.get("passages") is None:
            raise ValueError("it has no 'passages'")
        parts = []
        relations = _relations(raw)
        for passage in _objects(raw, "passages"):
            sentences = _objects(passage, "sentences")
            relations += _relations(passage) + sum(map(_relations, sentences))
            parts += _parts(_json_part(passage), [_json_part(one) for one in sentences], report)
        _count_left_out(_infons(raw), relations, len(_objects(raw, "annotations")), report)
    except ValueError as error:
        raise InputError(f"is no BioC: {error}", path=path, line=line, document=name or None) from error
    return _document(name, parts, path, report)


def _relations(raw: Mapping[str, Any]) -> int:
    """How many relations an object has."""
    return len(raw["relations"]) if isinstance(raw.get("relations"), list) else 0


def _json_part(raw: Mapping[str, Any]) -> _Part:
    part = _Part(_whole(raw, "offset") if "offset" in raw else 0, str(raw.get("text") or ""), _infons(raw))
    for annotation in _objects(raw, "annotations"):
        places = [(_whole(one, "offset"), _whole(one, "length")) for one in _objects(annotation, "locations")]
        part.annotations.append((_infons(annotation), places, str(annotation.get("text") or "")))
    return part


def _objects(raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of a list. Raises ValueError for what is none."""
    found = raw.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"'{key}' must be a list of objects")
    return found


def _whole(raw: Mapping[str, Any], key: str) -> int:
    """A whole number. Raises ValueError where it is missing or none."""
    if key not in raw:
        raise ValueError(f"a location has no '{key}'")
    try:
        return int(raw[key])
    except (TypeError, ValueError, OverflowError):
        said = repr(raw[key])[:60] if isinstance(raw[key], (str, float)) else type(raw[key]).__name__
        raise ValueError(f"'{key}' must be a whole number, not {said}") from None


def _infons(raw: Mapping[str, Any]) -> dict[str, str]:
    """The infons of an object that say something. Raises ValueError for what are none."""
    found = raw.get("infons") or {}
    if not isinstance(found, dict):
        raise ValueError("'infons' must be an object")
    return {key: str(value) for key, value in found.items() if value is not None}


def _of_xml(element: ElementTree.Element, report: Report) -> list[_Part]:
    parts = []
    for passage in element.iterfind("passage"):
        parts += _parts(_xml_part(passage), [_xml_part(one) for one in passage.iterfind("sentence")], report)
    relations = sum(1 for _ in element.iter("relation"))
    _count_left_out(_xml_infons(element), relations, len(element.findall("annotation")), report)
    return parts


def _parts(whole: _Part, sentences: list[_Part], report: Report) -> list[_Part]:
    """A passage where it has a text, else its sentences, with what is said and annotated of both."""
    if whole.text or not sentences:
        for one in sentences:
            _not_kept(one.infons, "a sentence", report)
            whole.annotations += one.annotations
        return [whole]
    sentences[0].annotations += whole.annotations
    for one in sentences:
        one.infons = whole.infons | one.infons
    return sentences


def _count_left_out(infons: Mapping[str, str], relations: int, outside: int, report: Report) -> None:
    """Count what is not kept of a document."""
    _not_kept(infons, "a document", report)
    for reason, count in ((RELATIONS, relations), (OUTSIDE, outside)):
        if count:
            report.note(reason, count)


def _not_kept(infons: Mapping[str, str], owner: str, report: Report, *, kept: Collection[str] = ()) -> None:
    for key, value in infons.items():
        if value and key not in kept:
            report.note(INFON.format(key[:LONGEST_KEY], owner))


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
    # one of blanks is what our writer makes of the room between two
    kept = tuple(one for one in passages if one.infons or text[one.start : one.end].strip())
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
    named, kind = next(((key, infons[key]) for key in TYPES if infons.get(key)), ("", None))
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
        certain = None if score is None or not math.isfinite(float(score)) else float(score)
    except (ValueError, OverflowError):
        certain = None
    _not_kept(infons, "an annotation", report, kept={named, *IDS} if certain is None else {named, *IDS, "score"})
    return Mention(start, end, kind, text[start:end], tuple(dict.fromkeys(ids)), score=certain)
