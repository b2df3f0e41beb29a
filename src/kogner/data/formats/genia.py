"""GENIA as JSON lines: `tokens` and, possibly nested, `entity_mentions` with half-open token spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kogner.data.formats.duplicates import repeated_in_lines, unique
from kogner.data.formats.files import lines, stem
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield one document per line; its text is the tokens joined by one blank, its id `sent_id` or the line number.

    A `sent_id` that is the `doc_id` and a number, `X-7`, becomes `X#7`, by which sentences of one document are known.

    The file is read twice, first for the ids that come again. Raises InputError for a line that is not such an object
    or whose spans do not fit its tokens.
    """
    repeated = repeated_in_lines(path, lambda raw, line: _id(raw, path, line))
    yield from unique(_documents(path, report), path=path, report=report, repeated=repeated)


def _id(raw: Any, path: Path, line: int) -> str:
    name, document = str(raw.get("sent_id") or f"{stem(path)}:{line}"), str(raw.get("doc_id") or "")
    number = name.removeprefix(f"{document}-")
    return f"{document}#{number}" if document and name != number and number.isdecimal() else name


def _documents(path: Path, report: Report) -> Iterator[tuple[int, Document]]:
    """The documents with the lines they stand in."""
    any_document = False
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            tokens = [str(token) for token in raw["tokens"]]
            entities = [_entity(entry) for entry in raw["entity_mentions"]]
            name = _id(raw, path, number)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"each line must be an object with tokens and entity_mentions (start, end, entity_type): {error!r}",
                path=path, line=number,
            ) from error  # fmt: skip
        edges: list[tuple[int, int]] = []
        position = 0
        for token in tokens:
            edges.append((position, position + len(token)))
            position += len(token) + 1
        text = " ".join(tokens)
        mentions: list[Mention] = []
        for first, beyond, kind in entities:
            if not 0 <= first < beyond <= len(tokens):
                raise InputError(
                    f"entity [{first}, {beyond}) does not fit the {len(tokens)} tokens",
                    path=path, line=number, document=name,
                )  # fmt: skip
            start, end = edges[first][0], edges[beyond - 1][1]
            if start == end:
                report.skip(
                    "empty token", f"entity of type {kind}", path=path, line=number, document=name, mention=kind
                )
                continue
            mentions.append(Mention(start, end, kind, text[start:end]))
        any_document = True
        yield number, Document(name, text, tuple(mentions))
    if not any_document:
        raise InputError("holds no document", path=path)


def _entity(raw: Any) -> tuple[int, int, str]:
    first, beyond, kind = raw["start"], raw["end"], raw["entity_type"]
    if type(first) is not int or type(beyond) is not int or not isinstance(kind, str):
        raise TypeError(f"start and end must be whole numbers and the type a text, not {raw}")
    return first, beyond, kind
