"""Fan-out neighbour sampling over the store's CSR: mini-batches for message passing without compiled extensions.

Every node of a batch is sampled once, at the hop that first reaches it. A network of L layers therefore needs all
edges in its first layer, those of the first L - 1 hops in the second, and so on: nodes and edges are ordered by hop,
so each layer reads a prefix of both (Hamilton et al. 2017, arXiv 1706.02216, for the sampling).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner.errors import ShapeError

if TYPE_CHECKING:
    from kogner.graph.store import GraphStore

Array = np.ndarray[Any, Any]
# Above this fan-out the quadratic duplicate check of Floyd's algorithm costs more than a loop over the few hubs.
_FLOYD_LIMIT = 64


@dataclass(frozen=True)
class Adjacency:
    """A graph in CSR form, each triple seen from both of its ends.

    indptr: (entities + 1,). neighbours: (edges,) row of the other end. relations: (edges,) in [0, n_relations), where
    an edge walked tail -> head has a relation of its own.
    """

    indptr: Array
    neighbours: Array
    relations: Array
    n_relations: int

    def __post_init__(self) -> None:
        if not len(self.neighbours) == len(self.relations) == int(self.indptr[-1]):
            raise ShapeError(
                f"CSR arrays do not fit: indptr ends at {int(self.indptr[-1])}, "
                f"{len(self.neighbours)} neighbours, {len(self.relations)} relations"
            )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, store: GraphStore) -> Adjacency:
        """The adjacency of a graph store; its arrays stay memory-mapped."""
        return cls(store.indptr, store.neighbours, store.edge_relations, 2 * len(store.relations))


@dataclass(frozen=True)
class Block:
    """The edges of one message-passing layer, in local numbers; messages go from `edges[0]` to `edges[1]`.

    edges: (2, edges) int64, sources in [0, sources), targets in [0, targets), ascending. relations: (edges,) int64.
    The layer reads the first `sources` vectors and writes the first `targets`.
    """

    edges: Array
    relations: Array
    sources: int
    targets: int


@dataclass(frozen=True)
class Neighbourhood:
    """A sampled batch. rows: (nodes,) int64 graph rows, seeds first. blocks: one per layer, in order of use."""

    rows: Array
    blocks: tuple[Block, ...]


class NeighbourSampler:
    """Draws up to `fanouts[k]` neighbours, without replacement, of each node first reached at hop k.

    Not safe to share between threads: it keeps one number per entity to tell known nodes from new ones.
    """

    def __init__(self, adjacency: Adjacency, fanouts: Sequence[int]) -> None:
        if not fanouts or min(fanouts) < 1:
            raise ShapeError(f"fan-outs must be at least 1 and one per layer, not {tuple(fanouts)}")
        self.adjacency, self.fanouts = adjacency, tuple(fanouts)
        self._local = np.full(len(adjacency), -1, dtype=np.int64)

    def sample(self, seeds: Array, rng: np.random.Generator) -> Neighbourhood:
        """The neighbourhood of distinct `seeds`, (seeds,) rows. The same generator state gives the same sample.

        Raises ShapeError where a seed is given twice or is not a row of the graph.
        """
        seeds = np.asarray(seeds, dtype=np.int64)
        if len(seeds) and not (seeds.min() >= 0 and seeds.max() < len(self.adjacency)):
            raise ShapeError(f"seeds must be rows of the graph, in [0, {len(self.adjacency)})")
        local = self._local
        rows, sizes = [seeds], [len(seeds)]
        try:
            local[seeds] = np.arange(len(seeds))
            if not np.array_equal(local[seeds], np.arange(len(seeds))):
                raise ShapeError("seeds must be distinct rows")
            sources: list[Array] = []
            targets: list[Array] = []
            relations: list[Array] = []
            edge_counts = [0]
            for fanout in self.fanouts:
                frontier = rows[-1]
                positions, owners = pick_edges(self.adjacency.indptr, frontier, fanout, rng)
                reached = self.adjacency.neighbours[positions].astype(np.int64)
                new = np.unique(reached[local[reached] < 0])
                local[new] = sizes[-1] + np.arange(len(new))
                sources.append(local[reached])
                targets.append(owners + (sizes[-1] - len(frontier)))
                relations.append(self.adjacency.relations[positions].astype(np.int64))
                rows.append(new)
                sizes.append(sizes[-1] + len(new))
                edge_counts.append(edge_counts[-1] + len(positions))
        finally:
            for known in rows:
                local[known] = -1
        edges = np.stack([np.concatenate(sources), np.concatenate(targets)])
        kinds = np.concatenate(relations)
        hops = len(self.fanouts)
        blocks = tuple(
            Block(edges[:, : edge_counts[hop]], kinds[: edge_counts[hop]], sizes[hop], sizes[hop - 1])
            for hop in range(hops, 0, -1)
        )
        return Neighbourhood(np.concatenate(rows), blocks)


def pick_edges(indptr: Array, rows: Array, limit: int | None, rng: np.random.Generator) -> tuple[Array, Array]:
    """Up to `limit` edges of each row, uniformly without replacement; all of them where `limit` is None.

    Returns (positions, owners): indices into the CSR arrays, and for each the index into `rows` it belongs to, sorted
    by owner.
    """
    starts = np.asarray(indptr[rows], dtype=np.int64)
    degrees = np.asarray(indptr[rows + 1], dtype=np.int64) - starts
    counts = degrees if limit is None else np.minimum(degrees, limit)
    owners = np.repeat(np.arange(len(rows)), counts)
    firsts = np.cumsum(counts) - counts
    offsets = np.arange(len(owners)) - firsts[owners]
    if limit is not None:
        large = np.flatnonzero(degrees > limit)
        if len(large):
            slots = firsts[large][:, None] + np.arange(limit)
            offsets[slots] = _distinct(degrees[large], limit, rng)
    return starts[owners] + offsets, owners


def _distinct(bounds: Array, count: int, rng: np.random.Generator) -> Array:
    """(len(bounds), count) numbers, row i distinct and uniform in [0, bounds[i]); every bound is above `count`."""
    if count > _FLOYD_LIMIT:
        return np.stack([rng.choice(bound, size=count, replace=False, shuffle=False) for bound in bounds])
    # Floyd's algorithm (Bentley & Floyd 1987, CACM 30(9)), all rows at once: draw from [0, j]; if taken, take j.
    chosen = np.empty((len(bounds), count), dtype=np.int64)
    for column in range(count):
        last = bounds - count + column
        drawn = rng.integers(0, last + 1)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, last, drawn)
    return chosen


def chunks_by_edges(indptr: Array, budget: int) -> Iterator[tuple[int, int]]:
    """Cut all rows into consecutive half-open ranges of at most `budget` edges plus rows (a hub alone may pass it)."""
    total = len(indptr) - 1
    weight = np.asarray(indptr, dtype=np.int64) + np.arange(total + 1)
    start = 0
    while start < total:
        stop = int(np.searchsorted(weight, weight[start] + budget, side="right")) - 1
        stop = min(max(stop, start + 1), total)
        yield start, stop
        start = stop
