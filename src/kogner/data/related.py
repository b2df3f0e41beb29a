"""Sentences of real text that name two entities the graph relates: rows as a language model would have written them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from kogner.data.pairs import End, Pair
from kogner.data.rows import Row
from kogner.graph.store import GraphStore
from kogner.records import Document, Mention

PROMPT, MODEL = "text@1", "text"


class Related:
    """Knows which entities of a graph stand in a triple with each other."""

    def __init__(self, store: GraphStore) -> None:
        self._store = store

    def pairs(self, mentions: Sequence[Mention]) -> list[tuple[Mention, str, Mention]]:
        """(head, relation, tail) among linked mentions of different entities, each two entities once, in text order.

        Of several relations between two entities the first in the graph's list counts.
        """
        first = {one.entity: one for one in reversed(mentions) if one.entity is not None}
        rows = {self._store.resolve(own)[0]: one for own, one in first.items()}
        found: dict[frozenset[int], tuple[int, int, int]] = {}
        wanted = np.array(sorted(rows), np.int32)
        for row in rows:
            place = slice(int(self._store.indptr[row]), int(self._store.indptr[row + 1]))
            ends = np.asarray(self._store.neighbours[place])
            for at in np.flatnonzero(np.isin(ends, wanted)).tolist():
                end, code = int(ends[at]), int(self._store.edge_relations[place.start + at])
                if end != row and code < len(self._store.relations):  # seen from its head
                    key = frozenset((row, end))
                    if key not in found or code < found[key][1]:
                        found[key] = (row, code, end)
        listed = [(rows[head], self._store.relations[code], rows[tail]) for head, code, tail in found.values()]
        return sorted(listed, key=lambda one: (min(one[0].start, one[2].start), max(one[0].start, one[2].start)))


def row(sentence: Document, related: Sequence[tuple[Mention, str, Mention]], types: Iterable[str]) -> Row:
    """A sentence as a row about its first related pair, for `kogner data check`; all its mentions are `known`.

    The names of the pair are those that the text has. request: a hash of the text.
    """
    head, relation, tail = related[0]
    own, other = (End(str(one.entity), one.type, one.text) for one in (head, tail))
    ner = [{"mention": one.text, "type": one.type} for one in (head, tail)]
    known = tuple((one.start, one.end, one.type, one.entity) for one in sentence.mentions)
    return Row(
        f"text:{sentence.id}",
        (Pair(f"{relation}:{sentence.id}", relation, own, other),),
        tuple(types),
        PROMPT,
        MODEL,
        hashlib.sha256(sentence.text.encode(errors="surrogatepass")).hexdigest(),
        answer={"sentence": sentence.text, "ner": ner},
        known=known,
    )
