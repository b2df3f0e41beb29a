"""Long sentences as overlapping windows that an encoder can read, each span owned by exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass

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
    encoded: Encoded, *, specials: tuple[int, int], max_tokens: int, max_words: int, max_width: int
) -> list[Window]:
    """Cut a sentence into windows of at most `max_tokens` sub-tokens and `max_words` words.

    specials: how many special tokens stand before and after. max_width: words of the longest span that matters.
    Guaranteed: every start of a span is owned by exactly one window, and that window holds the `max_width` words from
    there on, or as many of them as a window can hold at all. Before the first start it owns a window reads up to
    `max_width` words of context, in at most half of the room that the longest span leaves, so that each window brings
    new starts. A single word beyond the limit is cut to its first sub-tokens. Linear in the length of the sentence.
    """
    before, after = specials
    count = len(encoded.first)
    if len(encoded.ids) <= max_tokens and count <= max_words:
        return [Window(0, encoded, (0, count))]
    budget = max_tokens - before - after
    words = np.arange(count)
    # edges: sub-token at which word i begins, and the end for i = count. ends: word at which a window from word i ends.
    # reach: word at which the longest span from word i ends; like ends, it never falls.
    edges = np.append(encoded.first, len(encoded.ids) - after)
    ends = np.searchsorted(edges, edges[:-1] + budget, side="right") - 1
    ends = np.minimum(np.maximum(ends, words + 1), words + max_words).clip(max=count)
    reach = np.minimum(words + max_width, ends)
    result = []
    first = owned = 0
    while owned < count:
        end = int(ends[first])
        beyond = int(np.searchsorted(reach, end, side="right"))  # first start whose longest span ends outside
        piece = encoded.ids[edges[first] : min(edges[end], edges[first] + budget)]
        ids = np.concatenate([encoded.ids[:before], piece, encoded.ids[len(encoded.ids) - after :]])
        local = encoded.first[first:end] - edges[first] + before
        result.append(Window(first, Encoded(ids, local), (owned, beyond)))
        owned = beyond
        if owned < count:
            free_tokens = max(budget - int(edges[reach[owned]] - edges[owned]), 0)
            free_words = max_words - int(reach[owned] - owned)
            first = int(np.searchsorted(edges, edges[owned] - free_tokens // 2))
            first = max(first, owned - min(max_width, free_words // 2))
    return result
