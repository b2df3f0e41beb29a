"""Corrupted triples for TransR: which side is replaced, by what, and whether triples share their negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import TransrConfig

Array = np.ndarray[Any, Any]
FEWEST = 32  # shared negatives per side of a relation, however few triples of it a batch has


@dataclass(frozen=True)
class Own:
    """Negatives of each triple alone. entities: (batch, negatives). at_head: likewise, True = the head is replaced."""

    entities: Tensor
    at_head: Tensor

    def to(self, device: str) -> Own:
        """The same on another device."""
        return Own(self.entities.to(device), self.at_head.to(device))


@dataclass(frozen=True)
class Shared:
    """Negatives that all triples of a relation have in common, in the order of the relations of the batch, ascending.

    heads: entities put at the head, one tensor for each relation. tails: likewise.
    """

    heads: list[Tensor]
    tails: list[Tensor]

    def to(self, device: str) -> Shared:
        """The same on another device."""
        return Shared([some.to(device) for some in self.heads], [some.to(device) for some in self.tails])


class Corruptor:
    """Draws negatives as `config` says.

    corruption `bernoulli` (Wang et al. 2014, AAAI): with tph tails per head and hpt heads per tail of a relation, the
    head is replaced with probability tph / (tph + hpt), the side on which a random entity is less likely to be right;
    `uniform`: either with a half. With `shared` negatives both sides of every triple are replaced, and corruption says
    nothing. typed_share: so many entities are drawn among those that training has on that side of
    the relation (Krompass et al. 2015, type constraints of a closed world), the others among all.
    """

    def __init__(self, triples: Array, entities: int, relations: int, config: TransrConfig) -> None:
        self.entities, self.config = entities, config
        self.head_share = np.full(relations, 0.5)
        pools: list[Array] = []
        order = np.argsort(triples[:, 1], kind="stable")
        borders = np.searchsorted(triples[order, 1], np.arange(relations + 1))
        for relation in range(relations):
            of_relation = triples[order[borders[relation] : borders[relation + 1]]]
            heads, tails = np.unique(of_relation[:, 0]), np.unique(of_relation[:, 2])
            pools += [heads, tails]
            if config.corruption == "bernoulli" and len(of_relation):
                tails_per_head, heads_per_tail = len(of_relation) / len(heads), len(of_relation) / len(tails)
                self.head_share[relation] = tails_per_head / (tails_per_head + heads_per_tail)
        self._pool = np.concatenate([*pools, np.zeros(0, np.int64)]).astype(np.int64)
        self._sizes = np.array([len(pool) for pool in pools], np.int64).reshape(-1, 2)
        self._starts = (np.cumsum(self._sizes) - self._sizes.ravel()).reshape(-1, 2)

    def draw(self, triples: Array, rng: np.random.Generator) -> Own | Shared:
        """Negatives of a batch of triples (batch, 3), as `TransR.step` takes them."""
        count = self.config.negatives
        if not self.config.shared:
            shape = (len(triples), count)
            at_head = rng.random(shape) < self.head_share[triples[:, 1]][:, None]
            relation = np.broadcast_to(triples[:, 1][:, None], shape)
            drawn = self._draw(relation, np.where(at_head, 0, 1), rng)
            return Own(torch.from_numpy(drawn), torch.from_numpy(at_head))
        touched, sizes = np.unique(triples[:, 1], return_counts=True)
        found: list[list[Tensor]] = [[], []]
        for relation, size in zip(touched.tolist(), sizes.tolist(), strict=True):
            number = min(count, max(FEWEST, size))
            for side in (0, 1):
                entities = self._draw(np.full(number, relation), np.full(number, side), rng)
                found[side].append(torch.from_numpy(entities))
        return Shared(*found)

    def _draw(self, relation: Array, side: Array, rng: np.random.Generator) -> Array:
        """Entities for sides (0 = head, 1 = tail) of relations; both arrays and the result are of one shape."""
        entities: Array = np.asarray(rng.integers(0, self.entities, size=relation.shape))
        if self.config.typed_share:
            sizes = self._sizes[relation, side]
            typed = (rng.random(relation.shape) < self.config.typed_share) & (sizes > 0)
            place = self._starts[relation, side] + (rng.random(relation.shape) * sizes).astype(np.int64)
            entities[typed] = self._pool[place[typed]]
        return entities
