from __future__ import annotations

from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.errors import InputError
from kogner.student.decode import OVERLAPS, Candidate, decode, warmed


def spans(found: list[Candidate]) -> list[tuple[int, int, int]]:
    return [(c.start, c.end, c.type) for c in found]


OUTER, INNER = Candidate(0, 4, 0, 0.9), Candidate(1, 3, 1, 0.8)
CROSSING, APART = Candidate(3, 6, 0, 0.7), Candidate(6, 7, 1, 0.6)


def test_flat_keeps_the_best_of_overlapping_spans():
    assert spans(decode([APART, CROSSING, INNER, OUTER])) == [(0, 4, 0), (6, 7, 1)]


def test_nested_keeps_spans_inside_others_but_none_that_cross():
    assert spans(decode([APART, CROSSING, INNER, OUTER], nested=True)) == [(0, 4, 0), (1, 3, 1), (6, 7, 1)]


def test_one_span_has_one_type():
    same = [Candidate(0, 2, 0, 0.6), Candidate(0, 2, 1, 0.7)]
    assert spans(decode(same, nested=True)) == [(0, 2, 1)]


def test_equal_scores_prefer_the_longer_span():
    assert spans(decode([Candidate(0, 1, 0, 0.5), Candidate(0, 3, 0, 0.5)])) == [(0, 3, 0)]


def test_nothing_gives_nothing():
    assert decode([]) == decode([], nested=True) == []


ORDERS = {
    "score": lambda c: (-c.score, c.start - c.end, c.start, c.type),
    "longest": lambda c: (c.start - c.end, -c.score, c.start, c.type),
    "first": lambda c: (c.start, -c.score, c.start - c.end, c.type),
}


def by_pairs(candidates: list[Candidate], *, nested: bool, overlap: str) -> list[Candidate]:
    """The rule as it reads, each candidate compared with all that were chosen before it."""
    chosen: list[Candidate] = []
    for new in sorted(best_types(candidates), key=ORDERS[overlap]):
        for old in chosen:
            apart = new.end <= old.start or old.end <= new.start
            inside = old.start <= new.start and new.end <= old.end
            around = new.start <= old.start and old.end <= new.end
            if not apart and (not nested or not (inside or around)):
                break
        else:
            chosen.append(new)
    return sorted(chosen, key=lambda c: (c.start, -c.end))


def best_types(candidates: list[Candidate]) -> list[Candidate]:
    ordered = sorted(candidates, key=lambda c: (c.score, -c.type))
    return list({(c.start, c.end): c for c in ordered}.values())


candidates = st.lists(
    st.builds(
        lambda start, width, kind, score: Candidate(start, start + width, kind, score / 8),
        st.integers(0, 14),
        st.integers(1, 7),
        st.integers(0, 2),
        st.integers(1, 7),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(candidates, st.booleans(), st.sampled_from(sorted(ORDERS)))
def test_the_choice_is_that_of_comparing_all_pairs(found, nested, overlap):
    assert decode(found, nested=nested, overlap=overlap) == by_pairs(found, nested=nested, overlap=overlap)


def largest_sum(spans: list[Candidate]) -> float:
    """By trying: the first span either stays out, or everything that shares a word with it does."""
    if not spans:
        return 0.0
    first, *rest = spans
    apart = [c for c in rest if c.end <= first.start or first.end <= c.start]
    return max(largest_sum(rest), first.score + largest_sum(apart))


@settings(max_examples=200, deadline=None)
@given(candidates.map(lambda found: found[:12]))
def test_best_has_the_largest_sum_of_all_sets_without_overlap(found):
    chosen = decode(found, overlap="best")
    assert all(a.end <= b.start for a, b in pairwise(chosen))
    assert set(chosen) <= set(best_types(found))
    assert sum(c.score for c in chosen) == largest_sum(best_types(found))  # eighths, so sums are exact


def test_best_takes_two_good_spans_where_greed_takes_one_better():
    found = [Candidate(0, 2, 0, 0.8), Candidate(1, 4, 0, 0.9), Candidate(3, 5, 1, 0.7)]
    assert spans(decode(found)) == [(1, 4, 0)]
    assert spans(decode(found, overlap="best")) == [(0, 2, 0), (3, 5, 1)]
    assert spans(decode(found, overlap="first")) == [(0, 2, 0), (3, 5, 1)]


def test_the_longest_and_the_first_may_beat_the_best_score():
    found = [Candidate(0, 1, 0, 0.6), Candidate(0, 3, 0, 0.5), Candidate(2, 3, 0, 0.9)]
    assert spans(decode(found)) == [(0, 1, 0), (2, 3, 0)]
    assert spans(decode(found, overlap="longest")) == [(0, 3, 0)]
    assert spans(decode(found, overlap="first")) == [(0, 1, 0), (2, 3, 0)]


@settings(max_examples=200, deadline=None)
@given(candidates, st.booleans(), st.sampled_from(OVERLAPS))
def test_multi_label_chooses_the_same_spans_with_all_their_types(found, nested, overlap):
    nested = nested and overlap != "best"
    single = decode(found, nested=nested, overlap=overlap)
    several = decode(found, nested=nested, overlap=overlap, multi_label=True)
    assert [(c.start, c.end) for c in single] == list(dict.fromkeys((c.start, c.end) for c in several))
    chosen = {(c.start, c.end) for c in single}
    assert {c[:3] for c in several} == {c[:3] for c in found if (c.start, c.end) in chosen}
    assert len({c[:3] for c in several}) == len(several)
    assert set(single) <= set(several)


@settings(max_examples=100, deadline=None)
@given(candidates)
def test_all_keeps_every_span(found):
    assert {(c.start, c.end) for c in decode(found, overlap="all")} == {(c.start, c.end) for c in found}
    assert decode(found, overlap="all") == sorted(best_types(found), key=lambda c: (c.start, -c.end))


def test_a_policy_that_is_not_there_is_a_clear_error():
    with pytest.raises(InputError, match="'worst' is not known; choose one of score, longest, first, best, all"):
        decode([OUTER], overlap="worst")
    with pytest.raises(InputError, match="for nested entities take overlap 'score'"):
        decode([OUTER], overlap="best", nested=True)


@pytest.mark.parametrize(
    ("nested", "overlap"), [(False, "score"), (True, "score"), (False, "longest"), (True, "first"), (False, "best")]
)
@pytest.mark.parametrize("step", [1, 3])
def test_a_hundred_thousand_candidates_take_linear_time(nested, overlap, step):
    many = [Candidate(step * i, step * i + 1 + i % 3, 0, 0.5 + (i * 7919 % 1000) / 3000) for i in range(100_000)]
    started = process_time()
    chosen = decode(many, nested=nested, overlap=overlap)
    assert process_time() - started < 5  # 1 s measured at most; comparing all pairs takes minutes
    assert len(chosen) == len(many) if step == 3 else 0 < len(chosen) < len(many)


probabilities = st.floats(1e-3, 1 - 1e-3)


@given(probabilities, probabilities, st.floats(0.5, 2))
def test_calibration_keeps_the_order_and_can_be_undone(one, other, temperature):
    low, high = sorted((one, other))
    assert warmed(low, temperature) <= warmed(high, temperature) + 1e-12
    assert warmed(warmed(one, temperature), 1 / temperature) == pytest.approx(one, abs=1e-9)


def test_calibration_divides_logits():
    assert warmed(0.9, 2.0) == pytest.approx(0.75)  # odds of 9 become odds of 3
    assert warmed(0.1, 2.0) == pytest.approx(0.25)
    assert warmed(0.5, 7.0) == 0.5
    assert [warmed(score, 2.0) for score in (0.0, 1.0)] == [0.0, 1.0]
    assert 0 <= warmed(1e-300, 0.01) < warmed(1 - 1e-16, 0.01) <= 1
