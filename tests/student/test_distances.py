from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kogner.config import DistilConfig
from kogner.errors import ConfigError
from kogner.student.distances import Contrastive, Cosine, Linked, Mse, Relational
from kogner.student.distil import DistilHead

LOSSES = ("mse", "cosine", "contrastive", "relational")


def linked(students, targets, rows=None, candidates=None, candidate_rows=None) -> Linked:
    rows = torch.arange(len(students)) if rows is None else rows
    return Linked(
        students, targets, rows,
        targets if candidates is None else candidates,
        rows if candidate_rows is None else candidate_rows,
    )  # fmt: skip


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(5, 6), torch.randn(5, 6)


def test_mse_is_the_mean_over_spans_and_dimensions(pair):
    s, t = pair
    assert Mse()(linked(s, t)).item() == pytest.approx(((s - t) ** 2).mean().item(), rel=1e-6)


def test_cosine_knows_directions_only(pair):
    s, t = pair
    expected = np.mean([1 - float(a @ b / (a.norm() * b.norm())) for a, b in zip(s, t, strict=True)])
    assert Cosine()(linked(s, t)).item() == pytest.approx(expected, rel=1e-5)
    assert Cosine()(linked(s * 7, t)).item() == pytest.approx(expected, rel=1e-5)
    assert Cosine()(linked(3 * t, t)).item() == pytest.approx(0, abs=1e-6)


def test_contrastive_is_info_nce_and_a_repeated_entity_is_not_its_own_negative(pair):
    s, t = pair
    rows = torch.tensor([4, 2, 4, 7, 2])
    bank = {2: t[0], 4: t[1], 5: t[2], 7: t[3]}
    candidates = torch.stack([bank[row] for row in (2, 4, 5, 7)])
    given = linked(s, torch.stack([bank[int(r)] for r in rows]), rows, candidates, torch.tensor([2, 4, 5, 7]))
    expected = 0.0
    for vector, row in zip(s, rows.tolist(), strict=True):
        cosines = {r: float(vector @ c / (vector.norm() * c.norm())) / 0.2 for r, c in bank.items()}
        expected -= math.log(math.exp(cosines[row]) / sum(map(math.exp, cosines.values())))
    assert Contrastive(0.2)(given).item() == pytest.approx(expected / 5, rel=1e-5)


def test_relational_compares_relative_distances(pair):
    s, t = pair
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]

    def relative(x):
        distances = torch.stack([(x[i] - x[j]).norm() for i, j in pairs])
        return distances / distances.mean()

    gap = (relative(s) - relative(t)).abs()
    expected = torch.where(gap < 1, 0.5 * gap**2, gap - 0.5).mean()
    assert Relational()(linked(s, t)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_relational_is_blind_to_turning_moving_and_scaling(pair):
    _, t = pair
    turned = t @ torch.linalg.qr(torch.randn(6, 6)).Q * 3 + 5
    assert Relational()(linked(turned, t)).item() == pytest.approx(0, abs=1e-6)


def head(**settings) -> DistilHead:
    torch.manual_seed(0)
    bank = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    return DistilHead(DistilConfig(parts=("Z", "Z'"), kg_hidden=6, **settings), hidden=8, bank=bank, columns=[8, 4])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rows", [[], [3], [3, 3], [3, 9, 3, 11]])
@pytest.mark.parametrize("negatives", [0, 16])
def test_every_distance_is_finite_for_any_number_of_links(loss, rows, negatives):
    distil = head(loss=loss, negatives=negatives)
    spans = torch.zeros(len(rows), 8, requires_grad=True)  # equal vectors: distances of 0 on the student's side
    result = distil(spans, torch.tensor(rows, dtype=torch.long), step=0)
    (result.loss + result.guard).backward()
    assert math.isfinite(result.loss.item())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in [spans, *distil.parameters()])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("target", "student_map"), [
    ("linear", "mlp"), ("pca", "linear"), ("none", "mlp"), ("linear", "none"), ("pca", "none"),
])  # fmt: skip
def test_every_distance_is_learnt_with_maps_on_either_side(loss, target, student_map):
    distil = head(loss=loss, target=target, student_map=student_map)
    torch.manual_seed(1)
    spans, rows = torch.randn(16, 8, requires_grad=True), torch.arange(16)
    optimizer = torch.optim.Adam([spans, *(p for p in distil.parameters() if p.requires_grad)], lr=0.1)
    losses = []
    for step in range(80):
        result = distil(spans, rows, step=step)
        optimizer.zero_grad()
        (result.loss + result.guard).backward()
        optimizer.step()
        losses.append(result.loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:3])
    assert result.variance > 0.5  # the targets stay apart, whatever the distance


def test_a_map_on_one_side_takes_the_others_width():
    spans, rows = torch.randn(3, 8), torch.arange(3)
    assert head(target="none").student_map(spans).shape == (3, 12)
    fixed = head(target="pca", student_map="none")
    assert fixed.teacher_map(fixed.bank[rows]).shape == (3, 8)
    assert not [p for p in fixed.parameters() if p.requires_grad]
    free = head(target="none", student_map="linear")
    assert torch.equal(free.teacher_map(free.bank), free.bank)


def test_no_map_at_all_needs_equal_widths():
    with pytest.raises(ConfigError, match=r"Z, Z' have 12 and the student 8; set distil\.student_map=linear"):
        head(target="none", student_map="none")


def test_negatives_depend_on_the_step_alone():
    distil = head(loss="contrastive", negatives=4)
    spans, rows = torch.randn(3, 8), torch.arange(3)
    first = distil(spans, rows, step=5).loss
    torch.rand(9)
    assert torch.equal(distil(spans, rows, step=5).loss, first)
    assert not torch.equal(distil(spans, rows, step=6).loss, first)


def test_parts_of_a_batch_have_the_negatives_of_the_whole():
    distil = head(loss="contrastive", negatives=0)
    spans, rows = torch.randn(6, 8), torch.tensor([1, 2, 3, 1, 5, 6])
    whole = distil(spans, rows, step=0).loss
    parts = [distil(spans[at], rows[at], step=0, around=rows).loss for at in (slice(0, 2), slice(2, 6))]
    assert (parts[0] * 2 + parts[1] * 4).item() / 6 == pytest.approx(whole.item(), rel=1e-5)
