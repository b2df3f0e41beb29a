"""Documents in blocks, and a block's windows in batches: what bounds the memory of annotating."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kogner.records import Document
from kogner.student.windows import Window

FIRST_BLOCK = 20_000  # characters after which the first results of a stream come; later blocks are larger


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
    pieces: Sequence[tuple[int, Window]], *, token_budget: int, prompt: int = 0
) -> Iterator[Sequence[tuple[int, Any]]]:
    """Runs of windows, longest first, of at most `token_budget` padded sub-tokens (always at least one window).

    prompt: sub-tokens that a uni-encoder reads before each window.
    """
    start = 0
    while start < len(pieces):
        longest = len(pieces[start][1].encoded.ids) + prompt
        size = max(1, token_budget // longest)
        yield pieces[start : start + size]
        start += size
