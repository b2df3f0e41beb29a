"""Gold that a student cannot find whatever it has learned: it is counted, and scored as missed like any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from kogner.data.batch import WIDER
from kogner.records import Document
from kogner.text import Splitter, reach, to_sentences, words


def unreachable(
    documents: Iterable[Document],
    *,
    types: Collection[str],
    max_width: int,
    context: int = 0,
    splitter: Splitter = words,
) -> dict[str, Counter[str]]:
    """Gold mentions out of reach, by type and reason: off word edges, across sentences, wider than `max_width` words.

    context, splitter: as the student reads text, see `to_sentences`. Types of which all can be reached are left out.
    """
    found: dict[str, Counter[str]] = {}
    for document in documents:
        mentions = [mention for mention in document.mentions if mention.type in types]
        if not mentions:
            continue
        cut, _ = to_sentences(replace(document, mentions=()), context=context, words=splitter)
        for mention, place in zip(mentions, reach(cut, mentions), strict=True):
            reason = place if isinstance(place, str) else WIDER if place[2] - place[1] > max_width else None
            if reason is not None:
                found.setdefault(mention.type, Counter())[reason] += 1
    return found
