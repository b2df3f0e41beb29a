"""GLiNER's training files: a JSON array (or JSON lines) of {"tokenized_text": [...], "ner": [[first, last, type]]}.

Words are counted, and `last` is the last word of a mention, not the one behind it: inclusive here and nowhere else. The
format holds no text, so words are read with a blank between each two; offsets are those of the text so made. It holds
no ids either. The types that were annotated are `ner_labels`: GLiNER then trains on these and draws no others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kogner.artifacts import write_lines
from kogner.data.formats.files import stem
from kogner.data.formats.json_stream import values
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention
from kogner.text import words

OFF_WORDS = "mention off word edges"
EMPTY = "mention of an empty word"
BAD_SPAN = "mention that is no [first word, last word, type] of its text"
REWRITTEN = "text rewritten as words with a blank between each two"
NO_NAME = "document id not kept"
NO_IDS = "mention whose ids are not kept"


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a file one by one, with the types that each names as asked for (`ner_labels`).

    Ids are `<file>:<number>`, of the example in an array, of the line elsewhere. Mentions that point outside their
    words are counted and left out. Raises InputError for what is no such file.
    """
    found = None
    for found in values(path):
        yield _document(found.value, found.number or found.line, found.line, path, report)
    if found is None:
        raise InputError("holds no example", path=path)


def write(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents as JSON lines, all or nothing; a mention that words cannot hold is counted and left out."""
    write_lines(path, (_line(one, report, path) for one in documents))


def _line(document: Document, report: Report, path: Path) -> str:
    made = example(document, report, path)
    report.note(NO_NAME)
    if " ".join(made["tokenized_text"]) != document.text:
        report.note(REWRITTEN)
    if identified := sum(bool(one.ids) or one.entity is not None for one in document.mentions):
        report.note(NO_IDS, identified)
    return json.dumps(made | {"ner_labels": sorted(document.types)} if document.types else made)


def line_of(document: Document, report: Report, path: Path) -> str:
    """A document as a line of JSON without line end and `ner_labels`. path: what the report calls the file."""
    return json.dumps(example(document, report, path))


def example(document: Document, report: Report, path: Path) -> dict[str, Any]:
    """A document as the object that GLiNER trains on."""
    spans = words(document.text)
    starts, ends = ({edge[side]: number for number, edge in enumerate(spans)} for side in (0, 1))
    ner: list[list[Any]] = []
    for mention in document.mentions:
        first, last = starts.get(mention.start), ends.get(mention.end)
        if first is None or last is None:
            detail = f"{document.text[mention.start : mention.end]!r} begins or ends inside a word"
            report.skip(OFF_WORDS, detail, path=path, line=None, document=document.id, mention=mention.type)
        else:
            ner.append([first, last, mention.type])
    return {"tokenized_text": [document.text[start:end] for start, end in spans], "ner": ner}


def joined(tokens: Iterable[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words with a blank between each two, and where each lies.

    >>> joined(["IL-2", "gene"])
    ('IL-2 gene', [(0, 4), (5, 9)])
    """
    spans: list[tuple[int, int]] = []
    at = 0
    kept = []
    for token in tokens:
        spans.append((at, at + len(token)))
        kept.append(token)
        at += len(token) + 1
    return " ".join(kept), spans


def _document(raw: Any, number: int, line: int, path: Path, report: Report) -> Document:
    name = f"{stem(path)}:{number}"
    tokens = raw.get("tokenized_text") if isinstance(raw, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError('each example must be {"tokenized_text": [words], "ner": [[first, last, type]]}', path=path,
                         line=line)  # fmt: skip
    text, spans = joined(tokens)
    mentions = []
    entries = raw.get("ner") or []
    if not isinstance(entries, list):
        raise InputError(f"ner must be a list of [first, last, type], not {str(entries)[:60]}", path=path, line=line)
    for entry in entries:
        if not is_span(entry, len(tokens)):
            report.skip(BAD_SPAN, str(entry), path=path, line=line, document=name)
            continue
        start, end = spans[entry[0]][0], spans[entry[1]][1]
        if start < end:
            mentions.append(Mention(start, end, entry[2], text[start:end]))
        else:
            report.skip(EMPTY, str(entry), path=path, line=line, document=name, mention=entry[2])
    labels = raw.get("ner_labels")
    given = labels if isinstance(labels, list) and all(isinstance(label, str) for label in labels) else ()
    return Document(name, text, tuple(mentions), frozenset(given))


def is_span(entry: Any, count: int) -> bool:
    """Whether something is [first word, last word, type] of a text of `count` words."""
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    first, last, kind = entry
    return type(first) is int and type(last) is int and isinstance(kind, str) and 0 <= first <= last < count
