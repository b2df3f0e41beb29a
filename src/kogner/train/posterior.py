"""A setting of a student that documents decide, by what they leave possible instead of what was best on them.

The F1 of a threshold on a few documents is noisy, and the best of many noisy values is the luckiest one. Here each
value of a grid has a weight: how well it goes with the F1 that was seen, and how likely it was before. With many
documents only values next to the best one keep a weight; with few the mean stays where it was before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 200
LEAST = 1e-5  # of F1, a standard error below which a difference is none


def posterior_mean(
    grid: np.ndarray, right: np.ndarray, found: np.ndarray, gold: np.ndarray, *, mean: float, deviation: float
) -> float:
    """The mean of a grid under a normal prior and what documents say of its values (`log_likelihood`).

    grid: (values,). right, found: (documents, values) spans that are right, and all, at each. gold: (documents,)
    mentions. mean, deviation: of the prior.
    """
    log_weight = log_likelihood([(right, found, gold)]) - 0.5 * ((grid - mean) / deviation) ** 2
    weight = np.exp(log_weight - log_weight.max())
    return float((weight * grid).sum() / weight.sum())


def log_likelihood(corpora: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """-d^2 / 2 of each value, d being how many standard errors its F1, the mean over corpora, lies below the best one.

    The standard error is that of the difference from the best value, by a Poisson bootstrap over documents (Hanley and
    MacGibbon 2006): documents with neither gold mentions nor found ones change nothing and may be left out.

    corpora: of each, right and found, (documents, values) spans that are right, and all, at each value, and gold,
    (documents,) mentions.
    """
    random = np.random.default_rng(0)
    seen, resampled = [], []
    for right, found, gold in corpora:
        weights = random.poisson(1.0, (RESAMPLES, len(gold)))
        seen.append(f1_of(right.sum(0), found.sum(0), gold.sum()))
        resampled.append(f1_of(weights @ right, weights @ found, (weights @ gold)[:, None]))
    f1, again = np.mean(seen, axis=0), np.mean(resampled, axis=0)
    best = int(np.argmax(f1))
    error = np.maximum((again[:, [best]] - again).std(0), LEAST)
    said: np.ndarray = -0.5 * ((f1[best] - f1) / error) ** 2
    return said


def f1_of(right: np.ndarray, found: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """F1 of counts."""
    scores: np.ndarray = 2 * right / np.maximum(found + gold, 1)
    return scores
