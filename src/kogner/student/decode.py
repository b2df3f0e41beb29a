"""From span scores to entities: thresholds, and one reading of overlapping candidates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span that passed its type's threshold. start, end: half-open word indices of its sentence."""

    start: int
    end: int
    type: int
    score: float


def decode(candidates: Iterable[Candidate], *, nested: bool = False) -> list[Candidate]:
    """Choose greedily by score; equal scores prefer the longer, then the earlier span.

    flat: no two chosen spans share a word. nested: a span may lie inside another, but none may cross, and each span
    has one type. Returned in order of the text, outer before inner. Takes time in proportion to the words of all
    candidates together, and to sort them.
    """
    order = sorted(candidates, key=lambda c: (-c.score, c.start - c.end, c.start, c.type))
    words = max((candidate.end for candidate in order), default=0)
    chosen = _nested(order, words) if nested else _flat(order, words)
    return sorted(chosen, key=lambda c: (c.start, -c.end))


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
    known: set[tuple[int, int]] = set()
    chosen = []
    for candidate in order:
        start, end = candidate.start, candidate.end
        crossed = max(furthest[start + 1 : end], default=0) > end or min(earliest[start + 1 : end], default=end) < start
        if crossed or (start, end) in known:
            continue
        known.add((start, end))
        furthest[start] = max(furthest[start], end)
        earliest[end] = min(earliest[end], start)
        chosen.append(candidate)
    return chosen
