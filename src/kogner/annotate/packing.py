"""Encoders made ready for inference on a processor: weights packed once, activations fused into their matmuls.

`torch.nn.functional.linear` takes the weight as it is stored, and on many processors a float32 matmul of the default
library is far from what they can do. oneDNN, which every CPU build of torch carries, can lay a weight out for its own
kernels once and then multiply, add the bias and apply GELU in one pass. `make bench-annotate` measures the gain; the
vectors differ by rounding only.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from kogner.annotate import attention
from kogner.annotate.disentangled import DisentangledAttention, fits
from kogner.hardware import bound_kernels, packing_pays

bound_kernels()

# Rows that the layout is chosen for; any number of rows can be multiplied.
_ROWS = 1024


def can_pack(dtype: torch.dtype = torch.float32) -> bool:
    """Whether torch here brings oneDNN with packed linear layers of this dtype.

    oneDNN refuses bfloat16 where the processor has neither avx512bw nor avx_ne_convert; torch's own layers take it.
    """
    names = ("_linear_pointwise", "_reorder_linear_weight")
    if not (torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)):
        return False
    if dtype == torch.bfloat16:
        supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
        return bool(supported and supported())
    return dtype == torch.float32


def packs(dtype: torch.dtype) -> bool:
    """Whether linear layers of this dtype are packed here, where they can be: float32 only where that is faster."""
    return dtype != torch.float32 or packing_pays()


class PackedLinear(nn.Module):
    """`activation(x W^T + b)` with W in oneDNN's own layout. For inference only.

    x: (..., inputs), of the layer's dtype. Returns (..., outputs). activation: `none` or `gelu` with `algorithm` `none`
    (the error function) or `tanh`. reorder: False leaves W as it is, for oneDNN to lay out anew at every call.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        dtype: torch.dtype = torch.float32,
        activation: str = "none",
        algorithm: str = "none",
        reorder: bool = True,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.packed = weight.detach().to(dtype).contiguous()
        if reorder:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.packed, _ROWS)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.activation, self.algorithm = activation, algorithm

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.packed, self.bias, self.activation, [], self.algorithm
        )
        return result


def rounded(rows: int) -> int:
    """Rows up to a multiple of 16, of 32 above 1,024, of 64 above 2,048 and so on: at most 3 % more.

    oneDNN keeps what it made for each number of rows that it meets, and the words of nearly every batch have a number
    of their own. From the 2,500th to the 20,000th sentence of a stream the memory of a process grew by 537 MB with the
    span head at exact numbers, by 132 MB with it rounded, in the same time.
    """
    step = max(16, 1 << (max(rows, 1) - 1).bit_length() >> 6)
    return -(-rows // step) * step


def prepared(
    model: nn.Module, *, dtype: torch.dtype = torch.float32, pack: bool = True, skip: Collection[str] = ()
) -> nn.Module:
    """A copy of a model for inference in `dtype`; the model itself stays as it is, and shares what is not changed.

    pack: replace every `nn.Linear` by a `PackedLinear`, where `packs` says so. Where a block has the attributes `dense`
    and `intermediate_act_fn` (BERT and its relatives in transformers) and the activation is a GELU, it is fused into
    the layer before it; and attention is ours where that is faster (`kogner.annotate.attention`, and for DeBERTa
    `kogner.annotate.disentangled`). skip: names of direct children that are left as they are.
    """
    blocks = pack and attention.pays(dtype) and attention.register()
    configs: dict[int, Any] | None = {} if blocks else None
    return _prepared(model, dtype=dtype, pack=pack and packs(dtype), replace=pack, skip=skip, configs=configs)


def _prepared(
    model: nn.Module,
    *,
    dtype: torch.dtype,
    pack: bool,
    replace: bool,
    skip: Collection[str] = (),
    configs: dict[int, Any] | None,
) -> nn.Module:
    """See `prepared`. replace: put our attention in the place of DeBERTa's. configs: copies of configurations that name
    our attention, by the id of what they copy.
    """
    clone = _shallow(model)
    if configs is not None:
        config: Any = getattr(model, "config", None)
        if attention.fits(config):
            if id(config) not in configs:
                configs[id(config)] = copy.copy(config)
                configs[id(config)]._attn_implementation = attention.NAME
            clone.config = configs[id(config)]
    fused = _fused_gelu(model) if pack else None
    for name, child in model._modules.items():
        if child is None or name in skip:
            continue
        if pack and type(child) is nn.Linear:
            activation = "gelu" if fused and name == "dense" else "none"
            clone._modules[name] = PackedLinear(
                child.weight, child.bias, dtype=dtype, activation=activation, algorithm=fused or "none"
            )
        elif fused and name == "intermediate_act_fn":
            clone._modules[name] = nn.Identity()
        else:
            ready = _prepared(child, dtype=dtype, pack=pack, replace=replace, configs=configs)
            clone._modules[name] = DisentangledAttention(ready) if replace and fits(child) else ready
    for name, parameter in model._parameters.items():
        if parameter is not None and parameter.is_floating_point() and parameter.dtype != dtype:
            clone._parameters[name] = nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
    if isinstance(clone, nn.RNNBase):
        clone._flat_weights = [getattr(clone, name) for name in clone._flat_weights_names]
    return clone


def _shallow(module: nn.Module) -> nn.Module:
    """A module of the same class and state with child and parameter lists of its own, in evaluation mode."""
    clone = copy.copy(module)
    clone._modules, clone._parameters = dict(module._modules), dict(module._parameters)
    clone.training = False
    return clone


def _fused_gelu(module: nn.Module) -> str | None:
    """The algorithm of a block's GELU, or None where there is nothing to fuse."""
    act: Any = getattr(module, "intermediate_act_fn", None)
    if act is None or type(getattr(module, "dense", None)) is not nn.Linear:
        return None
    if isinstance(act, nn.GELU):
        return act.approximate
    return {
        "GELUActivation": "none",
        "NewGELUActivation": "tanh",
        "PytorchGELUTanh": "tanh",
        "GELUTanh": "tanh",
        "FastGELUActivation": "tanh",
    }.get(type(act).__name__)
