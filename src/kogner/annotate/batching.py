"""Documents in blocks, and a block's windows in batches: what bounds the memory of annotating."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from kogner.records import Document
from kogner.student.windows import Window

FIRST_BLOCK = 20_000  # characters after which the first results of a stream come; later blocks are larger
MOST_PADDED = 4


def batched(items: Iterable[Document], count: int) -> Iterator[list[Document]]:
    """Lists of `count` items, the last of which may be shorter."""
    waiting = iter(items)
    while block := list(islice(waiting, count)):
        yield block


def blocks(documents: Iterable[Document | None], size: int) -> Iterator[list[Document]]:
    """Documents in blocks of about so many characters; of a stream, the first blocks are smaller.

    None ends a block. Where the source fails, what was read before it comes first.
    """
    block: list[Document] = []
    # Texts that are all there already go in blocks of full size.
    held, limit = 0, size if isinstance(documents, Sequence) else min(size, FIRST_BLOCK)
    try:
        for document in documents:
            if document is not None:
                block.append(document)
                held += max(1, len(document.text))  # or a stream of empty texts would be one endless block
            if held >= limit or (document is None and block):
                whole, block, held = block, [], 0
                yield whole
                limit = min(size, 4 * limit) if document is not None else limit
    except Exception:
        if block:
            yield block
        raise
    if block:
        yield block


def batches(
    pieces: Sequence[tuple[int, Window]], *, token_budget: int, prompt: int = 0, each: int | None = None
) -> Iterator[Sequence[tuple[int, Any]]]:
    """Runs of windows, longest first, of at most `token_budget` sub-tokens (always at least one window).

    prompt: sub-tokens that a uni-encoder reads before each window. each: sub-tokens that a batch costs beside its own,
    where padding costs as much as they do: batches end where both together are the fewest. None = padding costs memory
    alone, and MOST_PADDED times the budget bounds it.
    """
    lengths = np.array([len(window.encoded.ids) + prompt for _, window in pieces], dtype=np.int64)
    start = 0
    for end in _full(lengths, token_budget) if each is None else cuts(lengths, budget=token_budget, each=each):
        yield pieces[start:end]
        start = end


def _full(lengths: np.ndarray, budget: int) -> Iterator[int]:
    """Where batches end that hold as many real sub-tokens as they may. lengths: longest first."""
    first = held = 0
    for place, length in enumerate(lengths.tolist()):
        padded = (place + 1 - first) * int(lengths[first])
        if place > first and (held + length > budget or padded > MOST_PADDED * budget):
            yield place
            first, held = place, 0
        held += length
    if first < len(lengths):
        yield len(lengths)


def cuts(lengths: np.ndarray, *, budget: int | None, each: int) -> list[int]:
    """Where batches end, so that their padded sub-tokens and `each` for every one of them are the fewest.

    lengths: longest first. budget: padded sub-tokens of a batch of more than one; None = any number. Batches as full as
    can be are padded most where texts are few and of all lengths. By dynamic programming from the end.
    """
    count = len(lengths)
    least, cut = np.zeros(count + 1, dtype=np.int64), np.zeros(count, dtype=np.int64)
    sizes = np.arange(1, count + 1)
    for start in range(count - 1, -1, -1):
        length = int(lengths[start])
        most = count - start if budget is None else min(count - start, max(1, budget // length))
        costs = sizes[:most] * length + least[start + 1 : start + 1 + most]
        best = int(costs.argmin())
        least[start], cut[start] = costs[best] + each, start + 1 + best
    ends, at = [], 0
    while at < count:
        at = int(cut[at])
        ends.append(at)
    return ends
