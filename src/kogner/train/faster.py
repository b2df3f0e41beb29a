"""What a training step on a processor does faster than torch: float32 linear layers, dropout, attention with dropout.

The student's modules stay as they are, and so do its checkpoints. Gains are in docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kogner.hardware import onednn_outruns_mkl
from kogner.train.dropout import attention, dropout
from kogner.train.linear import fits, linear


def faster_steps(device: str, *, again: bool = False) -> AbstractContextManager[Any]:
    """The context for a device (`cpu`, `cuda`): on a GPU nothing changes.

    again: whether layers are computed again in the backward pass (gradient checkpointing). Nothing changes then either:
    torch computes them outside of the context, also if the backward pass runs in it, where dropout draws other masks.
    """
    return FasterSteps() if device == "cpu" and not again else nullcontext()


class FasterSteps(TorchFunctionMode):
    """The context itself, for forward passes; the backward pass of what ran in it may come later.

    onednn: whether float32 linear layers go through oneDNN; None is where that is faster. Raises AttributeError in it
    where they should and torch was built without.
    """

    def __init__(self, *, onednn: bool | None = None) -> None:
        super().__init__()
        self._onednn = onednn_outruns_mkl() if onednn is None else onednn

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Take over what is done faster; see torch.overrides."""
        kwargs = kwargs or {}
        if func is functional.linear and self._onednn and not kwargs and fits(*args):
            return linear(*args)
        if func is functional.dropout and (found := _dropped(*args, **kwargs)) is not None:
            return found
        if func is functional.scaled_dot_product_attention and (found := _attended(*args, **kwargs)) is not None:
            return found
        return func(*args, **kwargs)


def _dropped(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor | None:
    return dropout(x, p) if training and not inplace and _takes(x, p) else None


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor | None:
    if is_causal or enable_gqa or not _takes(query, dropout_p):
        return None
    return attention(query, key, value, attn_mask, dropout_p, scale)


def _takes(x: Tensor, p: float) -> bool:
    return 0 < p < 1 and x.device.type == "cpu" and x.is_floating_point() and x.numel() > 0
