from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.student.decode import Candidate, decode


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


def by_pairs(candidates: list[Candidate], *, nested: bool) -> list[Candidate]:
    """The rule as it reads, each candidate compared with all that were chosen before it."""
    chosen: list[Candidate] = []
    for new in sorted(candidates, key=lambda c: (-c.score, c.start - c.end, c.start, c.type)):
        for old in chosen:
            apart = new.end <= old.start or old.end <= new.start
            same = (new.start, new.end) == (old.start, old.end)
            inside = old.start <= new.start and new.end <= old.end
            around = new.start <= old.start and old.end <= new.end
            if not apart and (not nested or same or not (inside or around)):
                break
        else:
            chosen.append(new)
    return sorted(chosen, key=lambda c: (c.start, -c.end))


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
@given(candidates, st.booleans())
def test_the_choice_is_that_of_comparing_all_pairs(found, nested):
    assert decode(found, nested=nested) == by_pairs(found, nested=nested)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("step", [1, 3])
def test_a_hundred_thousand_candidates_take_linear_time(nested, step):
    many = [Candidate(step * i, step * i + 1 + i % 3, 0, 0.5 + (i * 7919 % 1000) / 3000) for i in range(100_000)]
    started = perf_counter()
    chosen = decode(many, nested=nested)
    assert perf_counter() - started < 5  # 0.3 s measured; comparing all pairs takes minutes
    assert len(chosen) == len(many) if step == 3 else 0 < len(chosen) < len(many)
