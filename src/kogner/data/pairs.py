"""Pairs of entities that the graph relates, drawn by relation type: what sentences are to be written about.

As in arXiv 2503.15737: of each relation type one row in 10,000 is drawn, rounded down, at least one. The name of an end
is the first usable one of its entity, or where that is inverted one that a sentence would hold.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kogner.data.formats.files import lines
from kogner.data.sanity import words_of
from kogner.data.written import key_of, readings
from kogner.errors import ConfigError, InputError
from kogner.graph.forms import is_symbol, stem
from kogner.graph.identifiers import is_text
from kogner.graph.store import GraphStore
from kogner.progress import counting

MAX_NAME = 100  # characters; longer names are chemical formulas that no sentence would hold
NO_NAME, SAME_ENTITY = "entity without a usable name", "both ends are one entity"
SAME_NAME, DRAWN_TWICE = "both ends have one name", "the two entities drawn before"

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\ufeff]+")
# Of Ensembl, RefSeq, HMDB and BioMedGraphica, and anything as PREFIX:0001. LY2835219 is a drug's name; UniProt's P12345
# cannot be told from symbols such as H2BC12.
_ACCESSION = re.compile(r"(?:ENS[A-Z]{0,6}|[NX][CGMPRTW]_|HMDB|BMG_[A-Z]{2}|[A-Za-z][\w.]*:[A-Z]{0,2})\d{3,}(?:\.\d+)?")

# Parts of an inverted name that do not read well before the others: lists, numbers, `nuclear type 1`, `with coloboma`.
_BEHIND = re.compile(r"^(?:and|or|with|without|due|susceptibility|in|of|to)\b|\d|\b(?:type|form|[IVX]+)$|\b(?:of|to)$")


@dataclass(frozen=True, slots=True)
class End:
    """One end of a pair: an entity's id and type, and the name a sentence is to use."""

    id: str
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entities and how the graph relates them. id: `<relation>:<number>`, the number that of the draw."""

    id: str
    relation: str
    head: End
    tail: End

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        head, tail = self.head, self.tail
        return {
            "id": self.id,
            "relation": self.relation,
            "head": {"id": head.id, "type": head.type, "name": head.name},
            "tail": {"id": tail.id, "type": tail.type, "name": tail.name},
        }

    @classmethod
    def from_dict(cls, raw: Any) -> Pair:
        """The pair that `to_dict` described. Raises KeyError or TypeError for anything else."""
        head, tail = _read_end(raw["head"]), _read_end(raw["tail"])
        return cls(_text(raw["id"]), _text(raw["relation"]), head, tail)


@dataclass(frozen=True)
class PairSettings:
    """How many pairs are drawn of each relation type.

    one_in: one row in so many, rounded down, `minimum` at least (and as many as there are). number: exactly so many
    instead. cap: never more than this. total: so many of all types together, one of each in turn; then nothing else
    counts. seed: of the draw; each relation type has its own. first_names: each entity's first usable name, as the
    paper has it, not one that a sentence holds better (see `straight`); the same rows are drawn.
    """

    one_in: int = 10_000
    minimum: int = 1
    number: int | None = None
    cap: int | None = None
    total: int | None = None
    seed: int = 0
    first_names: bool = False

    def __post_init__(self) -> None:
        for name in ("one_in", "minimum"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least 1")
        for name in ("number", "cap", "total"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} {value} must be at least 1")

    def wanted(self, rows: int) -> int:
        """How many pairs are drawn of a relation type of so many rows.

        >>> PairSettings().wanted(16_484_820), PairSettings().wanted(931)
        (1648, 1)
        """
        many = max(self.minimum, rows // self.one_in) if self.number is None else self.number
        return min(many, rows, rows if self.cap is None else self.cap)


@dataclass
class Pairs:
    """What was drawn. relations: per relation type its rows, how many were wanted and how many drawn.

    left_out: drawn rows that others took the place of, by reason.
    """

    pairs: list[Pair] = field(default_factory=list)
    relations: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "pairs": len(self.pairs),
            "relations": self.relations,
            "left_out": dict(self.left_out.most_common()),
        }


def draw(store: GraphStore, settings: PairSettings | None = None, *, relations: Collection[str] | None = None) -> Pairs:
    """Draw pairs of each relation type (of those given, or all), in the order of the graph's relation types.

    An end without a usable name (see `usable`), a pair of an entity with itself and two entities of one name are
    counted, and another row is drawn. Raises ConfigError for a relation type that the graph does not have.
    """
    settings = settings or PairSettings()
    unknown = sorted(set(relations or ()) - set(store.relations))
    if unknown:
        raise ConfigError(f"the graph has no relation {', '.join(unknown)}; it has {', '.join(store.relations)}")
    found = Pairs()
    kinds = np.asarray(store.triples)[:, 1]
    sizes = np.bincount(kinds, minlength=len(store.relations)).tolist()
    drawn: dict[str, list[Pair]] = {}
    sources: dict[str, Iterator[Pair]] = {}
    for code, relation in enumerate(store.relations):
        if relations is None or relation in relations:
            size = sizes[code]
            wanted = size if settings.total is not None else settings.wanted(size)
            found.relations[relation] = {"rows": size, "wanted": wanted, "drawn": 0}
            sources[relation] = _drawn(found.left_out, store, code, relation, settings.seed, settings.first_names)
            drawn[relation] = []
    if settings.total is None:
        with counting("drawing pairs", len(sources)) as counter:
            for relation, source in sources.items():
                drawn[relation].extend(islice(source, found.relations[relation]["wanted"]))
                counter.advance()
    else:
        left = settings.total
        while left and sources:
            for relation in list(sources)[:left]:
                pair = next(sources[relation], None)
                if pair is None:
                    del sources[relation]
                else:
                    drawn[relation].append(pair)
                    left -= 1
        for relation, own in drawn.items():
            found.relations[relation]["wanted"] = len(own)
    for relation, own in drawn.items():
        found.relations[relation]["drawn"] = len(own)
        found.pairs.extend(own)
    return found


def _drawn(
    left_out: Counter[str], store: GraphStore, code: int, relation: str, seed: int, first_names: bool
) -> Iterator[Pair]:
    """Pairs of a relation type in the order of its draw; what cannot be used is counted."""
    triples = np.asarray(store.triples)
    rows = np.flatnonzero(triples[:, 1] == code).astype(np.int32)  # held as long as pairs are drawn
    digest = hashlib.sha256(f"{seed} {relation}".encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(rows))
    rows = rows[order]
    del order
    drawn = 0
    seen: set[tuple[int, int]] = set()
    for row in map(int, rows):  # a list of them would take four times the memory
        head, _, tail = triples[row].tolist()
        if head == tail or (min(head, tail), max(head, tail)) in seen:
            left_out[SAME_ENTITY if head == tail else DRAWN_TWICE] += 1
            continue
        first, second = _end(store, head), _end(store, tail)
        if first is None or second is None:
            left_out[NO_NAME] += 1
        elif first[0].name.casefold() == second[0].name.casefold():
            left_out[SAME_NAME] += 1
        else:
            seen.add((min(head, tail), max(head, tail)))
            drawn += 1
            # which rows are drawn goes by first names whatever names are wanted
            alike = key_of(first[1].name) == key_of(second[1].name)
            which = 0 if first_names or alike else 1
            yield Pair(f"{relation}:{drawn}", relation, first[which], second[which])


def _end(store: GraphStore, row: int) -> tuple[End, End] | None:
    """An entity by its first usable name, and by the one that a sentence holds best; None where it has none."""
    entity = store.entity(row)
    names, identifiers = (entity.name, *entity.synonyms), {entity.id, *entity.xrefs}
    first = usable(names, identifiers=identifiers)
    if first is None:
        return None
    best = straight(first, entity.synonyms, identifiers=identifiers)
    return End(entity.id, entity.type, first), End(entity.id, entity.type, best)


def straight(name: str, synonyms: Iterable[str], *, identifiers: Collection[str] = ()) -> str:
    """Instead of an inverted name one that a sentence would hold; any other stays.

    That is a synonym of the same words; the words in their order, where that reads well; another synonym that is no
    abbreviation and has a word of the name; or the name after all.

    >>> straight("Leukemia, Lymphocytic, Chronic, B-Cell", ["B-Cell Leukemia"])
    'B-Cell Chronic Lymphocytic Leukemia'
    >>> straight("hearing loss, autosomal dominant 73", [])
    'hearing loss, autosomal dominant 73'
    """
    if ", " not in name:
        return name
    others = [one for own in synonyms if (one := usable([own], identifiers=identifiers)) and ", " not in one]
    plain, stems = (sorted(_words(name, stem=own)) for own in (str.casefold, stem))
    for own in others:
        if sorted(_words(own, stem=str.casefold)) == plain:
            return own
    turned = readings(name)[-1]
    if turned != name and not any(map(_BEHIND.search, name.split(", ")[1:])):
        return turned
    near = [own for own in others if not is_symbol(own) and not set(stems).isdisjoint(_words(own))]
    return min(near, key=lambda own: sorted(_words(own)) != stems, default=name)


def _words(name: str, *, stem: Callable[[str], str] = stem) -> list[str]:
    return [piece for part in words_of(name) if any(map(str.isalnum, piece := stem(part)))]


def usable(names: Iterable[str], *, identifiers: Collection[str] = ()) -> str | None:
    """The first of some names that a sentence can hold, cleaned; None where there is none.

    None can be empty, an id or accession number, without a letter, or longer than MAX_NAME. Of a cell with several
    names, `a | b`, the first counts. identifiers: of the entity; readers give one without a name its id for one.

    >>> usable(["", "ENST00000456328.2", '"adenosine  deaminase" | ADA'])
    'adenosine deaminase'
    """
    for name in names:
        for part in name.split(" | "):
            plain = cleaned(part)
            if plain in identifiers or len(plain) > MAX_NAME or _ACCESSION.fullmatch(plain):
                continue
            if any(map(str.isalpha, plain)) and is_text(plain):
                return plain
    return None


def cleaned(name: str) -> str:
    """A name without control characters, doubled blanks, and quotes or brackets around all of it."""
    plain = " ".join(_CONTROL.sub(" ", name).split())
    for opening, closing in ('""', "''", "[]", "()", "\u201c\u201d"):
        inside = plain[1:-1]
        if len(plain) > 2 and plain[0] == opening and plain[-1] == closing and not {opening, closing} & set(inside):
            plain = inside.strip()
    return plain


def read(path: Path) -> Iterator[Pair]:
    """Pairs of a file of JSON lines. Raises InputError with file and line for what is not a pair."""
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            yield Pair.from_dict(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"is no pair of 'kogner data pairs': {type(error).__name__} {error}", path=path, line=number
            ) from error


def _read_end(raw: Any) -> End:
    return End(_text(raw["id"]), _text(raw["type"]), _text(raw["name"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value
