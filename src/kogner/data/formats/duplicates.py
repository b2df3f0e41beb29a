"""Documents that share an id: a copy is dropped, a namesake is renamed, and both are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kogner.data.report import Report
from kogner.records import Document

COPY = "document twice in the file"
NAMESAKE = "document id used again for another text"


def unique(documents: Iterable[tuple[int, Document]], *, path: Path, report: Report) -> list[Document]:
    """Documents with ids that are unique, from (line, document) pairs.

    A document equal to an earlier one of the same id (text and mentions) is dropped; one that differs is kept as
    `<id>#2`, `<id>#3` and so on.
    """
    kept: dict[str, Document] = {}
    namesakes: dict[str, list[Document]] = {}
    for line, document in documents:
        earlier = namesakes.setdefault(document.id, [])
        if document in earlier:
            report.skip(COPY, "same id, text and mentions", path=path, line=line, document=document.id)
            continue
        earlier.append(document)
        name, number = document.id, len(earlier)
        if name in kept:
            while name in kept:
                number = max(number, 2)
                name, number = f"{document.id}#{number}", number + 1
            report.repair(NAMESAKE, f"kept as {name}", path=path, line=line, document=document.id)
        kept[name] = document if name == document.id else replace(document, id=name)
    return list(kept.values())
