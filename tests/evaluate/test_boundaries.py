from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.evaluate.boundaries import forgiving, overlapping
from kogner.evaluate.spans import score
from kogner.records import Document, Mention


def document(name, *mentions, types=("a", "b")):
    return Document(name, "x" * 60, tuple(Mention(*mention) for mention in mentions), frozenset(types))


def test_scores_of_a_worked_example():
    gold = [document("1", (0, 5, "a"), (10, 15, "a"), (20, 25, "b"), (30, 35, "b"))]
    guess = [document("1", (0, 4, "a"), (12, 15, "a"), (20, 25, "a"), (33, 40, "b"), (50, 55, "b"))]
    found = forgiving(gold, guess)
    assert {name: of.correct for name, of in found.items()} == {"relaxed": 3, "left": 1, "right": 1}
    assert {name: (of.gold, of.predicted) for name, of in found.items()} == dict.fromkeys(found, (4, 5))
    assert found["relaxed"].by_type["a"].correct == 2
    assert found["relaxed"].f1 == 2 * 3 / 9
    assert score(gold, guess).correct == 0


def test_one_wide_prediction_finds_one_mention_only():
    gold = [document("1", (0, 5, "a"), (10, 15, "a"), (20, 25, "a"))]
    assert forgiving(gold, [document("1", (0, 60, "a"))])["relaxed"].correct == 1
    assert forgiving([document("1", (0, 60, "a"))], gold)["relaxed"].correct == 1


def test_touching_is_not_overlapping_and_types_that_are_not_annotated_do_not_count():
    assert forgiving([document("1", (0, 5, "a"))], [document("1", (5, 9, "a"))])["relaxed"].correct == 0
    found = forgiving([document("1", (0, 5, "a"), types="a")], [document("1", (0, 5, "b"))])
    assert found["relaxed"].predicted == 0


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)).map(lambda s: (s[0], s[0] + s[1])), max_size=6)


def flat(found):
    chosen = []
    for start, end in sorted(found):
        if not chosen or chosen[-1][1] <= start:
            chosen.append((start, end))
    return chosen


def most_pairs(gold, guess):
    small, large = sorted((gold, guess), key=len)
    return max(
        sum(a[0] < b[1] and b[0] < a[1] for a, b in zip(small, order, strict=False))
        for order in permutations(large, len(small))
    )


def mentions(found):
    return [Mention(start, end, "a") for start, end in found]


@settings(max_examples=300, deadline=None)
@given(spans.map(flat), spans.map(flat))
def test_flat_spans_are_paired_as_often_as_they_can_be(gold, guess):
    assert overlapping(mentions(gold), mentions(guess)) == most_pairs(gold, guess)


@settings(max_examples=300, deadline=None)
@given(spans, spans)
def test_pairs_lie_between_the_equal_and_the_possible(gold, guess):
    pairs = overlapping(mentions(gold), mentions(guess))
    assert pairs <= most_pairs(gold, guess)
    exact = score([document("1", *((*s, "a") for s in gold))], [document("1", *((*s, "a") for s in guess))])
    assert pairs >= exact.correct
    assert overlapping(mentions(gold), mentions(gold)) == len(gold)


def test_thousands_of_mentions_do_not_take_all_pairs():
    gold = mentions((10 * i, 10 * i + 6) for i in range(50_000))
    guess = mentions((10 * i + 3, 10 * i + 9) for i in range(50_000))
    assert overlapping(gold, guess) == 50_000  # 0.2 s; comparing all pairs takes minutes
