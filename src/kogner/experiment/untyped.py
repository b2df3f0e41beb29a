"""A control for names when a student reads: that a span is a name is known, and not what it is a name of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kogner.annotate.names import Names
from kogner.data.linking import graph_types
from kogner.errors import InputError
from kogner.graph.store import GraphStore


class UntypedNames(Names):
    """Names of which each is one of every label that the graph has types for, whatever entity it names.

    labels: whose types of the graph have these names, asked for or not. Raises InputError for one without any.
    """

    def __init__(self, store: GraphStore, labels: Collection[str]) -> None:
        super().__init__(store)
        if strange := [label for label in labels if not graph_types(label, store.types)]:
            raise InputError(f"the graph has no type for {strange[0]!r}; it has {', '.join(sorted(store.types))}")
        self._kinds = {kind for label in labels for kind in graph_types(label, store.types)}

    def kinds(self, labels: Sequence[str]) -> dict[str, list[int]]:
        """By type of the graph that is one of its labels', the numbers of all labels."""
        known = [number for number, label in enumerate(labels) if self.knows(label)]
        return dict.fromkeys(self._kinds, known) if known else {}
