"""KoGNER's own format: one JSON object per line and document, nothing lost in writing and reading.

`{"id", "text", "types": [...], "mentions": [{"start", "end", "text", "type", "ids": [...], "entity", "score"}]}`, and
`"unsure": [...]` of the same form where there is doubt (see `kogner.records.Document`). Only `text` must be there, so
that `{"id", "text"}` lines serve as input of annotation. What `kogner annotate` writes, with `entities` in the place of
`mentions`, is read as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kogner.artifacts import write_lines
from kogner.data.formats.columns import ID, Columns, ask_for
from kogner.data.formats.duplicates import repeated_in_lines, unique
from kogner.data.formats.files import lines, stem
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention, Passage

BOTH = "entities beside mentions ignored"
TEXT_DIFFERS = "mention text differs from its offsets"
EXPLAINED = "'{}' of a linked mention not kept"
NO_TEXT = "line without text"
ARRAY = "; of an array each element needs a line of its own, e.g. with: jq -c .[] FILE.json > FILE.jsonl"

_KEYS = {"id", "text", "types", "mentions", "unsure", "passages", "entities"}
_MENTION_KEYS = {"start", "end", "text", "type", "ids", "entity", "score", "entity_id", "entity_score", "links"}
_EXPLAINING = {"entity_score", "links"}  # what `kogner annotate` says of a link, which corpora do not have


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a file of JSON lines, which is read twice, first for the ids that come again.

    Raises InputError with file and line for what is not such an object.
    """
    repeated = repeated_in_lines(path, lambda raw, line: _id(raw, path, line))
    any_document = False
    for document in unique(parse(lines(path), path=path, report=report), path=path, report=report, repeated=repeated):
        any_document = True
        yield document
    if not any_document:
        raise InputError("holds no document", path=path)


def _id(raw: Any, path: Path, line: int) -> str:
    given = raw.get("id")
    return f"{stem(path)}:{line}" if given is None else str(given)


def parse(numbered: Iterable[tuple[int, str]], *, path: Path, report: Report) -> Iterator[tuple[int, Document]]:
    """Yield (line, document) of numbered lines; `path` is what errors name. A missing id becomes `<stem>:<line>`.

    A line that is no document is refused (`Report.refuse`).
    """
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            document = _document(line, number, path, report)
        except InputError as error:
            report.refuse(error)
        else:
            yield number, document


def _document(line: str, number: int, path: Path, report: Report) -> Document:
    raw = _decoded(line, number, path)
    if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
        has, ask, own = "", "", None
        if isinstance(raw, dict):
            own = None if raw.get("id") is None else str(raw["id"])
            if "text" not in raw:
                has, ask = f"has the keys {', '.join(raw)[:200]}; ", f"; or {ask_for('jsonl')}"
        elif isinstance(raw, list):
            ask = ARRAY
        raise InputError(
            f'{has}each line must be an object such as {{"id": "1", "text": "..."}}{ask}',
            path=path, line=number, document=own,
        )  # fmt: skip
    name = _id(raw, path, number)
    if raw.get("mentions") and raw.get("entities"):
        report.note(BOTH)
    for key in raw.keys() - _KEYS:
        report.note(f"unknown key '{key}' ignored")
    try:
        mentions, unsure = (
            tuple(
                mention
                for entry in _list(raw, key) or (_list(raw, "entities") if key == "mentions" else ())
                if (mention := _mention(entry, raw["text"], report, path, number, name)) is not None
            )
            for key in ("mentions", "unsure")
        )
        types = frozenset(_text(kind) for kind in _list(raw, "types"))
        passages = tuple(_passage(entry, len(raw["text"])) for entry in _list(raw, "passages"))
        return Document(name, raw["text"], mentions, types, unsure, passages)
    except InputError as error:
        if error.path is not None:
            raise
        raise InputError(str(error), path=path, line=number, document=name) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"a mention needs start, end and type, types must be a list of names: {error!r}",
            path=path, line=number, document=name,
        ) from error  # fmt: skip


def _decoded(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        ask = ARRAY if line.lstrip().startswith("[") else ""
        raise InputError(f"not JSON: {error}; each line must be one object{ask}", path=path, line=number) from error


def read_columns(path: Path, *, report: Report, columns: Columns) -> Iterator[Document]:
    """Yield a document for each line of others' JSON lines, its text and id under the keys that `columns` says.

    A missing id becomes `<stem>:<line>`. Lines without a text are counted and left out; one that is no object is
    refused (`Report.refuse`). Raises InputError where no line has a text.
    """
    any_document, keys = False, ""
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            raw = _decoded(line, number, path)
            if not isinstance(raw, dict):
                raise InputError("each line must be an object", path=path, line=number)
        except InputError as error:
            report.refuse(error)
            continue
        keys = keys or ", ".join(raw)[:200]
        text, own = raw.get(columns.text), raw.get(columns.id or ID)
        if not isinstance(text, str) or not text.strip():
            report.skip(NO_TEXT, f"key {columns.text!r}", path=path, line=number)
        else:
            any_document = True
            for key in raw.keys() - {columns.text, columns.id or ID}:
                report.note(f"key '{key}' not kept")
            if own is not None and not _is_id(own):
                report.note("id that is neither a text nor a whole number, replaced")
            name = str(int(own) if isinstance(own, float) else own) if _is_id(own) else f"{stem(path)}:{number}"
            yield Document(name, text)
    if not any_document:
        raise InputError(f"holds no document with the said keys; those of its first line: {keys or 'none'}", path=path)


def _is_id(value: Any) -> bool:
    if isinstance(value, float):  # as whole numbers are written where some rows have none
        return value.is_integer()
    return (isinstance(value, str) and bool(value.strip())) or type(value) is int


def _mention(entry: Any, text: str, report: Report, path: Path, line: int, document: str) -> Mention | None:
    start, end, kind = entry["start"], entry["end"], _text(entry["type"])
    if type(start) is not int or type(end) is not int:
        raise TypeError(f"start and end must be whole numbers, not {start!r} and {end!r}")
    for key in entry.keys() - _MENTION_KEYS:
        report.note(f"unknown key 'mentions.{key}' ignored")
    for key in _EXPLAINING & entry.keys():
        report.note(EXPLAINED.format(key))
    stated = entry.get("text")
    if end > len(text) or (stated and text[start:end] != stated):
        detail = f"{stated!r} is not at [{start}, {end}) of {len(text)} characters"
        report.skip(TEXT_DIFFERS, detail, path=path, line=line, document=document, mention=kind)
        return None
    entity, score = entry.get("entity", entry.get("entity_id")), entry.get("score")
    return Mention(
        start, end, kind, text[start:end] if stated is None else stated,
        tuple(_text(one) for one in _list(entry, "ids")),
        None if entity is None else _text(entity),
        None if score is None else _finite(score),
    )  # fmt: skip


def _passage(entry: Any, length: int) -> Passage:
    start, end = entry["start"], entry["end"]
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= length:
        raise ValueError(f"passage [{start!r}, {end!r}) of {length} characters")
    infons = entry.get("infons") or {}
    return Passage(start, end, tuple((_text(key), _text(value)) for key, value in infons.items()))


def _list(raw: Any, key: str) -> list[Any]:
    """What is under a key, where a text would be taken for a list of its letters."""
    value = raw.get(key) or []
    if not isinstance(value, list):
        raise TypeError(f"{key} must be a list, not {type(value).__name__}")
    return value


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(f"score {number} is no finite number")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value


def passages_of(document: Document) -> list[dict[str, Any]]:
    """Its passages as plain data."""
    return [{"start": one.start, "end": one.end, "infons": dict(one.infons)} for one in document.passages]


def line_of(document: Document) -> str:
    """A document as one line of JSON without its line end; `parse` reads it back to an equal document."""
    raw = {
        "id": document.id,
        "text": document.text,
        "types": sorted(document.types),
        "mentions": [_entry(mention) for mention in document.mentions],
    }
    if document.passages:
        raw["passages"] = passages_of(document)
    if document.unsure:
        raw["unsure"] = [_entry(mention) for mention in document.unsure]
    return encoded(raw)


_encode = json.JSONEncoder(ensure_ascii=False).encode


def encoded(raw: Any) -> str:
    """An object as a line of JSON without its line end, which UTF-8 can hold whatever is in it."""
    line = _encode(raw)
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold but JSON can escape
            return json.dumps(raw)
    return line


def _entry(mention: Mention) -> dict[str, Any]:
    entry: dict[str, Any] = {"start": mention.start, "end": mention.end, "text": mention.text, "type": mention.type}
    entry |= {"ids": list(mention.ids), "entity": mention.entity}
    return entry if mention.score is None else entry | {"score": mention.score}


def write(path: Path, documents: Iterable[Document]) -> None:
    """Write documents as JSON lines, all or nothing."""
    write_lines(path, map(line_of, documents))
