"""A setting that documents decide, between what was best on them and what was likely before."""

from __future__ import annotations

import numpy as np
import pytest

from kogner.train.posterior import posterior_mean

GRID = np.round(np.arange(0.2, 0.81, 0.02), 2)


def counts(documents: int, best: float, seed: int = 0):
    """Documents of ten mentions whose spans are found, and right, as at a student whose best threshold is `best`."""
    random = np.random.default_rng(seed)
    chance_right = np.clip(0.9 - 1.5 * np.maximum(GRID - best, 0), 0, 1)
    wrong = random.poisson(1 + 12 * np.maximum(best - GRID, 0), (documents, len(GRID)))
    right = random.binomial(10, chance_right, (documents, len(GRID)))
    return right, right + wrong, np.full(documents, 10)


def fitted(documents: int, best: float, **settings: float) -> float:
    return posterior_mean(GRID, *counts(documents, best), **({"mean": 0.5, "deviation": 0.2} | settings))


@pytest.mark.parametrize("best", [0.3, 0.5, 0.7])
def test_many_documents_decide(best):
    assert fitted(2_000, best) == pytest.approx(best, abs=0.05)


def test_the_fewer_documents_the_nearer_to_what_was_likely_before():
    near = [abs(fitted(documents, 0.74) - 0.5) for documents in (2, 20, 2_000)]
    assert near[0] < near[1] < near[2]
    assert fitted(2, 0.74, deviation=0.01) == pytest.approx(0.5, abs=0.02)
    assert fitted(2, 0.74, mean=0.3, deviation=0.01) == pytest.approx(0.3, abs=0.03)


def test_nothing_found_leaves_what_was_likely_before():
    nothing = np.zeros((3, len(GRID)), int)
    value = posterior_mean(GRID, nothing, nothing, np.array([1, 2, 0]), mean=0.5, deviation=0.2)
    assert value == pytest.approx(0.5)


def test_documents_with_nothing_in_them_change_next_to_nothing():
    right, found, gold = counts(200, 0.4)
    more = [np.concatenate([one, np.zeros((300, *one.shape[1:]), int)]) for one in (right, found, gold)]
    both = [posterior_mean(GRID, *data, mean=0.5, deviation=0.2) for data in ((right, found, gold), more)]
    assert both[0] == pytest.approx(both[1], abs=0.01)


def test_it_is_the_same_each_time():
    assert fitted(30, 0.6) == fitted(30, 0.6)


def test_it_does_better_on_other_documents_than_the_best_of_few():
    """Thresholds of ten documents, scored on two thousand others, over many draws."""
    right, found, gold = counts(2_000, 0.5, seed=1)
    f1 = 2 * right.sum(0) / (found.sum(0) + gold.sum())
    gains = []
    for seed in range(100):
        few = counts(5, 0.5, seed=seed + 2)
        best = int(np.argmax(2 * few[0].sum(0) / (few[1].sum(0) + few[2].sum())))
        value = posterior_mean(GRID, *few, mean=0.5, deviation=0.2)
        gains.append(np.interp(value, GRID, f1) - f1[best])
    assert np.mean(gains) > 2 * np.std(gains) / 10
