"""Z'': TransR (Lin et al. 2015, AAAI, "Learning Entity and Relation Embeddings for Knowledge Graph Completion").

Distance of a triple: d(h, r, t) = ||h M_r + r - t M_r||_p; an objective (`kogner.teacher.objectives`) over corrupted
triples (`kogner.teacher.negatives`). Gradients are written out: a batch is sorted by relation, each relation's rows go
through one matmul, rows without a slope are left out of the way back, and only touched entities are updated (row-wise
Adagrad). Two things are not the paper's: its distance is the square of the 2-norm, and it also constrains the length of
h M_r while it trains; here only h, t and r are constrained (docs/decisions.md, "The teacher").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kogner.config import TransrConfig
from kogner.teacher.negatives import Own, Shared
from kogner.teacher.objectives import OBJECTIVES

_EPSILON = 1e-10
_SIGNS = 1 << 22  # numbers that the 1-norm's slopes are made of at a time
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
        """Random unit entities and relations, and matrices as `config.matrices` says."""
        generator = torch.Generator().manual_seed(config.seed)
        e = torch.nn.functional.normalize(torch.randn(entities, config.entity_dim, generator=generator), dim=1)
        r = torch.nn.functional.normalize(torch.randn(relations, config.relation_dim, generator=generator), dim=1)
        m = torch.eye(config.entity_dim, config.relation_dim).repeat(relations, 1, 1)
        if config.matrices == "small":
            bound = 2 / math.sqrt(config.entity_dim * config.relation_dim)
            m.uniform_(-bound, bound, generator=generator)
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

    def step(
        self, triples: Tensor, negatives: Own | Shared, config: TransrConfig, *, rate: float | None = None
    ) -> float:
        """One update on a batch (batch, 3); returns the mean of its objective. rate: None = config.learning_rate."""
        loss, gradients = self.gradients(triples, negatives, config)
        rows, by_row = sum_by_row(gradients.rows, gradients.values)
        rate = config.learning_rate if rate is None else rate
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

    def gradients(self, triples: Tensor, negatives: Own | Shared, config: TransrConfig) -> tuple[float, Gradients]:
        """The objective of a batch (batch, 3), its mean over triples, and its gradients, without autograd.

        With shared negatives it is the mean of both sides, heads replaced and tails replaced.
        """
        order = torch.argsort(triples[:, 1], stable=True)
        triples = triples[order]
        touched, sizes = torch.unique_consecutive(triples[:, 1], return_counts=True)
        loss = torch.zeros((), device=triples.device)
        rows: list[Tensor] = []
        values: list[Tensor] = []
        to_relations = torch.zeros(len(touched), self.relations.shape[1], device=triples.device)
        to_matrices = torch.zeros(len(touched), *self.matrices.shape[1:], device=triples.device)
        stop = 0
        for place, (relation, size) in enumerate(zip(touched.tolist(), sizes.tolist(), strict=True)):
            start, stop = stop, stop + size
            matrix = self.matrices[relation]
            ends = triples[start:stop, 0], triples[start:stop, 2]
            if isinstance(negatives, Own):
                drawn = negatives.entities[order[start:stop]]
                index = torch.cat([*ends, drawn.flatten()])
            else:
                index = torch.cat([*ends, negatives.heads[place], negatives.tails[place]])
            vectors = self.entities[index]
            projected = vectors @ matrix
            h, t, others = projected[:size], projected[size : 2 * size], projected[2 * size :]
            if isinstance(negatives, Own):
                at_head = negatives.at_head[order[start:stop]]
                same = drawn == torch.where(at_head, ends[0].unsqueeze(1), ends[1].unsqueeze(1))
                found = _own(h, t, self.relations[relation], others.view(*drawn.shape, -1), at_head, same, config)
            else:
                found = _shared(h, t, self.relations[relation], index, others, len(negatives.heads[place]), config)
            part, slopes, to_relation = found
            slopes /= len(triples)
            loss += part / len(triples)
            kept = slopes.any(1).nonzero().squeeze(1)
            slopes, index, vectors = slopes[kept], index[kept], vectors[kept]
            rows.append(index)
            values.append(slopes @ matrix.T)
            to_matrices[place] = vectors.T @ slopes
            to_relations[place] = to_relation / len(triples)
        return float(loss), Gradients(torch.cat(rows), torch.cat(values), touched, to_relations, to_matrices)


def _own(
    h: Tensor, t: Tensor, translation: Tensor, others: Tensor, at_head: Tensor, same: Tensor, config: TransrConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Objective of one relation's triples, its slopes by (heads, tails, others), and by the translation.

    h, t: (n, relation_dim), projected. others: (n, negatives, relation_dim). same: (n, negatives), the right entity.
    """
    # c + r - t where the head is replaced, h + r - c where the tail is.
    side = torch.where(at_head, 1.0, -1.0).unsqueeze(-1)
    replaced = side * others + translation + torch.where(at_head.unsqueeze(-1), -t.unsqueeze(1), h.unsqueeze(1))
    near, near_slope = _norm_and_slope(h + translation - t, config.norm)
    far, far_slope = _norm_and_slope(replaced, config.norm)
    loss, by_near, by_far = OBJECTIVES[config.objective](near, far.masked_fill(same, torch.inf), config)
    pull = near_slope * by_near.unsqueeze(1)
    push = far_slope * by_far.unsqueeze(-1)
    to_head = pull + (push * ~at_head.unsqueeze(-1)).sum(1)
    to_tail = -pull - (push * at_head.unsqueeze(-1)).sum(1)
    return loss, torch.cat([to_head, to_tail, (push * side).flatten(0, 1)]), pull.sum(0) + push.sum((0, 1))


def _shared(
    h: Tensor, t: Tensor, translation: Tensor, index: Tensor, others: Tensor, heads: int, config: TransrConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_own`, where all triples have the same negatives: one matmul gives the distances of a side.

    index: entities of the rows of (h, t, others). others: replaced heads, as many as `heads`, then replaced tails.
    """
    size = len(h)
    near, near_slope = _norm_and_slope(h + translation - t, config.norm)
    replaced_heads, replaced_tails = others[:heads], others[heads:]
    slopes = torch.zeros(size * 2 + len(others), h.shape[1], device=h.device)
    to_head, to_tail = slopes[:size], slopes[size : 2 * size]
    loss, pulled = h.new_zeros(()), h.new_zeros(size)
    to_translation = torch.zeros_like(translation)
    # A replaced tail is far from h + r, a replaced head from t - r.
    for query, candidates, right, drawn, sign in (
        (h + translation, replaced_tails, index[size : 2 * size], index[2 * size + heads :], 1.0),
        (t - translation, replaced_heads, index[:size], index[2 * size : 2 * size + heads], -1.0),
    ):
        same = right.unsqueeze(1) == drawn
        far = _distances(query, candidates, config.norm)
        part, by_near, by_far = OBJECTIVES[config.objective](near, far.masked_fill(same, torch.inf), config)
        loss += part / 2
        pulled += by_near / 2
        to_query, to_candidates = _slopes(query, candidates, far, by_far / 2, config.norm)
        if sign > 0:
            to_head += to_query
            slopes[2 * size + heads :] = to_candidates
        else:
            to_tail += to_query
            slopes[2 * size : 2 * size + heads] = to_candidates
        to_translation += sign * to_query.sum(0)
    pull = near_slope * pulled.unsqueeze(1)
    to_head += pull
    to_tail -= pull
    return loss, slopes, to_translation + pull.sum(0)


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


def _distances(queries: Tensor, candidates: Tensor, norm: int) -> Tensor:
    """(queries, candidates)."""
    if norm == 1:
        return torch.cdist(queries, candidates, p=1)
    squares = candidates.square().sum(1) + queries.square().sum(1, keepdim=True)
    return torch.addmm(squares, queries, candidates.T, alpha=-2).clamp_(min=_EPSILON).sqrt_()


def _slopes(queries: Tensor, candidates: Tensor, far: Tensor, by_far: Tensor, norm: int) -> tuple[Tensor, Tensor]:
    """What derivatives by distances (queries, candidates) are by the two vectors, summed over the other side."""
    if norm == 1:
        to_queries, to_candidates = torch.zeros_like(queries), torch.zeros_like(candidates)
        step = max(1, _SIGNS // candidates.numel())
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            signs = (queries[part].unsqueeze(1) - candidates).sign_() * by_far[part].unsqueeze(-1)
            to_queries[part] = signs.sum(1)
            to_candidates -= signs.sum(0)
        return to_queries, to_candidates
    weights = by_far / far
    to_queries = weights.sum(1, keepdim=True) * queries - weights @ candidates
    return to_queries, weights.sum(0).unsqueeze(1) * candidates - weights.T @ queries


def _at_most_unit(vectors: Tensor) -> Tensor:
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp(min=1)
