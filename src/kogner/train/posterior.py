"""A setting of a student that documents decide, by what they leave possible instead of what was best on them.

The F1 of a threshold on a few documents is noisy, and the best of many noisy values is the luckiest one. Here each
value of a grid has a weight: how well it goes with the F1 that was seen, and how likely it was before. With many
documents only values next to the best one keep a weight; with few the mean stays where it was before.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 200
LEAST = 1e-5  # of F1, a standard error below which a difference is none


def posterior_mean(
    grid: np.ndarray, right: np.ndarray, found: np.ndarray, gold: np.ndarray, *, mean: float, deviation: float
) -> float:
    """The mean of a grid under a normal prior and exp(-d^2 / 2), d being how many standard errors a value's F1 lies
    below the best one.

    The standard error is that of the difference from the best value, by a Poisson bootstrap over documents (Hanley and
    MacGibbon 2006): documents with neither gold mentions nor found ones change nothing and may be left out.

    grid: (values,). right, found: (documents, values) spans that are right, and all, at each. gold: (documents,)
    mentions. mean, deviation: of the prior.
    """
    f1 = _f1(right.sum(0), found.sum(0), gold.sum())
    best = int(np.argmax(f1))
    weights = np.random.default_rng(0).poisson(1.0, (RESAMPLES, len(gold)))
    resampled = _f1(weights @ right, weights @ found, (weights @ gold)[:, None])
    error = np.maximum((resampled[:, [best]] - resampled).std(0), LEAST)
    log_weight = -0.5 * ((f1[best] - f1) / error) ** 2 - 0.5 * ((grid - mean) / deviation) ** 2
    weight = np.exp(log_weight - log_weight.max())
    return float((weight * grid).sum() / weight.sum())


def _f1(right: np.ndarray, found: np.ndarray, gold: np.ndarray) -> np.ndarray:
    scores: np.ndarray = 2 * right / np.maximum(found + gold, 1)
    return scores
