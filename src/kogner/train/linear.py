"""Float32 linear layers of a training step through oneDNN, where torch's own library leaves half of the processor idle.

`torch.nn.functional.linear` at float32 calls MKL, which does not use the 512-bit units of AMD's processors. oneDNN,
which every CPU build of torch carries, does. Where there are none (AVX2 alone), MKL stays. Measured on one thread of
an AMD EPYC (Zen 5), 256 x 384 times 384 x 1536: 85 to 90 GFLOP/s there, 160 to 215 here, in each of the three products
of a layer (result, gradient of the input, gradient of the weight). Weights need no layout of their own for that, so
nothing is kept from step to step.

The numbers are the same up to the order of additions.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x W^T + b`. x: (..., inputs). weight: (outputs, inputs). bias: (outputs,). All float32, on the processor.

    Returns (..., outputs).
    """
    return cast(Tensor, _Linear.apply(x, weight, bias))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, weight = _dense(x), _dense(weight)
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        gradient = gradient.contiguous()  # a sum's gradient is one number, repeated
        rows = gradient.flatten(0, -2)
        return (
            _product(gradient, weight.t()) if for_x else None,
            _product(rows.t(), _dense(x.reshape(-1, x.shape[-1])).t()) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps: a slice of a weight went through a loop without any tuning, at a thousandth of the speed."""
    return matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def fits(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether `linear` can take these: float32, on the processor, outside of autocast, and not a single vector."""
    given = (x, weight) if bias is None else (x, weight, bias)
    return (
        all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in given)
        and x.dim() > 1
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
    )
