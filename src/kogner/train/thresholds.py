"""Score thresholds per type, fitted on dev documents only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kogner.annotate.predictor import Predictor, Settings
from kogner.student.model import Student

if TYPE_CHECKING:
    from kogner.train.loop import Split

GRID = np.round(np.arange(0.20, 0.81, 0.05), 2)


def fit_thresholds(student: Student, splits: Sequence[Split], types: Sequence[str]) -> dict[str, float]:
    """The threshold of each type with the best exact F1 over all dev documents that annotate it.

    Decoding is greedy by score, so what is found at a threshold is what is found at a lower one and scores enough
    (exactly so for one type; with several, a weaker span of another type may still come in its place).
    Types without dev mentions are left out: the default counts for them.
    """
    predictor = Predictor(student)
    correct: dict[str, list[float]] = {name: [] for name in types}
    wrong: dict[str, list[float]] = {name: [] for name in types}
    gold: dict[str, int] = dict.fromkeys(types, 0)
    lowest = Settings(threshold=float(GRID[0]), token_budget=8192)
    for split in splits:
        if not split.dev:
            continue
        for document, found in zip(
            split.dev, predictor.predict(split.dev, labels=split.types, settings=lowest), strict=True
        ):
            keys = {mention.key for mention in document.mentions}
            for mention in document.mentions:
                if mention.type in gold:  # dev may annotate types that train lacks
                    gold[mention.type] += 1
            for mention in found.mentions:
                (correct if mention.key in keys else wrong)[mention.type].append(mention.score or 0.0)
    fitted = {}
    for name in types:
        if not gold[name]:
            continue
        right, false = np.array(correct[name]), np.array(wrong[name])
        f1 = [2 * (right >= t).sum() / ((right >= t).sum() + (false >= t).sum() + gold[name]) for t in GRID]
        fitted[name] = float(GRID[int(np.argmax(f1))])
    return fitted
