"""Documents that share an id: a copy is dropped, a namesake is renamed, and both are counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kogner.data.formats.files import lines
from kogner.data.report import Report
from kogner.records import Document

COPY = "document twice in the file"
NAMESAKE = "document id used again for another text"


def unique(
    documents: Iterable[tuple[int, Document]], *, path: Path, report: Report, repeated: Container[str]
) -> Iterator[Document]:
    """Yield documents with ids that are unique, from (line, document) pairs.

    A document equal to an earlier one of the same id (text and mentions) is dropped; one that differs is kept as
    `<id>#2`, `<id>#3` and so on.
    repeated: ids that come again (`repeated_ids`); nothing is remembered of the others.
    """
    names: set[str] = set()
    namesakes: dict[str, list[bytes]] = {}
    for line, document in documents:
        if document.id not in repeated:
            yield document
            continue
        earlier, content = namesakes.setdefault(document.id, []), _digest(document)
        if content in earlier:
            report.skip(COPY, "same id, text and mentions", path=path, line=line, document=document.id)
            continue
        earlier.append(content)
        name, number = document.id, len(earlier)
        if name in names:
            while name in names:
                number = max(number, 2)
                name, number = f"{document.id}#{number}", number + 1
            report.repair(NAMESAKE, f"kept as {name}", path=path, line=line, document=document.id)
        names.add(name)
        yield document if name == document.id else replace(document, id=name)


def repeated_ids(ids: Iterable[str]) -> Container[str]:
    """The ids that come more than once, and some others. It holds 8 bytes for each that comes.

    Ids that differ behind a `#` only are taken for the same, since that is how namesakes are told apart.
    """
    hashes = np.fromiter((hash(_stem(name)) for name in ids), dtype=np.int64)
    hashes.sort()
    return _Hashed(frozenset(hashes[1:][hashes[1:] == hashes[:-1]].tolist()))


def repeated_in_lines(path: Path, id_of: Callable[[Any, int], str]) -> Container[str]:
    """`repeated_ids` of a file with a JSON object a line, up to a line that is damaged, which its reader tells of.

    id_of: the id of what a line holds, and its number. Raises AttributeError for what is no object.
    """

    def ids() -> Iterator[str]:
        for number, line in lines(path):
            if line.strip():
                try:
                    yield id_of(json.loads(line), number)
                except (ValueError, RecursionError, AttributeError):
                    return

    return repeated_ids(ids())


class _Hashed(Container[str]):
    def __init__(self, hashes: frozenset[int]) -> None:
        self._hashes = hashes

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hash(_stem(name)) in self._hashes


def _stem(name: str) -> str:
    return name.partition("#")[0]


def _digest(document: Document) -> bytes:
    parts = (document.text, document.mentions, document.unsure, document.passages, sorted(document.types))
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
