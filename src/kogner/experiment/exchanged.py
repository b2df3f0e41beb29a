"""A control for names when a student reads: each entity has the type of another."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from kogner.annotate.names import Names
from kogner.graph.scan import Reading, Scanner
from kogner.graph.store import GraphStore


class ExchangedNames(Names):
    """Names of which the entities that some texts name have exchanged their types, at random.

    What a span is a name of is then known by chance alone; that it is one stays known. types: of the graph, among which
    is exchanged. Entities that these texts do not name have no type. Raises InputError for a type the graph does not
    have.
    """

    def __init__(self, store: GraphStore, types: Collection[str], texts: Iterable[str], *, seed: int) -> None:
        super().__init__(store)
        self._types = frozenset(types)
        scanner = Scanner(store, self._types)
        own = {
            reading.row: reading.type for text in texts for found in scanner.scan(text) for reading in found.readings
        }
        rows = sorted(own)
        drawn = np.random.default_rng(seed).permutation(len(rows)).tolist()
        self._other = {row: own[rows[place]] for row, place in zip(rows, drawn, strict=True)}

    def scanned(self, kinds: frozenset[str]) -> frozenset[str]:
        """All that is exchanged among, whatever is asked for."""
        return self._types

    def type_of(self, reading: Reading) -> str:
        """That of another entity."""
        return self._other.get(reading.row, "")
