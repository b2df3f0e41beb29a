"""Triples in three columns without a first line, as DRKG has them: `Gene::9  bioarx::HumGenHumGen:Gene:Gene  Gene::8`.

The entities are those that the triples name. Their type is the kind in front of the id, their name the id behind it,
or what a file of names says: two columns, an entity as in the triples and its name. Relations stay as they are.

Drug Repurposing Knowledge Graph: github.com/gnn4dr/DRKG
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kogner.errors import InputError
from kogner.graph.readers.columns import Coded
from kogner.graph.readers.hetionet import kind_and_id
from kogner.graph.readers.opening import lines, packed
from kogner.graph.readers.source import Source
from kogner.graph.readers.tables import batches
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.progress import counting
from kogner.records import Entity

TRIPLES, NAMES = "drkg.tsv", "names.tsv"
_COLUMNS = ("head", "relation", "tail")


def read_drkg(path: str | Path, *, rejected: Rejections) -> Source:
    """The triples of a file, or of drkg.tsv in a folder; names from names.tsv beside it, where there is one.

    Left out and counted: triples with an end that is not `Kind::id` or without a relation, rows of another width. A
    remark counts entities whose name is their id. Raises InputError (file) for a missing or damaged file.
    """
    place = Path(path)
    file = _found(place) if place.is_dir() else place
    graph = _Graph(file, rejected)
    return Source(place.name, graph.entities(), graph.triples())


def is_drkg(folder: Path) -> bool:
    """Whether a folder holds drkg.tsv."""
    return packed(folder / TRIPLES) is not None


def _found(folder: Path) -> Path:
    found = packed(folder / TRIPLES)
    if found is None:
        raise InputError(f"has no {TRIPLES} (or .gz)", path=folder)
    return found


class _Graph:
    """The file read once: triples as numbers, entities by what the numbers stand for."""

    def __init__(self, file: Path, rejected: Rejections) -> None:
        self.file, self.rejected = file, rejected
        self.kinds: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.ends, self.relations = Coded(self._node), Coded(lambda text: "_".join(text.split()) or None)
        self.parts: list[np.ndarray] = []

    def entities(self) -> Iterator[Entity]:
        self._read()
        given = _names(self.file.parent, self.rejected)
        unnamed = 0
        for own in self.ends.made:
            name = given.get(own)
            unnamed += name is None
            yield Entity(own, self.kinds[own], name or self.names[own])
        if unnamed:
            self.rejected.remark("entity whose name is its id", unnamed, self.file.name)

    def triples(self) -> Iterator[TripleTable]:
        for part in self.parts:
            yield TripleTable(
                self.ends.texts(part[0]), self.relations.texts(part[1]), self.ends.texts(part[2])
            )  # fmt: skip

    def _node(self, text: str) -> str | None:
        parts = kind_and_id(text)
        if parts is None:
            return None
        kind, own = parts
        if self.kinds.setdefault(own, kind) != kind:
            self.rejected.remark("id under two types, of which the first was kept", where=text)
        self.names.setdefault(own, " ".join(text.partition("::")[2].split()))
        return own

    def _read(self) -> None:
        read = batches(self.file, _COLUMNS, self.rejected, delimiter="\t", names=_COLUMNS, quoted=False)
        with counting(f"reading {self.file.name}") as counter:
            for batch in read:
                heads, tails = (self.ends.numbers(batch[name]) for name in ("head", "tail"))
                relations = self.relations.numbers(batch["relation"])
                known = (heads >= 0) & (tails >= 0)
                for bad, reason in ((~known, "id without its kind"), (known & (relations < 0), "empty relation")):
                    if bad.any():
                        row = batch.slice(int(bad.argmax()), 1).to_pylist()[0]
                        where = f"{self.file.name}: {' '.join(map(str, row.values()))}"
                        self.rejected.add_many(reason, int(bad.sum()), [where])
                self.parts.append(np.stack([heads, relations, tails])[:, known & (relations >= 0)])
                counter.advance(len(batch))


def _names(folder: Path, rejected: Rejections) -> dict[str, str]:
    """By id, what names.tsv (plain or packed) of the folder says; {} where there is none."""
    found: dict[str, str] = {}
    file = packed(folder / NAMES)
    for number, line in lines(file) if file is not None else ():
        node, tab, name = line.partition("\t")
        parts = kind_and_id(node)
        if parts and tab and name.strip():
            found[parts[1]] = " ".join(name.split())
        else:
            rejected.add("name without its entity", f"{NAMES}:{number}")
    return found
