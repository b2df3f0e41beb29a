"""Long sentences as overlapping windows that an encoder can read, each span owned by exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kogner.student.encoder import Encoded


@dataclass(frozen=True, slots=True)
class Window:
    """A run of words of a sentence.

    first: index of its first word in the sentence. encoded: its sub-tokens. owned: half-open range of sentence word
    indices; spans that *start* there are this window's to report, so that none is doubled or lost at a border.
    """

    first: int
    encoded: Encoded
    owned: tuple[int, int]


def windows(
    encoded: Encoded, *, specials: tuple[int, int], max_tokens: int, max_words: int, overlap: int
) -> list[Window]:
    """Cut a sentence into windows of at most `max_tokens` sub-tokens and `max_words` words.

    specials: how many special tokens stand before and after. overlap: words that neighbouring windows share (at most
    half a window); a span that starts in the first half of an overlap belongs to the window before it.
    """
    before, after = specials
    count = len(encoded.first)
    if len(encoded.ids) <= max_tokens and count <= max_words:
        return [Window(0, encoded, (0, count))]
    edges = np.append(
        encoded.first, len(encoded.ids) - after
    )  # sub-token at which word i begins; the end for i = count
    budget = max_tokens - before - after
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        end = int(np.searchsorted(edges, edges[start] + budget, side="right")) - 1
        end = min(max(end, start + 1), start + max_words, count)
        spans.append((start, end))
        if end >= count:
            break
        start = max(end - min(overlap, (end - start) // 2), start + 1)
    cuts = [0]
    for (_, left_end), (right_start, _) in pairwise(spans):
        cuts.append((left_end + right_start) // 2)
    cuts.append(count)
    result = []
    for index, (first, end) in enumerate(spans):
        piece = encoded.ids[edges[first] : edges[end]]
        ids = np.concatenate([encoded.ids[:before], piece, encoded.ids[len(encoded.ids) - after :]])
        local = encoded.first[first:end] - edges[first] + before
        result.append(Window(first, Encoded(ids, local), (cuts[index], cuts[index + 1])))
    return result
