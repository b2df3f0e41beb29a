"""Entities of a bank as points of a plane: a seeded sample, its parts brought to unit length, then PCA or UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner.errors import InputError, MissingExtraError
from kogner.progress import note
from kogner.teacher.nearest import SHORTEST
from kogner.teacher.query import check_graph, graph_rows
from kogner.teacher.reduction import Components

if TYPE_CHECKING:
    from kogner.graph.store import GraphStore
    from kogner.teacher.bank import Bank

Array = np.ndarray[Any, Any]
UMAP_INPUT = 50  # components that UMAP is given; it then takes a third of the time
NOWHERE = "not in the graph"


@dataclass(frozen=True)
class Points:
    """What is drawn.

    xy: (points, 2) float64. types: (points,) indices into type_names, which stand by number of points, most first.
    ids, names: of each point. axes: what the two axes are. of: entities of the bank. lacking: entities of the sample
    that are not drawn, by the part that they have nothing in.
    """

    xy: Array
    types: Array
    type_names: tuple[str, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    axes: tuple[str, str]
    parts: tuple[str, ...]
    method: str
    of: int
    lacking: dict[str, int]

    def counts(self) -> list[int]:
        """Points of each type."""
        return np.bincount(self.types, minlength=len(self.type_names)).tolist()


def lay_out(
    bank: Bank,
    store: GraphStore,
    *,
    parts: Sequence[str] | None = None,
    method: str = "pca",
    sample: int = 20_000,
    seed: int = 0,
) -> Points:
    """Points of `sample` entities drawn at random, or of all. parts: None = all.

    Entities that lack one of the parts are not drawn and are counted. Raises InputError for an unknown part and where
    fewer than three entities are left, MissingExtraError for UMAP where it is not installed.
    """
    check_graph(bank, store)
    ranges = bank.ranges(tuple(bank.parts) if parts is None else parts)
    reducer = _umap(seed) if method == "umap" else None
    rows = np.sort(np.random.default_rng(seed).permutation(len(bank))[:sample])
    found = bank.vectors[rows]
    kept = np.ones(len(rows), dtype=bool)
    units, lacking = [], {}
    for name, columns in ranges.items():
        part = np.asarray(found[:, slice(*columns)], np.float64)
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        has = lengths[:, 0] >= SHORTEST
        kept &= has
        units.append(part / np.where(lengths < SHORTEST, 1, lengths) / len(ranges) ** 0.5)
        if not has.all():
            lacking[name] = int((~has).sum())
            note(f"{lacking[name]:,} of {len(rows):,} entities have nothing in {name} and are not drawn")
    rows = rows[kept]
    if len(rows) < 3:
        raise InputError(
            f"only {len(rows)} entities have all of {', '.join(ranges)}; choose other parts", path=bank.path
        )
    xy, axes = _plane(np.concatenate(units, axis=1)[kept], reducer)
    codes, type_names, names = _described(bank, store, rows)
    return Points(
        xy=xy,
        types=codes,
        type_names=type_names,
        ids=tuple(bank.ids[row] for row in rows.tolist()),
        names=names,
        axes=axes,
        parts=tuple(ranges),
        method=method,
        of=len(bank),
        lacking=lacking,
    )


def _plane(vectors: Array, reducer: Any) -> tuple[Array, tuple[str, str]]:
    if vectors.shape[1] < 2:
        raise InputError("a plot needs two columns or more, the chosen parts have one; name more with --parts")
    components = Components.of(vectors)
    centred = vectors - components.mean
    if reducer is None:
        shares = components.shares()
        names = [f"component {number + 1} ({shares[number]:.0%} of the variance)" for number in range(2)]
        return centred @ components.axes[:2].T, (names[0], names[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed costs its parallelism, and of the packages below it
        laid = reducer.fit_transform(centred @ components.axes[:UMAP_INPUT].T)
    return np.asarray(laid, np.float64), ("UMAP 1", "UMAP 2")


def _umap(seed: int) -> Any:
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError("UMAP", "plot") from error
    return umap.UMAP(random_state=seed, n_jobs=1)


def _described(bank: Bank, store: GraphStore, rows: Array) -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
    """Of bank rows: type numbers, the names that they stand for, most points first, and the entities' names."""
    places = graph_rows(bank, store)[rows]
    known = places >= 0
    types = np.where(known, np.asarray(store.type_codes)[np.maximum(places, 0)], len(store.types))
    numbers, counts = np.unique(types, return_counts=True)
    order = numbers[np.argsort(-counts, kind="stable")]
    codes = np.empty(len(store.types) + 1, np.int64)
    codes[order] = np.arange(len(order))
    texts = iter(store.texts(places[known]))
    names = tuple(next(texts)[0] if one else "" for one in known.tolist())
    return codes[types], tuple((*store.types, NOWHERE)[number] for number in order.tolist()), names
