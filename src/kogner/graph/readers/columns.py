"""Columns of identifiers worked on by their distinct values, which are few where the rows are many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Coded:
    """Numbers for the values of columns. `make` says what a value becomes, None to leave its rows out.

    made: what the values became, by number; several values may become the same.
    """

    def __init__(self, make: Callable[[str], str | None]) -> None:
        self.made: list[str] = []
        self._make = make
        self._numbers: dict[str, int] = {}
        self._places: dict[str, int] = {}

    def numbers(self, column: Any) -> np.ndarray:
        """Number of each value of a pyarrow column of text: (n,) int32, -1 where the row is left out."""
        encoded = column.dictionary_encode()
        if hasattr(encoded, "combine_chunks"):
            encoded = encoded.combine_chunks()
        mine = np.fromiter((self._number(value) for value in encoded.dictionary.to_pylist()), np.int32)
        if not len(mine):
            return np.zeros(0, np.int32)
        picked: np.ndarray = mine[encoded.indices.to_numpy(zero_copy_only=False)]
        return picked

    def _number(self, value: str) -> int:
        if value not in self._numbers:
            made = self._make(value)
            if made is None:
                self._numbers[value] = -1
            else:
                self._numbers[value] = self._places.setdefault(made, len(self.made))
                if self._places[made] == len(self.made):
                    self.made.append(made)
        return self._numbers[value]

    def texts(self, numbers: np.ndarray) -> Any:
        """What the numbers stand for, as a pyarrow array of text."""
        import pyarrow

        return pyarrow.array(self.made, type=pyarrow.string()).take(pyarrow.array(numbers))
