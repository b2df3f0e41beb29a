"""A question to a bank in a user's words: which entities are near the one with this name?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner.errors import InputError
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.graph.store import GraphStore
    from kogner.teacher.bank import Bank

Array = np.ndarray[Any, Any]
SHOWN = 5  # other entities of a name that are told


def graph_rows(bank: Bank, store: GraphStore) -> Array:
    """The graph's row of each entity of a bank, (entities,) int64; -1 where the graph does not know it."""
    ids = store.all_ids()
    if len(ids) == len(bank) and tuple(ids) == bank.ids:
        return np.arange(len(bank))
    rows = {entity_id: row for row, entity_id in enumerate(ids)}
    return np.array([rows.get(entity_id, -1) for entity_id in bank.ids], dtype=np.int64)


def check_graph(bank: Bank, store: GraphStore) -> None:
    """Say so where a bank was not made from this graph: names and types may then be others."""
    made_from = bank.artifact.parents.get("graph")
    if made_from is not None and made_from != store.artifact.hash:
        note(f"{bank.path} was not made from the graph {store.path}; names and types are those of this graph")


def check_types(store: GraphStore, types: Sequence[str]) -> None:
    """Raise InputError naming types that a graph does not have."""
    unknown = [kind for kind in types if kind not in store.types]
    if unknown:
        raise InputError(
            f"the graph has no type {', '.join(unknown)}; its types: {', '.join(store.types)}", path=store.path
        )


def find_entity(bank: Bank, store: GraphStore, name: str) -> tuple[int, list[str]]:
    """The bank's row of an entity given by id, xref or name, and the ids of the others that it may mean, best first.

    An id counts before a name; names are in the order of `Lexicon.lookup`. Those without a row in the bank are passed
    over. Raises InputError where there is none.
    """
    rows = list(store.resolve(name)) or [match.row for match in store.lexicon.lookup(name)]
    if not rows:
        raise InputError(
            f"no entity has the id, xref or name {name!r}; look for another name with `kogner graph find`",
            path=store.path,
        )
    ids = store.ids(rows)
    held = [entity_id for entity_id in ids if bank.row(entity_id) is not None]
    if not held:
        raise InputError(f"has no row for {', '.join(ids[:SHOWN])}, which {name!r} means in the graph", path=bank.path)
    row = bank.row(held[0])
    assert row is not None
    return row, [entity_id for entity_id in ids if entity_id != held[0]]


def ask(
    bank: Bank,
    store: GraphStore,
    name: str,
    *,
    parts: Sequence[str] | None = None,
    types: Sequence[str] = (),
    limit: int = 10,
) -> dict[str, Any]:
    """The entities nearest to one, as plain data. parts: None = all that the entity has. types: () = all.

    Says on standard error what else the name may mean, which parts the entity lacks, and what was not ranked.
    Raises InputError for an unknown name, part or type, and where the entity has nothing in a part that was asked for.
    """
    check_graph(bank, store)
    check_types(store, types)
    row, others = find_entity(bank, store, name)
    if others:
        shown = ", ".join(_described(store, others[:SHOWN])) + (" ..." if len(others) > SHOWN else "")
        note(f"{name!r} is taken as {_described(store, [bank.ids[row]])[0]}; it may also mean {shown}")
    if parts is None:
        lacks = bank.lacking(row)
        parts = [part for part in bank.parts if part not in lacks]
        if lacks:
            note(f"{bank.ids[row]} has nothing in {', '.join(lacks)}; compared by {', '.join(parts) or 'nothing'}")
        if not parts:
            raise InputError(f"has only zeros for {bank.ids[row]}, so nothing is near it", path=bank.path)
    among = None
    if types:
        codes = np.flatnonzero(np.isin(np.array(store.types), types))
        rows = graph_rows(bank, store)
        kept = np.flatnonzero(rows >= 0)
        among = kept[np.isin(np.asarray(store.type_codes)[rows[kept]], codes)]
    found = bank.near(row, parts=parts, limit=limit, among=among)
    for part, count in found.unranked.items():
        note(f"{count:,} entities have nothing in {part} and are not ranked; leave {part} out with --parts")
    nearest = [int(other) for other in found.rows[0] if other >= 0]
    ids = [bank.ids[other] for other in nearest]
    by_part = {part: _cosines(bank, row, nearest, part) for part in parts}
    listed = [
        {
            "id": entity_id,
            "type": described["type"],
            "name": described["name"],
            "cosine": round(float(found.scores[0, place]), 4),
            "by_part": {part: round(float(values[place]), 4) for part, values in by_part.items()},
        }
        for place, (entity_id, described) in enumerate(zip(ids, _entities(store, ids), strict=True))
    ]
    return {
        "query": {"id": bank.ids[row], **_entities(store, [bank.ids[row]])[0]},
        "also": others,
        "parts": list(parts),
        "types": list(types),
        "ranked": found.candidates - int(among is None or row in among),  # but for itself
        "unranked": found.unranked,
        "nearest": listed,
    }


def _cosines(bank: Bank, row: int, others: Sequence[int], part: str) -> Array:
    vectors = np.asarray(bank.vectors[[row, *others], slice(*bank.parts[part])], np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit[1:] @ unit[0]


def _entities(store: GraphStore, ids: Sequence[str]) -> list[dict[str, str]]:
    """Type and name of entities by id, empty where the graph does not know them."""
    found = []
    for entity_id in ids:
        rows = store.resolve(entity_id)
        entity = store.entity(rows[0]) if rows else None
        found.append({"type": entity.type if entity else "", "name": entity.name if entity else ""})
    return found


def _described(store: GraphStore, ids: Sequence[str]) -> list[str]:
    return [
        f"{entity_id} ({item['type']} {item['name']})"
        for entity_id, item in zip(ids, _entities(store, ids), strict=True)
    ]
