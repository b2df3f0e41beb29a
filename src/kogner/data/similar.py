"""Sentences that are nearly the same: those that share most of their runs of words.

Each sentence is known by the smallest hashes of its runs (Broder 1997, "On the resemblance and containment of
documents"), so that a new one is compared only with those that share some.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from operator import add
from zlib import crc32

RUN, KEPT = 4, 12

_WORD, _ASCII_WORD = re.compile(r"[^\W_]+"), re.compile(r"[a-z0-9]+")  # of casefolded text


class Similar:
    """Remembers sentences. run: words of a run. kept: hashes of each sentence. share: of them that make it the same."""

    def __init__(self, *, run: int = RUN, kept: int = KEPT, share: float = 0.5) -> None:
        self._run, self._kept, self._share = run, kept, share
        self._by_hash: dict[int, int | array[int]] = {}
        self._sizes = array("B")

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, text: str, *, without: Sequence[str] = ()) -> bool:
        """Whether a sentence is nearly the same as one that was added before; if not, it is added.

        without: names that are left out of the comparison, so that a sentence with other entities in it is the same.
        """
        return self.add_hashes(hashes_of(text, without, run=self._run, kept=self._kept))

    def add_hashes(self, hashes: Sequence[int]) -> bool:
        """`add`, of what `hashes` gave."""
        by_hash = self._by_hash
        met = [by_hash[one] for one in hashes if one in by_hash]
        if met:
            shared: Counter[int] = Counter()
            for known in met:
                shared.update((known,) if isinstance(known, int) else known)
            for number, count in shared.most_common(3):
                if count >= self._share * max(len(hashes), self._sizes[number]):
                    return True
        number = len(self._sizes)
        self._sizes.append(len(hashes))
        for one in hashes:
            known_as = by_hash.get(one)
            if known_as is None:
                by_hash[one] = number
            elif isinstance(known_as, int):
                by_hash[one] = array("l", (known_as, number))
            elif len(known_as) < 64:  # what every sentence has tells none apart
                known_as.append(number)
        return False


def _without(text: str, name: str) -> str:
    """A text without a name, where it stands as words of its own: `ar` is none of `earlier`."""
    at = text.find(name) if name else -1
    while at >= 0:
        end = at + len(name)
        inside = (at > 0 and text[at - 1].isalnum() and name[0].isalnum()) or (
            end < len(text) and text[end].isalnum() and name[-1].isalnum()
        )
        if not inside:
            text, end = f"{text[:at]} {text[end:]}", at + 1
        at = text.find(name, end)
    return text


def hashes_of(text: str, without: Sequence[str] = (), *, run: int = RUN, kept: int = KEPT) -> list[int]:
    """The `kept` smallest hashes of a sentence's runs of `run` words, in order. without: as of `Similar.add`."""
    plain = text.casefold()
    for name in without:
        plain = _without(plain, name.casefold())
    found = (_ASCII_WORD if plain.isascii() else _WORD).findall(plain)
    whole = " ".join(found).encode(errors="replace")
    if len(found) <= run:
        return [crc32(whole)]
    words = found if plain.isascii() else [word.encode(errors="replace") for word in found]
    edges = list(accumulate(map(len, words), initial=0))  # of the words without the blanks between them
    begins = map(add, edges, range(len(found) - run + 1))
    ends = map(add, edges[run:], range(run - 1, len(found)))
    runs = map(whole.__getitem__, map(slice, begins, ends))
    return sorted(set(map(crc32, runs)))[:kept]
