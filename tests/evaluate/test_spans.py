import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogner.errors import InputError
from kogner.evaluate.spans import score
from kogner.records import Document, Mention

TEXT = "x" * 50


def document(name, *mentions, types=("a", "b")):
    return Document(name, TEXT, tuple(Mention(*mention) for mention in mentions), frozenset(types))


def test_scores_of_a_worked_example():
    gold = [document("1", (0, 2, "a"), (3, 5, "b"), (6, 9, "a")), document("2", (0, 4, "b"))]
    guess = [document("1", (0, 2, "a"), (3, 5, "a"), (6, 8, "a")), document("2", (0, 4, "b"))]
    scores = score(gold, guess)
    assert (scores.gold, scores.predicted, scores.correct) == (4, 4, 2)
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 0.5, 0.5)
    a, b = scores.by_type["a"], scores.by_type["b"]
    assert (a.gold, a.predicted, a.correct) == (2, 3, 1)
    assert (b.gold, b.predicted, b.correct) == (2, 1, 1)
    assert a.f1 == pytest.approx(2 / 5) and b.precision == 1 and b.recall == 0.5
    assert json.loads(json.dumps(scores.to_dict()))["by_type"]["a"]["gold"] == 2


def test_nested_mentions_and_types_on_one_span_count_separately():
    gold = [document("1", (0, 9, "a"), (0, 4, "a"), (0, 9, "b"))]
    assert score(gold, gold).correct == 3


def test_a_document_without_prediction_is_missed_whole():
    scores = score([document("1", (0, 2, "a")), document("2", (0, 2, "a"))], [document("1", (0, 2, "a"))])
    assert (scores.gold, scores.correct, scores.recall) == (2, 1, 0.5)


def test_only_asked_and_annotated_types_are_scored():
    gold = [document("1", (0, 2, "a"), (3, 4, "b")), document("2", (0, 2, "a"), types=("a",))]
    guess = [document("1", (0, 2, "a"), (3, 4, "b")), document("2", (0, 2, "a"), (5, 6, "b"))]
    only_a = score(gold, guess, types=["a"])
    assert (only_a.gold, only_a.predicted, only_a.correct, only_a.ignored) == (2, 2, 2, 2)
    both = score(gold, guess)
    assert (both.predicted, both.ignored) == (3, 1)  # `b` is not annotated in document 2: neither right nor wrong


def test_a_prediction_made_twice_is_right_once():
    scores = score([document("1", (0, 2, "a"))], [document("1", (0, 2, "a"), (0, 2, "a"))])
    assert (scores.predicted, scores.correct) == (2, 1)


def test_a_type_without_gold_and_prediction_has_zero_scores():
    assert score([document("1")], [], types=["a"]).to_dict()["by_type"]["a"]["f1"] == 0


def test_unknown_and_doubled_ids_are_errors():
    with pytest.raises(InputError, match="not in the gold"):
        score([document("1")], [document("2")])
    with pytest.raises(InputError, match=r"document 1.*predicted.*twice"):
        score([document("1")], [document("1"), document("1")])


mentions = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from("ab")).map(lambda m: (m[0], m[0] + m[1], m[2]))
)


@given(mentions, mentions)
def test_micro_counts_are_the_sums_of_the_types(gold, guess):
    scores = score([document("1", *gold)], [document("1", *guess)])
    for name in ("gold", "predicted", "correct"):
        assert getattr(scores, name) == sum(getattr(counts, name) for counts in scores.by_type.values())
    assert scores.gold == len(gold)
    assert scores.correct <= min(scores.gold, scores.predicted)
    assert score([document("1", *gold)], [document("1", *gold)]).f1 == (1 if gold else 0)
