"""What a training step of the Graph Transformer reads: seeds, their sampled neighbourhood, features, told labels.

Everything comes from (seed, purpose, step), so that any thread can make any step's batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import UnimpConfig
from kogner.graph.neighbours import Adjacency, Block, NeighbourSampler
from kogner.teacher.randomness import Epochs, generator
from kogner.teacher.unimp import host_rows

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """features: (nodes, width), seeds first, see `host_rows`. labels: (seeds,). given: (nodes,) told types, or None."""

    features: Tensor
    blocks: tuple[Block, ...]
    labels: Tensor
    given: Tensor | None


class Batches:
    """Makes batches by the number of their step. One per thread: it holds a sampler, and the order of an epoch.

    features: (entities, width). labels: (entities,). train: rows that may be seeds, and whose labels may be told.
    """

    def __init__(
        self,
        features: Array,
        adjacency: Adjacency,
        labels: Array,
        train: Array,
        types: int,
        config: UnimpConfig,
        *,
        device: str = "cpu",
    ) -> None:
        self._features, self._labels, self._config, self._device = features, labels, config, device
        self._sampler = NeighbourSampler(adjacency, config.fanouts)
        self._seeds = Seeds(train, labels, config)
        self._tellable = known_labels(labels, train, types) if config.label_share else None
        self._untold = types

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        seeds = self._seeds.batch(step)
        sample = self._sampler.sample(seeds, generator(self._config.seed, "neighbours", step))
        given = None
        if self._tellable is not None:
            given = torch.from_numpy(self._tell(self._tellable[sample.rows], len(seeds), step))
        return Batch(
            host_rows(self._features[sample.rows], self._device),
            sample.blocks,
            torch.from_numpy(self._labels[seeds].astype(np.int64)),
            given,
        )

    def _tell(self, known: Array, seeds: int, step: int) -> Array:
        """A share of the known labels, of no seed: those are asked for."""
        hidden = generator(self._config.seed, "labels", step).random(len(known)) >= self._config.label_share
        hidden[:seeds] = True
        return np.where(hidden, self._untold, known)


class Seeds:
    """The training nodes whose types a step predicts, distinct."""

    def __init__(self, train: Array, labels: Array, config: UnimpConfig) -> None:
        self._train, self._config = train, config
        self._epochs = Epochs(len(train), config.batch_size, config.seed)
        self._groups: list[Array] = []
        if config.seed_balance:
            of_train = np.asarray(labels)[train]
            self._groups = [train[of_train == code] for code in np.unique(of_train)]
            weights = np.array([len(group) for group in self._groups]) ** (1 - config.seed_balance)
            self._shares = weights / weights.sum()

    def batch(self, step: int) -> Array:
        """Rows of the graph, (batch_size,) or less: of a type at most all its nodes, of an epoch's end what is left."""
        if not self._groups:
            return self._train[self._epochs.batch(step)]
        rng = generator(self._config.seed, "seeds", step)
        counts = rng.multinomial(self._config.batch_size, self._shares)
        drawn = [
            group[rng.choice(len(group), min(count, len(group)), replace=False)]
            for group, count in zip(self._groups, counts, strict=True)
        ]
        return np.concatenate(drawn)


def known_labels(labels: Array, rows: Array, types: int) -> Array:
    """Labels of `rows` alone, (entities,) int64; `types`, which says nothing, for all others."""
    known = np.full(len(labels), types, dtype=np.int64)
    known[rows] = labels[rows]
    return known
