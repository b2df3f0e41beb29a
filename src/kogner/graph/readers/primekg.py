"""PrimeKG's kg.csv: an edge a row, with the ids, types, names and sources of both ends.

    relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source

The file holds each edge in both directions; the one that comes first is kept, the other counted as mirrored. Ids get
the prefix of their source and the width it writes: 5148 of MONDO is `MONDO:0005148`. A disease that PrimeKG made of
several MONDO terms, `13924_12592_14672`, is `PrimeKG:13924_12592_14672` with those terms as xrefs.
A relation is `relation:display_relation`, as in `drug_protein:target`.

Chandak, Huang, Zitnik 2023, doi:10.1038/s41597-023-01960-3; doi:10.7910/DVN/IXA7BM
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kogner.errors import InputError
from kogner.graph.readers.columns import Coded
from kogner.graph.readers.opening import packed
from kogner.graph.readers.source import Source
from kogner.graph.readers.tables import batches
from kogner.graph.readers.vocabularies import prefixed, type_of_kind
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TABLE, TripleTable
from kogner.progress import counting
from kogner.records import Entity

FILE = "kg.csv"
_ENDS = ("id", "type", "name", "source")
_COLUMNS = ("relation", "display_relation", *(f"{end}_{name}" for end in "xy" for name in _ENDS))
_SOURCES = {"HPO": "HP", "NCBI": "NCBIGene", "REACTOME": "Reactome"}
_WIDE = ("HP", "MONDO", "GO", "UBERON")  # written with seven digits
_BETWEEN = "\x1f"


def read_primekg(path: str | Path, *, rejected: Rejections) -> Source:
    """The graph of kg.csv, or of the folder that holds it.

    Left out and counted: mirrored edges, rows whose ends lack an id, a type or a name, rows of another width. Raises
    InputError (file) for a missing column and for a damaged file.
    """
    place = Path(path)
    file = _found(place) if place.is_dir() else place
    graph = _Graph(file, rejected)
    return Source(place.name, graph.entities(), graph.triples())


def is_primekg(folder: Path) -> bool:
    """Whether a folder holds kg.csv."""
    return packed(folder / FILE) is not None


def _found(folder: Path) -> Path:
    found = packed(folder / FILE)
    if found is None:
        raise InputError(f"has no {FILE} (or .gz)", path=folder)
    return found


def identifier(source: str, local: str) -> tuple[str, tuple[str, ...]]:
    """Identifier and xrefs of a node by its source and the id there."""
    if source == "MONDO_grouped":
        return f"PrimeKG:{local}", tuple(_wide("MONDO", part) for part in local.split("_"))
    if source == "CTD" and re.fullmatch(r"[CD]\d{6,9}", local):
        return f"MESH:{local}", ()
    prefix = _SOURCES.get(source, source)
    return _wide(prefix, local) if prefix in _WIDE else prefixed(prefix, local), ()


def _wide(prefix: str, local: str) -> str:
    number = local.removesuffix(".0")
    return f"{prefix}:{number.zfill(7)}" if number.isdigit() else prefixed(prefix, local)


class _Graph:
    """The file read once: edges as numbers (12 bytes each), entities by what the numbers stand for."""

    def __init__(self, file: Path, rejected: Rejections) -> None:
        self.file, self.rejected = file, rejected
        self.nodes: dict[str, Entity] = {}
        self.ends, self.relations = Coded(self._node), Coded(_relation)
        self.edges = np.zeros((3, 0), np.int32)

    def entities(self) -> Iterator[Entity]:
        self._read()
        yield from self.nodes.values()

    def triples(self) -> Iterator[TripleTable]:
        for start in range(0, self.edges.shape[1], TABLE):
            heads, relations, tails = self.edges[:, start : start + TABLE]
            yield TripleTable(self.ends.texts(heads), self.relations.texts(relations), self.ends.texts(tails))

    def _node(self, text: str) -> str | None:
        parts = [part.strip() for part in text.split(_BETWEEN)]
        if len(parts) != len(_ENDS):  # the separator in a cell
            return None
        local, kind, name, source = parts
        if not (local and kind and name and source) or len(local.split()) != 1:
            return None
        own, xrefs = identifier(source, local)
        entity = Entity(own, type_of_kind(kind), " ".join(name.split()), (), xrefs)
        known = self.nodes.setdefault(own, entity)
        if (known.type, known.name) != (entity.type, entity.name):
            self.rejected.remark("id under two types or names, of which the first was kept", where=f"{own} {name}")
        return own

    def _read(self) -> None:
        import pyarrow.compute as pc

        def joined(batch: Any, *names: str) -> Any:
            return pc.binary_join_element_wise(*(batch[name] for name in names), _BETWEEN)

        parts = []
        with counting(f"reading {self.file.name}") as counter:
            for batch in batches(self.file, _COLUMNS, self.rejected):
                heads, tails = (
                    self.ends.numbers(joined(batch, *(f"{end}_{name}" for name in _ENDS))) for end in "xy"
                )  # fmt: skip
                relations = self.relations.numbers(joined(batch, "relation", "display_relation"))
                good = (heads >= 0) & (tails >= 0) & (relations >= 0)
                if not good.all():
                    row = batch.slice(int(good.argmin()), 1).to_pylist()[0]
                    where = f"{self.file.name}: {row['x_id']!r} {row['relation']} {row['y_id']!r}"
                    reason = "edge without a relation, or with an end without id, type, name or source"
                    self.rejected.add_many(reason, int((~good).sum()), [where])
                parts.append(np.stack([heads, relations, tails])[:, good])
                counter.advance(len(batch))
        self.edges = self._once(np.concatenate([self.edges, *parts], axis=1))

    def _once(self, edges: np.ndarray) -> np.ndarray:
        """Edges without those that turn an earlier one round. A repeated edge stays: the store counts it."""
        heads, relations, tails = edges.astype(np.int64)
        width = max(1, len(self.ends.made))
        either = np.stack([np.minimum(heads, tails), np.maximum(heads, tails)])
        keys = (relations * width + either[0]) * width + either[1]
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        mirrored = heads != heads[first[group]]
        if mirrored.any():
            at = int(mirrored.argmax())
            where = f"{self.ends.made[heads[at]]} {self.relations.made[relations[at]]} {self.ends.made[tails[at]]}"
            self.rejected.add_many("mirrored edge", int(mirrored.sum()), [where])
        return edges[:, ~mirrored]


def _relation(text: str) -> str | None:
    relation, _, display = ("_".join(part.split()) for part in text.partition(_BETWEEN))
    return f"{relation}:{display}" if relation and display and relation != display else relation or display or None
