"""Arrays of a graph store: `.npy` files, read through a memory map."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array, contiguous in C order; equal arrays give equal bytes."""
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def load_array(path: Path) -> np.ndarray:
    """Map an array read-only. A plain view of the map: indexing an np.memmap itself is several times slower."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except ValueError:  # an array without elements has no bytes to map
        return np.load(path, allow_pickle=False)
