"""What the server tells of its graph: entities, their neighbours, and types as labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from kogner.data.linking import graph_types
from kogner.graph.store import GraphStore
from kogner.serve.limits import RequestError
from kogner.serve.schemas import Edge, EntityAnswer, NeighboursAnswer, Node, RelationCount, Suggestion

MOST_ALSO = 20  # entities that share an id
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class GraphReader:
    """A graph opened once more, beside the one that the model's thread uses; it reads for one request at a time."""

    def __init__(self, path: Path) -> None:
        self._store, self._lock = GraphStore.open(path), Lock()

    def entity(self, identifier: str) -> EntityAnswer:
        """An entity by its id, or by one that it has elsewhere. Raises RequestError (404) where there is none."""
        with self._lock:
            rows = self._rows(identifier)
            found = self._store.entity(rows[0])
            return EntityAnswer(
                id=found.id,
                type=found.type,
                name=found.name,
                synonyms=list(found.synonyms),
                description=found.description,
                ids=list(found.xrefs),
                neighbours=self._degree(rows[0]),
                also=self._store.ids(rows[1 : 1 + MOST_ALSO]),
            )

    def neighbours(self, identifier: str, limit: int) -> NeighboursAnswer:
        """At most so many edges of an entity, each relation in turn. Raises RequestError (404) where there is none."""
        with self._lock:
            store, row = self._store, self._rows(identifier)[0]
            start, end = int(store.indptr[row]), int(store.indptr[row + 1])
            walked = np.asarray(store.edge_relations[start:end])
            chosen = start + _in_turn(walked, limit)
            ends: list[int] = store.neighbours[chosen].tolist()
            relations: list[int] = store.edge_relations[chosen].tolist()
            rows = list(dict.fromkeys([row, *ends]))
            ids = dict(zip(rows, store.ids(rows), strict=True))
            names = [store.entity(at).name for at in rows]
            kinds = [store.types[code] for code in store.type_codes[rows].tolist()]
            count = len(store.relations)
            codes, counts = np.unique(walked, return_counts=True)
            return NeighboursAnswer(
                id=ids[row],
                total=end - start,
                relations=[
                    RelationCount(
                        relation=store.relations[code % count], direction="out" if code < count else "in", count=number
                    )
                    for code, number in zip(codes.tolist(), counts.tolist(), strict=True)
                ],
                nodes=[
                    Node(id=ids[at], name=name, type=kind) for at, name, kind in zip(rows, names, kinds, strict=True)
                ],
                edges=[
                    Edge(head=ids[row], relation=store.relations[code], tail=ids[at])
                    if code < count
                    else Edge(head=ids[at], relation=store.relations[code - count], tail=ids[row])
                    for at, code in zip(ends, relations, strict=True)
                ],
            )

    def suggestions(self, known: Sequence[str]) -> list[Suggestion]:
        """Types of the graph as labels, the most entities first, without those that `known` labels stand for."""
        with self._lock:
            covered = {kind for label in known for kind in graph_types(label, self._store.types)}
            counts = np.bincount(self._store.type_codes, minlength=len(self._store.types)).tolist()
        found = [
            Suggestion(label=_HUMP.sub(" ", kind).replace("_", " ").lower(), type=kind, entities=count)
            for kind, count in zip(self._store.types, counts, strict=True)
            if kind not in covered and count
        ]
        return sorted(found, key=lambda one: (-one.entities, one.label))

    def _rows(self, identifier: str) -> tuple[int, ...]:
        rows = self._store.resolve(identifier) if "\0" not in identifier else ()
        if not rows:
            raise RequestError(404, "no_entity", "no entity of the graph has this id", where="id")
        return rows

    def _degree(self, row: int) -> int:
        return int(self._store.indptr[row + 1]) - int(self._store.indptr[row])


def _in_turn(relations: np.ndarray, limit: int) -> np.ndarray:
    """Places of at most `limit` edges: the first of each relation, then the second of each, and so on.

    relations: (edges,) codes, equal ones beside each other.
    """
    _, first, counts = np.unique(relations, return_index=True, return_counts=True)
    turn = np.arange(len(relations)) - np.repeat(first, counts)
    return np.sort(np.argsort(turn, kind="stable")[:limit])
