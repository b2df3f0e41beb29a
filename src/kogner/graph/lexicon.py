"""Names to entities: every name and synonym of the graph in two memory-mapped tries.

`keys` holds the normalised singular form of each name and points to its postings (entity, surface form, flags); the
surface forms themselves lie in `names`. Since equal strings normalise equally, one look-up in `keys` finds the matches
of all tiers, and comparing surface forms tells the tiers apart. Postings lie best first (preferred name, then more
triples, then id), so that a look-up only sorts by tier.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kogner.graph.arrays import load_array, save_array
from kogner.graph.identifiers import is_text
from kogner.progress import counting

TIERS = ("exact", "casefold", "normalised", "normalised")
FUZZY = "fuzzy"
PREFERRED, GENERATED, PLURAL = 1, 2, 4

_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
# U+03C2 is the final sigma: casefold() turns it into U+03C3, so the table skips it.
GREEK_LETTERS = dict(zip([*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA)], _GREEK, strict=True))
_BREAKS = dict.fromkeys(map(ord, "-_/\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2044\u2212"), " ")
_TABLE = str.maketrans({**GREEK_LETTERS, **_BREAKS})
_ASCII_BREAKS = str.maketrans("-_/", "   ")
_ONE_COMMA = re.compile(r"[^,]*[^,\s],\s+[^,\s][^,]*")


@dataclass(frozen=True, slots=True)
class NameMatch:
    """An entity (`row` of the store) that bears a name. tier: of `TIERS` or FUZZY. preferred: its own, no synonym."""

    row: int
    tier: str
    preferred: bool


def normalise(name: str, *, singular: bool = False) -> str:
    """The form in which names are compared: casefolded, NFKC, Greek letters as names, no hyphens or slashes.

    Idempotent. `singular` also takes a plural 's' off a last word of at least four letters ('ss' stays).

    >>> normalise("TNF-α")
    'tnf alpha'
    >>> normalise("Colorectal  Neoplasms", singular=True)
    'colorectal neoplasm'
    """
    if name.isascii():
        text = name.lower().translate(_ASCII_BREAKS)
    else:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).casefold()
        text = unicodedata.normalize("NFKC", text.translate(_TABLE))
    text = " ".join(text.split()) or name.strip().casefold()  # a name of nothing but hyphens stays itself
    if singular and text.endswith("s") and not text.endswith("ss"):
        last = text[text.rfind(" ") + 1 :]
        if len(last) >= 4 and last.isalpha():
            return text[:-1]
    return text


def uninverted(name: str) -> str | None:
    """`Diabetes Mellitus, Type 2` -> `Type 2 Diabetes Mellitus`; None unless the name has exactly one comma + blank."""
    if "," not in name or not _ONE_COMMA.fullmatch(name):
        return None
    head, _, modifier = name.partition(",")
    return f"{modifier.strip()} {head.strip()}"


class Lexicon:
    """Names and synonyms of a graph store, memory-mapped. Open it as `GraphStore.open(path).lexicon`."""

    def __init__(self, folder: Path, *, types: Sequence[str], type_codes: np.ndarray) -> None:
        self.folder = folder
        self._type_index = {name: code for code, name in enumerate(types)}
        self._type_codes = np.asarray(type_codes)

    @cached_property
    def _keys(self) -> Any:
        return _mapped(self.folder / "keys.marisa")

    @cached_property
    def _names(self) -> Any:
        return _mapped(self.folder / "names.marisa")

    @cached_property
    def _postings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        names = ("offsets", "rows", "surfaces", "flags")
        offsets, rows, surfaces, flags = (load_array(self.folder / f"{name}.npy") for name in names)
        return offsets, rows, surfaces, flags

    def __len__(self) -> int:
        """Number of distinct names and synonyms."""
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return bool(self.lookup(name))

    def lookup(self, name: str, *, types: Collection[str] | None = None) -> list[NameMatch]:
        """Entities that bear `name`, best first: tier, preferred name, more triples, id. Each entity once; [] if none.

        types: only entities of these types; a type the graph does not have matches nothing.
        A match that needs the plural 's' taken off one side counts only where there is no other.
        """
        plain = normalise(name)
        key = normalise(plain, singular=True)
        number = self._keys.get(key) if is_text(name) else None
        if number is None:
            return []
        offsets, all_rows, all_surfaces, all_flags = self._postings
        place = slice(int(offsets[number]), int(offsets[number + 1]))
        rows, surfaces, flags = all_rows[place].tolist(), all_surfaces[place].tolist(), all_flags[place].tolist()
        wanted = None if types is None else {self._type_index[kind] for kind in types if kind in self._type_index}
        exact, folded, plural = self._names.get(name), name.casefold(), plain != key
        best: dict[int, tuple[int, bool]] = {}
        for row, surface, flag in zip(rows, surfaces, flags, strict=True):
            if wanted is not None and int(self._type_codes[row]) not in wanted:
                continue
            if surface >= 0 and surface == exact:
                rank = 0
            elif surface >= 0 and self._names.restore_key(surface).casefold() == folded:
                rank = 1
            else:
                rank = 2 if bool(flag & PLURAL) == plural else 3
            if row not in best or rank < best[row][0]:
                best[row] = (rank, bool(flag & PREFERRED))
        if any(rank < 3 for rank, _ in best.values()):
            best = {row: found for row, found in best.items() if found[0] < 3}
        ranked = sorted(best.items(), key=lambda item: (item[1][0], not item[1][1]))
        return [NameMatch(row, TIERS[rank], preferred) for row, (rank, preferred) in ranked]

    def similar(
        self, name: str, *, types: Collection[str] | None = None, limit: int = 10
    ) -> list[tuple[NameMatch, str, int]]:
        """Entities whose names differ from `name` in few letters: (match of tier `fuzzy`, the name's key, edits).

        Fewest edits first: letters that are added, lost, or another (Levenshtein), one of them in names of up to five
        letters, else two. The first letter has to be right, which spares looking at all names.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import Levenshtein

        key = normalise(normalise(name), singular=True)
        if not key or not is_text(name):
            return []
        most = 1 if len(key) <= 5 else 2
        there = [one for one in self._keys.iterkeys(key[0]) if abs(len(one) - len(key)) <= most]
        few = 4 * limit if types is None else None  # which of the nearest are of a type is seen only then
        near = process.extract(key, there, scorer=Levenshtein.distance, score_cutoff=most, limit=few)
        found: list[tuple[NameMatch, str, int]] = []
        seen: set[int] = set()
        for other, edits, _ in sorted(near, key=lambda one: (one[1], one[0])):
            for match in self.lookup(other, types=types):
                if match.row not in seen:
                    seen.add(match.row)
                    found.append((NameMatch(match.row, FUZZY, match.preferred), other, int(edits)))
        return found[:limit]

    def keys_from(self, start: str) -> list[str]:
        """Normalised names that begin with `start`."""
        found: list[str] = self._keys.keys(start)
        return found

    def names(self) -> Iterator[tuple[str, int, bool]]:
        """Every (name or synonym as written, row, preferred), once each, in the order of the lexicon."""
        return ((self.name(number), row, preferred) for number, row, preferred in self.postings())

    def name(self, number: int) -> str:
        """The name or synonym of that number, as written. Raises KeyError where there is none."""
        name: str = self._names.restore_key(number)
        return name

    def postings(self) -> Iterator[tuple[int, int, bool]]:
        """As `names`, with the number of each name (see `name`) in the place of the name."""
        _, rows, surfaces, flags = self._postings
        for row, surface, flag in zip(rows.tolist(), surfaces.tolist(), flags.tolist(), strict=True):
            if surface >= 0:
                yield surface, row, bool(flag & PREFERRED)


def _mapped(path: Path) -> Any:
    import marisa_trie

    return marisa_trie.Trie().mmap(str(path))


def write_lexicon(
    folder: Path, *, names: Sequence[str], synonyms: Sequence[Sequence[str]], degrees: np.ndarray, ranks: np.ndarray
) -> None:
    """Write a lexicon to `folder`.

    names, synonyms: per entity. degrees: (entities,) triples at each. ranks: (entities,) place of each id in id order.
    """
    import marisa_trie

    surfaces: list[str | None] = []
    keys: list[str] = []
    rows: list[int] = []
    flags: list[int] = []

    def add(text: str, row: int, flag: int) -> None:
        plain = normalise(text)
        key = normalise(plain, singular=True)
        if key:
            keys.append(key)
            surfaces.append(None if flag & GENERATED else text)
            rows.append(row)
            flags.append(flag | (PLURAL if plain != key else 0))

    with counting("lexicon", len(names)) as counter:
        for row, name in enumerate(names):
            for place, text in enumerate(dict.fromkeys((name, *synonyms[row]))):
                flag = 0 if place else PREFERRED
                add(text, row, flag)
                variant = uninverted(text)
                if variant is not None:
                    add(variant, row, flag | GENERATED)
            if row % 1000 == 999:
                counter.advance(1000)
    key_trie = marisa_trie.Trie(sorted(set(keys)))
    name_trie = marisa_trie.Trie(sorted({text for text in surfaces if text is not None}))
    key_ids = np.fromiter((key_trie[key] for key in keys), np.int32, len(keys))
    surface_ids = np.fromiter((-1 if text is None else name_trie[text] for text in surfaces), np.int32, len(keys))
    row_array, flag_array = np.array(rows, np.int32), np.array(flags, np.uint8)
    order = np.lexsort(
        (surface_ids, ranks[row_array], -degrees[row_array], (flag_array & PREFERRED) == 0, key_ids)
    )  # fmt: skip
    offsets = np.zeros(len(key_trie) + 1, np.int32)
    np.cumsum(np.bincount(key_ids, minlength=len(key_trie)), out=offsets[1:])
    folder.mkdir()
    key_trie.save(str(folder / "keys.marisa"))
    name_trie.save(str(folder / "names.marisa"))
    save_array(folder / "offsets.npy", offsets)
    save_array(folder / "rows.npy", row_array[order])
    save_array(folder / "surfaces.npy", surface_ids[order])
    save_array(folder / "flags.npy", flag_array[order])
