"""TransR against plain autograd, its sparse updates against dense ones, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kogner.config import TransrConfig
from kogner.teacher.negatives import Corruptor, Own, Shared
from kogner.teacher.pretrain import pretrain_transr
from kogner.teacher.transr import TransR, sum_by_row

SIDE = 7


def grid() -> np.ndarray:
    """A 7 x 7 grid: `right`, `down`, and `diagonal`, which is one step of each (so triples follow from one another)."""
    triples = []
    for relation, (right, down) in enumerate(((1, 0), (0, 1), (1, 1))):
        for x in range(SIDE - right):
            for y in range(SIDE - down):
                triples.append((x * SIDE + y, relation, (x + right) * SIDE + y + down))
    return np.array(triples, dtype=np.int32)


def random_batch(seed: int, size: int = 12, negatives: int = 3, *, shared: bool = False):
    rng = np.random.default_rng(seed)
    triples = np.stack([rng.integers(0, 9, size), rng.integers(0, 3, size), rng.integers(0, 9, size)], 1)
    if shared:
        relations = len(np.unique(triples[:, 1]))
        sides = [[torch.from_numpy(rng.integers(0, 9, 4 + side)) for _ in range(relations)] for side in (0, 1)]
        return torch.from_numpy(triples), Shared(*sides)
    corrupted = torch.from_numpy(rng.integers(0, 9, (size, negatives)))
    return torch.from_numpy(triples), Own(corrupted, torch.from_numpy(rng.random((size, negatives)) < 0.5))


def random_model(config: TransrConfig) -> TransR:
    model = TransR.start(9, 3, config)
    generator = torch.Generator().manual_seed(7)
    model.matrices += 0.3 * torch.randn(model.matrices.shape, generator=generator)
    return model


def objective(near: torch.Tensor, far: torch.Tensor, config: TransrConfig) -> torch.Tensor:
    """The objectives once more, as their papers write them, for autograd: the sum over triples."""
    if config.objective == "margin":
        return (config.margin + near.unsqueeze(1) - far).clamp(min=0).mean(1).sum()
    if config.objective == "adversarial":
        weights = (-config.scale * far).softmax(1).detach()
        likely = torch.sigmoid(config.margin - near).log() + (weights * torch.sigmoid(far - config.margin).log()).sum(1)
        return -likely.sum()
    logits = -config.scale * torch.cat([near.unsqueeze(1), far], 1)
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(near), dtype=torch.long), reduction="sum")


def reference(model: TransR, triples: torch.Tensor, negatives: Own | Shared, config: TransrConfig) -> torch.Tensor:
    """The objective of a batch with every negative written out as a triple; those that are right are left out."""

    def distances(replaced: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        found = model.distances(replaced.view(-1, 3), norm=config.norm).view(replaced.shape[:-1])
        return found.masked_fill((replaced == right.unsqueeze(-2)).all(-1), torch.inf)

    if isinstance(negatives, Own):
        replaced = triples.unsqueeze(1).repeat(1, negatives.entities.shape[1], 1)
        replaced[..., 0] = torch.where(negatives.at_head, negatives.entities, replaced[..., 0])
        replaced[..., 2] = torch.where(negatives.at_head, replaced[..., 2], negatives.entities)
        near = model.distances(triples, norm=config.norm)
        return objective(near, distances(replaced, triples), config) / len(triples)
    total = torch.zeros(())
    for place, relation in enumerate(triples[:, 1].unique()):
        own = triples[triples[:, 1] == relation]
        near = model.distances(own, norm=config.norm)
        for side, entities in ((0, negatives.heads[place]), (2, negatives.tails[place])):
            replaced = own.unsqueeze(1).repeat(1, len(entities), 1)
            replaced[..., side] = entities
            total = total + objective(near, distances(replaced, own), config) / 2
    return total / len(triples)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["margin", "adversarial", "softmax"])
def test_gradients_equal_autograd(norm, shared, name):
    config = TransrConfig(entity_dim=6, relation_dim=4, norm=norm, margin=0.7, scale=2.0, objective=name)
    model = random_model(config)
    triples, negatives = random_batch(1, shared=shared)
    loss, gradients = model.gradients(triples, negatives, config)

    for tensor in (model.entities, model.relations, model.matrices):
        tensor.requires_grad_()
    expected = reference(model, triples, negatives, config)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    rows, summed = sum_by_row(gradients.rows, gradients.values)
    dense = torch.zeros(9, 6)
    dense[rows] = summed
    assert dense.abs().max() > 0.01
    torch.testing.assert_close(dense, model.entities.grad, atol=2e-6, rtol=2e-5)
    torch.testing.assert_close(gradients.relations, model.relations.grad[gradients.touched], atol=2e-6, rtol=2e-5)
    torch.testing.assert_close(gradients.matrices, model.matrices.grad[gradients.touched], atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["margin", "adversarial", "softmax"])
def test_a_triple_whose_negatives_are_all_right_turns_nothing_into_nan(shared, name):
    triples = np.stack([np.arange(10), np.zeros(10, int), np.full(10, 10)], 1)  # one tail, which is always drawn
    config = TransrConfig(
        entity_dim=6, relation_dim=4, negatives=4, objective=name, shared=shared, typed_share=1.0, corruption="uniform"
    )
    model, rng = TransR.start(11, 1, config), np.random.default_rng(0)
    corruptor = Corruptor(triples, 11, 1, config)
    for _ in range(5):
        assert np.isfinite(model.step(torch.from_numpy(triples), corruptor.draw(triples, rng), config))
    assert model.entities.isfinite().all() and model.matrices.isfinite().all()


def test_step_equals_dense_row_wise_adagrad():
    config = TransrConfig(entity_dim=6, relation_dim=4, objective="margin", learning_rate=0.1)
    sparse, dense = random_model(config), random_model(config)
    total = torch.zeros(9)
    for seed in range(5):
        batch = random_batch(seed)
        _, gradients = dense.gradients(*batch, config)
        whole = torch.zeros(9, 6).index_add(0, gradients.rows, gradients.values)
        total += whole.square().mean(1)
        touched = total > 0
        moved = dense.entities - 0.1 * whole / (total.sqrt() + 1e-10).unsqueeze(1)
        moved /= moved.norm(dim=1, keepdim=True).clamp(min=1)
        sparse.step(*batch, config)
        dense.entities[touched] = moved[touched]
        torch.testing.assert_close(sparse.entities, dense.entities, atol=1e-5, rtol=1e-4)
        dense.relations, dense.matrices = sparse.relations.clone(), sparse.matrices.clone()


def test_untouched_entities_stay_and_norms_stay_below_one():
    config = TransrConfig(entity_dim=6, relation_dim=4, negatives=2, learning_rate=5.0)
    model = TransR.start(20, 3, config)
    before = model.entities.clone()
    model.step(*random_batch(3, negatives=2), config)
    assert torch.equal(model.entities[9:], before[9:])
    assert not torch.equal(model.entities[:9], before[:9])
    assert model.entities.norm(dim=1).max() <= 1 + 1e-6
    assert model.relations.norm(dim=1).max() <= 1 + 1e-6


def test_corruptor_replaces_the_side_that_gives_fewer_false_negatives():
    # One head with 30 tails: tph = 30, hpt = 1, so the head is replaced with probability 30/31.
    triples = np.stack([np.zeros(30, int), np.zeros(30, int), np.arange(1, 31)], 1)
    config = TransrConfig(shared=False, negatives=50)
    corruptor = Corruptor(triples, 31, 2, config)
    assert corruptor.head_share.tolist() == pytest.approx([30 / 31, 0.5])
    drawn = corruptor.draw(triples, np.random.default_rng(0))
    assert drawn.entities.shape == drawn.at_head.shape == (30, 50)
    assert drawn.at_head.double().mean() == pytest.approx(30 / 31, abs=0.02)
    uniform = Corruptor(triples, 31, 2, replace(config, corruption="uniform"))
    assert uniform.draw(triples, np.random.default_rng(0)).at_head.double().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_typed_negatives_are_entities_of_that_side_of_the_relation(shared, share):
    # Relation 0 leads from 0..9 to 10..19, relation 2 from 10..19 to 0..9, relation 1 nowhere; 80 more entities.
    ends = np.arange(10)
    triples = np.concatenate([
        np.stack([ends, np.zeros(10, int), ends + 10], 1), np.stack([ends + 10, np.full(10, 2), ends], 1)
    ])  # fmt: skip
    config = TransrConfig(shared=shared, negatives=400, typed_share=share)
    batch = np.repeat(triples, 40, axis=0)
    drawn = Corruptor(triples, 100, 3, config).draw(batch, np.random.default_rng(0))
    if shared:
        assert [len(some) for some in (*drawn.heads, *drawn.tails)] == [400] * 4
        inside = [(drawn.heads[0] < 10), (drawn.tails[1] < 10)]
        other = [(drawn.tails[0] >= 10) & (drawn.tails[0] < 20), (drawn.heads[1] >= 10) & (drawn.heads[1] < 20)]
        typed = torch.cat(inside + other).double()
    else:
        low = (torch.from_numpy(batch[:, 1]) == 0).unsqueeze(1) == drawn.at_head  # heads of 0, tails of 2
        typed = torch.where(low, drawn.entities < 10, (drawn.entities >= 10) & (drawn.entities < 20)).double()
    assert typed.mean() == pytest.approx(share + 0.1 * (1 - share), abs=0.03)


@pytest.mark.parametrize("objective", ["margin", "adversarial", "softmax"])
def test_shared_negatives_learn_a_grid_too(objective, tmp_path):
    config = TransrConfig(
        entity_dim=16, relation_dim=16, batch_size=32, epochs=60, learning_rate=0.3, negatives=32, objective=objective,
        scale=4.0, shared=True,
    )  # fmt: skip
    trained = pretrain_transr(grid(), SIDE**2, 3, config, folder=tmp_path)
    assert trained.metrics["mrr"] > 0.2  # chance is 0.09


def test_the_best_state_is_kept_and_training_stops(tmp_path, monkeypatch):
    figures = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    states = []

    def fixed(model, test, known, config, **how):
        states.append(model.entities.clone())
        mrr = next(figures)
        return np.full(2 * len(test), 1 / mrr)

    monkeypatch.setattr("kogner.teacher.pretrain.ranks", fixed)
    config = TransrConfig(entity_dim=4, relation_dim=4, batch_size=32, epochs=50, negatives=4, eval_every=3, patience=2)
    trained = pretrain_transr(grid(), SIDE**2, 3, config, folder=tmp_path)
    assert (trained.metrics["best_epoch"], trained.metrics["epochs"]) == (6, 12)
    assert trained.metrics["valid_mrr"] == pytest.approx(0.3)
    assert len(states) == 5  # the last is the test
    np.testing.assert_allclose(trained.vectors, states[1].numpy(), atol=1e-3)


@pytest.mark.parametrize("mrr", [0.1234564, 0.1234567])
def test_a_plateau_stops_training(tmp_path, monkeypatch, mrr):
    monkeypatch.setattr("kogner.teacher.pretrain.ranks", lambda model, test, *_: np.full(2 * len(test), 1 / mrr))
    config = TransrConfig(entity_dim=4, relation_dim=4, batch_size=32, epochs=12, negatives=4, eval_every=1, patience=3)
    trained = pretrain_transr(grid(), SIDE**2, 3, config, folder=tmp_path)
    assert (trained.metrics["best_epoch"], trained.metrics["epochs"]) == (1, 4)


def test_matrices_start_as_the_identity_or_small():
    config = TransrConfig(entity_dim=6, relation_dim=4)
    assert torch.equal(TransR.start(5, 3, config).matrices, torch.eye(6, 4).expand(3, 6, 4))
    small = TransR.start(5, 3, replace(config, matrices="small"))
    bound = 2 / 24**0.5
    assert 0.8 * bound < small.matrices.abs().max() <= bound
    assert abs(float(small.matrices.mean())) < 0.1 * bound * 2
    assert torch.equal(small.entities, TransR.start(5, 3, config).entities)


def test_learns_a_grid_far_above_chance(tmp_path):
    found = []
    for seed in range(3):
        config = TransrConfig(
            entity_dim=16, relation_dim=16, batch_size=32, epochs=100, learning_rate=0.3, negatives=4, seed=seed,
            objective="margin", shared=False, typed_share=0.0,
        )  # fmt: skip
        folder = tmp_path / str(seed)
        folder.mkdir()
        trained = pretrain_transr(grid(), SIDE**2, 3, config, folder=folder)
        # A random order of 49 entities has an expected MRR of H(49) / 49 = 0.0914.
        assert trained.metrics["chance_mrr"] == pytest.approx(0.0914, abs=0.0001)
        assert trained.vectors.shape == (SIDE**2, 16)
        assert trained.vectors.dtype == np.float16
        found.append(trained.metrics["mrr"])
    assert np.mean(found) > 0.3, found
