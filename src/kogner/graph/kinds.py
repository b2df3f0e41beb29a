"""Kinds of entities: the classes that the graph puts them in (`analgesic`, `skin disease`), as labels of their own.

A class stands above an entity where a path of `is_a`, role and drug-class edges leads to it. Graphs merged from several
vocabularies hold classes for the sake of order (`Bronsted acid`, `human disease`) beside those that people speak of;
frequency tells most of them apart: a class of nearly all mentions says nothing, one of a few cannot be learnt.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from kogner.graph.store import GraphStore

CLASSES = frozenset({"has_role", "in_pharm_class"})  # relations to classes that are no hierarchy
DEPTH = 3  # edges up to which a class says something of the entity
LONGEST = 5  # words of a class's name


@dataclass(frozen=True)
class Kinds:
    """names: of each kind, as a label. of: entity id -> the kinds it is of; one that the graph puts nowhere is absent.

    bases: for each kind the entity type, as the mentions call it, that most of its mentions have.
    """

    names: tuple[str, ...]
    of: Mapping[str, frozenset[int]]
    bases: tuple[str, ...]

    @classmethod
    def collect(
        cls,
        store: GraphStore,
        mentions: Mapping[tuple[str, str], int],
        *,
        least: int = 20,
        most: float = 0.1,
        without: Collection[str] = (),
    ) -> Kinds:
        """The kinds of the entities that training mentions.

        mentions: (entity id, type) -> how often. least, most: a kind has so many mentions at least, and at most this
        share of all. without: labels that are taken.
        """
        above = _above(store)
        reached: dict[str, dict[int, int]] = {}
        often: Counter[int] = Counter()
        base: dict[int, Counter[str]] = {}
        for (entity, kind), count in mentions.items():
            if entity not in reached:
                rows = store.resolve(entity)
                reached[entity] = _classes(rows[0], above) if rows else {}
            for row in reached[entity]:
                often[row] += count
                base.setdefault(row, Counter())[kind] += count
        total = sum(mentions.values())
        taken = {name.casefold() for name in without}
        numbers: dict[int, int] = {}
        names: dict[str, int] = {}
        bases: list[str] = []
        for row, count in sorted(often.items(), key=lambda item: (-item[1], item[0])):
            if not least <= count <= most * total:
                continue
            name = as_label(store.entity(row).name)
            if len(name.split()) > LONGEST or name.casefold() in taken:
                continue
            if name not in names:  # classes of several vocabularies by one name are one kind
                names[name] = len(names)
                bases.append(base[row].most_common(1)[0][0])
            numbers[row] = names[name]
        of = {
            entity: frozenset(numbers[row] for row in rows if row in numbers)
            for entity, rows in reached.items()
            if rows
        }
        return cls(tuple(names), of, tuple(bases))


def as_label(name: str) -> str:
    """A class's name as people write it: `Agents, Anti-Infective` is `anti-infective agents`.

    >>> as_label("Antidepressive Agents, Second-Generation")
    'second-generation antidepressive agents'
    >>> as_label("B-cell lymphoma 2 inhibitor")
    'B-cell lymphoma 2 inhibitor'
    """
    head, comma, rest = name.partition(", ")
    if comma and "," not in rest and " and " not in rest and " or " not in rest:
        name = f"{rest} {head}"
    return " ".join(_lower(word) for word in name.split())


def _lower(word: str) -> str:
    pieces = word.split("-")
    plain = all(len(piece) > 1 and piece[1:] == piece[1:].lower() for piece in pieces)
    return word.lower() if plain else word


def _above(store: GraphStore) -> tuple[np.ndarray, np.ndarray]:
    """For each row the place of its classes, and the classes."""
    lower, upper = store.hierarchy(also=CLASSES)
    return np.searchsorted(lower, np.arange(len(store) + 1)), upper


def _classes(row: int, above: tuple[np.ndarray, np.ndarray]) -> dict[int, int]:
    """Rows of the classes above a row, and how many edges away they are."""
    places, classes = above
    found: dict[int, int] = {row: 0}
    waiting = deque([row])
    while waiting:
        at = waiting.popleft()
        if found[at] == DEPTH:
            continue
        for one in classes[places[at] : places[at + 1]].tolist():
            if one not in found:
                found[one] = found[at] + 1
                waiting.append(one)
    del found[row]
    return found
