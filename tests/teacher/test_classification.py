"""Node classification: what a step reads, what it must not read, and what comes out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kogner.config import UnimpConfig
from kogner.errors import ConfigError, KognerError
from kogner.graph.neighbours import Adjacency
from kogner.graph.store import GraphStore
from kogner.teacher.batches import Batches, Seeds, known_labels
from kogner.teacher.classification import NodeSplit, classification_metrics, final_run, pretrain_unimp
from kogner.teacher.unimp import GraphTransformer
from kogner.teacher.work import METRICS, VECTORS, Stopwatch, finish

UNIMP = UnimpConfig(hidden=16, heads=2, batch_size=32, steps=60, learning_rate=5e-3, valid_share=0.1, test_share=0.2)
TOLD = replace(UNIMP, label_share=0.5, steps=12)


@pytest.fixture(scope="module")
def world(small_graph):
    """Features in which the type shows, noisily; adjacency; labels; names of types."""
    store = GraphStore.open(small_graph)
    codes = np.asarray(store.type_codes)
    features = (np.random.default_rng(0).standard_normal((len(store), 8)) + 2 * np.eye(8)[codes]).astype(np.float16)
    return features, Adjacency.of(store), codes, store.types


def run(world, folder, config=UNIMP, labels=None, **options):
    features, adjacency, codes, types = world
    folder.mkdir()
    return pretrain_unimp(
        features, adjacency, codes if labels is None else labels, types, config, folder=folder, **options
    )


def test_node_classification_beats_the_majority(world, tmp_path):
    trained = run(world, tmp_path / "run")
    metrics = trained.metrics
    assert metrics["nodes"] == {"train": 140, "valid": 20, "test": 40}
    assert metrics["micro"] > metrics["majority_micro"] + 0.2
    assert metrics["macro"] > metrics["majority_macro"] + 0.2
    assert trained.vectors.shape == (200, 16)


@pytest.mark.parametrize("steps", [2, 60])
def test_a_training_that_diverges_is_an_error_and_no_part(world, tmp_path, steps):
    """Of two steps the loss of the last is looked at, of more every tenth."""
    with pytest.raises(KognerError, match=r"Z': the loss is (nan|inf) by training step \d+; lower teacher\.unimp\.lea"):
        run(world, tmp_path / "run", replace(UNIMP, learning_rate=1e30, steps=steps))
    assert not (tmp_path / "run" / VECTORS).exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 7e4])
def test_vectors_that_float16_cannot_hold_finish_no_part(tmp_path, bad):
    vectors = torch.ones(5, 3)
    vectors[3, 1] = bad
    with pytest.raises(KognerError, match=r"Z': the vectors of 1 of 5 entities .* lower teacher\.unimp\.learning_rate"):
        finish(tmp_path, vectors, {}, Stopwatch(tmp_path), part="Z'", section="teacher.unimp")
    assert not (tmp_path / VECTORS).exists() and not (tmp_path / METRICS).exists()


def test_balanced_seeds_and_told_labels_learn_too(world, tmp_path):
    config = replace(UNIMP, class_balanced=False, seed_balance=0.5, label_share=0.5)
    metrics = run(world, tmp_path / "run", config).metrics
    assert metrics["macro"] > metrics["majority_macro"] + 0.2


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(world, tmp_path, workers):
    alone = run(world, tmp_path / "alone", TOLD, workers=0)
    helped = run(world, tmp_path / "helped", TOLD, workers=workers)
    assert np.array_equal(alone.vectors, helped.vectors)


@pytest.mark.parametrize("config", [replace(UNIMP, steps=12), TOLD], ids=["untold", "told"])
def test_held_out_labels_are_never_read(world, tmp_path, config):
    _, _, labels, types = world
    split = NodeSplit.draw(len(labels), config)
    changed = labels.copy()
    held_out = np.concatenate([split.valid, split.test])
    changed[held_out] = (changed[held_out] + 1) % len(types)
    assert np.array_equal(
        run(world, tmp_path / "one", config).vectors, run(world, tmp_path / "two", config, changed).vectors
    )


def test_no_seed_is_told_its_own_label(world):
    features, adjacency, labels, types = world
    train = NodeSplit.draw(len(labels), TOLD).train
    told = asked = 0
    for step in range(8):
        batches = Batches(features, adjacency, labels, train, len(types), TOLD)
        batch = batches.batch(step)
        seeds = len(batch.labels)
        assert (batch.given[:seeds] == len(types)).all()
        others = labels.copy()
        others[Seeds(train, labels, TOLD).batch(step)] = 0
        again = Batches(features, adjacency, others, train, len(types), TOLD).batch(step)
        assert torch.equal(batch.given, again.given)
        told += int((batch.given != len(types)).sum())
        asked += len(batch.given) - seeds
    # Half of the training nodes, which are 70 % of all.
    assert told / asked == pytest.approx(0.5 * 0.7, abs=0.1)


def test_the_final_run_tells_no_node_its_own_label(world):
    features, adjacency, labels, types = world
    train = NodeSplit.draw(len(labels), TOLD).train
    torch.manual_seed(0)
    model = GraphTransformer(features.shape[1], adjacency.n_relations, len(types), TOLD)
    known = known_labels(labels, train, len(types))
    before, _ = final_run(model, features, adjacency, known, TOLD)
    others = 0
    for node in train[:20]:
        changed = known.copy()
        changed[node] = (changed[node] + 1) % len(types)
        after, _ = final_run(model, features, adjacency, changed, TOLD)
        assert torch.equal(before[node], after[node])
        others += int((before != after).any(1).sum())
    assert others > 20


@pytest.mark.parametrize(("balance", "shares"), [(0.5, [0.7, 0.22, 0.07]), (1.0, [1 / 3, 1 / 3, 1 / 3])])
def test_balanced_seeds_follow_the_root_or_are_even(balance, shares):
    labels = np.repeat([0, 1, 2], [10_000, 1_000, 100])
    config = UnimpConfig(class_balanced=False, seed_balance=balance, batch_size=60)
    seeds = Seeds(np.arange(len(labels)), labels, config)
    batches = [seeds.batch(step) for step in range(100)]
    assert all(len(np.unique(batch)) == len(batch) == 60 for batch in batches)
    counts = np.bincount(labels[np.concatenate(batches)]) / 6000
    # Four standard deviations of a share in 6,000 draws are below 0.026.
    assert counts == pytest.approx(shares, abs=0.026)


def test_seeds_run_out_before_they_repeat():
    labels = np.repeat([0, 1], [500, 3])
    config = UnimpConfig(class_balanced=False, seed_balance=1.0, batch_size=100)
    batch = Seeds(np.arange(503), labels, config).batch(0)
    assert len(np.unique(batch)) == len(batch)
    assert (labels[batch] == 1).sum() == 3


def test_both_ways_to_favour_rare_types_are_refused():
    with pytest.raises(ConfigError, match="class_balanced=false"):
        UnimpConfig(seed_balance=0.5)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        UnimpConfig(seed_balance=2.0, class_balanced=False)


def test_split_is_seeded_and_disjoint():
    split = NodeSplit.draw(1000, UNIMP)
    again = NodeSplit.draw(1000, UNIMP)
    assert np.array_equal(split.test, again.test)
    together = np.concatenate([split.train, split.valid, split.test])
    assert sorted(together.tolist()) == list(range(1000))
    assert (len(split.valid), len(split.test)) == (100, 200)


def test_metrics_of_known_guesses():
    labels = np.array([0, 0, 0, 1, 2])
    guesses = np.array([0, 0, 1, 1, 0])
    figures = classification_metrics(guesses, labels, np.arange(5), ("a", "b", "c", "unused"), majority=0)
    assert figures["micro"] == pytest.approx(0.6)
    assert figures["macro"] == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-4)
    assert (figures["majority"], figures["majority_micro"]) == ("a", 0.6)
    assert figures["majority_macro"] == pytest.approx(1 / 3, abs=1e-4)
    assert "unused" not in figures["by_type"]
