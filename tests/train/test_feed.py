"""Groups of a step: nothing is lost, and no other cut of the lengths costs less."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kogner.data.batch import Example
from kogner.student.encoder import Encoded
from kogner.train import feed
from kogner.train.feed import grouped


def examples(lengths) -> list[Example]:
    return [
        Example(Encoded(np.arange(length), np.arange(1)), np.zeros((0, 4)), np.ones(1, bool), document=number)
        for number, length in enumerate(lengths)
    ]


def cost(groups) -> int:
    return sum(feed.GROUP + max(group) * len(group) for group in groups)


@pytest.mark.parametrize("seed", range(20))
def test_no_other_cut_costs_less(monkeypatch, seed):
    random = np.random.default_rng(seed)
    monkeypatch.setattr(feed, "GROUP", int(random.integers(0, 60)))
    lengths = random.integers(3, 80, size=random.integers(1, 9)).tolist()
    groups = grouped(examples(lengths))
    assert sorted(one.document for group in groups for one in group) == list(range(len(lengths)))
    found = [[len(one.encoded.ids) for one in group] for group in groups]
    assert list(itertools.chain(*found)) == sorted(lengths)
    ordered = sorted(lengths)
    cuts = (
        [0, *inner, len(ordered)]
        for count in range(len(ordered))
        for inner in itertools.combinations(range(1, len(ordered)), count)
    )
    best = min(cost([ordered[a:b] for a, b in itertools.pairwise(cut)]) for cut in cuts)
    assert cost(found) == best


def test_a_passage_stands_apart_from_sentences():
    groups = grouped(examples([20, 400, 22, 25, 21]))
    assert [[len(one.encoded.ids) for one in group] for group in groups] == [[20, 21, 22, 25], [400]]
