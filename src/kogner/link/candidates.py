"""Entities that a mention may mean, by its name: as it stands, as the graph would write it, in part, and nearly."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kogner.graph.lexicon import normalise
from kogner.graph.scan import Scanner
from kogner.graph.store import GraphStore
from kogner.link.aliases import Aliases
from kogner.link.vectors import Vectors

EXACT, CASEFOLD, NORMALISED, WRITTEN, PART, NEAR = "exact", "casefold", "normalised", "written", "part", "near"
ALIAS, VECTOR = "alias", "vector"
CONJUNCT = "conjunct"  # the name of a part of `breast and ovarian cancer`
SCORES = {EXACT: 0.96, CASEFOLD: 0.955, NORMALISED: 0.94, WRITTEN: 0.93}
PREFERRED_BONUS = 0.01  # an entity's own name before a synonym
PART_SCORE, NEAR_SCORE = 0.75, 0.7  # at most
LEAST_LIKE = 0.6  # similarity from which a name is near
STEM = 5  # letters at least that near names begin with alike
COMPARED = 10  # of the entities that fit in part
LIKENESS = 0.5  # weight of the cosine beside the score of a part
ALONE = 0.3  # score in place of that of a part, where no part fits
KEPT = 100_000

_BRACKETS = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]")
_NUMBER = re.compile(r"\d+")
_AND = re.compile(r"\s*(?:,\s*(?:and|or)\b|,|\band/or\b|\band\b|\bor\b|/|&)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity a mention may mean. row: of the store. score: in [0, 1]. how: it was found. name: that matched."""

    row: int
    score: float
    how: str
    name: str


class Candidates:
    """Looks mentions up in a graph.

    aliases: names that people gave entities in linked text. vectors: of entities, for what no name fits.
    index: of the scanner, by default beside the graph; built where it is missing.
    """

    def __init__(
        self,
        store: GraphStore,
        *,
        aliases: Aliases | None = None,
        vectors: Vectors | None = None,
        index: Path | None = None,
    ) -> None:
        self.store, self.aliases, self.vectors = store, aliases, vectors
        self._scanner = Scanner(store, guard=False, abbreviations=False, index=index)
        self._cache: dict[tuple[str, frozenset[str]], tuple[Candidate, ...]] = {}

    def of(self, text: str, types: Collection[str]) -> tuple[Candidate, ...]:
        """Candidates of those graph types for a mention's text, best first, each entity once; () where there are none.

        Names that are the text come first. Where there are none: the text without what stands in brackets; then names
        within it, by how much of it they cover; then names that begin alike, `hypertension` for `hypertensive`.
        """
        wanted = frozenset(types)
        key = (text, wanted)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= KEPT:
                self._cache.clear()
            found = self._cache[key] = tuple(_best(self._search(text, wanted)))
        return found

    def look_ahead(self, wanted: Iterable[tuple[str, frozenset[str]]]) -> None:
        """Compare many texts with vectors at once, those that no name fits, so that `of` need not do it one by one."""
        if self.vectors is None:
            return
        lacking: dict[frozenset[str], list[str]] = {}
        for text, types in dict.fromkeys(wanted):
            if (text, types) not in self._cache and not self._by_name(text, types):
                lacking.setdefault(types, []).append(_plain(text))
        for types, texts in lacking.items():
            self.vectors.look_up(texts, types)

    def _search(self, text: str, types: frozenset[str]) -> list[Candidate]:
        found, plain = self._by_name(text, types), _plain(text)
        if not found:
            found = [*self._parts(plain, types), *self._near(plain, types)]
            if self.vectors is not None:
                found = self._compared(plain, types, _best(found), self.vectors)
        return found

    def _by_name(self, text: str, types: frozenset[str]) -> list[Candidate]:
        found, plain = list(self._named(text, types)), _plain(text)
        if not found and plain != text:
            found = [replace(one, score=one.score - 0.02) for one in self._named(plain, types)]
        return found

    def _named(self, text: str, types: frozenset[str]) -> Iterator[Candidate]:
        def fits(row: int) -> bool:
            return self.store.types[int(self.store.type_codes[row])] in types

        for row, score in self.aliases.of(text, fits) if self.aliases is not None else ():
            yield Candidate(row, score, ALIAS, text)
        for match in self.store.lexicon.lookup(text, types=types):
            yield Candidate(match.row, SCORES[match.tier] + PREFERRED_BONUS * match.preferred, match.tier, text)
        for found in self._scanner.scan(text):
            if (found.start, found.end) == (0, len(text)):
                for reading in found.readings:
                    if reading.type in types:
                        yield Candidate(
                            reading.row, SCORES[WRITTEN] + PREFERRED_BONUS * reading.preferred, WRITTEN, reading.name
                        )

    def _parts(self, text: str, types: frozenset[str]) -> Iterator[Candidate]:
        """Names in the text: the longer and the further behind, the better, since a name's head stands last."""
        for found in self._scanner.scan(text):
            covered = (found.end - found.start) / len(text)
            last = found.end == len(text)
            for reading in found.readings:
                if reading.type in types:
                    score = PART_SCORE * (0.5 + 0.3 * covered + 0.2 * last)
                    yield Candidate(reading.row, score + PREFERRED_BONUS * reading.preferred, PART, reading.name)

    def _near(self, text: str, types: frozenset[str]) -> Iterator[Candidate]:
        """Names of about the length that begin alike."""
        from rapidfuzz import process
        from rapidfuzz.distance import JaroWinkler

        key = normalise(normalise(text), singular=True)
        if len(key) < STEM:
            return
        stem = key[: max(STEM, len(key) - 5)]
        numbers = _NUMBER.findall(key)  # another number is another thing
        names = [
            name
            for name in self.store.lexicon.keys_from(stem)
            if abs(len(name) - len(key)) <= 5 and _NUMBER.findall(name) == numbers
        ]
        near = process.extract(key, names, scorer=JaroWinkler.similarity, score_cutoff=LEAST_LIKE, limit=20)
        for name, likeness, _ in near:
            for match in self.store.lexicon.lookup(name, types=types):
                yield Candidate(match.row, NEAR_SCORE * likeness + PREFERRED_BONUS * match.preferred, NEAR, name)

    @staticmethod
    def _compared(text: str, types: frozenset[str], found: list[Candidate], vectors: Vectors) -> list[Candidate]:
        """Candidates that fit in part, and the entities nearest to the text, by both."""
        found = found[:COMPARED]
        known = {one.row for one in found}
        near = [one for one in vectors.nearest(text, types) if one[0] not in known]
        likeness = vectors.likeness(text, [one.row for one in found]).tolist() if found else []
        both = [
            replace(one, score=(1 - LIKENESS) * one.score + LIKENESS * float(like))
            for one, like in zip(found, likeness, strict=True)
        ]
        return [*both, *(Candidate(row, LIKENESS * like + (1 - LIKENESS) * ALONE, VECTOR, "") for row, like in near)]


def _plain(text: str) -> str:
    """The text without what stands in brackets, if anything is left."""
    return _BRACKETS.sub("", text).strip() or text


def _best(found: list[Candidate]) -> list[Candidate]:
    """Each entity once, by its best score; equal ones in the order they came."""
    best: dict[int, Candidate] = {}
    for one in found:
        if one.row not in best or one.score > best[one.row].score:
            best[one.row] = one
    return sorted(best.values(), key=lambda one: -one.score)


def joined(text: str) -> Iterator[list[str]]:
    """Readings of a composite mention, each the names it may join, the likeliest first; none where it joins nothing.

    Names share their end, all of it or the last word; or their beginning. Words are not left out: the
    `hereditary breast and ovarian cancer` is one disease.

    >>> list(joined("renal pelvis and ureteral cancers"))[-2]
    ['renal pelvis cancers', 'ureteral cancers']
    >>> list(joined("hepatitis B and C"))
    [['hepatitis B', 'C'], ['hepatitis B', 'hepatitis C']]
    """
    parts = conjuncts(text)
    if not parts:
        return
    seen = [parts]
    yield parts
    plain = [part for part in _AND.split(text) if part]
    front, last = plain[0].split()[:-1], plain[-1].split()
    further = []
    if len(last) > 1:
        whole = [one if one.split()[-1] == last[-1] else f"{one} {last[-1]}" for one in plain[:-1]]
        further = [[*whole, plain[-1]]]
    if front:
        further.append([plain[0], *(" ".join([*front, one]) for one in plain[1:])])
    for reading in further:
        if reading not in seen:
            seen.append(reading)
            yield reading


def conjuncts(text: str) -> list[str]:
    """The names of a composite mention, each with what they share: `breast and ovarian cancer` as both cancers.

    [] where the text is none.

    >>> conjuncts("breast and ovarian cancer")
    ['breast cancer', 'ovarian cancer']
    >>> conjuncts("brain, breast, and prostate cancer")
    ['brain cancer', 'breast cancer', 'prostate cancer']
    """
    parts = [part for part in _AND.split(text) if part]
    if len(parts) < 2:
        return []
    head = parts[-1].split()
    if len(head) < 2:
        return parts
    tail = " ".join(head[1:])
    return [*(part if len(part.split()) > 1 else f"{part} {tail}" for part in parts[:-1]), parts[-1]]
