"""Entities whose text vectors Z are near a mention's text: for mentions that no name of the graph fits."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from kogner.config import FeaturesConfig
from kogner.errors import ConfigError
from kogner.graph.store import GraphStore
from kogner.mapping import from_mapping
from kogner.teacher.bank import Bank

PIECE = 65_536  # rows of the bank that are compared at a time
TOGETHER = 256  # texts that are compared at a time
KEPT = 20_000
NEAREST = 10  # entities that are found for a text


class Vectors:
    """Compares texts with the rows Z of a bank, by the encoder that made them.

    Raises ConfigError for a bank without Z, of another graph, or made by an encoder that cannot be had.
    """

    def __init__(self, bank: Bank, store: GraphStore) -> None:
        from kogner.teacher.features import Pooler

        if "Z" not in bank.parts:
            raise ConfigError(f"{bank.path} has no Z (it was reduced or has other parts): linking compares that")
        if bank.artifact.parents.get("graph") != store.artifact.hash:
            raise ConfigError(f"{bank.path} was made from another graph than {store.path}")
        if len(bank) != len(store) or bank.row(store.ids([len(store) - 1])[0]) != len(store) - 1:
            raise ConfigError(
                f"{bank.path} has {len(bank):,} of the graph's {len(store):,} entities; take the whole bank"
            )
        self.store = store
        self._vectors = bank.vectors[:, slice(*bank.parts["Z"])]
        made = bank.artifact.recipe["teacher"]["features"]
        self._pooler = Pooler.load(from_mapping(FeaturesConfig, made, where=str(bank.path)), "cpu")
        self._queries: dict[str, np.ndarray] = {}
        self._nearest: dict[tuple[str, frozenset[str]], list[tuple[int, float]]] = {}
        self._rows: dict[frozenset[str], np.ndarray] = {}

    def likeness(self, text: str, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Cosine of a text and each of some rows of the store: (rows,) float32."""
        found: np.ndarray = self.rows(rows) @ self._query(text)
        return found

    def rows(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Z of some rows of the store: (rows, width) float32."""
        return np.asarray(self._vectors[np.asarray(rows, np.int64)], np.float32)

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Z of some texts: (texts, width) float32."""
        return np.stack([self._query(text) for text in texts])

    def nearest(self, text: str, types: Collection[str]) -> list[tuple[int, float]]:
        """The entities of these types that are nearest to a text, with their cosines, nearest first."""
        key = (text, frozenset(types))
        if key not in self._nearest:
            self.look_up([text], types)
        return self._nearest[key]

    def look_up(self, texts: Collection[str], types: Collection[str]) -> None:
        """Find the nearest entities of many texts at once, which takes little longer than for one."""
        kinds = frozenset(types)
        wanted = [text for text in dict.fromkeys(texts) if (text, kinds) not in self._nearest]
        if kinds not in self._rows:
            codes = [number for number, name in enumerate(self.store.types) if name in kinds]
            self._rows[kinds] = np.flatnonzero(np.isin(self.store.type_codes, codes))
        rows = self._rows[kinds]
        if len(self._nearest) > KEPT:
            self._nearest.clear()
        for start in range(0, len(wanted), TOGETHER):
            block = wanted[start : start + TOGETHER]
            for text, found in zip(block, self._near(block, rows), strict=True):
                self._nearest[text, kinds] = found

    def _near(self, texts: Sequence[str], rows: np.ndarray) -> list[list[tuple[int, float]]]:
        queries = self.queries(texts)
        scores, places = np.zeros((len(texts), 0), np.float32), np.zeros((len(texts), 0), np.int64)
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            found = queries @ np.asarray(self._vectors[piece], np.float32).T
            best = np.argsort(-found, axis=1, kind="stable")[:, :NEAREST]
            scores = np.concatenate([scores, np.take_along_axis(found, best, 1)], axis=1)
            places = np.concatenate([places, piece[best]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]
        return [
            [(int(places[number, at]), float(scores[number, at])) for at in one] for number, one in enumerate(order)
        ]

    def _query(self, text: str) -> np.ndarray:
        if text not in self._queries:
            if len(self._queries) >= KEPT:
                self._queries.clear()
            self._queries[text] = self._pooler.encode([text])[0].astype(np.float32)
        return self._queries[text]
