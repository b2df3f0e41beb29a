"""Which rows of a bank point where a vector points: exact, in blocks, over float16 that stays on disk.

Cosine over parts: each part of a row is brought to unit length by itself and counts the same, so the score is the mean
of the parts' cosines, and the part with the most columns does not decide alone. A row without one of the parts (all
zeros: an entity in no triple has no Z'') has no such cosine; it is counted and not ranked.

A block is turned to float32 where the processor's cache holds it. 600,000 rows of 640 columns took 0.75 s of one core
for one query (AMD EPYC), the file being in the page cache; numpy's conversion of the numbers alone takes twice that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
BLOCK_ROWS = 1024
BLOCK_QUERIES = 1024
# Shorter parts are taken for none: float16 has no normal numbers below it.
SHORTEST = 6e-5


@dataclass(frozen=True)
class Neighbours:
    """Nearest rows of some queries, best first; of equal ones the lower row.

    rows: (queries, limit) int64, -1 where there are fewer. scores: (queries, limit) float32, mean cosine of the parts,
    NaN where there are fewer. candidates: rows that have all parts. unranked: rows that lack a part, by part.
    """

    rows: Array
    scores: Array
    candidates: int
    unranked: dict[str, int]


def part_lengths(part: Tensor) -> tuple[Tensor, Tensor]:
    """Of a part (rows, columns) float32: 1 / length of each row (rows,), 0 where it has none; and whether it has."""
    import torch

    length = torch.linalg.vector_norm(part, dim=1)
    has = length >= SHORTEST
    return torch.where(has, length.reciprocal(), 0.0), has


def nearest(
    vectors: Array,
    parts: dict[str, tuple[int, int]],
    queries: Array,
    *,
    limit: int,
    among: Array | None = None,
    left_out: Array | None = None,
    device: str = "cpu",
) -> Neighbours:
    """The `limit` nearest rows of each query.

    vectors: (rows, width) float16, may be memory-mapped. parts: column range of each part that counts. queries:
    (queries, width of the parts) float32, parts side by side in that order. among: rows to choose from, each once; None
    = all. left_out: (queries,) a row that the query must not find, itself; -1 = none.
    """
    import torch

    widths = [stop - start for start, stop in parts.values()]
    wanted = []
    for part in torch.from_numpy(queries).to(device).split(widths, dim=1):
        wanted.append(part * (part_lengths(part)[0] / len(widths)).unsqueeze(1))
    total = len(vectors) if among is None else len(among)
    kept = min(limit, total)
    choice = None if among is None else torch.from_numpy(np.asarray(among, np.int64))
    banned = None if left_out is None else torch.from_numpy(left_out).to(device)
    stored = _mapped(vectors)
    best = _Best(len(queries), kept, device)
    lacking = torch.zeros(len(widths), dtype=torch.int64)
    ranked = 0
    for start in range(0, total if len(queries) and kept else 0, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, total)
        rows = torch.arange(start, stop) if choice is None else choice[start:stop]
        found = stored[start:stop] if choice is None else stored[rows]
        blocks = [found[:, slice(*columns)].to(device).float() for columns in parts.values()]
        lengths = [part_lengths(block) for block in blocks]
        complete = torch.ones(len(rows), dtype=torch.bool, device=device)
        for number, (_, has) in enumerate(lengths):
            lacking[number] += int((~has).sum())
            complete &= has
        ranked += int(complete.sum())
        numbers = rows.to(device)
        for first in range(0, len(queries), BLOCK_QUERIES):
            scores = torch.zeros(len(queries[first : first + BLOCK_QUERIES]), len(rows), device=device)
            for part, block, (inverse, _) in zip(wanted, blocks, lengths, strict=True):
                scores += (part[first : first + BLOCK_QUERIES] @ block.T) * inverse
            scores[:, ~complete] = -torch.inf
            if banned is not None:
                own = banned[first : first + BLOCK_QUERIES].unsqueeze(1)
                scores.masked_fill_(numbers == own, -torch.inf)
            best.add(first, scores, numbers)
    rows_found, cosines = best.ordered()
    shape = (len(queries), limit)
    out = Neighbours(
        np.full(shape, -1, np.int64),
        np.full(shape, np.nan, np.float32),
        ranked,
        {name: count for name, count in zip(parts, lacking.tolist(), strict=True) if count},
    )
    out.rows[:, :kept], out.scores[:, :kept] = rows_found, cosines
    return out


class _Best:
    """The best rows seen so far of each query: (queries, kept) scores and rows, in no order."""

    def __init__(self, queries: int, kept: int, device: str) -> None:
        import torch

        self.scores = torch.full((queries, kept), -torch.inf, device=device)
        self.rows = torch.full((queries, kept), -1, dtype=torch.int64, device=device)

    def add(self, first: int, scores: Tensor, rows: Tensor) -> None:
        """Take in the scores (some queries, block) of queries from `first` on. Of equal ones earlier blocks' stay."""
        import torch

        kept = self.rows.shape[1]
        before = slice(first, first + len(scores))
        # Fewer and fewer queries find something better in a block, and only theirs is sorted.
        better = (scores.amax(1) > self.scores[before].amin(1)).nonzero()[:, 0]
        if not len(better):
            return
        ordered, places = scores[better].sort(dim=1, descending=True, stable=True)
        here = better + first
        together = torch.cat([self.scores[here], ordered[:, :kept]], dim=1)
        numbers = torch.cat([self.rows[here], rows[places[:, :kept]]], dim=1)
        together, places = together.sort(dim=1, descending=True, stable=True)
        self.scores[here] = together[:, :kept]
        self.rows[here] = numbers.gather(1, places[:, :kept])

    def ordered(self) -> tuple[Array, Array]:
        """Rows and scores, best first, -1 and NaN where there is none."""
        none = self.scores == -float("inf")
        return (
            self.rows.masked_fill(none, -1).cpu().numpy(),
            self.scores.masked_fill(none, float("nan")).clamp(-1, 1).cpu().numpy(),
        )


def _mapped(vectors: Array) -> Tensor:
    """An array as a tensor on the same memory; torch warns of arrays that must not be written to, as mapped ones."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(vectors)
