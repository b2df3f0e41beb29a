"""Sentences that are nearly the same: those that share most of their runs of words.

Each sentence is known by the smallest hashes of its runs (Broder 1997, "On the resemblance and containment of
documents"), so that a new one is compared only with those that share some.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

_WORD = re.compile(r"[^\W_]+")


class Similar:
    """Remembers sentences. run: words of a run. kept: hashes of each sentence. share: of them that make it the same."""

    def __init__(self, *, run: int = 4, kept: int = 12, share: float = 0.5) -> None:
        self._run, self._kept, self._share = run, kept, share
        self._by_hash: dict[int, int | array[int]] = {}
        self._sizes = array("B")

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, text: str, *, without: Sequence[str] = ()) -> bool:
        """Whether a sentence is nearly the same as one that was added before; if not, it is added.

        without: names that are left out of the comparison, so that a sentence with other entities in it is the same.
        """
        hashes = self._hashes(text, without)
        shared: Counter[int] = Counter()
        for one in hashes:
            known = self._by_hash.get(one)
            if known is not None:
                shared.update((known,) if isinstance(known, int) else known)
        for number, count in shared.most_common(3):
            if count >= self._share * max(len(hashes), self._sizes[number]):
                return True
        number = len(self._sizes)
        self._sizes.append(len(hashes))
        for one in hashes:
            known = self._by_hash.get(one)
            if known is None:
                self._by_hash[one] = number
            elif isinstance(known, int):
                self._by_hash[one] = array("l", (known, number))
            elif len(known) < 64:  # what every sentence has tells none apart
                known.append(number)
        return False

    def _hashes(self, text: str, without: Sequence[str]) -> list[int]:
        plain = text.casefold()
        for name in without:
            plain = plain.replace(name.casefold(), " ")
        found = _WORD.findall(plain)
        runs = zip(*(found[offset:] for offset in range(self._run)), strict=False) if len(found) > self._run else ()
        hashes = {crc32(" ".join(run).encode(errors="replace")) for run in runs}
        return sorted(hashes or {crc32(" ".join(found).encode(errors="replace"))})[: self._kept]
