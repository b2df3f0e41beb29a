"""How much other places of the same text in a document count, fitted on dev documents (`kogner.annotate.agreement`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kogner.annotate.agreement import settled
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import decode
from kogner.train.splits import Split
from kogner.train.thresholds import NEAR, Scored, by_document, shown

WEIGHTS = (0.0, 0.25, 0.4, 0.5, 0.6)


def best_agreement(dev: Scored, splits: Sequence[Split], types: Sequence[str], info: StudentInfo) -> dict[str, float]:
    """For each type with mentions the weight of WEIGHTS with the best exact F1 at the thresholds of `info`.

    As for the weight of names: the F1 is the mean over the corpora that have the type, a weight that makes it worse for
    one of them is none, and of weights within NEAR of the best it is the smallest.
    """
    thresholds = [info.threshold(name) for name in types]
    gold: Counter[tuple[str, int]] = Counter()
    found = {weight: Counter[tuple[str, int]]() for weight in WEIGHTS}
    right = {weight: Counter[tuple[str, int]]() for weight in WEIGHTS}
    for corpus, _, document, spans in by_document(dev, shown(dev, types, info), splits, types):
        keys = {(one.start, one.end, types.index(one.type)) for one in document.mentions if one.type in types}
        gold.update((corpus, kind) for _, _, kind in keys)
        chosen = decode([span for span in spans if span.score >= thresholds[span.type]])
        for weight in WEIGHTS:
            weights = [weight] * len(types)
            for one in settled(document.text, chosen, spans, thresholds=thresholds, weights=weights):
                found[weight][corpus, one.type] += 1
                right[weight][corpus, one.type] += one[:3] in keys
    fitted: dict[str, float] = {}
    for number, name in enumerate(types):
        corpora = [corpus for corpus, kind in gold if kind == number]
        if not corpora:
            continue
        f1 = np.array([
            [2 * right[weight][corpus, number] / (found[weight][corpus, number] + gold[corpus, number])
             for corpus in corpora]
            for weight in WEIGHTS
        ])  # fmt: skip
        mean = np.where((f1 >= f1[0] - NEAR).all(axis=1), f1.mean(axis=1), 0)
        fitted[name] = WEIGHTS[int(np.argmax(mean >= mean.max() - NEAR))]
    return fitted
