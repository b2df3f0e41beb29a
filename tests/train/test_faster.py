"""What a training step does faster on a processor gives what torch gives, and dropout drops what it says."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from kogner.student.masks import Masks
from kogner.train import faster as module
from kogner.train.dropout import attention, dropout
from kogner.train.faster import FasterSteps, faster_steps

TOLERANCE = {"atol": 2e-4, "rtol": 1e-4}
onednn = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch was built without oneDNN"
)


def spied(monkeypatch, name: str) -> list[torch.Size]:
    """Shapes of the first arguments of what is called by this name in the module."""
    shapes: list[torch.Size] = []
    original = getattr(module, name)

    def spy(x, *others):
        shapes.append(x.shape)
        return original(x, *others)

    monkeypatch.setattr(module, name, spy)
    return shapes


@onednn
def test_the_context_takes_float32_layers_and_leaves_the_rest(monkeypatch):
    shapes = spied(monkeypatch, "linear")
    layer = nn.Linear(8, 3)
    with FasterSteps(onednn=True):
        layer(torch.randn(4, 8))
        nn.Sequential(nn.Linear(8, 3), nn.ReLU())(torch.randn(2, 2, 8))
        assert len(shapes) == 2
        layer(torch.randn(8))  # a vector
        layer(torch.randn(0, 8))  # no linked span in the batch
        nn.Linear(8, 3, dtype=torch.float64)(torch.randn(4, 8, dtype=torch.float64))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(torch.randn(4, 8)).dtype == torch.bfloat16
    layer(torch.randn(4, 8))
    assert len(shapes) == 2


@onednn
def test_backward_may_come_after_the_context():
    torch.manual_seed(0)
    layer, x = nn.Linear(16, 16), torch.randn(5, 16)
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    wanted, layer.weight.grad = layer.weight.grad.clone(), None
    with FasterSteps(onednn=True):
        loss = layer(x).square().sum()
    loss.backward()
    torch.testing.assert_close(layer.weight.grad, wanted, **TOLERANCE)


@onednn
@pytest.mark.parametrize("pays", [True, False])
def test_onednn_only_where_it_pays(monkeypatch, pays):
    monkeypatch.setattr(module, "onednn_outruns_mkl", lambda: pays)
    shapes = spied(monkeypatch, "linear")
    with FasterSteps():
        nn.Linear(8, 3)(torch.randn(4, 8))
    assert bool(shapes) is pays


def test_the_context_takes_dropout_in_training_and_leaves_the_rest(monkeypatch):
    shapes = spied(monkeypatch, "dropout")
    layer = nn.Dropout(0.5)
    with FasterSteps():
        assert (layer(torch.ones(100)) == 0).any()
        assert len(shapes) == 1
        layer.eval()
        assert torch.equal(layer(torch.ones(4)), torch.ones(4))
        functional.dropout(torch.ones(4), 0.0)
        assert torch.equal(functional.dropout(torch.ones(4), 1.0), torch.zeros(4))
        functional.dropout(torch.ones(0), 0.5)
        functional.dropout(torch.ones(4), 0.5, inplace=True)
    layer.train()(torch.ones(4))
    assert len(shapes) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_share_and_the_mean_and_its_gradient_is_its_mask(dtype):
    torch.manual_seed(0)
    x = torch.ones(200, 501, dtype=dtype, requires_grad=True)
    kept = dropout(x, 0.1)
    share = float((kept == 0).double().mean().detach())
    assert abs(share - 0.1) < 5 * (0.1 * 0.9 / x.numel()) ** 0.5
    assert float(kept.detach().double().mean()) == pytest.approx(1, abs=0.01)
    kept.backward(torch.full_like(kept, 2))
    assert torch.equal(x.grad, 2 * kept)


def test_masks_follow_the_seed_and_are_of_their_own_each():
    torch.manual_seed(3)
    x = torch.ones(50, 50)
    first, second = dropout(x, 0.3), dropout(x, 0.3)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.3), first)
    row = Masks(x, 0.3, 7)
    assert not torch.equal(row.next(x), row.next(x))
    again = Masks(x, 0.3, 7)
    assert torch.equal(Masks(x, 0.3, 7).next(x), again.next(x))
    # Neighbours, and the same place of masks of neighbouring seeds, have nothing to do with one another.
    masks = torch.stack([Masks(x, 0.5, seed).next(torch.ones(4001)) for seed in range(8)])
    correlation = torch.corrcoef(masks)[~torch.eye(8, dtype=torch.bool)]
    assert correlation.abs().max() < 0.08
    assert abs(float(torch.corrcoef(torch.stack([masks[0, 1:], masks[0, :-1]]))[0, 1])) < 0.08


def test_nothing_dropped_is_all_kept():
    x = torch.ones(3, 5)
    assert Masks(x, 0.0, 1).dropped == 0 and Masks(x, 0.0, 1).scale == 1
    assert torch.equal(Masks(x, 0.0, 1).next(x), x)


@pytest.mark.parametrize("mask", ["none", "added", "allowed"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_is_that_of_torch(monkeypatch, mask, scale):
    monkeypatch.setattr("kogner.train.dropout.dropout", lambda x, p: x)
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 7, 8, requires_grad=True) for _ in range(3))
    allowed = torch.rand(2, 1, 7, 7) < 0.7
    allowed[..., 0] = True
    given = {"none": None, "allowed": allowed, "added": torch.where(allowed, 0.0, -1e9)}[mask]
    ours = attention(q, k, v, given, 0.1, scale)
    theirs = functional.scaled_dot_product_attention(q, k, v, given, scale=scale)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    weights = torch.linspace(-1, 1, ours.numel()).view_as(ours)
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), (q, k, v)),
        torch.autograd.grad((theirs * weights).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_attention_in_bfloat16_keeps_scores_in_float32(monkeypatch):
    monkeypatch.setattr("kogner.train.dropout.dropout", lambda x, p: x)
    torch.manual_seed(0)
    q, k, v = (4 * torch.randn(2, 3, 50, 32) for _ in range(3))
    exact = functional.scaled_dot_product_attention(*(x.bfloat16().double() for x in (q, k, v)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = attention(*(x.bfloat16() for x in (q, k, v)), None, 0.1, None)
    assert ours.dtype == torch.bfloat16
    assert float((ours - exact).abs().max()) < 2**-7 * float(exact.abs().max())


def test_the_context_takes_attention_with_dropout_only(monkeypatch):
    shapes = spied(monkeypatch, "attention")
    q, k, v = (torch.randn(2, 3, 7, 8) for _ in range(3))
    with FasterSteps():
        functional.scaled_dot_product_attention(q, k, v)
        functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True)
        assert shapes == []
        found = functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1)
    assert shapes == [q.shape] and found.shape == q.shape


def test_only_on_processors_and_where_nothing_is_computed_again():
    assert isinstance(faster_steps("cpu"), FasterSteps)
    assert not isinstance(faster_steps("cuda"), FasterSteps)
    assert not isinstance(faster_steps("cpu", again=True), FasterSteps)
