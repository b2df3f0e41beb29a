"""TransR against plain autograd, its sparse updates against dense ones, and what it learns."""

import numpy as np
import pytest
import torch

from kogner.config import TransrConfig
from kogner.teacher.pretrain import pretrain_transr
from kogner.teacher.transr import Corruptor, TransR, sum_by_row

SIDE = 7


def grid() -> np.ndarray:
    """A 7 x 7 grid: `right`, `down`, and `diagonal`, which is one step of each (so triples follow from one another)."""
    triples = []
    for relation, (right, down) in enumerate(((1, 0), (0, 1), (1, 1))):
        for x in range(SIDE - right):
            for y in range(SIDE - down):
                triples.append((x * SIDE + y, relation, (x + right) * SIDE + y + down))
    return np.array(triples, dtype=np.int32)


def random_batch(seed: int, size: int = 12, negatives: int = 3):
    rng = np.random.default_rng(seed)
    triples = np.stack([rng.integers(0, 9, size), rng.integers(0, 3, size), rng.integers(0, 9, size)], 1)
    corrupted = rng.integers(0, 9, (size, negatives))
    at_head = rng.random((size, negatives)) < 0.5
    return torch.from_numpy(triples), torch.from_numpy(corrupted), torch.from_numpy(at_head)


def random_model(config: TransrConfig) -> TransR:
    model = TransR.start(9, 3, config)
    generator = torch.Generator().manual_seed(7)
    model.matrices += 0.3 * torch.randn(model.matrices.shape, generator=generator)
    return model


@pytest.mark.parametrize("norm", [1, 2])
def test_gradients_equal_autograd(norm):
    config = TransrConfig(entity_dim=6, relation_dim=4, norm=norm, negatives=3, margin=0.7)
    model = random_model(config)
    triples, corrupted, at_head = random_batch(1)
    loss, gradients = model.gradients(triples, corrupted, at_head, config)
    assert 0 < (gradients.rows.bincount() > 0).sum() <= 9

    for tensor in (model.entities, model.relations, model.matrices):
        tensor.requires_grad_()
    negatives = triples.unsqueeze(1).repeat(1, 3, 1)
    negatives[..., 0] = torch.where(at_head, corrupted, negatives[..., 0])
    negatives[..., 2] = torch.where(at_head, negatives[..., 2], corrupted)
    near = model.distances(triples, norm=norm)
    far = model.distances(negatives.view(-1, 3), norm=norm).view(-1, 3)
    reference = (config.margin + near.unsqueeze(1) - far).clamp(min=0).mean()
    reference.backward()

    assert loss == pytest.approx(reference.item(), abs=1e-6)
    rows, summed = sum_by_row(gradients.rows, gradients.values)
    dense = torch.zeros(9, 6)
    dense[rows] = summed
    torch.testing.assert_close(dense, model.entities.grad, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradients.relations, model.relations.grad[gradients.touched], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradients.matrices, model.matrices.grad[gradients.touched], atol=1e-6, rtol=1e-5)


def test_step_equals_dense_row_wise_adagrad():
    config = TransrConfig(entity_dim=6, relation_dim=4, negatives=3, learning_rate=0.1)
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
    triples, corrupted, at_head = random_batch(3, negatives=2)
    model.step(triples, corrupted, at_head, config)
    assert torch.equal(model.entities[9:], before[9:])
    assert not torch.equal(model.entities[:9], before[:9])
    assert model.entities.norm(dim=1).max() <= 1 + 1e-6
    assert model.relations.norm(dim=1).max() <= 1 + 1e-6


def test_corruptor_replaces_the_side_that_gives_fewer_false_negatives():
    # One head with 30 tails: tph = 30, hpt = 1, so the head is replaced with probability 30/31.
    triples = np.stack([np.zeros(30, int), np.zeros(30, int), np.arange(1, 31)], 1)
    corruptor = Corruptor(triples, 31, 2)
    assert corruptor.head_share.tolist() == pytest.approx([30 / 31, 0.5])
    corrupted, at_head = corruptor.draw(triples, 50, np.random.default_rng(0))
    assert corrupted.shape == at_head.shape == (30, 50)
    assert at_head.mean() == pytest.approx(30 / 31, abs=0.02)


def test_learns_a_grid_far_above_chance(tmp_path):
    found = []
    for seed in range(3):
        config = TransrConfig(
            entity_dim=16, relation_dim=16, batch_size=32, epochs=100, learning_rate=0.3, negatives=4, seed=seed
        )
        folder = tmp_path / str(seed)
        folder.mkdir()
        trained = pretrain_transr(grid(), SIDE**2, 3, config, folder=folder)
        # A random order of 49 entities has an expected MRR of H(49) / 49 = 0.0914.
        assert trained.metrics["chance_mrr"] == pytest.approx(0.0914, abs=0.0001)
        assert trained.vectors.shape == (SIDE**2, 16)
        assert trained.vectors.dtype == np.float16
        found.append(trained.metrics["mrr"])
    assert np.mean(found) > 0.3, found
