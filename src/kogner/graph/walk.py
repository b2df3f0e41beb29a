"""Which keys of a trie begin at a word of a text: a walk from word to word that remembers every step it took."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from operator import getitem
from typing import Any


class Steps:
    """The trie that is walked, and how many more steps are remembered before all are forgotten."""

    def __init__(self, trie: Any, limit: int) -> None:
        self.trie, self.limit = trie, limit
        self.left = limit
        self.nowhere = Place(self, "", 1, (), False)


class Place(dict[str, "Place | None"]):
    """Where some words in a row lead: the place behind the next word, worked out when it is first asked for.

    None where no key begins with the words and none ends behind one of them; behind the first word it is a place all
    the same, from which None follows.
    found: after how many of the words a key ends, longest first. beyond: whether a key goes on behind them.
    """

    __slots__ = ("_count", "_end", "_key", "_steps", "beyond", "found")

    def __init__(self, steps: Steps, key: str, count: int, found: tuple[int, ...], beyond: bool) -> None:
        super().__init__()
        self._steps, self._key, self._count = steps, key, count
        self.found, self.beyond = found, beyond
        self._end: Place | None = None  # where every word leads behind which no key goes on

    def __missing__(self, piece: str) -> Place | None:
        if not self.beyond:
            return self if self.found else None
        steps = self._steps
        key, count = self._key + piece, self._count + 1
        if piece and steps.trie.has_keys_with_prefix(key):
            named = key in steps.trie
            beyond = not named or any(one != key for one in islice(steps.trie.iterkeys(key), 2))
            place: Place | None = Place(steps, key, count, (count, *self.found) if named else self.found, beyond)
        elif self.found:
            if self._end is None:
                self._end = Place(steps, self._key, self._count, self.found, False)
            place = self._end
        else:
            place = None if self._count else steps.nowhere
        steps.left -= 1
        if steps.left > -steps.limit:  # one text may hold more steps than are to be remembered
            self[piece] = place
        return place


step: Callable[[Any, str], Place | None] = getitem  # the place behind one more word


class Walk:
    """Remembered walks through a trie, about `limit` steps of them (250 bytes each), twice as many within one text.

    Most words begin no key, and text repeats itself, so that nearly every step is one look-up in a dictionary.
    """

    def __init__(self, trie: Any, limit: int) -> None:
        self._steps = Steps(trie, limit)
        self._root = Place(self._steps, "", 0, (), True)

    @property
    def root(self) -> Place:
        """The place before the first word; to be asked for at every text, since walks are forgotten at times."""
        if self._steps.left <= 0:
            self._steps.left = self._steps.limit
            self._root = Place(self._steps, "", 0, (), True)
        return self._root
