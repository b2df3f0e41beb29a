"""Names in doubt: names of the graph that are of several types, or too common as words to be taken for mentions."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kogner.graph.guard import FUNCTION, SHORT_SYMBOL
from kogner.graph.scan import Found, Scanner

OF_SEVERAL_TYPES, KEPT_APART = "of several types", "left out by the scanner"
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A stretch of text that may or may not be a mention.

    start, end: half-open, code points. types: of ours, at least one.
    """

    start: int
    end: int
    types: tuple[str, ...]
    reason: str


class Doubts:
    """Finds them beside the names of a scanner. ours: graph type -> our type."""

    def __init__(self, scanner: Scanner, ours: Mapping[str, str]) -> None:
        self._unguarded, self._ours = scanner.unguarded(), ours

    def find(self, text: str, names: Sequence[Found]) -> list[Doubt]:
        """Those of a text, in which the scanner found these names; none overlaps a name of one type."""
        found = []
        for name in names:
            types = best_types(name, self._ours)
            if len(types) > 1:
                found.append(Doubt(name.start, name.end, tuple(sorted(types)), OF_SEVERAL_TYPES))
        ends = [name.end for name in names]
        for one in self._unguarded.scan(text):
            at = bisect_right(ends, one.start)  # the first of the names that ends behind its start
            free = at == len(names) or names[at].start >= one.end
            if free and _may_name(text[one.start : one.end]):
                types = {self._ours[reading.type] for reading in one.readings}
                found.append(Doubt(one.start, one.end, tuple(sorted(types)), KEPT_APART))
        return sorted(found, key=lambda one: one.start)


def best_types(found: Found, ours: Mapping[str, str]) -> Collection[str]:
    """Our types of the readings that are as good as the best."""
    best = found.readings[0]
    return {ours[one.type] for one in found.readings if (one.preferred, one.exact) == (best.preferred, best.exact)}


def _may_name(written: str) -> bool:
    """Whether annotators may mean an entity by it: no function word is in it, and it is no lone letter and no unit."""
    if len(written) < 2 or not FUNCTION.isdisjoint(word.lower() for word in _WORD.findall(written)):
        return False
    letters = sum(character.isalpha() for character in written)
    return letters > SHORT_SYMBOL or not written.islower()
