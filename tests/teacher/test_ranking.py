"""Held-out triples that training does not give away, and ranks against a plain reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kogner.config import TransrConfig
from kogner.errors import KognerError
from kogner.teacher.ranking import hold_out, ranking_metrics, ranks
from kogner.teacher.transr import TransR


def random_triples(seed: int, entities: int = 30, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    triples = np.stack([rng.integers(0, entities, count), rng.integers(0, 4, count), rng.integers(0, entities, count)])
    return np.unique(triples.T[triples[0] != triples[2]], axis=0).astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_no_test_pair_is_joined_in_train_in_any_way(seed):
    triples = random_triples(seed)
    held_out = hold_out(triples, 30, 15, seed=seed)
    assert len(held_out.test)
    assert len(held_out.train) + len(held_out.test) == len(triples)
    joined = {frozenset((int(h), int(t))) for h, _, t in held_out.train}
    assert all(frozenset((int(h), int(t))) not in joined for h, _, t in held_out.test)
    trained = set(held_out.train[:, 0]) | set(held_out.train[:, 2])
    assert {*held_out.test[:, 0], *held_out.test[:, 2]} <= trained


def test_excluded_triples_are_counted_by_reason():
    # 0 <-> 1 both ways (a leak), and a chain of which only the end 5 -> 6 hangs by one triple.
    triples = np.array([[0, 0, 1], [1, 0, 0]] * 5 + [[5, 0, 6]] * 1, dtype=np.int32)
    held_out = hold_out(triples, 7, 5, seed=0)
    assert len(held_out.test) == 0
    assert held_out.excluded == {"leak": 10, "unseen": 1, "loop": 0}
    assert len(held_out.train) == len(triples)


@pytest.mark.parametrize("seed", range(5))
def test_a_loop_is_no_test_and_trains_no_vector(seed):
    # Ten entities with nothing but an edge to themselves and one to 0; without the second they are untrained.
    loops = np.array([[n, 0, n] for n in range(1, 11)] + [[n, 1, 0] for n in range(1, 11)], dtype=np.int32)
    held_out = hold_out(loops, 11, 2, seed=seed)
    assert len(held_out.test) == 0 and held_out.excluded == {"leak": 0, "unseen": 10, "loop": 10}


@pytest.mark.parametrize("norm", [1, 2])
def test_ranks_equal_a_loop_over_all_entities(norm):
    triples = random_triples(3)
    config = TransrConfig(entity_dim=5, relation_dim=4, norm=norm)
    model = TransR.start(30, 4, config)
    test = triples[::17]
    known = {tuple(map(int, row)) for row in triples}
    expected = []
    for side in (2, 0):
        for row in test.astype(np.int64):
            candidates = np.repeat(row[None], 30, 0)
            candidates[:, side] = np.arange(30)
            distance = model.distances(torch.from_numpy(candidates), norm=norm)
            own = distance[row[side]]
            better = [
                entity
                for entity in range(30)
                if distance[entity] < own and tuple(map(int, candidates[entity])) not in known
            ]
            expected.append(1 + len(better))
    assert ranks(model, test, triples, config, chunk=3).tolist() == expected


@pytest.mark.parametrize("norm", [1, 2])
def test_sampled_ranks_count_the_better_ones_of_the_sample(norm):
    triples = random_triples(4)
    config = TransrConfig(entity_dim=5, relation_dim=4, norm=norm)
    model = TransR.start(30, 4, config)
    test = triples[::11]
    whole = ranks(model, test, triples, config)
    sampled = ranks(model, test, triples, replace(config, candidates=12))
    assert (sampled <= whole).all()
    assert (sampled < whole).any()
    assert ranks(model, test, triples, replace(config, candidates=30)).tolist() == whole.tolist()
    # A third of the entities: the expected rank is 1 + (12 / 30) * (rank - 1).
    assert np.mean(sampled - 1) == pytest.approx(0.4 * np.mean(whole - 1), rel=0.35)


def test_distances_that_are_no_numbers_are_no_rank():
    config = TransrConfig(entity_dim=3, relation_dim=3)
    model = TransR.start(11, 1, config)
    model.entities[:] = torch.nan
    with pytest.raises(KognerError, match="lower teacher"):
        ranks(model, np.array([[0, 0, 1]]), np.array([[0, 0, 1]]), config)


def test_equal_distances_share_the_mean_rank():
    config = TransrConfig(entity_dim=3, relation_dim=3)
    model = TransR.start(11, 1, config)
    model.entities[:] = 0.5  # a collapsed model must not look perfect
    found = ranks(model, np.array([[0, 0, 1]]), np.array([[0, 0, 1]]), config)
    assert found.tolist() == [6.0, 6.0]


def test_metrics_of_known_ranks():
    figures = ranking_metrics(np.array([1.0, 2.0, 4.0, 20.0]), 100)
    assert figures["mrr"] == pytest.approx((1 + 0.5 + 0.25 + 0.05) / 4)
    assert (figures["hits@1"], figures["hits@3"], figures["hits@10"]) == (0.25, 0.5, 0.75)
    assert figures["mrr_by_side"] == {"tail": 0.75, "head": 0.15}
    assert (figures["candidates"], figures["ranking"]) == (100, "full, filtered, head and tail")
    sampled = ranking_metrics(np.array([1.0, 2.0]), 2_000, candidates=50)
    assert sampled["candidates"] == 50 and sampled["ranking"].startswith("a sample of 2,000, filtered")
    assert ranking_metrics(np.array([]), 100)["mrr"] is None
