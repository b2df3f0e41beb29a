"""In which order the texts of millions of entities are encoded, each different one once.

What is kept of a text is a digest of 16 bytes, not a second copy. Longest first: the time left is then overestimated
rather than underestimated, and memory peaks at the start. The order, and with it which texts share a batch and each bit
of their vectors, follows from the texts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_DIGEST = 16


def entity_text(name: str, description: str) -> str:
    """What the encoder reads of an entity: `name: description`, or the name alone."""
    return f"{name}: {description}" if description else name


@dataclass(frozen=True)
class ReadingOrder:
    """Places 0, 1, ... of the distinct texts, longest first, and where each stands in the graph.

    firsts: (distinct,) row of each place's first entity. by_place: (entities,) all rows, by place and then ascending.
    ends: (distinct + 1,) the rows of place p are by_place[ends[p]:ends[p + 1]].
    """

    firsts: Array
    by_place: Array
    ends: Array

    @classmethod
    def of(cls, texts: Sequence[tuple[str, str]]) -> ReadingOrder:
        """texts: (name, description) of each entity, in the order of the rows."""
        digests = bytearray()
        lengths = np.empty(len(texts), np.int64)
        for row, pair in enumerate(texts):
            text = entity_text(*pair)
            lengths[row] = len(text)
            digests += blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
        keys = np.frombuffer(digests, dtype=np.dtype((np.void, _DIGEST)))
        _, firsts, which = np.unique(keys, return_index=True, return_inverse=True)
        order = np.lexsort((firsts, -lengths[firsts]))
        places = np.empty(len(firsts), np.int64)
        places[order] = np.arange(len(firsts))
        counts = np.bincount(places[which], minlength=len(firsts))
        ends = np.concatenate([[0], np.cumsum(counts)])
        return cls(firsts[order], np.argsort(places[which], kind="stable"), ends)

    @property
    def distinct(self) -> int:
        """How many different texts there are."""
        return len(self.firsts)

    def first_rows(self, start: int, stop: int) -> list[int]:
        """For each place in [start, stop) a row that has its text."""
        rows: list[int] = self.firsts[start:stop].tolist()
        return rows

    def rows(self, start: int, stop: int) -> tuple[Array, Array]:
        """All rows with the texts of places [start, stop), and for each its place, counted from `start`."""
        ends = self.ends[start : stop + 1]
        return self.by_place[ends[0] : ends[-1]], np.repeat(np.arange(stop - start), np.diff(ends))
