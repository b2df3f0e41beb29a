"""Scores of all spans that keep nothing per span for the backward pass.

`logit(i, j, t) = folded_t . dropout(relu(starts_i + ends_j)) + offset_t`. Left to autograd, each width keeps its relu's
output, its dropout's output and mask: words x widths x 4 hidden numbers three times over, gigabytes on a long batch.
Here only `starts`, `ends` and the folded types are kept. The backward pass computes each width's relu once more, and
draws its dropout mask again from the same seed.

That costs no time. On a processor the work goes in pieces of few sentences, small enough for its cache, and masks are
cheap (`kogner.student.masks`). At 32 windows of 60 words, hidden 384, 12 widths, 3 types and dropout 0.1, the whole
head with its loss took 0.62 s of processor time and 202 MB, with masks of torch's random bits, against 0.77 s and
588 MB left to autograd (benchmarks/head.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kogner.student.masks import Masks

PIECE = 1 << 18  # numbers of one width of a piece: 1 MB in float32
GPU_PIECE = 1 << 26


def score_spans(
    starts: Tensor, ends: Tensor, folded: Tensor, offset: Tensor, *, max_width: int, dropout: float = 0.0
) -> Tensor:
    """Logits of every span of at most `max_width` words, 0 where it runs past the end.

    starts, ends: (batch, words, inner). folded: (types, inner), or (batch, types, inner) where each example has its
    own types; offset: (types,) or (batch, types). dropout: share of inner numbers set to 0, rounded to 1/65536; its
    masks follow from one number of torch's random stream.
    Returns (batch, words, max_width, types). Computes in the type of `starts` (bfloat16 under autocast); logits and the
    sums of gradients over widths are float32 then.
    """
    seed = int(torch.randint(2**62, ())) if dropout > 0 else 0
    folded, offset = folded.to(starts.dtype), offset.to(_wide(starts.dtype))
    ends = ends.to(starts.dtype)
    if torch.is_grad_enabled():
        return cast(Tensor, _Scores.apply(starts, ends, folded, offset, max_width, dropout, seed))
    return _scores(starts, ends, folded, offset, max_width, dropout, seed)


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        starts: Tensor,
        ends: Tensor,
        folded: Tensor,
        offset: Tensor,
        max_width: int,
        dropout: float,
        seed: int,
    ) -> Tensor:
        ctx.save_for_backward(starts, ends, folded)
        ctx.settings = max_width, dropout, seed
        return _scores(starts, ends, folded, offset, max_width, dropout, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        starts, ends, folded = ctx.saved_tensors
        max_width, dropout, seed = ctx.settings
        return (*_gradients(starts, ends, folded, gradient, max_width, dropout, seed), None, None, None)


def _scores(
    starts: Tensor, ends: Tensor, folded: Tensor, offset: Tensor, max_width: int, dropout: float, seed: int
) -> Tensor:
    batch, count, _ = starts.shape
    logits = offset.new_zeros(batch, count, max_width, folded.shape[-2])
    masks = Masks(starts, dropout, seed)
    with torch.autocast(starts.device.type, enabled=False):
        per_type = (folded * masks.scale).mT
        for rows, width in _pieces(starts, max_width):
            inner = torch.relu_(starts[rows, : count - width] + ends[rows, width:])
            if masks.dropped:
                inner *= masks.next(inner)
            own = per_type[rows] if per_type.dim() == 3 else per_type
            bias = offset[rows].unsqueeze(1) if offset.dim() == 2 else offset
            logits[rows, : count - width, width] = (inner @ own).to(logits.dtype) + bias
    return logits


def _gradients(
    starts: Tensor, ends: Tensor, folded: Tensor, gradient: Tensor, max_width: int, dropout: float, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    count, wide = starts.shape[1], _wide(starts.dtype)
    to_starts, to_ends = (torch.zeros_like(x, dtype=wide) for x in (starts, ends))
    to_folded = torch.zeros_like(folded, dtype=wide)
    to_offset = to_folded.new_zeros(folded.shape[:-1])
    masks = Masks(starts, dropout, seed)
    with torch.autocast(starts.device.type, enabled=False):
        scaled = folded * masks.scale
        for rows, width in _pieces(starts, max_width):
            inner = torch.relu_(starts[rows, : count - width] + ends[rows, width:])
            if masks.dropped:
                inner *= masks.next(inner)
            of_logits = gradient[rows, : count - width, width]
            narrow = of_logits.to(starts.dtype)
            if folded.dim() == 3:
                to_offset[rows] += of_logits.sum(1)
                to_folded[rows] += narrow.mT @ inner
                of_inner = narrow @ scaled[rows]
            else:
                to_offset += of_logits.sum((0, 1))
                to_folded += narrow.flatten(0, 1).mT @ inner.flatten(0, 1)
                of_inner = narrow @ scaled
            # What relu or dropout set to 0 is 0 in `inner`, so one threshold stands for both.
            of_inner = torch.ops.aten.threshold_backward(of_inner, inner, 0)
            to_starts[rows, : count - width] += of_inner
            to_ends[rows, width:] += of_inner
    to_folded *= masks.scale
    return to_starts.to(starts.dtype), to_ends.to(ends.dtype), to_folded.to(folded.dtype), to_offset


def _pieces(starts: Tensor, max_width: int) -> Iterator[tuple[slice, int]]:
    """(sentences, width) of each piece; whole batches where the program is traced by a compiler."""
    batch, count, inner = starts.shape
    rows = max(1, (GPU_PIECE if starts.is_cuda else PIECE) // max(count * inner, 1))
    if torch.compiler.is_compiling():
        rows = max(batch, 1)
    for first in range(0, batch, rows):
        for width in range(min(max_width, count)):
            yield slice(first, first + rows), width


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
