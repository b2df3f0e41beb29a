from __future__ import annotations

import numpy as np
import pytest
import torch

from kogner.config import DistilConfig
from kogner.student.distil import DistilHead
from kogner.student.losses import language_loss, sampled_spans
from kogner.student.spans import SpanScores


@pytest.fixture
def scores():
    torch.manual_seed(0)
    valid = torch.ones(2, 3, 2, dtype=torch.bool)
    valid[0, 2, 1] = False
    return SpanScores(torch.randn(2, 3, 2, 4, requires_grad=True), valid)


def test_language_loss_is_binary_cross_entropy_over_valid_pairs(scores):
    targets = (torch.rand(2, 3, 2, 4) > 0.7).float()
    loss = language_loss(scores, targets, torch.ones(2, 4, dtype=torch.bool))
    p = torch.sigmoid(scores.logits)
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log())
    assert loss.item() == pytest.approx((expected * scores.valid[..., None]).sum().item() / 2, rel=1e-5)


def test_types_a_corpus_does_not_annotate_get_no_gradient(scores):
    mask = torch.tensor([[True, True, False, True], [True, True, True, True]])
    language_loss(scores, torch.zeros(2, 3, 2, 4), mask).backward()
    gradient = scores.logits.grad
    assert torch.all(gradient[0, :, :, 2] == 0)
    assert torch.all(gradient[1, :, :, 2] != 0)
    assert torch.all(gradient[0, 2, 1] == 0)


def test_focal_settings(scores):
    targets = torch.zeros(2, 3, 2, 4)
    mask = torch.ones(2, 4, dtype=torch.bool)
    plain = language_loss(scores, targets, mask)
    assert language_loss(scores, targets, mask, gamma=2.0) < plain
    weighted = language_loss(scores, targets, mask, alpha=0.25)
    assert weighted.item() == pytest.approx(0.75 * plain.item(), rel=1e-5)


def head(target: str) -> DistilHead:
    torch.manual_seed(0)
    bank = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32)
    config = DistilConfig(parts=("Z", "Z'"), kg_hidden=6, target=target)
    return DistilHead(config, hidden=8, bank=bank, columns=[8, 4])


def train_collapse(distil: DistilHead, *, guard: bool) -> float:
    """Minimise the distillation loss alone on random spans, which knows a trivial zero; returns the final variance."""
    optimizer = torch.optim.Adam([p for p in distil.parameters() if p.requires_grad], lr=0.02)
    spans = torch.randn(64, 8)
    rows = torch.arange(64)
    for step in range(300):
        result = distil(spans, rows, step=step)
        optimizer.zero_grad()
        (result.loss + (result.guard if guard else 0.0)).backward()
        optimizer.step()
    return result.variance


def test_free_targets_collapse_without_the_guard_and_not_with_it():
    assert train_collapse(head("linear"), guard=False) < 0.1
    assert train_collapse(head("linear"), guard=True) > 0.7


def knowing_types_only(loss: str, *, guard_weight: float) -> DistilHead:
    """A head trained on span vectors that tell nothing but which of two types an entity has; the bank knows more."""
    random = np.random.default_rng(1)
    kinds = random.integers(0, 2, 300)
    bank = random.normal(size=(300, 24)).astype(np.float32) + 3 * kinds[:, None]
    torch.manual_seed(0)
    config = DistilConfig(parts=("Z",), kg_hidden=8, loss=loss)
    distil = DistilHead(config, hidden=8, bank=bank, columns=[24])
    optimizer = torch.optim.Adam([p for p in distil.parameters() if p.requires_grad], lr=0.01)
    for step in range(400):
        rows = torch.from_numpy(random.integers(0, 300, 48))
        spans = torch.from_numpy(kinds[rows.numpy()]).float()[:, None] * torch.ones(8)
        result = distil(spans, rows, step=step)
        optimizer.zero_grad()
        (0.2 * result.loss + guard_weight * result.guard).backward()  # b = 0.2, as in the paper
        optimizer.step()
    return distil


def measured(distil: DistilHead):
    return distil(torch.zeros(0, 8), torch.zeros(0, dtype=torch.long), step=0)


def test_targets_do_not_become_copies_of_the_type():
    """The variance alone cannot see that: dimensions that are all the type have variance 1 too."""
    kept, lost = (measured(knowing_types_only("mse", guard_weight=weight)) for weight in (1.0, 0.0))
    assert kept.rank > 6 and kept.variance > 0.7
    assert lost.rank < 3


def test_a_common_offset_is_no_answer_to_the_cosine():
    distil = knowing_types_only("cosine", guard_weight=1.0)
    targets = distil.teacher_map(distil.bank).detach()
    assert float(targets.mean(0).square().sum() / targets.var(0).sum()) < 0.01


def test_pca_targets_are_white_and_fixed():
    distil = head("pca")
    targets = distil.teacher_map(distil.bank)
    torch.testing.assert_close(torch.cov(targets.T), torch.eye(6), atol=1e-3, rtol=0)
    assert not any(parameter.requires_grad for parameter in distil.teacher_map.parameters())


def test_a_batch_without_links_costs_nothing():
    distil = head("linear")
    result = distil(torch.zeros(0, 8), torch.zeros(0, dtype=torch.long), step=0)
    assert result.loss.item() == 0


def test_a_single_linked_entity_gives_finite_losses():
    config = DistilConfig(parts=("Z",), kg_hidden=6)
    distil = DistilHead(config, hidden=8, bank=np.ones((1, 12), dtype=np.float32), columns=[12])
    result = distil(torch.randn(3, 8), torch.zeros(3, dtype=torch.long), step=0)
    (result.loss + result.guard).backward()
    assert all(torch.isfinite(p.grad).all() for p in distil.parameters() if p.grad is not None)


def test_the_guards_sample_depends_on_the_step_alone():
    distil = head("linear")
    torch.manual_seed(1)
    first = distil(torch.zeros(1, 8), torch.tensor([0]), step=5).variance
    torch.rand(7)
    assert distil(torch.zeros(1, 8), torch.tensor([0]), step=5).variance == first


def test_a_sibling_counts_at_the_mentions_of_its_type_only(scores):
    """Type 3 is annotated by no corpus; a mention of type 0 is known not to be one."""
    targets = torch.zeros(2, 3, 2, 4)
    targets[0, 1, 0, 0] = targets[1, 2, 0, 1] = 1
    mask = torch.tensor([[True, True, True, False]] * 2)
    siblings = torch.zeros(4, 4, dtype=torch.bool)
    siblings[0, 3] = True
    language_loss(scores, targets, mask, siblings=siblings).backward()
    touched = scores.logits.grad[..., 3].nonzero().tolist()
    assert touched == [[0, 1, 0]]
    assert scores.logits.grad[0, 1, 0, 3] > 0  # pushed down


def test_sampled_spans_keep_gold_and_the_share_asked_for():
    targets = torch.zeros(4, 50, 12, 3)
    targets[0, 5, 1, 2] = targets[3, 7, 0, 0] = 1
    kept = sampled_spans(targets, 0.25, seed=3)
    assert kept[0, 5, 1]
    assert kept[3, 7, 0]
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(kept, sampled_spans(targets, 0.25, seed=3))
    assert not torch.equal(kept, sampled_spans(targets, 0.25, seed=4))


def test_spans_that_are_left_out_get_no_gradient(scores):
    spans = torch.ones(2, 3, 2, dtype=torch.bool)
    spans[1, 0, 0] = False
    language_loss(scores, torch.zeros(2, 3, 2, 4), torch.ones(2, 4, dtype=torch.bool), spans=spans).backward()
    assert torch.all(scores.logits.grad[1, 0, 0] == 0)
    assert torch.all(scores.logits.grad[1, 1, 0] != 0)


def test_unknown_pairs_count_nothing(scores):
    targets, mask = torch.zeros(2, 3, 2, 4), torch.ones(2, 4, dtype=torch.bool)
    unknown = torch.zeros(2, 3, 2, 4, dtype=torch.bool)
    unknown[0, 1, 0, 2] = True
    language_loss(scores, targets, mask, unknown=unknown).backward()
    gradient = scores.logits.grad
    assert gradient[0, 1, 0, 2] == 0 and gradient[0, 1, 0, 1] > 0
