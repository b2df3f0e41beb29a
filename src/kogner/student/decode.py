"""From span scores to entities: one reading of overlapping candidates.

Types are settled first: without `multi_label` a span keeps its best type. Then spans are chosen among those that
overlap. Greedy choice takes them in an order and keeps each one that fits what was kept before it; `best` looks at all
of them together. Widths are bounded by the student's `max_width`, so that all of it takes n log n in the candidates.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from math import exp, log
from typing import NamedTuple

from kogner.errors import InputError


class Candidate(NamedTuple):
    """A span that passed its type's threshold. start, end: half-open word indices of its sentence."""

    start: int
    end: int
    type: int
    score: float


# Order in which a greedy choice meets the spans; equal ones go on to the earlier span.
_ORDERS: dict[str, Callable[[Candidate], tuple[float, ...]]] = {
    "score": lambda c: (-c.score, c.start - c.end, c.start),
    "longest": lambda c: (c.start - c.end, -c.score, c.start),
    "first": lambda c: (c.start, -c.score, c.start - c.end),
}
OVERLAPS = (*_ORDERS, "best", "all")


def check_overlap(overlap: str, *, nested: bool) -> None:
    """Raise InputError for a policy that is not known, or that has no nested reading."""
    if overlap not in OVERLAPS:
        raise InputError(f"overlap {overlap!r} is not known; choose one of {', '.join(OVERLAPS)}")
    if nested and overlap == "best":
        raise InputError("overlap 'best' chooses spans that do not overlap; for nested entities take overlap 'score'")


def decode(
    candidates: Iterable[Candidate], *, nested: bool = False, multi_label: bool = False, overlap: str = "score"
) -> list[Candidate]:
    """Choose among candidates that share words.

    nested: a span may lie inside another, but none may cross; otherwise no two chosen spans share a word.
    multi_label: a chosen span keeps all types it is a candidate for, and counts by its best; otherwise only the best
    (of equal ones the first).
    overlap: which span wins. Greedy: `score` takes the higher score, then the longer and the earlier span; `longest`
    the longer, then the higher score; `first` the earlier start, then the higher score. `best` takes the set without
    overlap whose scores have the largest sum. `all` keeps every span, whatever it overlaps.
    Returned in order of the text, outer before inner, types of one span by score.
    Raises InputError for another `overlap`, and for `best` with `nested`.
    """
    check_overlap(overlap, nested=nested)
    found = sorted(candidates)
    if _apart(found):
        return found
    found.sort(key=lambda c: (-c.score, c.type))
    best: dict[tuple[int, int], Candidate] = {}
    for candidate in found:
        best.setdefault((candidate.start, candidate.end), candidate)
    spans = list(best.values())
    if overlap == "best":
        spans = _best(spans)
    elif overlap != "all":
        spans.sort(key=_ORDERS[overlap])
        words = max(span.end for span in spans)
        spans = _nested(spans, words) if nested else _flat(spans, words)
    spans.sort(key=lambda c: (c.start, -c.end))
    if not multi_label:
        return spans
    types: dict[tuple[int, int], dict[int, Candidate]] = {(span.start, span.end): {} for span in spans}
    for candidate in found:
        if (candidate.start, candidate.end) in types:
            types[candidate.start, candidate.end].setdefault(candidate.type, candidate)
    return [candidate for same in types.values() for candidate in same.values()]


def _apart(found: Iterable[Candidate]) -> bool:
    """Whether no two candidates, in order of the text, share a word; so it is in most sentences."""
    end = 0
    for candidate in found:
        if candidate.start < end:
            return False
        end = candidate.end
    return True


def warmed(score: float, temperature: float) -> float:
    """sigmoid(logit(score) / temperature) (Guo et al. 2017, section 4.2).

    That is score^b / (score^b + (1 - score)^b) with b = 1 / temperature; the inverse takes 1 / temperature. Scores of 0
    and 1 stay.
    """
    if not 0 < score < 1:
        return score
    scaled = (log(score) - log(1 - score)) / temperature
    return 1 / (1 + exp(-scaled)) if scaled >= 0 else exp(scaled) / (1 + exp(scaled))


def _flat(order: Iterable[Candidate], words: int) -> list[Candidate]:
    taken = bytearray(words)
    chosen = []
    for candidate in order:
        start, end = candidate.start, candidate.end
        if taken.find(1, start, end) < 0:
            taken[start:end] = b"\x01" * (end - start)
            chosen.append(candidate)
    return chosen


def _nested(order: Iterable[Candidate], words: int) -> list[Candidate]:
    """A span is crossed by one that starts inside it and ends behind it, or ends inside it and starts before it."""
    furthest = [0] * (words + 1)  # by first word: the largest end of the chosen spans that start there
    earliest = [words] * (words + 1)  # by end: the smallest start of the chosen spans that end there
    chosen = []
    for candidate in order:
        start, end = candidate.start, candidate.end
        if max(furthest[start + 1 : end], default=0) > end or min(earliest[start + 1 : end], default=end) < start:
            continue
        furthest[start] = max(furthest[start], end)
        earliest[end] = min(earliest[end], start)
        chosen.append(candidate)
    return chosen


def _best(spans: list[Candidate]) -> list[Candidate]:
    """Weighted interval scheduling: best[i] = max(best[i - 1], score of span i + best of all that end before it).

    Spans in order of their ends. Of equal sums the one that leaves later spans out is taken.
    """
    spans = sorted(spans, key=lambda c: (c.end, c.start))
    ends = [span.end for span in spans]
    before = [bisect_right(ends, span.start) for span in spans]
    best = [0.0]
    for span, count in zip(spans, before, strict=True):
        best.append(max(best[-1], best[count] + span.score))
    chosen = []
    at = len(spans)
    while at:
        if best[at] > best[at - 1]:
            chosen.append(spans[at - 1])
            at = before[at - 1]
        else:
            at -= 1
    return chosen
