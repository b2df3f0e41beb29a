"""Entities with their names, for a text encoder that is to learn which names mean the same.

They come from a graph's lexicon, or from a file of `id <tab> name` lines that such a graph was written to, so that an
encoder can be trained where the graph is not.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kogner.artifacts import write_lines
from kogner.data.formats.files import lines, packed
from kogner.errors import ConfigError, InputError
from kogner.graph.lexicon import normalise
from kogner.graph.store import GraphStore
from kogner.progress import counting

HEAD = "# names of entities "  # begins the first line of a file, JSON after it
AMBIGUOUS = "name of several entities"
SPELLING = "name in another spelling of one that the entity has"
ONE_NAME = "entity with one name only"
NO_NAME = "entity whose names are all those of others as well"
NO_LINE = "entity with a tab or a line break in its id"
NOT_DRAWN = "entity beyond --entities"


@dataclass(frozen=True)
class Synonyms:
    """Entities, each with two names or more.

    ids: in their order. names: of each entity, its preferred name first, or the first that is left where that is not.
    left_out: names and entities that are not among them, by reason. types: of the graph, () for all or not known.
    graph: hash of the graph, "" where not known.
    """

    ids: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    graph: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def pairs(self) -> int:
        """Pairs of two names of one entity."""
        return sum(len(names) * (len(names) - 1) // 2 for names in self.names)

    def take(self, rows: Sequence[int] | np.ndarray) -> Synonyms:
        """Those of some entities, in the order of `rows`."""
        kept = [int(row) for row in rows]
        return replace(self, ids=tuple(self.ids[row] for row in kept), names=tuple(self.names[row] for row in kept))

    def drawn(self, count: int, *, seed: int) -> Synonyms:
        """At most `count` entities, drawn at random, in the order that they had; a smaller draw is part of a larger."""
        if len(self) <= count:
            return self
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        left_out = Counter(self.left_out)
        left_out[NOT_DRAWN] += len(self) - count
        return replace(self.take(np.sort(order[:count])), left_out=dict(left_out))

    def hash(self) -> str:
        """Hex sha256 of ids and names."""
        digest = hashlib.sha256()
        for line in _lines(self):
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "entities": len(self),
            "names": sum(map(len, self.names)),
            "pairs": self.pairs,
            "types": list(self.types),
            "left_out": dict(sorted(self.left_out.items())),
        }


def of_graph(store: GraphStore, *, types: Collection[str] = ()) -> Synonyms:
    """Names and synonyms of the entities of a graph. types: only of these; () for all.

    A name counts as that of several entities where they are all of these types.
    Raises ConfigError for a type that the graph does not have, InputError where no entity has two names.
    """
    unknown = sorted(set(types) - set(store.types))
    if unknown:
        raise ConfigError(f"the graph has no type {', '.join(unknown)}; it has {', '.join(store.types)}")
    chosen = tuple(sorted(set(types)))
    codes = [store.types.index(kind) for kind in chosen or store.types]
    wanted = np.isin(np.asarray(store.type_codes), codes)
    preferred: dict[int, list[str]] = {}
    others: dict[int, list[str]] = {}
    with counting("names") as counter:
        for count, (number, row, own) in enumerate(store.lexicon.postings(), start=1):
            if wanted[row]:
                (preferred if own else others).setdefault(row, []).append(store.lexicon.name(number))
            if count % 10_000 == 0:
                counter.advance(10_000)
    rows = np.flatnonzero(wanted).tolist()
    named = (
        (identifier, [*preferred.get(row, ()), *others.get(row, ())])
        for row, identifier in zip(rows, store.ids(rows), strict=True)
    )
    found = _of(named)
    if not len(found):
        raise InputError(f"no entity has two names of its own ({_reasons(found.left_out)})", path=store.path)
    return replace(found, types=chosen, graph=store.artifact.hash)


def read(path: Path) -> Synonyms:
    """What `write` wrote, or any file of `id <tab> name` lines, plain or packed, the preferred name of an id first.

    Raises InputError, with the line, for a line of another form, and where no entity has two names.
    """
    head: dict[str, Any] = {}
    named: dict[str, list[str]] = {}
    for number, line in lines(path):
        if number == 1 and line.startswith(HEAD):
            head = _head(line, path)
            continue
        identifier, tab, name = line.partition("\t")
        if not tab or not identifier or not name.strip() or "\t" in name:
            raise InputError("a line must be an entity's id, a tab, and one of its names", path=path, line=number)
        named.setdefault(identifier, []).append(name)
    found = _of(named.items())
    if not len(found):
        raise InputError(f"no entity has two names of its own ({_reasons(found.left_out)})", path=path)
    left_out = Counter(head.get("left_out", {})) + Counter(found.left_out)
    return replace(found, left_out=dict(left_out), types=tuple(head.get("types", ())), graph=head.get("graph", ""))


def write(synonyms: Synonyms, path: Path) -> None:
    """Write `id <tab> name` lines below one of what they are; the same names give the same file. Packed by its ending.

    Raises InputError for a folder.
    """
    if path.is_dir():
        raise InputError("is a folder; give a file to write names to, such as names.tsv.gz", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"graph": synonyms.graph, "types": list(synonyms.types), "left_out": dict(sorted(synonyms.left_out.items()))}
    with packed(path) as place:
        write_lines(place, [HEAD + json.dumps(head), *_lines(synonyms)])


def _lines(synonyms: Synonyms) -> Iterable[str]:
    return (
        f"{identifier}\t{name}"
        for identifier, names in zip(synonyms.ids, synonyms.names, strict=True)
        for name in names
    )


def _head(line: str, path: Path) -> dict[str, Any]:
    try:
        head = json.loads(line.removeprefix(HEAD))
        graph, types, left_out = head["graph"], head["types"], head["left_out"]
        sound = isinstance(graph, str) and all(isinstance(kind, str) for kind in types)
        if not sound or not all(isinstance(count, int) for count in left_out.values()):
            raise ValueError("a value of another kind than it must be")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"its first line is damaged ({error}); write the file again", path=path, line=1) from error
    return {"graph": graph, "types": types, "left_out": left_out}


def _of(named: Iterable[tuple[str, Sequence[str]]]) -> Synonyms:
    """Names that are of one entity only, of entities that have two of them. Names are compared as the lexicon does."""
    left_out: Counter[str] = Counter()
    ids: list[str] = []
    all_names: list[dict[str, str]] = []
    bearers: Counter[str] = Counter()
    for identifier, given in named:
        if len(identifier.splitlines()) > 1 or "\t" in identifier:
            left_out[NO_LINE] += 1
            continue
        names: dict[str, str] = {}
        for name in (" ".join(one.split()) for one in given):
            key = normalise(normalise(name), singular=True)
            if names.setdefault(key, name) is not name:
                left_out[SPELLING] += 1
        bearers.update(names.keys())
        ids.append(identifier)
        all_names.append(names)
    kept_ids: list[str] = []
    kept_names: list[tuple[str, ...]] = []
    for identifier, names in zip(ids, all_names, strict=True):
        own = tuple(name for key, name in names.items() if bearers[key] == 1)
        left_out[AMBIGUOUS] += len(names) - len(own)
        if len(own) < 2:
            left_out[ONE_NAME if own else NO_NAME] += 1
            continue
        kept_ids.append(identifier)
        kept_names.append(own)
    return Synonyms(tuple(kept_ids), tuple(kept_names), {key: count for key, count in left_out.items() if count})


def _reasons(left_out: Mapping[str, int]) -> str:
    return "; ".join(f"{reason}: {count:,}" for reason, count in sorted(left_out.items())) or "no names at all"
