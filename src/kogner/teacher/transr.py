"""Z'': TransR (Lin et al. 2015, AAAI, "Learning Entity and Relation Embeddings for Knowledge Graph Completion").

Distance of a triple: d(h, r, t) = ||h M_r + r - t M_r||_p; margin ranking loss over corrupted triples (equation 8).
Gradients are written out: a batch is sorted by relation, each relation's rows go through one matmul, rows of satisfied
pairs are left out of the way back, and only touched entities are updated (row-wise Adagrad). Of the paper's norm
constraints those on h, t and r are kept; the one on h M_r is left out, as a projected entity is never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import TransrConfig

Array = np.ndarray[Any, Any]
_EPSILON = 1e-10
# Matrices start at the identity and move slower than vectors: at the full rate the first steps scatter them, and on a
# grid whose held-out triples follow from the others MRR was 0.28 instead of 0.42 (four seeds).
MATRIX_RATE = 0.1


@dataclass
class TransR:
    """The parameters and their Adagrad sums.

    entities: (entities, entity_dim). relations: (relations, relation_dim).
    matrices: (relations, entity_dim, relation_dim). *_sum: mean squared gradients summed over steps, one number per
    entity row, relation row and matrix.
    """

    entities: Tensor
    relations: Tensor
    matrices: Tensor
    entities_sum: Tensor
    relations_sum: Tensor
    matrices_sum: Tensor

    @classmethod
    def start(cls, entities: int, relations: int, config: TransrConfig, device: str = "cpu") -> TransR:
        """Random unit entities and relations, identity matrices, as the paper starts."""
        generator = torch.Generator().manual_seed(config.seed)
        e = torch.nn.functional.normalize(torch.randn(entities, config.entity_dim, generator=generator), dim=1)
        r = torch.nn.functional.normalize(torch.randn(relations, config.relation_dim, generator=generator), dim=1)
        m = torch.eye(config.entity_dim, config.relation_dim).repeat(relations, 1, 1)
        sums = (torch.zeros(entities), torch.zeros(relations), torch.zeros(relations))
        return cls(*(tensor.to(device) for tensor in (e, r, m, *sums)))

    def tensors(self) -> dict[str, Tensor]:
        """All state by name, for a checkpoint; `TransR(**tensors)` is the inverse."""
        return dict(vars(self))

    def distances(self, triples: Tensor, *, norm: int) -> Tensor:
        """d(h, r, t), (triples,). triples: (triples, 3) rows of head, relation, tail. For any autograd, unsorted."""
        head, relation, tail = triples.T
        offset = torch.einsum("nd,ndk->nk", self.entities[head] - self.entities[tail], self.matrices[relation])
        return torch.linalg.vector_norm(offset + self.relations[relation], ord=norm, dim=1)

    def step(self, triples: Tensor, corrupted: Tensor, at_head: Tensor, config: TransrConfig) -> float:
        """One update on a batch; returns its mean margin loss.

        triples: (batch, 3). corrupted: (batch, negatives) entity rows. at_head: (batch, negatives) bool, True where the
        corrupted entity replaces the head. Loss = mean over pairs of max(0, margin + d(positive) - d(negative)).
        """
        loss, gradients = self.gradients(triples, corrupted, at_head, config)
        rows, by_row = sum_by_row(gradients.rows, gradients.values)
        rate = config.learning_rate
        self.entities_sum[rows] += by_row.square().mean(1)
        moved = self.entities[rows] - rate * by_row / (self.entities_sum[rows].sqrt() + _EPSILON).unsqueeze(1)
        self.entities[rows] = _at_most_unit(moved)
        touched = gradients.touched
        self.relations_sum[touched] += gradients.relations.square().mean(1)
        scale = (self.relations_sum[touched].sqrt() + _EPSILON).unsqueeze(1)
        self.relations[touched] = _at_most_unit(self.relations[touched] - rate * gradients.relations / scale)
        self.matrices_sum[touched] += gradients.matrices.square().mean((1, 2))
        scale = (self.matrices_sum[touched].sqrt() + _EPSILON).view(-1, 1, 1)
        self.matrices[touched] -= MATRIX_RATE * rate * gradients.matrices / scale
        return loss

    def gradients(
        self, triples: Tensor, corrupted: Tensor, at_head: Tensor, config: TransrConfig
    ) -> tuple[float, Gradients]:
        """Mean loss of a batch (arguments as in `step`) and its gradients, without autograd."""
        order = torch.argsort(triples[:, 1], stable=True)
        triples, corrupted, at_head = triples[order], corrupted[order], at_head[order]
        touched, sizes = torch.unique_consecutive(triples[:, 1], return_counts=True)
        share = 1.0 / corrupted.numel()
        loss = torch.zeros((), device=triples.device)
        rows: list[Tensor] = []
        values: list[Tensor] = []
        to_relations = torch.zeros(len(touched), self.relations.shape[1], device=triples.device)
        to_matrices = torch.zeros(len(touched), *self.matrices.shape[1:], device=triples.device)
        stop = 0
        for place, (relation, size) in enumerate(zip(touched.tolist(), sizes.tolist(), strict=True)):
            start, stop = stop, stop + size
            matrix, translation = self.matrices[relation], self.relations[relation]
            head, tail = triples[start:stop, 0], triples[start:stop, 2]
            other, replaces_head = corrupted[start:stop], at_head[start:stop]
            index = torch.cat([head, tail, other.flatten()])
            vectors = self.entities[index]
            projected = vectors @ matrix  # (size * (2 + negatives), relation_dim)
            h, t, c = projected[:size], projected[size : 2 * size], projected[2 * size :].view(*other.shape, -1)
            positive = h + translation - t
            # c + r - t where the head is replaced, h + r - c where the tail is.
            side = torch.where(replaces_head, 1.0, -1.0).unsqueeze(-1)
            negative = (
                side * c + translation + torch.where(replaces_head.unsqueeze(-1), -t.unsqueeze(1), h.unsqueeze(1))
            )
            near, near_slope = _norm_and_slope(positive, config.norm)
            far, far_slope = _norm_and_slope(negative, config.norm)
            gap = config.margin + near.unsqueeze(1) - far
            active = (gap > 0).float() * share  # (size, negatives)
            loss += (gap.clamp(min=0)).sum() * share
            pull = near_slope * active.sum(1, keepdim=True)
            push = far_slope * -active.unsqueeze(-1)
            to_head = pull + (push * ~replaces_head.unsqueeze(-1)).sum(1)
            to_tail = -pull - (push * replaces_head.unsqueeze(-1)).sum(1)
            slopes = torch.cat([to_head, to_tail, (push * side).flatten(0, 1)])
            kept = torch.cat([active.sum(1), active.sum(1), active.flatten()]).nonzero().squeeze(1)
            slopes, index, vectors = slopes[kept], index[kept], vectors[kept]
            rows.append(index)
            values.append(slopes @ matrix.T)
            to_matrices[place] = vectors.T @ slopes
            to_relations[place] = pull.sum(0) + push.sum((0, 1))
        return float(loss), Gradients(torch.cat(rows), torch.cat(values), touched, to_relations, to_matrices)


@dataclass(frozen=True)
class Gradients:
    """Gradients of a batch. values: (n, entity_dim) to be added to entity `rows` (n,), in which a row may recur.

    touched: (m,) relations of the batch, ascending. relations: (m, relation_dim). matrices: (m, entity_dim,
    relation_dim).
    """

    rows: Tensor
    values: Tensor
    touched: Tensor
    relations: Tensor
    matrices: Tensor


def sum_by_row(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows, ascending, and the sum of the `values` (n, width) of each."""
    ordered, order = torch.sort(rows, stable=True)
    distinct, counts = torch.unique_consecutive(ordered, return_counts=True)
    # embedding_bag is the one grouped sum that is vectorised on the processor and on the GPU.
    summed = torch.nn.functional.embedding_bag(order, values, counts.cumsum(0) - counts, mode="sum")
    return distinct, summed


def _norm_and_slope(offset: Tensor, norm: int) -> tuple[Tensor, Tensor]:
    if norm == 1:
        return offset.abs().sum(-1), offset.sign()
    length = torch.linalg.vector_norm(offset, dim=-1)
    return length, offset / length.clamp(min=_EPSILON).unsqueeze(-1)


def _at_most_unit(vectors: Tensor) -> Tensor:
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp(min=1)


class Corruptor:
    """Draws negatives: entities uniformly, the replaced side by relation statistics (Wang et al. 2014, AAAI).

    With tph tails per head and hpt heads per tail of a relation, the head is replaced with probability
    tph / (tph + hpt): the side on which a random entity is less likely to be right.
    """

    def __init__(self, triples: Array, entities: int, relations: int) -> None:
        self.entities = entities
        self.head_share = np.full(relations, 0.5)
        for relation in np.unique(triples[:, 1]):
            of_relation = triples[triples[:, 1] == relation]
            tails_per_head = len(of_relation) / len(np.unique(of_relation[:, 0]))
            heads_per_tail = len(of_relation) / len(np.unique(of_relation[:, 2]))
            self.head_share[relation] = tails_per_head / (tails_per_head + heads_per_tail)

    def draw(self, triples: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """(corrupted, at_head) of a batch, both (batch, count), as `TransR.step` takes them."""
        shape = (len(triples), count)
        at_head = rng.random(shape) < self.head_share[triples[:, 1]][:, None]
        return rng.integers(0, self.entities, shape), at_head
