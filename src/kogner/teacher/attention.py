"""A layer of the Graph Transformer: attention of a node over the edges that reach it (UniMP, equations 3 to 5).

Written by hand, forwards and backwards, in pieces of edges that stay in a processor's cache, so that no tensor of
(edges, hidden) is ever made: what is kept for the backward pass is one number per edge and head. The numbers are those
of TransformerConv of PyTorch Geometric (tests), which builds several such tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Edges of one piece. On a processor 1,024 to 16,384 took the same time (one core, 128 columns); a GPU wants few, large
# ones.
PIECE = 4096
CUDA_PIECE = 1 << 20


class GraphAttention(nn.Module):
    """Multi-head attention over neighbours, relations added to key and value, and a gate to the node's own projection.

    Of target t and its edges e from source s(e) with relation r(e), for each head, d = hidden / heads:

        a_e = softmax_e( q_t . (k_s(e) + r_r(e)) / sqrt(d) )        m_t = sum_e a_e (v_s(e) + r_r(e))
        b = sigmoid(w . [m_t ; p_t ; m_t - p_t])                    out_t = (1 - b) m_t + b p_t

    with q, k, v, p linear in the node's vector (with bias) and r linear in the relation's (without).
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.relation = nn.Linear(hidden, hidden, bias=False)
        self.own = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(3 * hidden, 1, bias=False)

    def forward(self, hidden: Tensor, edges: Tensor, kinds: Tensor, relations: Tensor, targets: int) -> Tensor:
        """All of the layer. hidden: (sources, hidden), targets first.

        edges: (2, edges) int64, source to target, ascending by target. kinds: (edges,) rows of `relations`, which is
        (relations, hidden). Returns (targets, hidden); a target without edges receives nothing but itself.
        """
        return self.receive(hidden[:targets], *self.send(hidden), self.relation(relations), edges, kinds)

    def send(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of sources, (sources, hidden) each."""
        return self.key(hidden), self.value(hidden)

    def receive(
        self, own: Tensor, keys: Tensor, values: Tensor, relations: Tensor, edges: Tensor, kinds: Tensor
    ) -> Tensor:
        """What `forward` does of the targets' own vectors where sources and relations are projected already."""
        arrived = attend(self.query(own), keys, values, relations, edges[0], edges[1], kinds, self.heads)
        projected = self.own(own)
        gate = self.gate(torch.cat([arrived, projected, arrived - projected], dim=-1)).sigmoid()
        return torch.lerp(arrived, projected, gate)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    relations: Tensor,
    sources: Tensor,
    targets: Tensor,
    kinds: Tensor,
    heads: int,
) -> Tensor:
    """The m_t of GraphAttention, (targets, hidden); zero where no edge arrives.

    queries: (targets, hidden). keys, values: (sources, hidden). relations: (relations, hidden). sources, targets,
    kinds: (edges,) int64 rows of these, targets ascending.
    """
    return cast(Tensor, _Attend.apply(queries, keys, values, relations, sources, targets, kinds, heads))


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        relations: Tensor,
        sources: Tensor,
        targets: Tensor,
        kinds: Tensor,
        heads: int,
    ) -> Tensor:
        out = torch.zeros_like(queries)
        shares = queries.new_empty(len(targets), heads)
        for first, last, start, stop in _pieces(targets, len(queries)):
            to, read = targets[start:stop] - first, sources[start:stop]
            relation = relations.index_select(0, kinds[start:stop])
            key = keys.index_select(0, read).add_(relation)
            scores = _by_head(key.mul_(queries[first:last].index_select(0, to)), heads).sum(-1)
            scores.mul_((queries.shape[1] // heads) ** -0.5)
            rows = to.unsqueeze(1).expand_as(scores)
            top = scores.new_full((last - first, heads), -math.inf).scatter_reduce_(0, rows, scores, "amax")
            scores.sub_(top.index_select(0, to)).exp_()
            total = scores.new_zeros(last - first, heads).index_add_(0, to, scores)
            share = scores.div_(total.index_select(0, to))
            shares[start:stop] = share
            value = values.index_select(0, read).add_(relation)
            _by_head(value, heads).mul_(share.unsqueeze(-1))
            out[first:last].index_add_(0, to, value)
        ctx.save_for_backward(queries, keys, values, relations, sources, targets, kinds, shares)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, relations, sources, targets, kinds, shares = ctx.saved_tensors
        heads = shares.shape[1]
        gradient = gradient.contiguous()
        for_queries, for_keys, for_values, for_relations = map(torch.zeros_like, (queries, keys, values, relations))
        for first, last, start, stop in _pieces(targets, len(queries)):
            to, read, share = targets[start:stop] - first, sources[start:stop], shares[start:stop]
            relation = relations.index_select(0, kinds[start:stop])
            arrived = gradient[first:last].index_select(0, to)
            value = values.index_select(0, read).add_(relation)
            # Of a softmax: share * (gradient - mean of the gradients by share).
            scores = _by_head(value.mul_(arrived), heads).sum(-1).mul_(share)
            total = scores.new_zeros(last - first, heads).index_add_(0, to, scores)
            scores.sub_(total.index_select(0, to).mul_(share)).mul_((queries.shape[1] // heads) ** -0.5)
            key = keys.index_select(0, read).add_(relation)
            for_queries[first:last].index_add_(0, to, _by_head(key, heads).mul_(scores.unsqueeze(-1)).flatten(1))
            for_key = _by_head(queries[first:last].index_select(0, to), heads).mul_(scores.unsqueeze(-1)).flatten(1)
            for_value = _by_head(arrived, heads).mul_(share.unsqueeze(-1)).flatten(1)
            for_keys.index_add_(0, read, for_key)
            for_values.index_add_(0, read, for_value)
            for_relations.index_add_(0, kinds[start:stop], for_value.add_(for_key))
        return for_queries, for_keys, for_values, for_relations, None, None, None, None


def _by_head(rows: Tensor, heads: int) -> Tensor:
    return rows.unflatten(1, (heads, -1))


def _pieces(targets: Tensor, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut edges, ascending by target, between targets: (first target, last, first edge, last) of each, half-open.

    A target with more edges than a piece has is a piece of its own.
    """
    piece = CUDA_PIECE if targets.is_cuda else PIECE
    edges = len(targets)
    if edges <= piece:
        if edges:
            yield 0, count, 0, edges
        return
    ordered = targets.cpu().numpy()
    start = 0
    while start < edges:
        stop = edges
        if start + piece < edges:
            border = ordered[start + piece]
            stop = int(np.searchsorted(ordered, border))
            if stop <= start:
                stop = int(np.searchsorted(ordered, border, side="right"))
        yield int(ordered[start]), int(ordered[stop - 1]) + 1, start, stop
        start = stop
