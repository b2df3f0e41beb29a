"""Whether a score says how often it is right: the expected calibration error of predicted entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from kogner.evaluate.spans import compare, scored_types
from kogner.records import Document

BINS = 15


def expected_calibration_error(scores: np.ndarray, correct: np.ndarray, *, bins: int = BINS) -> float | None:
    """sum over bins of (share of the bin) * |mean of correct - mean of scores|, in [0, 1] (Guo et al. 2017, eq. 3).

    Bins of equal mass: most entities score above 0.9, where bins of equal width would look at one or two of them.
    scores: (entities,) in [0, 1]. correct: (entities,), 0 or 1. Entities of one score count as equally right, so that
    the order in which they are given does not matter. None without entities.
    """
    if not len(scores):
        return None
    values, groups = np.unique(scores, return_inverse=True)
    sizes = np.bincount(groups)
    right = (np.bincount(groups, weights=correct) / sizes)[groups]
    order = np.argsort(groups, kind="stable")
    gaps = [abs(float((right[part] - values[groups[part]]).sum())) for part in np.array_split(order, bins)]
    return sum(gaps) / len(scores)


def calibration_errors(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str] | None = None
) -> dict[str | None, float | None]:
    """The error of all scored types together (key None) and of each; types and errors as in `spans.compare`.

    An entity is right where start, end and type equal a gold mention's, each gold mention once. Entities without a
    score are left out.
    """
    scores: dict[str, list[float]] = {kind: [] for kind in scored_types(gold, types)}
    correct: dict[str, list[bool]] = {kind: [] for kind in scores}
    for pair in compare(gold, predicted, types=types):
        left = Counter(mention.key for mention in pair.gold)
        for mention in pair.predicted:
            if mention.score is None:
                continue
            right = left[mention.key] > 0
            left[mention.key] -= right
            scores[mention.type].append(mention.score)
            correct[mention.type].append(right)
    found: dict[str | None, float | None] = {
        None: _error([x for of in scores.values() for x in of], [x for of in correct.values() for x in of])
    }
    return found | {kind: _error(scores[kind], correct[kind]) for kind in scores}


def _error(scores: Sequence[float], correct: Sequence[bool]) -> float | None:
    return expected_calibration_error(np.array(scores, dtype=float), np.array(correct, dtype=float))
