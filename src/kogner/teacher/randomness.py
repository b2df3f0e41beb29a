"""Randomness that a run taken up again repeats: all of a step comes from (seed, purpose, step)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """The random numbers of one purpose in one step."""
    return np.random.default_rng((seed, int.from_bytes(purpose.encode(), "big"), step))


class Epochs:
    """The batches of a loop by their number: every epoch takes each of `count` examples once, in a new order."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self._count, self._size, self._seed = count, size, seed
        self._per_epoch = max(1, math.ceil(count / size))
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def batch(self, step: int) -> Array:
        """Batch number `step`, (size,) indices in [0, count); the last one of an epoch may be shorter."""
        epoch, place = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, generator(self._seed, "order", epoch).permutation(self._count)
        return self._order[place * self._size : (place + 1) * self._size]


def epochs(count: int, size: int, seed: int, *, first: int) -> Iterator[Array]:
    """Endless batches as of `Epochs`, from number `first` on."""
    batches = Epochs(count, size, seed)
    while True:
        yield batches.batch(first)
        first += 1


@contextmanager
def own_randomness(device: str) -> Iterator[None]:
    """Leave torch's global random state as it was found."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device.startswith("cuda") else ()):
        yield
