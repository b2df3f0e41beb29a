"""The bank: the teacher's vector H_e = [Z_e ; Z'_e ; Z''_e] of every entity, float16, memory-mapped.

Training reads only a bank: no graph, no encoder, no pyarrow. A slice is a bank of some entities, small enough to ship.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kogner.artifacts import Artifact, open_artifact, write_atomic, writing
from kogner.config import PARTS
from kogner.errors import ArtifactError, InputError, ShapeError

if TYPE_CHECKING:
    from kogner.teacher.nearest import Neighbours

Array = np.ndarray[Any, Any]
KIND, VERSION = "bank", 1
SLICE_OF = "slice_of"  # among the parents of a slice
VECTORS, IDS, PARTS_FILE = "vectors.npy", "ids.txt", "parts.json"
_COPY_ROWS = 65_536


def origin(bank: Artifact) -> str:
    """Hash of the bank that the rows come from unchanged: of the whole for a slice, else its own."""
    return str(bank.parents.get(SLICE_OF, bank.hash))


class Rows(Protocol):
    """A part that is to be written: an array (entities, width), or what computes slices of its rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> Array: ...


@dataclass(frozen=True)
class Bank:
    """An open bank. parts: column range [start, stop) of each part. vectors: (entities, width) float16, memory-mapped.

    keys: for each part the hash of what it was made from, empty in a slice.
    """

    path: Path
    artifact: Artifact
    parts: dict[str, tuple[int, int]]
    vectors: Array
    ids: tuple[str, ...]
    keys: dict[str, str]

    @classmethod
    def open(cls, path: str | Path) -> Bank:
        """Open a bank. Raises ArtifactError where it is not one, or its files do not belong together."""
        path = Path(path)
        artifact = open_artifact(path, kind=KIND, version=VERSION)
        vectors: Array = np.load(path / VECTORS, mmap_mode="r", allow_pickle=False)
        ids = tuple((path / IDS).read_text(encoding="utf-8").split("\n")[:-1])
        described = json.loads((path / PARTS_FILE).read_text(encoding="utf-8"))
        parts = {name: (int(entry["start"]), int(entry["stop"])) for name, entry in described.items()}
        width = max((stop for _, stop in parts.values()), default=0)
        if vectors.shape != (len(ids), width):
            raise ArtifactError(
                f"{path} holds {len(ids)} ids and parts of {width} columns but vectors of shape {vectors.shape}; "
                "make it again"
            )
        keys = {name: entry["key"] for name, entry in described.items() if entry.get("key")}
        return cls(path, artifact, parts, vectors, ids, keys)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {entity_id: row for row, entity_id in enumerate(self.ids)}

    def row(self, entity_id: str) -> int | None:
        """The row of an entity, None where the bank does not hold it."""
        return self._rows.get(entity_id)

    def take(self, entity_ids: Sequence[str], parts: Sequence[str] = PARTS) -> Array:
        """Vectors of entities, (len(entity_ids), width of the parts) float32, parts side by side in the order given.

        Raises InputError naming unknown ids or parts.
        """
        return self._side_by_side(self._find(entity_ids), self.ranges(parts))

    def slice(self, entity_ids: Sequence[str], out: Path) -> None:
        """Write a bank of only these entities, each once, in the order given. Raises InputError naming unknown ids."""
        distinct = tuple(dict.fromkeys(entity_ids))
        rows = self._find(distinct)
        out = Path(out)
        if out.exists() and self.path.exists() and out.resolve() == self.path.resolve():
            raise ArtifactError(f"{out} is the bank that is being sliced; give another folder")
        recipe, metrics = self.artifact.recipe, dict(self.artifact.metrics)
        parents = {**self.artifact.parents, "bank": self.artifact.hash, SLICE_OF: origin(self.artifact)}
        with writing(out, kind=KIND, version=VERSION, recipe=recipe, parents=parents, metrics=metrics) as folder:
            np.save(folder / VECTORS, self.vectors[rows], allow_pickle=False)
            _write_names(folder, distinct, self.parts, {})

    def near(
        self,
        query: int | Array,
        *,
        parts: Sequence[str] | None = None,
        limit: int = 10,
        among: Array | None = None,
        device: str = "cpu",
    ) -> Neighbours:
        """The nearest entities by cosine, each part counting the same; see `kogner.teacher.nearest`. Needs torch.

        query: a row, or rows (queries,) of integers, none of which finds itself; or vectors (queries, width of the
        parts), or one of them, as `take` gives them. parts: all where None. among: rows to choose from, each once.
        Raises InputError naming unknown parts and a query that lacks one of the parts, ShapeError for vectors of
        another width.
        """
        from kogner.teacher.nearest import nearest

        ranges = self.ranges(tuple(self.parts) if parts is None else parts)
        wanted = np.atleast_1d(np.asarray(query))
        own = None
        if wanted.dtype.kind in "iu" and wanted.ndim == 1:
            own = wanted.astype(np.int64)
            outside = [row for row in own.tolist() if not 0 <= row < len(self)]
            if outside:
                raise InputError(f"has {len(self)} rows, so none numbered {outside[:5]}", path=self.path)
            wanted = self._side_by_side(own, ranges)
        vectors = np.atleast_2d(np.asarray(wanted, np.float32))
        width = sum(stop - start for start, stop in ranges.values())
        if vectors.ndim != 2 or vectors.shape[1] != width:
            raise ShapeError(
                f"{self.path}: queries of shape {vectors.shape}, but {', '.join(ranges)} have {width} columns"
            )
        self._check_queries(vectors, ranges)
        return nearest(self.vectors, ranges, vectors, limit=limit, among=among, left_out=own, device=device)

    def lacking(self, row: int) -> list[str]:
        """The parts of which an entity has nothing, such as Z'' where it is in no triple."""
        from kogner.teacher.nearest import SHORTEST

        found = np.asarray(self.vectors[row], np.float32)
        return [name for name, columns in self.parts.items() if np.linalg.norm(found[slice(*columns)]) < SHORTEST]

    def _check_queries(self, vectors: Array, ranges: Mapping[str, tuple[int, int]]) -> None:
        from kogner.teacher.nearest import SHORTEST

        place = 0
        for name, (start, stop) in ranges.items():
            lengths = np.linalg.norm(vectors[:, place : place + stop - start], axis=1)
            place += stop - start
            if not (lengths >= SHORTEST).all():  # not: NaN is no length either
                number = int(np.flatnonzero(~(lengths >= SHORTEST))[0])
                raise InputError(f"query {number} has nothing in {name}; compare by other parts", path=self.path)

    def ranges(self, parts: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Column range of each of some parts, in their order. Raises InputError for unknown parts, and for none."""
        missing = [part for part in parts if part not in self.parts]
        if missing or not parts:
            raise InputError(f"has the parts {', '.join(self.parts)}, not {missing or 'none'}", path=self.path)
        return {part: self.parts[part] for part in parts}

    def _side_by_side(self, rows: Array, ranges: Mapping[str, tuple[int, int]]) -> Array:
        columns = np.concatenate([np.arange(*columns) for columns in ranges.values()])
        return np.asarray(self.vectors[rows][:, columns], dtype=np.float32)

    def _find(self, entity_ids: Sequence[str]) -> Array:
        rows = [self._rows.get(entity_id) for entity_id in entity_ids]
        unknown = [entity_id for entity_id, row in zip(entity_ids, rows, strict=True) if row is None]
        if unknown:
            shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
            raise InputError(f"{len(unknown)} of {len(rows)} ids are not in the bank: {shown}", path=self.path)
        return np.array(rows, dtype=np.int64)


def write_bank(
    out: Path,
    ids: Sequence[str],
    parts: Mapping[str, Rows],
    *,
    keys: Mapping[str, str],
    parents: Mapping[str, str],
    recipe: Mapping[str, Any],
    metrics: dict[str, Any],
    also: Callable[[Path], None] | None = None,
) -> None:
    """Put the parts side by side into a bank at `out`. parts: (entities, width) each, cast to float16.

    also: writes further files into the folder that it is given.
    Raises ArtifactError where a part has another number of rows than there are ids.
    """
    for name, vectors in parts.items():
        if len(vectors) != len(ids):
            raise ArtifactError(f"part {name} has {len(vectors)} rows for {len(ids)} entities")
    stops = np.cumsum([vectors.shape[1] for vectors in parts.values()]).tolist()
    ranges = {name: (stop - vectors.shape[1], stop) for (name, vectors), stop in zip(parts.items(), stops, strict=True)}
    with writing(out, kind=KIND, version=VERSION, parents=parents, recipe=recipe, metrics=metrics) as folder:
        whole = np.lib.format.open_memmap(folder / VECTORS, "w+", dtype=np.float16, shape=(len(ids), stops[-1]))
        for name, vectors in parts.items():
            for start in range(0, len(ids), _COPY_ROWS):
                whole[start : start + _COPY_ROWS, slice(*ranges[name])] = vectors[start : start + _COPY_ROWS]
        whole.flush()
        del whole
        _write_names(folder, ids, ranges, keys)
        if also is not None:
            also(folder)


def summary(bank: Bank) -> dict[str, Any]:
    """What a program wants to know of a bank: size, parts, metrics, minutes."""
    metrics = bank.artifact.metrics
    trained = {name: {k: v for k, v in metrics.get(name, {}).items() if k != "minutes"} for name in ("unimp", "transr")}
    return {
        "entities": len(bank),
        "width": int(bank.vectors.shape[1]),
        "parts": {name: list(columns) for name, columns in bank.parts.items()},
        **trained,
        **({"reduced": metrics["reduced"]} if "reduced" in metrics else {}),
        "minutes": {name: metrics.get(name, {}).get("minutes") for name in ("features", "unimp", "transr")},
        "graph": bank.artifact.parents.get("graph"),
        "hash": bank.artifact.hash,
    }


def _write_names(
    folder: Path, ids: Sequence[str], ranges: Mapping[str, tuple[int, int]], keys: Mapping[str, str]
) -> None:
    write_atomic(folder / IDS, "".join(f"{entity_id}\n" for entity_id in ids))
    described = {
        name: {"start": start, "stop": stop, "key": keys.get(name, "")} for name, (start, stop) in ranges.items()
    }
    write_atomic(folder / PARTS_FILE, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
