"""What a reader makes of one source, and checks that several readers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.records import Entity, Triple


@dataclass(frozen=True)
class Merge:
    """One identifier that became part of an entity. source: where it came from. rule, why: how that was decided."""

    id: str
    became: str
    rule: str
    why: str
    source: str = ""


@dataclass(frozen=True)
class Source:
    """Entities and triples of one source. `entities` is read first and to its end, `triples` after it; both once.

    name: as reports call it. merges: what the reader itself made one, complete once the entities are read. path: the
    file or folder that it was read from, for errors; None where it is no one's.
    """

    name: str
    entities: Iterable[Entity]
    triples: Iterable[Triple | TripleTable]
    merges: Sequence[Merge] = field(default=())
    path: Path | None = None


def watched(source: Source, rejected: Rejections) -> Source:
    """The source, and a remark once it is read to its end where it held neither entities nor triples."""
    found = 0

    def entities() -> Iterator[Entity]:
        nonlocal found
        for entity in source.entities:
            found += 1
            yield entity

    def triples() -> Iterator[Triple | TripleTable]:
        nonlocal found
        for item in source.triples:
            found += len(item.heads) if isinstance(item, TripleTable) else 1
            yield item
        if not found:
            rejected.remark("source without entities and triples", where=str(source.path or source.name))

    return replace(source, entities=entities(), triples=triples())


def good_id(identifier: str, where: str, rejected: Rejections) -> bool:
    """Whether an id can be one: it is not empty and has no blanks. One that cannot is counted."""
    if not identifier:
        rejected.add("empty id", where)
    elif len(identifier.split()) != 1 or identifier != identifier.strip():
        rejected.add("id with blanks", where)
    else:
        return True
    return False


def distinct(items: Iterable[str], without: str = "") -> tuple[str, ...]:
    """Items once each in their order, blanks made single, without empty ones and without `without`."""
    cleaned = dict.fromkeys(" ".join(item.split()) for item in items)
    return tuple(item for item in cleaned if item and item != without)
