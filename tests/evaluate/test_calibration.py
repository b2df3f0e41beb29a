from __future__ import annotations

import numpy as np
import pytest

from kogner.evaluate.calibration import calibration_errors, expected_calibration_error
from kogner.records import Document, Mention


def test_error_of_a_worked_example():
    """Two bins: 0.5 and 0.6 with one right, 0.9 and 1.0 with both right."""
    scores, correct = np.array([0.9, 0.5, 1.0, 0.6]), np.array([1, 0, 1, 1])
    assert expected_calibration_error(scores, correct, bins=2) == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)
    assert expected_calibration_error(scores, correct, bins=1) == pytest.approx(0.0)


def test_scores_that_are_probabilities_have_a_small_error_and_bold_ones_a_large_one():
    random = np.random.default_rng(0)
    truth = random.uniform(0.3, 1.0, size=20_000)
    correct = random.uniform(size=len(truth)) < truth
    honest = expected_calibration_error(truth, correct)
    bold = expected_calibration_error(truth**0.2, correct)
    assert honest is not None and honest < 0.015  # 15 bins of 1,333: the mean |error| of a share of 1,333 is 0.009
    assert bold == pytest.approx(np.mean(truth**0.2 - truth), abs=0.015)


def test_the_order_of_equal_scores_does_not_matter():
    random = np.random.default_rng(1)
    scores = random.integers(5, 10, size=300) / 10
    correct = random.integers(0, 2, size=300)
    order = random.permutation(300)
    assert expected_calibration_error(scores, correct) == pytest.approx(
        expected_calibration_error(scores[order], correct[order]), abs=1e-12
    )


def test_nothing_found_has_no_error():
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) is None
    assert expected_calibration_error(np.array([0.7]), np.array([1])) == pytest.approx(0.3)


def document(*mentions):
    found = tuple(Mention(start, end, kind, score=score) for start, end, kind, score in mentions)
    return Document("1", "x" * 50, found, frozenset("ab"))


def test_entities_are_judged_by_exact_match_each_gold_mention_once():
    gold = [document((0, 5, "a", None), (10, 15, "b", None))]
    guess = [document((0, 5, "a", 0.9), (0, 5, "a", 0.9), (10, 14, "b", 0.6), (20, 25, "c", 0.6))]
    found = calibration_errors(gold, guess)
    assert found["a"] == pytest.approx(0.4)  # one of two is right
    assert found["b"] == pytest.approx(0.6)
    assert found[None] == pytest.approx((2 * 0.4 + 0.6) / 3)
    assert "c" not in found
    assert calibration_errors(gold, []) == {None: None, "a": None, "b": None}
