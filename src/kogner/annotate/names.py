"""Names of the graph as evidence for what a student finds: a span that is a name of its type scores higher.

The scanner (`kogner.graph.scan`) reads text many times faster than a student. A span it finds as a name of an entity of
the label's type gets a weight added to its logit, so that the student still refuses names that its context speaks
against, and what is no name scores as ever. The weights are fitted on dev documents per type (`kogner calibrate
--graph`): high where annotators mark what the graph names, 0 where they mark other spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kogner.data.linking import graph_types
from kogner.graph.scan import Scanner
from kogner.graph.store import GraphStore
from kogner.records import Sentence
from kogner.student.decode import Candidate

SCANNERS = 4  # sets of types that a scanner is kept for
DEFAULT_WEIGHT = 1.0  # logits; for a label that none was fitted for


class Names:
    """Finds the names in texts. index: folder of the scan index, by default beside the graph."""

    def __init__(self, store: GraphStore, *, index: Path | None = None) -> None:
        self.store, self._index = store, index
        self._scanners: dict[frozenset[str], Scanner] = {}

    def spans(self, text: str, labels: Sequence[str]) -> set[tuple[int, int, int]]:
        """(start, end, number of the label) of each name in a text, half-open code points."""
        of: dict[str, list[int]] = {}
        for number, label in enumerate(labels):
            for kind in graph_types(label, self.store.types):
                of.setdefault(kind, []).append(number)
        if not of:
            return set()
        kinds = frozenset(of)
        scanner = self._scanners.pop(kinds, None) or Scanner(self.store, kinds, index=self._index)
        self._scanners[kinds] = scanner  # the last one used stands last
        if len(self._scanners) > SCANNERS:
            del self._scanners[next(iter(self._scanners))]
        return {
            (one.start, one.end, number)
            for one in scanner.scan(text)
            for kind in {reading.type for reading in one.readings}
            for number in of[kind]
        }


def shifted(score: float, weight: float) -> float:
    """A score with a weight added to its logit."""
    if weight == 0:
        return score
    odds = np.exp(weight)
    return float(score * odds / (1 - score + score * odds))


def with_names(
    candidates: Sequence[Candidate],
    sentence: Sentence,
    names: set[tuple[int, int, int]],
    weights: Sequence[float],
    thresholds: Sequence[float],
) -> list[Candidate]:
    """Candidates that reach their threshold, those that are names with their weight added.

    candidates: that reach it, or would with the weight. names: as of `Names.spans`. weights, thresholds: by label.
    """
    kept = []
    for one in candidates:
        place = (sentence.words[one.start][0], sentence.words[one.end - 1][1], one.type)
        if place in names:
            one = one._replace(score=shifted(one.score, weights[one.type]))
        if one.score >= thresholds[one.type]:
            kept.append(one)
    return kept
