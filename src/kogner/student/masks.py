"""Dropout masks from few random bits.

torch draws a float from its Mersenne Twister for each number that dropout may set to 0, on one thread: 7.2 ns a number
on an AMD EPYC (Zen 5), a fifth of a training step on two of its cores. Here a number takes 16 bits, of numpy's SFC64
(Doty-Humphrey; the quickest of numpy's): 0.5 ns, and 0.9 ns with the mask. On a GPU the bits are torch's, drawn there.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

_LEVELS = 1 << 16


class Masks:
    """A row of masks, the same again for the same seed.

    dropout: share of numbers set to 0, rounded to 1/65536. like: a tensor of the device that the masks are for.
    dropped: levels of 65536 that are dropped; 0 where nothing is. scale: what kept numbers are to be multiplied by,
    1 / (share that is kept).
    """

    def __init__(self, like: Tensor, dropout: float, seed: int) -> None:
        self.dropped = min(round(dropout * _LEVELS), _LEVELS - 1)
        self.scale = _LEVELS / (_LEVELS - self.dropped)
        self._bits = np.random.SFC64(seed) if self.dropped and like.device.type == "cpu" else None
        self._on_gpu = None
        if self.dropped and self._bits is None:
            self._on_gpu = torch.Generator(like.device).manual_seed(seed)

    def next(self, like: Tensor) -> Tensor:
        """The next mask: of this tensor's shape, 1 for what is kept and 0 for what is dropped; bool on a GPU."""
        if not self.dropped:
            return torch.ones_like(like)
        words = -(-like.numel() // 4)
        if self._bits is None:
            drawn = torch.empty(words, dtype=torch.int64, device=like.device)
            drawn.random_(-(2**63), None, generator=self._on_gpu)
        else:
            drawn = torch.from_numpy(cast(np.ndarray, self._bits.random_raw(words)).view(np.int64))
        levels = drawn.view(torch.int16)[: like.numel()].view(like.shape)
        least = self.dropped - _LEVELS // 2
        return (
            levels >= least if like.is_cuda else torch.ge(levels, least, out=torch.empty(like.shape, dtype=like.dtype))
        )
