"""The loops: a run cut anywhere and taken up again equals the one that was left alone."""

import numpy as np
import pytest
import torch

from kogner.config import TransrConfig, UnimpConfig
from kogner.errors import KognerError
from kogner.graph.neighbours import Adjacency
from kogner.graph.store import GraphStore
from kogner.teacher.classification import pretrain_unimp
from kogner.teacher.pretrain import pretrain_transr
from kogner.teacher.transr import TransR
from kogner.teacher.work import VECTORS, Checkpoints

UNIMP = UnimpConfig(hidden=16, heads=2, batch_size=32, steps=60, learning_rate=5e-3, valid_share=0.1, test_share=0.2)
TRANSR = TransrConfig(entity_dim=8, relation_dim=6, batch_size=64, epochs=8, test_triples=10, negatives=2)


class CutError(Exception):
    pass


def cut_after(monkeypatch, saves: int) -> None:
    """A checkpoint at every step; the given one is the last thing that happens."""
    monkeypatch.setattr(Checkpoints, "every_s", 0.0)
    done = []

    def save(self, *arguments, original=Checkpoints.save):
        original(self, *arguments)
        done.append(1)
        if len(done) == saves:
            raise CutError

    monkeypatch.setattr(Checkpoints, "save", save)


@pytest.fixture
def run_unimp(small_graph):
    store = GraphStore.open(small_graph)
    # The type shows, noisily, in the features: what the graph adds is not the point here.
    noise = np.random.default_rng(0).standard_normal((len(store), 8))
    features = (noise + 2 * np.eye(8)[np.asarray(store.type_codes)]).astype(np.float16)

    def run(folder):
        folder.mkdir(exist_ok=True)
        codes = np.asarray(store.type_codes)
        return pretrain_unimp(features, Adjacency.of(store), codes, store.types, UNIMP, folder=folder, workers=2)

    return run


@pytest.fixture
def run_transr(small_graph):
    store = GraphStore.open(small_graph)

    def run(folder):
        folder.mkdir(exist_ok=True)
        return pretrain_transr(np.asarray(store.triples), len(store), len(store.relations), TRANSR, folder=folder)

    return run


@pytest.mark.parametrize("part", ["run_unimp", "run_transr"])
@pytest.mark.parametrize("saves", [1, 13, 20])
def test_a_cut_run_ends_as_the_uncut_one(part, saves, tmp_path, monkeypatch, request):
    run = request.getfixturevalue(part)
    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patched:
        cut_after(patched, saves)
        with pytest.raises(CutError):
            run(tmp_path / "cut")
    torch.rand(7)  # the global random state must not matter
    resumed = run(tmp_path / "cut")
    assert np.array_equal(resumed.vectors, whole.vectors)
    assert {**resumed.metrics, "minutes": 0} == {**whole.metrics, "minutes": 0}
    assert not list((tmp_path / "cut").glob("checkpoint*"))


def test_a_loss_that_is_not_finite_ends_the_run(run_transr, tmp_path, monkeypatch):
    monkeypatch.setattr(TransR, "step", lambda *_, **__: float("nan"))
    with pytest.raises(
        KognerError, match=r"Z'': the loss is nan by training step 1; lower teacher\.transr\.learning_ra"
    ):
        run_transr(tmp_path / "run")
    assert not (tmp_path / "run" / VECTORS).exists()


def test_entities_without_triples_are_zero_and_counted(tmp_path):
    triples = np.array([[0, 0, 1], [1, 0, 2], [2, 0, 3]], np.int32)
    trained = pretrain_transr(triples, 6, 1, TRANSR, folder=tmp_path)
    assert trained.metrics["entities_without_triples"] == 2
    assert trained.metrics["mrr"] is None  # three triples are too few to hold one out
    assert not trained.vectors[4:].any()
    assert trained.vectors[:4].any(axis=1).all()
