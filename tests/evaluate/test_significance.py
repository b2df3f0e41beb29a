"""The paired bootstrap: equal arms differ in nothing, a clear difference is found, pairing helps."""

import numpy as np
import pytest

from kogner.errors import InputError
from kogner.evaluate.significance import document_counts, paired_bootstrap
from kogner.evaluate.spans import score
from kogner.records import Document, Mention


def arm(rate, *, seeds=3, documents=200, seed=0):
    dice = np.random.default_rng(seed)
    gold = dice.integers(1, 8, documents)
    return [[(int(g), int(g), int(dice.binomial(g, rate))) for g in gold] for _ in range(seeds)]


def f1(counts):
    gold, predicted, correct = np.sum(counts, axis=0)
    return 200 * correct / (gold + predicted)


def test_equal_arms():
    found = paired_bootstrap(arm(0.8), arm(0.8), rounds=500)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1.0)


def test_a_clear_difference():
    better, baseline = arm(0.9, seed=1), arm(0.8, seed=2)
    found = paired_bootstrap(better, baseline, rounds=2000)
    assert found.mean == pytest.approx(np.mean([f1(b) - f1(a) for b, a in zip(better, baseline, strict=True)]))
    assert found.low < found.mean < found.high and found.low > 5 and found.p == 2 / 2000 and found.seeds == 3
    turned = paired_bootstrap(baseline, better, rounds=2000)
    assert turned.mean == pytest.approx(-found.mean) and turned.p == found.p
    assert found == paired_bootstrap(better, baseline, rounds=2000)


def test_noise_is_no_difference():
    below = sum(
        paired_bootstrap(arm(0.8, seed=2 * n), arm(0.8, seed=2 * n + 1), rounds=400).p < 0.05 for n in range(40)
    )
    assert below <= 8  # about one in twenty, and more where three seeds are resampled


def test_the_interval_is_that_of_a_normal_difference():
    """One seed: the deviation of a resampled difference is that of the documents' own contributions."""
    better, baseline = arm(0.85, seeds=1, documents=400, seed=5), arm(0.8, seeds=1, documents=400, seed=6)
    found = paired_bootstrap(better, baseline, rounds=4000)
    dice = np.random.default_rng(1)
    one, two = np.array(better[0]), np.array(baseline[0])
    drawn = []
    for _ in range(2000):
        rows = dice.integers(0, 400, 400)
        drawn.append(f1(one[rows]) - f1(two[rows]))
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx([found.low, found.high], abs=0.25)


def test_counts_of_documents_add_up_to_the_score():
    gold = [Document("1", "a b c", (Mention(0, 1, "x"), Mention(2, 3, "y"))), Document("2", "a", (Mention(0, 1, "x"),))]
    found = [
        Document("2", "a", (Mention(0, 1, "x"), Mention(0, 1, "y"))),
        Document("1", "a b c", (Mention(2, 3, "x"),)),
    ]
    counts = document_counts(gold, found, types=["x", "y"])
    whole = score(gold, found, types=["x", "y"])
    assert np.sum(counts, axis=0).tolist() == [whole.gold, whole.predicted, whole.correct]


def test_arms_that_do_not_fit():
    for other in (arm(0.8, seeds=2), arm(0.8, documents=3), []):
        with pytest.raises(InputError, match="same seeds and documents"):
            paired_bootstrap(arm(0.8), other)
