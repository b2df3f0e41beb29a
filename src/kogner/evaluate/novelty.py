"""Recall on names that training showed, and on those it did not: what was learned by heart, and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from kogner.evaluate.spans import Counts, compare
from kogner.records import Document, Mention


def names(documents: Iterable[Document]) -> set[tuple[str, str]]:
    """(type, name) of all mentions, names case-folded and with single blanks."""
    return {_name(document, mention) for document in documents for mention in document.mentions}


def recall_by_novelty(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    known: Collection[tuple[str, str]],
    *,
    types: Collection[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Exact recall of gold mentions whose (type, name) is in `known` (`seen`) and of the others (`unseen`).

    known: see `names`. types and errors as in `kogner.evaluate.spans.compare`.
    Returns gold, correct and recall (in percent) of both; mentions that a reader had to skip are in neither.
    """
    total: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for pair in compare(gold, predicted, types=types):
        found = Counter(mention.key for mention in pair.predicted)
        for mention in pair.gold:
            side = "seen" if _name(pair.document, mention) in known else "unseen"
            total[side] += 1
            if found[mention.key] > 0:
                found[mention.key] -= 1
                correct[side] += 1
    counts = {side: Counts(gold=total[side], correct=correct[side]) for side in ("seen", "unseen")}
    return {
        side: {key: value for key, value in of.to_dict().items() if key in ("gold", "correct", "recall")}
        for side, of in counts.items()
    }


def _name(document: Document, mention: Mention) -> tuple[str, str]:
    return mention.type, " ".join(document.text[mention.start : mention.end].split()).casefold()
