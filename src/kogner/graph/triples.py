"""Triples of entity ids made into rows of a graph, in tables of many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kogner.graph.rejections import EXAMPLES, Rejections
from kogner.records import Triple

TABLE = 200_000  # triples that are looked up at a time where they come one by one


@dataclass(frozen=True)
class TripleTable:
    """Triples as three columns of text of one length, each a pyarrow array."""

    heads: Any
    relations: Any
    tails: Any


def as_tables(triples: Iterable[Triple | TripleTable]) -> Iterator[TripleTable]:
    """Tables as they are, and single triples gathered into tables."""
    import pyarrow

    text = pyarrow.string()
    stream = iter(triples)
    single: list[Triple] = []

    def gathered() -> TripleTable:
        columns = ([getattr(triple, name) for triple in single] for name in ("head", "relation", "tail"))
        table = TripleTable(*(pyarrow.array(column, type=text) for column in columns))
        single.clear()
        return table

    for item in stream:
        if isinstance(item, Triple):
            single.append(item)
            if len(single) < TABLE:
                continue
        if single:
            yield gathered()
        if isinstance(item, TripleTable):
            yield item
    if single:
        yield gathered()


def triple_rows(
    triples: Iterable[Triple | TripleTable],
    own: Mapping[str, int],
    xrefs: Mapping[str, Sequence[int]],
    rejected: Rejections,
) -> tuple[np.ndarray, list[str]]:
    """Sorted distinct rows (triples, 3) int32 of head, relation index and tail; and the sorted relations.

    own: row of each entity id, in the order of the rows. xrefs: rows of the ids that entities have elsewhere; an end
    may be one of them where it is one entity's. Others are left out and counted, as are repeated triples.
    """
    import pyarrow

    known = pyarrow.array(list(own), type=pyarrow.string())
    codes: dict[str, int] = {}
    parts: list[np.ndarray] = []
    for table in as_tables(triples):
        ends = [_rows(column, known, xrefs) for column in (table.heads, table.tails)]
        bad = np.minimum(*ends) < 0
        if bad.any():
            _count(table, ends, bad, rejected)
        encoded = _combined(table.relations).dictionary_encode()
        mine = np.array([codes.setdefault(name.as_py(), len(codes)) for name in encoded.dictionary], np.int32)
        relation = mine[encoded.indices.to_numpy(zero_copy_only=False)] if len(mine) else np.zeros(0, np.int32)
        parts.append(np.stack([ends[0], relation, ends[1]], axis=1)[~bad].astype(np.int32))
    rows = np.concatenate([*parts, np.zeros((0, 3), np.int32)])
    parts.clear()
    used = np.bincount(rows[:, 1], minlength=len(codes)) > 0
    relations = sorted(name for name, code in codes.items() if used[code])
    place = {name: number for number, name in enumerate(relations)}
    rows[:, 1] = np.array([place.get(name, 0) for name in codes] or [0], np.int32)[rows[:, 1]]
    return _distinct(rows, len(own), relations, own, rejected), relations


def _rows(column: Any, known: Any, xrefs: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Row of each id: (n,) int64; -1 for one that is not known, -2 for an xref of several entities."""
    import pyarrow.compute

    found = pyarrow.compute.index_in(_combined(column), value_set=known)
    rows: np.ndarray = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    for place in np.flatnonzero(rows < 0):
        elsewhere = xrefs.get(column[int(place)].as_py(), ())
        if elsewhere:
            rows[place] = elsewhere[0] if len(elsewhere) == 1 else -2
    return rows


def _combined(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _count(table: TripleTable, ends: Sequence[np.ndarray], bad: np.ndarray, rejected: Rejections) -> None:
    """Count triples with an end that is not known; of two such ends the head's is the reason."""
    heads, tails = ends
    reason = np.where(heads < 0, heads, tails)
    for code, text in ((-2, "an ambiguous end (an xref of several entities)"), (-1, "an unknown end")):
        places = np.flatnonzero(bad & (reason == code))
        if len(places):
            examples = [
                (table.heads if heads[place] < 0 else table.tails)[int(place)].as_py() for place in places[:EXAMPLES]
            ]
            rejected.add_many(f"triple with {text}", len(places), examples)


def _distinct(
    rows: np.ndarray, entities: int, relations: Sequence[str], ids: Iterable[str], rejected: Rejections
) -> np.ndarray:
    """Rows in order and once each; the others are counted."""
    keys = (rows[:, 0].astype(np.int64) * max(1, len(relations)) + rows[:, 1]) * entities + rows[:, 2]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    again = np.zeros(len(keys), dtype=bool)
    np.equal(keys[1:], keys[:-1], out=again[1:])
    if again.any():
        first = np.sort(order[again])[:EXAMPLES]
        names = list(ids)
        examples = [f"{names[h]} {relations[r]} {names[t]}" for h, r, t in rows[first].tolist()]
        rejected.add_many("repeated triple", int(again.sum()), examples)
    return rows[order[~again]]
