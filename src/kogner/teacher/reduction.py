"""A bank made narrower by principal components: `kg_hidden` numbers an entity instead of [Z ; Z' ; Z''].

Components are found in each part by itself, so the result has the parts of the bank that it came from: what chooses
parts (`distil.parts`, `kogner teacher near --parts`) works as before, and each part can still be left out. How many
components a part gets is decided by all together: parts are brought to the same total variance, and the `size`
components that explain most of it are kept, at least one a part.

Covariances are exact, float64, from all rows in one pass after the mean; nothing is sampled. An entity that has nothing
in a part (zeros) is not part of its statistics and keeps its zeros, which is the mean of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kogner.errors import ArtifactError, InputError
from kogner.progress import counting
from kogner.teacher.bank import SLICE_OF, Bank, write_bank

Array = np.ndarray[Any, Any]
PROJECTION = "projection.safetensors"
BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class Components:
    """Principal components of a part. mean: (columns,). axes: (columns, columns), a component a row, most variance
    first, its largest entry above zero. variances: (columns,), those of the components. rows: entities that have the
    part.
    """

    mean: Array
    axes: Array
    variances: Array
    rows: int

    @classmethod
    def of(cls, vectors: Array, *, title: str = "PCA") -> Components:
        """Of the rows of an array (rows, columns) that are not zero; float64 throughout."""
        columns = vectors.shape[1]
        total, count = np.zeros(columns), 0
        covariance = np.zeros((columns, columns))
        with counting(f"{title}: rows read", 2 * len(vectors)) as counter:
            for block in _blocks(vectors):
                kept = _present(block)
                total += kept.sum(0)
                count += len(kept)
                counter.advance(len(block))
            mean = total / max(count, 1)
            for block in _blocks(vectors):
                centred = _present(block) - mean
                covariance += centred.T @ centred
                counter.advance(len(block))
        values, axes = np.linalg.eigh(covariance / max(count, 1))
        values, axes = np.maximum(values[::-1], 0), axes.T[::-1].copy()
        signs = np.sign(axes[np.arange(columns), np.abs(axes).argmax(1)])
        return cls(mean, axes * np.where(signs == 0, 1, signs)[:, None], values, count)

    def shares(self) -> Array:
        """The share of the part's variance that each component explains, (columns,); zeros where there is none."""
        return self.variances / max(float(self.variances.sum()), np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Projected:
    """A part's rows on its first components, computed where they are read. Only slices of rows can be read."""

    vectors: Array
    components: Components
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, size)."""
        return len(self.vectors), self.size

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice) -> Array:
        block = np.asarray(self.vectors[rows], np.float64)
        found: Array = (block - self.components.mean) @ self.components.axes[: self.size].T
        found[~block.any(1)] = 0
        return found


def sizes_of(components: dict[str, Components], size: int) -> dict[str, int]:
    """How many components each part gets of `size` in all; see the module."""
    ranked = sorted(
        (
            (-share, order, name)
            for order, (name, found) in enumerate(components.items())
            for share in found.shares()[1:]
        ),
    )
    sizes = dict.fromkeys(components, 1)
    for _, _, name in ranked[: size - len(components)]:
        sizes[name] += 1
    return sizes


def reduce_bank(bank: Bank, out: Path, *, size: int, parts: Sequence[str] | None = None) -> Bank:
    """Write a bank with `size` columns in all. parts: those that it is to have, None = all.

    Beside the vectors lies what made them, `projection.safetensors`: of each part its `mean`, `axes` (size, columns)
    and `variances`, float64. The same bank gives the same hash.
    Raises InputError for an unknown part and where `size` is below the number of parts or above that of their columns.
    """
    from safetensors.numpy import save_file

    ranges = bank.ranges(tuple(bank.parts) if parts is None else parts)
    width = sum(stop - start for start, stop in ranges.values())
    if not len(ranges) <= size <= width:
        raise InputError(
            f"size {size} must be {len(ranges)} to {width}: at least 1 a part, at most the columns of "
            f"{', '.join(ranges)}",
            path=bank.path,
        )
    if out.exists() and out.resolve() == bank.path.resolve():
        raise ArtifactError(f"{out} is the bank that is being reduced; give another folder")
    columns = {name: bank.vectors[:, slice(*place)] for name, place in ranges.items()}
    components = {name: Components.of(vectors, title=f"PCA of {name}") for name, vectors in columns.items()}
    empty = [name for name, found in components.items() if not found.variances.any()]
    if empty:
        raise InputError(f"{', '.join(empty)} does not vary, so it has no components; leave it out", path=bank.path)
    sizes = sizes_of(components, size)
    figures: dict[str, Any] = {
        name: {
            "columns": vectors.shape[1],
            "size": sizes[name],
            "explained": round(float(components[name].shares()[: sizes[name]].sum()), 4),
            "entities": components[name].rows,
        }
        for name, vectors in columns.items()
    }
    stored = {
        f"{name}.{kind}": np.ascontiguousarray(array)
        for name, found in components.items()
        for kind, array in (
            ("mean", found.mean),
            ("axes", found.axes[: sizes[name]]),
            ("variances", found.variances),
        )
    }
    kept = {name: parent for name, parent in bank.artifact.parents.items() if name != SLICE_OF}
    write_bank(
        out,
        bank.ids,
        {name: Projected(vectors, components[name], sizes[name]) for name, vectors in columns.items()},
        keys={},  # not what `kogner teacher build` would make, so it must not take them for that
        parents={**kept, "bank": bank.artifact.hash},
        recipe={**bank.artifact.recipe, "reduced": {"size": size, "parts": list(ranges)}},
        metrics={**bank.artifact.metrics, "reduced": figures},
        also=lambda folder: save_file(stored, folder / PROJECTION),
    )
    return Bank.open(out)


def _blocks(vectors: Array) -> list[Array]:
    return [vectors[start : start + BLOCK_ROWS] for start in range(0, len(vectors), BLOCK_ROWS)]


def _present(block: Array) -> Array:
    """The rows that are not all zero, float64."""
    return np.asarray(block[np.asarray(block).any(1)], np.float64)
