"""Names of the graph as evidence for what a student finds: a span that is a name of its type scores higher.

The scanner (`kogner.graph.scan`) reads text many times faster than a student. A span it finds as a name of an entity of
the label's type gets a weight added to its logit, so that the student still refuses names that its context speaks
against, and what is no name scores as ever. The weights are fitted on dev documents per type (`kogner calibrate
--graph`): high where annotators mark what the graph names, 0 where they mark other spans. What is no name may lose
something, fitted likewise. A student may also know how much more or less a name of one entity counts than one of
another (`kogner.annotate.entity_weights`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kogner.annotate.entity_weights import EntityWeights
from kogner.data.linking import graph_types
from kogner.graph.scan import Scanner
from kogner.graph.store import GraphStore
from kogner.records import Sentence
from kogner.student.decode import Candidate

if TYPE_CHECKING:
    from kogner.annotate.bounds import Bounds

SCANNERS = 4  # sets of types that a scanner is kept for
DEFAULT_WEIGHT = 1.0  # logits; for a label that none was fitted for
MAX_NAME_WEIGHT = 10.0  # logits: a name that the student gives 0.0001 would count
# Score before calibration that a name has at least: a student, of few documents above all, is not surer than that of a
# span that it is no entity. Spans below it are not looked at, or nearly every one would be.
NAME_FLOOR = 1e-4
CACHED = 100_000  # entities whose weight is remembered
Span = tuple[int, int, int]  # start, end, number of the label; half-open code points


class Names:
    """Finds the names in texts. index: folder of the scan index, by default beside the graph."""

    def __init__(self, store: GraphStore, *, index: Path | None = None) -> None:
        self.store, self._index = store, index
        self._scanners: dict[frozenset[str], Scanner] = {}
        self._weights: EntityWeights | None = None  # that those remembered are of
        self._remembered: dict[tuple[str, int], float] = {}

    def spans(self, text: str, labels: Sequence[str]) -> set[Span]:
        """Where each name in a text stands, and of which label it is one."""
        return set(self.rows(text, labels))

    def evidence(self, text: str, labels: Sequence[str], weights: EntityWeights) -> dict[Span, float]:
        """The same, with what is added to the weight of a name for the entity that it names."""
        if self._weights is not weights or len(self._remembered) > CACHED:
            self._weights, self._remembered = weights, {}
        found = {}
        for span, row in self.rows(text, labels).items():
            place = (labels[span[2]], row)
            if place not in self._remembered:
                known = place[0].lower() in weights.of
                self._remembered[place] = weights.logit(place[0], self.store.ids([row])[0]) if known else 0.0
            found[span] = self._remembered[place]
        return found

    def knows(self, label: str) -> bool:
        """Whether the graph has types for a label, so that what is no name of them says something."""
        return bool(graph_types(label, self.store.types))

    def rows(self, text: str, labels: Sequence[str]) -> dict[Span, int]:
        """The same, with the row of the entity of the label's types that the name most likely means."""
        of = self.kinds(labels)
        if not of:
            return {}
        kinds = frozenset(of)
        scanner = self._scanners.pop(kinds, None) or Scanner(self.store, kinds, index=self._index)
        self._scanners[kinds] = scanner  # the last one used stands last
        if len(self._scanners) > SCANNERS:
            del self._scanners[next(iter(self._scanners))]
        found: dict[Span, int] = {}
        for one in scanner.scan(text):
            for reading in one.readings:
                for number in of.get(reading.type, ()):
                    found.setdefault((one.start, one.end, number), reading.row)
        return found

    def kinds(self, labels: Sequence[str]) -> dict[str, list[int]]:
        """By type of the graph, the numbers of the labels that its names are names of."""
        found: dict[str, list[int]] = {}
        for number, label in enumerate(labels):
            for kind in graph_types(label, self.store.types):
                found.setdefault(kind, []).append(number)
        return found


def shifted(score: float, weight: float) -> float:
    """A score with a weight added to its logit."""
    if weight == 0:
        return score
    odds = np.exp(weight)
    return float(score * odds / (1 - score + score * odds))


def total(weight: float, more: float) -> float:
    """What a name adds to a logit: its label's weight and what its entity adds to that, within MAX_NAME_WEIGHT."""
    return min(max(weight + more, -MAX_NAME_WEIGHT), MAX_NAME_WEIGHT)


def with_names(
    candidates: Sequence[Candidate],
    sentence: Sentence,
    names: Mapping[Span, float],
    bounds: Bounds,
    *,
    within_reach: Sequence[Span] = (),
) -> list[Candidate]:
    """Candidates that are to be looked at, those that are names with their weight added, others with their loss taken.

    candidates: that score as much, or would with the weight. names: of the document, as of `Names.evidence`.
    within_reach: `Bounds.within_reach` of these; those on edges of words are candidates, whatever their width.
    """
    kept, seen = [], set[Span]()
    for one in candidates:
        kind = one.type
        place = (sentence.words[one.start][0], sentence.words[one.end - 1][1], kind)
        if (more := names.get(place)) is None:
            one = one._replace(score=shifted(one.score, -bounds.losses[kind]))
        else:
            seen.add(place)
            weight = total(bounds.weights[kind], more)
            score = max(one.score, bounds.floors[kind]) if weight >= 0 else one.score
            one = one._replace(score=shifted(score, weight))
        if one.score >= bounds.looked_at[kind]:
            kept.append(one)
    if not within_reach or not sentence.words:
        return kept
    first, last = (bisect_left(within_reach, (at,)) for at in (sentence.words[0][0], sentence.words[-1][1]))
    left = [place for place in within_reach[first:last] if place not in seen]
    if not left:
        return kept
    firsts = {start: at for at, (start, _) in enumerate(sentence.words)}
    lasts = {end: at for at, (_, end) in enumerate(sentence.words, start=1)}
    for place in left:
        start, end, kind = place
        if start in firsts and end in lasts:
            score = shifted(bounds.floors[kind], total(bounds.weights[kind], names[place]))
            if score >= bounds.looked_at[kind]:
                kept.append(Candidate(firsts[start], lasts[end], kind, score))
    return kept
