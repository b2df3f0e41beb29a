"""Names of the graph in running text: the longest match at word edges, with the entities it may mean.

The index beside a graph (`<graph>.scan`) holds the key of every name (see `kogner.graph.forms`) in one memory-mapped
trie, and for each key its postings: entity, name, flags. A text's key is walked word by word; one look-up per word
finds all names that begin there.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate, compress, repeat
from operator import is_not, itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from kogner.artifacts import MANIFEST, open_artifact, read_manifest, writing
from kogner.errors import ArtifactError, InputError
from kogner.graph.abbreviations import brackets, places
from kogner.graph.arrays import load_array, save_array
from kogner.graph.forms import Stems, agrees, form, pieces, variants
from kogner.graph.guard import Guard
from kogner.graph.store import GraphStore
from kogner.graph.walk import Walk, step
from kogner.progress import counting, note

KIND, VERSION = "scan-index", 1
PREFERRED, MODIFIER, VARIANT = 1, 2, 4  # flags of a posting; from VARIANT on, which of the name's variants it is
MAX_KEY = 120  # characters of the longest key: 99.0 % of the names of the shared graph, the rest are formulas
CACHED = 100_000  # stretches of text whose entities are remembered

RIVALS = frozenset({
    "chemical", "compound", "drug", "disease", "gene", "protein", "gene/protein", "anatomy", "organism", "cell",
    "pharmacologicclass", "pharmacologic class",
})  # fmt: skip
HEADED = frozenset({"disease", "phenotype"})  # types whose names end in their head: `skin` in `skin cancer` is none
HEAD_SHARE, HEAD_NAMES = 0.1, 20  # a word that heads less than this share of so many names or more is a modifier

_GAP = re.compile(r"\t|\n[^\S\n]*\n|\r[^\S\r]*\r")  # no name goes over a blank line or a column


@dataclass(frozen=True, slots=True)
class Reading:
    """An entity that a stretch of text may mean.

    row: of the store. name: as the graph has it. preferred: the entity's own name, not a synonym. exact: written as the
    name is, apart from the case of the first letter.
    """

    row: int
    type: str
    name: str
    preferred: bool
    exact: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A name in a text: half-open [start, end) code points, and the entities it may mean, best first, at least one."""

    start: int
    end: int
    readings: tuple[Reading, ...]

    @property
    def type(self) -> str:
        """Type of the best reading."""
        return self.readings[0].type


@dataclass(frozen=True, slots=True)
class Known:
    """What a stretch of text may mean, best first: all of it, and what is reported; () where the best is a rival."""

    readings: tuple[Reading, ...]
    reported: tuple[Reading, ...]


NOTHING = Known((), ())
_Match = tuple[int, int, Known]  # start, end
_start, _end = itemgetter(0), itemgetter(1)


class Scanner:
    """Finds the names of a graph in text.

    Of names that begin at one word the longest wins, and no two found names overlap. Where several entities share a
    name they are ordered: the entity's own name before a synonym, then the same case before another, then more triples,
    then the place in the graph.
    types: only entities of these types are reported. rivals: types whose names hold their place all the same (in
    `insulin receptor` no chemical is found where the graph knows the receptor as a gene); by default those of RIVALS.
    guard: leave out what floods, see `kogner.graph.guard`; without it every match counts, whatever its case.
    abbreviations: a short form that the text defines behind a name, `renal failure (RF)`, is that name in this text,
    and one it defines behind something else is none.
    index: its folder, by default beside the graph; built where there is none for this graph (half a minute for 1.3M
    names).
    Raises InputError for a type the graph does not have, ArtifactError where the index cannot be written.
    """

    def __init__(
        self,
        store: GraphStore,
        types: Collection[str] | None = None,
        *,
        rivals: Collection[str] | None = None,
        guard: bool = True,
        abbreviations: bool = True,
        index: Path | None = None,
    ) -> None:
        unknown = [kind for kind in (*(types or ()), *(rivals or ())) if kind not in store.types]
        if unknown:
            raise InputError(
                f"the graph has no type {', '.join(unknown)}; its types: {', '.join(store.types)}", path=store.path
            )
        self.store = store
        self.types = frozenset(store.types if types is None else types)
        beside = [kind for kind in store.types if kind.lower() in RIVALS] if rivals is None else rivals
        self._seen = self.types.union(beside)
        self._guard = Guard(store) if guard else None
        self._abbreviations = abbreviations
        self._index = folder = open_index(store, index)
        import marisa_trie

        self._trie: Any = marisa_trie.Trie().mmap(str(folder / "keys.marisa"))
        self._postings = [load_array(folder / f"{name}.npy") for name in ("offsets", "rows", "names", "flags")]
        self._type_codes = np.asarray(store.type_codes)
        self._stem = Stems(CACHED).__getitem__
        self._walk = Walk(self._trie, CACHED)
        self._cache: dict[str, Known] = {}

    def unguarded(self) -> Scanner:
        """The same without the guard."""
        return Scanner(
            self.store, self.types, rivals=self._seen, guard=False, abbreviations=self._abbreviations, index=self._index
        )

    def scan(self, text: str) -> list[Found]:
        """The names in a text, in order and without overlap."""
        found = list(self._matches(text))
        if self._abbreviations and "(" in text:
            found = self._abbreviated(text, found)
        return [Found(start, end, known.reported) for start, end, known in found if known.reported]

    def _abbreviated(self, text: str, found: list[_Match]) -> list[_Match]:
        """The names with those put right whose text is a short form that the text defines."""
        meant: dict[str, Known] = {}
        for bracket in brackets(text):
            if bracket.short in meant:
                continue
            at = bisect_left(found, bracket.end, key=_end)
            long = found[at] if at < len(found) and found[at][1] == bracket.end else None
            if long is not None and (
                long[0] <= bracket.start if bracket.start is not None else self._names(bracket.short, long[2])
            ):
                meant[bracket.short] = long[2]
            elif bracket.start is not None:
                meant[bracket.short] = NOTHING
        if not meant:
            return found
        added: list[_Match] = []
        dropped: set[int] = set()
        for start, end in places(text, meant):
            at = first = bisect_left(found, start, key=_start)
            covered = first > 0 and found[first - 1][1] > start and first - 1 not in dropped
            while at < len(found) and found[at][0] <= end:
                if found[at][1] <= end + 1:  # with a plural s
                    dropped.add(at)
                else:
                    covered |= found[at][0] < end
                at += 1
            if not covered:
                added.append((start, end, meant[text[start:end]]))
        return sorted([*(one for number, one in enumerate(found) if number not in dropped), *added], key=_start)

    def _names(self, short: str, long: Known) -> bool:
        """Whether the graph has a short form as a name of the entity before it, as DM of dystrophia myotonica."""
        rows = {match.row for match in self.store.lexicon.lookup(short) if match.tier == "exact"}
        return long.readings[0].row in rows

    def _matches(self, text: str) -> Iterator[_Match]:
        """Longest matches from the left, of reported and of rival types."""
        parts, found = pieces(text, stem=self._stem)
        numbers = list(compress(range(len(found)), found))  # hyphens and the like have no piece
        shown = list(filter(None, found))
        ends = list(accumulate(map(len, parts)))
        cache, guard = self._cache, self._guard
        shown.append("")
        # The place behind each word and the next one; few words begin anything.
        places = list(map(step, map(self._walk.root.__getitem__, shown), shown[1:]))
        free = 0
        for here, place in compress(enumerate(places), map(is_not, places, repeat(None))):
            if here < free:
                continue
            behind = here + 2
            while place is not None and place.beyond:
                place = step(place, shown[behind])
                behind += 1
            if place is None:
                continue
            first = numbers[here]
            start = ends[first] - len(parts[first])
            for count in place.found:
                last = numbers[here + count - 1]
                end = ends[last] - len(parts[last]) + len(parts[last].rstrip())
                written = text[start:end]
                known = cache.get(written)
                if known is None:
                    known = self._remember(written, "".join(shown[here : here + count]))
                if not known.readings or (guard is not None and written.isupper() and guard.shouted(text, start, end)):
                    continue
                yield start, end, known
                free = here + count
                break

    def _remember(self, written: str, key: str) -> Known:
        if len(self._cache) >= CACHED:
            self._cache.clear()
        readings = tuple(self._readings(written, key))
        reported = tuple(one for one in readings if one.type in self.types)
        best = bool(readings) and readings[0].type in self.types
        known = self._cache[written] = Known(readings, reported if best else ())
        return known

    def _readings(self, written: str, key: str) -> list[Reading]:
        """Entities of a stretch of text, best first; of all types where others may hold their place."""
        guard = self._guard
        if _GAP.search(written) or (guard is not None and guard.refuses_text(written)):
            return []
        offsets, rows, names, flags = self._postings
        number = self._trie[key]
        place = slice(int(offsets[number]), int(offsets[number + 1]))
        restore = self.store.lexicon.name
        found: dict[int, Reading] = {}
        for row, name_id, flag in zip(rows[place].tolist(), names[place].tolist(), flags[place].tolist(), strict=True):
            kind = self.store.types[int(self._type_codes[row])]
            if kind not in self._seen or (flag & MODIFIER and guard is not None):
                continue
            name = restore(name_id)
            variant = variants(name)[flag // VARIANT]
            if not agrees(written, variant, case=guard is not None):
                continue
            if guard is not None and guard.refuses(row):
                continue
            exact = variant[1:] == written[1:] and variant[0].lower() == written[0].lower()
            reading = Reading(row, kind, name, bool(flag & PREFERRED), exact)
            old = found.get(row)
            if old is None or (reading.preferred, reading.exact) > (old.preferred, old.exact):
                found[row] = reading
        return sorted(found.values(), key=lambda one: (not one.preferred, not one.exact))  # stable: more triples first


def open_index(store: GraphStore, folder: Path | None = None) -> Path:
    """The folder of a graph's scan index, `<graph>.scan` unless given; built where it is missing or another graph's."""
    folder = store.path.parent / f"{store.path.name}.scan" if folder is None else Path(folder)
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        if manifest.kind == KIND and manifest.version == VERSION and manifest.parents["graph"] == store.artifact.hash:
            return open_artifact(folder, kind=KIND, version=VERSION).path
    try:
        write_index(store, folder)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be written ({error.strerror or error}); give another place for the index with --index"
        ) from error
    return folder


def write_index(store: GraphStore, folder: Path) -> None:
    """Write the scan index of a graph; the same graph gives the same hash. Names it leaves out are counted and said."""
    import marisa_trie

    metrics: dict[str, Any] = {}
    note(f"building the scan index {folder}, once for this graph")
    with (
        writing(folder, kind=KIND, version=VERSION, parents={"graph": store.artifact.hash}, metrics=metrics) as out,
        counting("names indexed", len(store.lexicon)) as counter,
    ):
        remembered = Stems(sys.maxsize).__getitem__
        keys: list[str] = []
        postings: list[tuple[int, int, int]] = []
        left_out = {"longer than a key may be": 0, "without a letter": 0}
        headed = np.array([kind.lower() in HEADED for kind in store.types])[store.type_codes]
        heads, modifiers = Counter[str](), Counter[str]()
        singles: list[int] = []  # postings of one word whose type has heads
        for done, (name_id, row, preferred) in enumerate(store.lexicon.postings()):
            if done % 1000 == 999:
                counter.advance(1000)
            name = store.lexicon.name(name_id)
            for number, variant in enumerate(variants(name)):
                made = form(variant, stem=remembered)
                if len(made.key) > MAX_KEY:
                    left_out["longer than a key may be"] += 1
                    continue
                if not any(character.isalpha() for character in made.key):
                    left_out["without a letter"] += 1
                    continue
                if headed[row]:
                    pieces = [piece for piece in made.pieces if piece.isalpha()]
                    if len(pieces) > 1 and ", " not in variant:
                        heads[pieces[-1]] += 1
                        modifiers.update(pieces[:-1])
                    elif pieces and made.key == pieces[0]:
                        singles.append(len(keys))
                keys.append(made.key)
                postings.append((row, name_id, (PREFERRED if preferred else 0) + VARIANT * number))
        trie = marisa_trie.Trie(keys)
        key_ids = np.fromiter((trie[key] for key in keys), np.int32, len(keys))
        rows, names, flags = np.array(postings, np.int32).reshape(-1, 3).T.copy()
        for at in singles:
            all_names = heads[keys[at]] + modifiers[keys[at]]
            if all_names >= HEAD_NAMES and heads[keys[at]] < HEAD_SHARE * all_names:
                flags[at] |= MODIFIER
        degrees = np.diff(np.asarray(store.indptr))
        order = np.lexsort((flags, rows, -degrees[rows], key_ids))
        offsets = np.zeros(len(trie) + 1, np.int32)
        np.cumsum(np.bincount(key_ids, minlength=len(trie)), out=offsets[1:])
        trie.save(str(out / "keys.marisa"))
        for name, array in (("offsets", offsets), ("rows", rows[order]), ("names", names[order])):
            save_array(out / f"{name}.npy", array)
        save_array(out / "flags.npy", flags[order].astype(np.uint8))
        metrics.update(keys=len(trie), postings=len(keys), left_out=left_out)
    for reason, count in left_out.items():
        if count:
            note(f"not indexed: {count:,} x name {reason}")
