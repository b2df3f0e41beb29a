"""What a document says elsewhere of the same text: a name that is found in one place is likely one in another.

A student reads sentences, and decides about `lithium` anew in each. Here the places of a document are brought together
after that: where the text of an entity stands again, on its own and not found, its score moves towards the best one
that the text has in this document; and an entity whose text is not found in most of its places loses some. What the
student decided between overlapping spans stays as it is. How much of this is right for a type is fitted on dev
documents (`kogner calibrate`), 0 where it does not help: sentences without a document around them have no other places.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from kogner.annotate.names import shifted
from kogner.student.decode import Candidate, decode

FLOOR = 0.03  # score from which a span can be found because of others
SUREST = 4.0  # logits that the best score counts at most
DOUBT = 4.0  # logits that an entity loses, times the weight, where its text is found nowhere else in many places


def settled(
    text: str,
    chosen: Sequence[Candidate],
    others: Iterable[Candidate],
    *,
    thresholds: Sequence[float],
    weights: Sequence[float],
    nested: bool = False,
    multi_label: bool = False,
    overlap: str = "score",
) -> list[Candidate]:
    """The entities of a document, put right by each other.

    chosen: what was decided sentence by sentence; others: spans that score less, of which those below FLOOR count as
    not found. start and end of both are characters of the text. thresholds, weights: by type; weights in [0, 1), of
    which 0 leaves its type as it is. nested, multi_label, overlap: as what was chosen was decoded with; with
    multi_label entities of other types leave a place free. A text in capitals is looked for as it is written, others in
    any case.
    Returned in order of the text, outer before inner, types of one span by score.
    """
    lowered = _lowered(text)
    kinds = {one.type for one in chosen}
    taken = (
        {kind: _Taken(chosen, kind) for kind in kinds} if multi_label else dict.fromkeys(kinds, _Taken(chosen, None))
    )
    scores = {(one.start, one.end, one.type): one.score for one in others}
    added: list[Candidate] = []
    kept: list[Candidate] = []
    for (kind, shouted, written), same in _by_text(text, lowered, chosen).items():
        weight = weights[kind]
        free = []
        if weight:
            free = [place for place in _places(written, text if shouted else lowered) if taken[kind].is_free(*place)]
        if not free:
            kept += same
            continue
        best = max(_logit(one.score) for one in same)
        found = []
        for start, end in free:
            score = scores.get((start, end, kind), 0.0)
            raised = shifted(score, weight * (best - _logit(score))) if score >= FLOOR else 0.0
            if raised >= thresholds[kind]:
                found.append(Candidate(start, end, kind, raised))
        lost = 0.0 if found else DOUBT * weight * len(free) / (len(free) + len(same))
        kept += [one for one in same if shifted(one.score, -lost) >= thresholds[kind]]
        added += found
    added = decode(added, nested=nested, multi_label=multi_label, overlap=overlap)
    return sorted([*kept, *added], key=lambda one: (one.start, -one.end, -one.score))


def _logit(score: float) -> float:
    return min(math.log(score / (1 - score)), SUREST) if score < 1 else SUREST


def _lowered(text: str) -> str:
    """The text in small letters, of the same length: what would be two letters stays."""
    whole = text.lower()
    if len(whole) == len(text):
        return whole
    return "".join(small if len(small := sign.lower()) == 1 else sign for sign in text)


def _by_text(text: str, lowered: str, chosen: Iterable[Candidate]) -> dict[tuple[int, bool, str], list[Candidate]]:
    """Entities by type and text: (type, whether it is in capitals, the text, else in small letters)."""
    found: dict[tuple[int, bool, str], list[Candidate]] = {}
    for one in chosen:
        shouted = text[one.start : one.end].isupper()
        written = (text if shouted else lowered)[one.start : one.end]
        found.setdefault((one.type, shouted, written), []).append(one)
    return found


def _places(written: str, text: str) -> Iterator[tuple[int, int]]:
    """Where something is written at word edges, half-open."""
    start = text.find(written)
    while start >= 0:
        end = start + len(written)
        if not (start and _in_word(text[start - 1])) and not (end < len(text) and _in_word(text[end])):
            yield start, end
        start = text.find(written, end)


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


class _Taken:
    """Where entities of a type, or of all (None), stand; they may lie in one another."""

    def __init__(self, chosen: Iterable[Candidate], kind: int | None) -> None:
        places = sorted((one.start, one.end) for one in chosen if kind in (None, one.type))
        self._starts = [start for start, _ in places]
        self._reached = list(accumulate((end for _, end in places), max))  # the furthest end so far

    def is_free(self, start: int, end: int) -> bool:
        """Whether a place shares no character with these."""
        before = bisect_left(self._starts, end)
        return not before or self._reached[before - 1] <= start
