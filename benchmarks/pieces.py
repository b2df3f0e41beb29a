"""A connected piece of a graph: what a breadth-first walk along its edges reaches from random entities.

Neighbours of one entity come in random order and at most `FAN_OUT` of them, or one hub would fill the piece.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kogner.graph.store import GraphStore, build
from kogner.records import Triple

FAN_OUT = 10


def rows_of(store: GraphStore, size: int, *, types: Sequence[str] = (), seed: int = 0) -> np.ndarray:
    """Rows of a piece of `size` entities or fewer, ascending; of these types alone where some are given."""
    rng = np.random.default_rng(seed)
    allowed = np.isin(np.array(store.types), types or store.types)[np.asarray(store.type_codes)]
    taken = np.zeros(len(store), dtype=bool)
    waiting: deque[int] = deque()
    count = 0
    for start in rng.permutation(np.flatnonzero(allowed)).tolist():
        if taken[start] or store.indptr[start] == store.indptr[start + 1]:
            continue
        taken[start] = True
        count += 1
        waiting.append(start)
        while waiting and count < size:
            row = waiting.popleft()
            ends = np.unique(store.neighbours[store.indptr[row] : store.indptr[row + 1]])
            ends = rng.permutation(ends[allowed[ends] & ~taken[ends]])[: min(FAN_OUT, size - count)]
            taken[ends] = True
            count += len(ends)
            waiting.extend(ends.tolist())
        if count >= size:
            break
    return np.flatnonzero(taken)


def cut(store: GraphStore, out: Path, size: int, *, types: Sequence[str] = (), seed: int = 0) -> GraphStore:
    """Write the piece as a graph of its own, with all triples between its entities."""
    rows = rows_of(store, size, types=types, seed=seed)
    inside = np.zeros(len(store), dtype=bool)
    inside[rows] = True
    triples = np.asarray(store.triples)
    triples = triples[inside[triples[:, 0]] & inside[triples[:, 2]]]
    ids = dict(zip(rows.tolist(), store.ids(rows), strict=True))
    build(
        (store.entity(row) for row in rows.tolist()),
        (Triple(ids[head], store.relations[relation], ids[tail]) for head, relation, tail in triples.tolist()),
        out,
    )
    return GraphStore.open(out)
