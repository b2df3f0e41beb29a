"""The paired bootstrap: equal arms differ in nothing, a clear difference is found, pairing helps."""

import numpy as np
import pytest

from kogner.errors import InputError
from kogner.evaluate.significance import document_counts, f1_interval, holm, overall, paired_bootstrap, resampled
from kogner.evaluate.spans import score
from kogner.records import Document, Mention


def arm(rate, *, seeds=3, documents=200, seed=0):
    gold = np.random.default_rng(0).integers(1, 8, documents)  # the same of all arms
    dice = np.random.default_rng([seed, 1])
    return [[(int(g), int(g), int(dice.binomial(g, rate))) for g in gold] for _ in range(seeds)]


def f1(counts):
    gold, predicted, correct = np.sum(counts, axis=0)
    return 200 * correct / (gold + predicted)


def test_equal_arms():
    found = paired_bootstrap(arm(0.8), arm(0.8), rounds=500)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1.0)


def test_a_clear_difference():
    better, baseline = arm(0.9, seed=1, documents=1000), arm(0.8, seed=2, documents=1000)
    found = paired_bootstrap(better, baseline, rounds=2000)
    assert found.mean == pytest.approx(np.mean([f1(b) - f1(a) for b, a in zip(better, baseline, strict=True)]))
    assert found.low < found.mean < found.high and found.low > 5 and found.p < 0.01 and found.seeds == 3
    turned = paired_bootstrap(baseline, better, rounds=2000)
    assert turned.mean == pytest.approx(-found.mean) and turned.p == pytest.approx(found.p, abs=0.01)
    assert found == paired_bootstrap(better, baseline, rounds=2000)


def test_noise_is_no_difference():
    below = sum(
        paired_bootstrap(arm(0.8, seed=2 * n), arm(0.8, seed=2 * n + 1), rounds=400).p < 0.05 for n in range(40)
    )
    assert below <= 4


def test_seeds_that_differ_among_themselves_show_no_difference():
    """Trainings whose F1 moves by chance far more than documents do: one in twenty is called a difference, no more."""
    dice = np.random.default_rng(3)
    below = 0
    for _ in range(200):
        arms = []
        for _ in range(2):
            rates = np.clip(0.8 + 0.02 * dice.standard_normal(3), 0, 1)
            arms.append([[(50, 50, round(50 * rate) + int(dice.integers(-1, 2))) for _ in range(60)] for rate in rates])
        below += paired_bootstrap(*arms, rounds=400).p < 0.05
    assert below <= 20  # 10 on average


def test_three_seeds_of_one_sign_are_not_enough_by_themselves():
    rates = (0.830, 0.802, 0.815)
    better = [[(100, 100, round(100 * rate))] * 400 for rate in rates]
    baseline = [[(100, 100, 80)] * 400] * 3
    found = paired_bootstrap(better, baseline, rounds=4000)
    # documents are all alike, so this is the t-test of 3.0, 0.0 and 2.0
    assert found.mean == pytest.approx(5 / 3, abs=0.1) and 0.1 < found.p < 0.3


def test_what_a_seed_has_in_common_over_several_settings_counts():
    """Of trainings that start from one student: two settings that move together say no more than one."""

    def of(*rates):
        better = [[(100, 100, round(100 * rate))] * 400 for rate in rates]
        return resampled(better, [[(100, 100, 80)] * 400] * 3, rounds=4000)

    one, same, other = of(0.83, 0.80, 0.82), of(0.84, 0.81, 0.83), of(0.80, 0.83, 0.81)
    alone, together, against = (overall(every) for every in ([one], [one, same], [one, other]))
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert against.high - against.low < 0.2 * (alone.high - alone.low)


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


def test_passages_of_an_article_count_together():
    gold = [Document(name, "a b", (Mention(0, 1, "x"),)) for name in ("1#1", "2", "1#2#3")]
    found = [Document("1#1", "a b"), Document("2", "a b", (Mention(2, 3, "x"),)), gold[2]]
    assert document_counts(gold, found, types=["x"]) == [(2, 1, 1), (1, 1, 0)]


def test_arms_that_do_not_fit():
    for other in (arm(0.8, seeds=2), []):
        with pytest.raises(InputError, match="same seeds and documents"):
            paired_bootstrap(arm(0.8), other)
    for other in (arm(0.8, documents=3), [*arm(0.8, seeds=2), *arm(0.8, seeds=1, documents=3)]):
        with pytest.raises(InputError, match="other numbers of documents"):
            paired_bootstrap(arm(0.8), other)
    other = [[list(document) for document in seed] for seed in arm(0.8)]
    other[-1][0][0] += 1
    with pytest.raises(InputError, match="other gold mentions"):
        paired_bootstrap(arm(0.8), other)


def test_interval_of_one_model():
    counts = [(4, 4, 4 if number % 4 else 0) for number in range(400)]  # three documents in four are right
    low, high = f1_interval(counts, rounds=4000)
    spread = 100 * np.sqrt(0.75 * 0.25 / 400)  # of equal documents F1 is a share of them
    assert low == pytest.approx(75 - 1.96 * spread, abs=0.4) and high == pytest.approx(75 + 1.96 * spread, abs=0.4)
    assert f1_interval(counts[1:2] * 9) == (100, 100)
    assert f1_interval(counts[1:2] * 9, missed=36) == pytest.approx((200 / 3, 200 / 3))
    assert f1_interval([(0, 0, 0)]) == (0, 0) == f1_interval([])


def test_several_comparisons():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])  # 3 x 0.01, 2 x 0.03, and no less after
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []
