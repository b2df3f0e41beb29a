"""A written sentence in which several names are looked for, in the form of `kogner.graph.forms` or word by word."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate

from kogner.data import sanity
from kogner.graph.forms import Stems, agrees, pieces, pieces_of, variants
from kogner.text import words_with_blanks

_STEMS = Stems(200_000).__getitem__


class Written:
    """A sentence. words: how many it has. What a look-up needs is made at the first one.

    inverted: a name such as `Arthritis, Rheumatoid` is also found as `rheumatoid arthritis`.
    """

    def __init__(self, sentence: str, *, inverted: bool = True) -> None:
        self.text = sentence
        self._inverted = inverted
        self._parts = words_with_blanks(sentence)
        blank = bool(self._parts) and self._parts[0].isspace()  # only blanks at the beginning are a part
        self.words = len(self._parts) - blank
        self._key: str | None = None
        self._pieces = ""
        self._tokens: list[str] | None = None
        self._places: dict[str, list[tuple[int, int]]] = {}

    @property
    def key(self) -> str:
        """See `kogner.graph.forms`."""
        if self._key is None:
            pieces = pieces_of(self._parts, stem=_STEMS)
            self._key = "".join(pieces)
            self._pieces = "\n".join(filter(None, pieces))
            self._key_edges = list(accumulate(map(len, pieces), initial=0))
            self._edges = list(accumulate(map(len, self._parts), initial=0))
        return self._key

    @property
    def pieces(self) -> str:
        """The key with a line break between the pieces of its words, for `kogner.data.check_unseen`."""
        return self._pieces if self.key else ""

    def places(self, name: str) -> list[tuple[int, int]]:
        """Where a name stands, whatever its case (but for symbols), hyphens, Greek letters and plural.

        Half-open, in order, without overlap.

        >>> written = Written("TNF-α and TNF alpha, not TNF")
        >>> [written.text[start:end] for start, end in written.places("TNF-alpha")]
        ['TNF-α', 'TNF alpha']
        """
        found = self._places.get(name)
        if found is None:
            found = self._looked_up(name, key_of(name))
            if self._inverted and ", " in name:
                for other in readings(name)[1:]:
                    added = self._looked_up(other, key_of(other))
                    found += [one for one in added if all(one[1] <= start or end <= one[0] for start, end in found)]
                found.sort()
            self._places[name] = found
        return found

    def _looked_up(self, name: str, searched: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        key, size = self.key, len(searched)
        at = key.find(searched) if searched else -1
        while at >= 0:
            edges = self._key_edges
            first = bisect_right(edges, at) - 1  # the last of the pieces there: those before it are empty
            last = bisect_left(edges, at + size)
            if edges[first] == at and edges[last] == at + size:
                start, stop = self._edges[first], self._edges[last - 1] + len(self._parts[last - 1].rstrip())
                written = self.text[start:stop]
                if written == name or agrees(written, name):
                    found.append((start, stop))
                    at += size - 1
            at = key.find(searched, at + 1)
        return found

    def exact(self, name: str) -> list[tuple[int, int]]:
        """Where the words of a name stand, written as it is, without overlap."""
        searched = sanity.words_of(name)
        found: list[tuple[int, int]] = []
        if not searched or searched[0] not in self.text:
            return found
        if self._tokens is None:
            self._tokens = list(map(str.rstrip, self._parts))
            self._edges = list(accumulate(map(len, self._parts), initial=0))
        begin = 0
        while (at := sanity.first_place(self._tokens, searched, begin)) is not None:
            begin = at + len(searched)
            found.append((self._edges[at], self._edges[begin - 1] + len(self._tokens[begin - 1])))
        return found


@lru_cache(10_000)
def readings(name: str) -> tuple[str, ...]:
    """A name, and the words of an inverted one in their order.

    >>> readings("Arthritis, Rheumatoid"), readings("1,2-dichloroethane")
    (('Arthritis, Rheumatoid', 'Rheumatoid Arthritis'), ('1,2-dichloroethane',))
    """
    turned = variants(name)[-1] if ", " in name else name
    return (name,) if ", " in turned or turned == name else (name, turned)


@lru_cache(100_000)
def key_of(name: str) -> str:
    """The key of a name."""
    return "".join(pieces(name, stem=_STEMS)[1])
