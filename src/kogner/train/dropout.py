"""Dropout and attention with dropout of a training step on a processor, with masks of `kogner.student.masks`.

The same computations as torch's; only the random numbers come from another stream, whose seed is one number of torch's.
Attention with dropout is written out, as torch itself does it then on a processor: scores and softmax in float32, also
where the vectors are in bfloat16.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kogner.student.masks import Masks


def dropout(x: Tensor, p: float) -> Tensor:
    """x with a share p of its numbers set to 0 and the others divided by 1 - p. On the processor; 0 < p < 1."""
    return cast(Tensor, _Dropout.apply(x, p, int(torch.randint(2**62, ()))))


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float, scale: float | None) -> Tensor:
    """`dropout(softmax(query key^T * scale + mask), p) value`, as `torch.nn.functional.scaled_dot_product_attention`.

    query: (..., queries, width). key: (..., keys, width). value: (..., keys, out). mask: broadcast to (..., queries,
    keys); what is added, or for bool what may be attended to. scale: 1 / sqrt(width) where it is None.
    Returns (..., queries, out), in the type of `value`.
    """
    with torch.autocast("cpu", enabled=False):
        scores = (query.float() * (scale if scale is not None else 1 / math.sqrt(query.shape[-1]))) @ key.float().mT
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask
        return dropout(scores.softmax(-1), p).to(value.dtype) @ value


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        masks = Masks(x, p, seed)
        mask = masks.next(x).mul_(masks.scale)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask, None, None
