"""Identifiers to entities: own ids and xrefs in one memory-mapped trie, and back from row to own id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kogner.graph.arrays import load_array, save_array


def is_text(text: str) -> bool:
    """False for what a trie cannot hold: it ends a key at NUL and takes no surrogate without its partner."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


class Identifiers:
    """Own ids and xrefs of a graph store. `own` holds, for each row, the number of its own id in the trie."""

    def __init__(self, folder: Path) -> None:
        import marisa_trie

        self._trie: Any = marisa_trie.Trie().mmap(str(folder / "keys.marisa"))
        self._own = load_array(folder / "own.npy")
        self._offsets = load_array(folder / "offsets.npy")
        self._rows = load_array(folder / "rows.npy")

    def __len__(self) -> int:
        return len(self._own)

    def resolve(self, identifier: str) -> tuple[int, ...]:
        """Rows `identifier` means: the entity whose own id it is, else those that have it as an xref; () if none."""
        number = self._trie.get(identifier) if is_text(identifier) else None
        if number is None:
            return ()
        return tuple(self._rows[self._offsets[number] : self._offsets[number + 1]].tolist())

    def any_begins(self, start: str) -> bool:
        """Whether an own id or an xref begins with `start`."""
        return is_text(start) and next(iter(self._trie.iterkeys(start)), None) is not None

    def ids(self, rows: Iterable[int] | np.ndarray | None = None) -> list[str]:
        """Own ids of `rows` (of all rows when None), in their order."""
        numbers = self._own if rows is None else self._own[np.asarray(_listed(rows), dtype=np.int64)]
        return [self._trie.restore_key(number) for number in numbers.tolist()]


def _listed(rows: Iterable[int] | np.ndarray) -> Any:
    return rows if isinstance(rows, np.ndarray) else list(rows)


def write_identifiers(folder: Path, *, own: Mapping[str, int], xrefs: Mapping[str, Sequence[int]]) -> None:
    """Write the index to `folder`. own: id -> row, in row order. xrefs: identifier -> rows, none of them an own id."""
    import marisa_trie

    trie = marisa_trie.Trie(sorted([*own, *xrefs]))
    own_keys = np.fromiter((trie[identifier] for identifier in own), np.int32, len(own))
    pairs = [(trie[identifier], row) for identifier, rows in xrefs.items() for row in rows]
    keys = np.concatenate([own_keys, np.array([key for key, _ in pairs], np.int32)])
    rows = np.concatenate([np.arange(len(own), dtype=np.int32), np.array([row for _, row in pairs], np.int32)])
    order = np.lexsort((rows, keys))
    offsets = np.zeros(len(trie) + 1, np.int32)
    np.cumsum(np.bincount(keys, minlength=len(trie)), out=offsets[1:])
    folder.mkdir()
    trie.save(str(folder / "keys.marisa"))
    save_array(folder / "own.npy", own_keys)
    save_array(folder / "offsets.npy", offsets)
    save_array(folder / "rows.npy", rows[order])
