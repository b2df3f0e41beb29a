"""A knowledge graph on disk: entities as Parquet, triples and both-way adjacency (CSR) as mapped arrays, a lexicon.

Nothing is read when a store is opened; arrays and tries are memory-mapped, text columns are read by row group.
An entity's row is its place in the input. `build` writes a store, `GraphStore.open` reads one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kogner.artifacts import Artifact, check_replaceable, open_artifact, read_manifest, writing
from kogner.errors import InputError
from kogner.graph.arrays import load_array, save_array
from kogner.graph.cycles import cyclic
from kogner.graph.identifiers import Identifiers, is_text, write_identifiers
from kogner.graph.lexicon import Lexicon, write_lexicon
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable, triple_rows
from kogner.progress import counting
from kogner.records import Entity, Triple

# Relations that put one entity under another, in small letters, and whether the head is the lower one. BioMedGraphica's
# have the names of their types; they come from the Disease Ontology and, from parent to child, from HPO.
HIERARCHIES = {
    "is_a": True, "isa": True, "subclass_of": True, "subclassof": True, "broader": True, "disease-disease": True,
    "phenotype-phenotype": False,
}  # fmt: skip
KIND, VERSION = "graph", 1
ENTITIES, VOCABULARY, IDENTIFIERS, LEXICON = "entities.parquet", "vocabulary.json", "identifiers", "lexicon"
# Rows per Parquet row group: a random `entity()` costs one group (0.5 ms here, 1.2 ms at 2,048 rows), and smaller
# groups grow the file (25 MB here, 23 MB at 2,048 rows, both for 604k entities).
GROUP_ROWS = 512
GROUPS_KEPT = 256


class GraphStore:
    """A graph opened for reading.

    len(store): entities. type_codes: (entities,) int16, index into `types`.
    triples: (n_triples, 3) int32 [head row, relation index, tail row], sorted.
    indptr: (entities + 1,) int64, neighbours: (2 * n_triples,) int32, edge_relations: (2 * n_triples,) int16:
    the edges of row r lie at indptr[r]:indptr[r + 1]; each triple is seen from both ends, and its relation index is
    raised by len(relations) where it is walked from tail to head. All arrays are memory-mapped and read-only.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact, self.path = artifact, artifact.path
        vocabulary = json.loads((self.path / VOCABULARY).read_text(encoding="utf-8"))
        self.types: tuple[str, ...] = tuple(vocabulary["types"])
        self.relations: tuple[str, ...] = tuple(vocabulary["relations"])
        self.type_codes = load_array(self.path / "type_codes.npy")
        self.triples = load_array(self.path / "triples.npy")
        self.indptr = load_array(self.path / "indptr.npy")
        self.neighbours = load_array(self.path / "neighbours.npy")
        self.edge_relations = load_array(self.path / "edge_relations.npy")
        self._group = lru_cache(maxsize=GROUPS_KEPT)(self._read_group)

    @classmethod
    def open(cls, path: str | Path) -> GraphStore:
        """Open a store that `build` wrote. Raises ArtifactError where `path` is not a whole graph of this version."""
        return cls(open_artifact(path, kind=KIND, version=VERSION))

    def __len__(self) -> int:
        return len(self.type_codes)

    @property
    def n_triples(self) -> int:
        """Number of triples."""
        return len(self.triples)

    @cached_property
    def lexicon(self) -> Lexicon:
        """Names and synonyms to rows."""
        return Lexicon(self.path / LEXICON, types=self.types, type_codes=self.type_codes)

    @cached_property
    def _identifiers(self) -> Identifiers:
        return Identifiers(self.path / IDENTIFIERS)

    def resolve(self, identifier: str) -> tuple[int, ...]:
        """Rows an identifier means: the entity whose own id it is, else all that have it as an xref; () if none."""
        return self._identifiers.resolve(identifier)

    def has_vocabulary(self, prefix: str) -> bool:
        """Whether an entity has an id or xref `PREFIX:...`; as it is written, or in capitals or small letters."""
        return any(self._identifiers.any_begins(f"{one}:") for one in (prefix, prefix.upper(), prefix.lower()))

    def ids(self, rows: Iterable[int] | np.ndarray) -> list[str]:
        """Entity ids of `rows`, in their order."""
        return self._identifiers.ids(rows)

    def all_ids(self) -> list[str]:
        """Ids of all entities, in row order."""
        return self._identifiers.ids()

    def entity(self, row: int) -> Entity:
        """The whole record of one row. Raises IndexError outside 0 <= row < len(store)."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a graph with {len(self)} entities")
        fields = self._group(row // GROUP_ROWS).slice(row % GROUP_ROWS, 1).to_pylist()[0]
        return Entity(
            fields["id"],
            fields["type"],
            fields["name"],
            tuple(fields["synonyms"]),
            tuple(fields["xrefs"]),
            fields["description"],
        )

    def hierarchy(self, also: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the lower and of the upper entity of every edge of a hierarchy, sorted by the lower one: both (n,).

        also: further relations, in small letters, that lead from the lower entity to the upper.
        """
        triples, plain = np.asarray(self.triples), [name.lower() for name in self.relations]
        ups = [code for code, name in enumerate(plain) if HIERARCHIES.get(name, name in also)]
        downs = [code for code, name in enumerate(plain) if not HIERARCHIES.get(name, True)]
        upwards, downwards = (triples[np.isin(triples[:, 1], codes)] for codes in (ups, downs))
        lower, upper = (np.concatenate([upwards[:, one], downwards[:, other]]) for one, other in ((0, 2), (2, 0)))
        order = np.argsort(lower, kind="stable")
        return lower[order], upper[order]

    def texts(self, rows: Iterable[int] | np.ndarray | None = None) -> list[tuple[str, str]]:
        """(name, description) of `rows`, in their order; of all rows when None."""
        wanted = None if rows is None else np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), np.int64)
        if wanted is not None and len(wanted) == 0:
            return []
        groups = None if wanted is None else np.unique(wanted // GROUP_ROWS)
        columns = ["name", "description"]
        if groups is None:
            table = self._parquet.read(columns=columns)
        else:
            table = self._parquet.read_row_groups(groups.tolist(), columns=columns)
            assert wanted is not None
            table = table.take(np.searchsorted(groups, wanted // GROUP_ROWS) * GROUP_ROWS + wanted % GROUP_ROWS)
        return list(zip(table["name"].to_pylist(), table["description"].to_pylist(), strict=True))

    @cached_property
    def _parquet(self) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(self.path / ENTITIES, memory_map=True)

    def _read_group(self, group: int) -> Any:
        return self._parquet.read_row_group(group, use_threads=False)


def build(
    entities: Iterable[Entity],
    triples: Iterable[Triple | TripleTable],
    out: str | Path,
    *,
    rejected: Rejections | None = None,
    source: Mapping[str, Any] | None = None,
    paths: Sequence[Path] = (),
    report: Callable[[Path], None] | None = None,
) -> Artifact:
    """Write a graph store to `out`; the same input gives the same hash.

    A triple's end may be an entity's id or an xref of exactly one entity. Left out and counted in `rejected`: entities
    with an id seen before or with characters that are no text, triples with an unknown or ambiguous end, repeated
    triples. Self-loops are kept and counted (`metrics["self_loops"]`). source: where the input came from, kept in the
    manifest. paths: of what is read, for the error about a graph without entities. report: writes a file of its own
    into the store's folder, after all else was read.
    Raises InputError for a graph without entities or with more than 32,767 types or 16,383 relations, and ArtifactError
    where `out` holds something else than a graph.
    """
    out = Path(out)
    rejected = Rejections() if rejected is None else rejected
    check_replaceable(out, kind=KIND)
    metrics: dict[str, Any] = {}
    with writing(out, kind=KIND, version=VERSION, recipe=source, metrics=metrics) as folder:
        columns = _Columns.collect(entities, rejected, paths)
        rows, relations = triple_rows(triples, columns.rows, columns.xref_rows(), rejected)
        _check_count("relations", len(relations), np.iinfo(np.int16).max // 2)
        self_loops = int((rows[:, 0] == rows[:, 2]).sum())
        _remark_circles(rows, relations, list(columns.rows), rejected)
        degrees = np.bincount(rows[:, 0], minlength=len(columns)) + np.bincount(rows[:, 2], minlength=len(columns))
        types = _write_entities(folder, columns)
        _write_edges(folder, rows, degrees, n_relations=len(relations))
        vocabulary = {"types": types, "relations": relations}
        (folder / VOCABULARY).write_text(json.dumps(vocabulary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        write_identifiers(folder / IDENTIFIERS, own=columns.rows, xrefs=columns.xref_rows())
        ranks = np.empty(len(columns), np.int32)
        ranks[np.argsort(np.array(list(columns.rows), dtype=object), kind="stable")] = np.arange(len(columns))
        write_lexicon(folder / LEXICON, names=columns.names, synonyms=columns.synonyms, degrees=degrees, ranks=ranks)
        if report is not None:
            report(folder)
        metrics.update(
            entities=len(columns), triples=len(rows), self_loops=self_loops, rejected=rejected.as_dict()
        )  # fmt: skip
    return read_manifest(out)


class _Columns:
    """Entities as columns; `rows` maps an id to its row."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.types: list[str] = []
        self.names: list[str] = []
        self.synonyms: list[tuple[str, ...]] = []
        self.xrefs: list[tuple[str, ...]] = []
        self.descriptions: list[str] = []

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def collect(cls, entities: Iterable[Entity], rejected: Rejections, paths: Sequence[Path]) -> _Columns:
        columns = cls()
        for entity in entities:
            if entity.id in columns.rows:
                rejected.add("duplicate id", entity.id)
                continue
            if not is_text("\n".join((entity.id, entity.name, entity.description, *entity.synonyms, *entity.xrefs))):
                rejected.add("entity with a character that is no text (NUL or half a surrogate pair)", repr(entity.id))
                continue
            columns.rows[entity.id] = len(columns.rows)
            columns.types.append(entity.type)
            columns.names.append(entity.name)
            columns.synonyms.append(entity.synonyms)
            columns.xrefs.append(entity.xrefs)
            columns.descriptions.append(entity.description)
        if not columns.rows:
            where = f" from {', '.join(map(str, paths))}" if paths else ""
            raise InputError(f"a graph needs at least one entity, and none was read{where}{_reasons(rejected)}")
        return columns

    def xref_rows(self) -> dict[str, list[int]]:
        """Xref -> rows that have it, without those that are some entity's own id."""
        found: dict[str, list[int]] = {}
        for row, xrefs in enumerate(self.xrefs):
            for xref in dict.fromkeys(xrefs):
                if xref not in self.rows:
                    found.setdefault(xref, []).append(row)
        return found


def upward_codes(relations: Sequence[str]) -> np.ndarray:
    """What `edge_relations` has for the edges from an entity to the one above it."""
    found = [(code, HIERARCHIES[name.lower()]) for code, name in enumerate(relations) if name.lower() in HIERARCHIES]
    return np.array([code if up else code + len(relations) for code, up in found], np.int64)


def _remark_circles(rows: np.ndarray, relations: Sequence[str], ids: Sequence[str], rejected: Rejections) -> None:
    """Say which entities lie above themselves in a hierarchy, whatever source or merging made the circle."""
    for code, name in enumerate(relations):
        if name.lower() not in HIERARCHIES:
            continue
        pairs: list[list[int]] = rows[rows[:, 1] == code][:, [0, 2]].tolist()
        circle = sorted(cyclic((head, tail) for head, tail in pairs))
        if circle:
            shown = ", ".join(ids[row] for row in circle[:3])
            rejected.remark(f"entity in a circle of {name}", len(circle), shown)


def _reasons(rejected: Rejections) -> str:
    return f" (left out: {'; '.join(rejected.lines())})" if len(rejected) else ""


def _write_entities(folder: Path, columns: _Columns) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    types = sorted(set(columns.types))
    _check_count("types", len(types), np.iinfo(np.int16).max)
    codes = {name: code for code, name in enumerate(types)}
    type_codes = np.fromiter((codes[name] for name in columns.types), np.int16, len(columns))
    save_array(folder / "type_codes.npy", type_codes)
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    with (
        pyarrow.parquet.ParquetWriter(
            folder / ENTITIES,
            pyarrow.schema(
                {"id": text, "type": text, "name": text, "synonyms": texts, "xrefs": texts, "description": text}
            ),
            compression="zstd",
        ) as writer,
        counting("entities", len(columns)) as counter,
    ):
        ids = list(columns.rows)
        for start in range(0, len(columns), GROUP_ROWS):
            part = slice(start, start + GROUP_ROWS)
            values: tuple[Sequence[Any], ...] = (
                ids,
                columns.types,
                columns.names,
                columns.synonyms,
                columns.xrefs,
                columns.descriptions,
            )
            arrays = [
                pyarrow.array(column[part], type=kind)
                for column, kind in zip(values, writer.schema.types, strict=True)
            ]  # fmt: skip
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=writer.schema))
            counter.advance(len(arrays[0]))
    return types


def _write_edges(folder: Path, rows: np.ndarray, degrees: np.ndarray, *, n_relations: int) -> None:
    """Write the triples and their adjacency; the edges of a row are sorted by relation, then neighbour."""
    heads, relations, tails = rows[:, 0], rows[:, 1], rows[:, 2]
    sources, ends = np.concatenate([heads, tails]), np.concatenate([tails, heads])
    walked = np.concatenate([relations, relations + n_relations])
    order = np.lexsort((ends, walked, sources))
    indptr = np.zeros(len(degrees) + 1, np.int64)
    np.cumsum(degrees, out=indptr[1:])
    save_array(folder / "triples.npy", rows)
    save_array(folder / "indptr.npy", indptr)
    save_array(folder / "neighbours.npy", ends[order])
    save_array(folder / "edge_relations.npy", walked[order].astype(np.int16))


def _check_count(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise InputError(f"the graph has {count:,} {what}; at most {limit:,} can be stored. Are the columns swapped?")
