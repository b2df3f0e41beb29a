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
    has one type. Returned in order of the text, outer before inner.
    """
    chosen: list[Candidate] = []
    order = sorted(candidates, key=lambda c: (-c.score, c.start - c.end, c.start, c.type))
    for candidate in order:
        if not any(_clash(candidate, other, nested=nested) for other in chosen):
            chosen.append(candidate)
    return sorted(chosen, key=lambda c: (c.start, -c.end))


def _clash(one: Candidate, other: Candidate, *, nested: bool) -> bool:
    if one.end <= other.start or other.end <= one.start:
        return False
    if not nested:
        return True
    if (one.start, one.end) == (other.start, other.end):
        return True
    inside = one.start >= other.start and one.end <= other.end
    around = one.start <= other.start and one.end >= other.end
    return not (inside or around)
