from __future__ import annotations

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
