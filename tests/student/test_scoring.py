from __future__ import annotations

import pytest
import torch
from torch import nn

from kogner.errors import ShapeError
from kogner.student import scoring
from kogner.student.scoring import score_spans
from kogner.student.spans import SpanHead


def reference(starts, ends, folded, offset, *, max_width):
    """One span after another, no dropout."""
    batch, count, _ = starts.shape
    per_example = folded if folded.dim() == 3 else folded.expand(batch, -1, -1)
    own = offset if offset.dim() == 2 else offset.expand(batch, -1)
    logits = starts.new_zeros(batch, count, max_width, folded.shape[-2])
    for row in range(batch):
        for i in range(count):
            for width in range(min(max_width, count - i)):
                logits[row, i, width] = per_example[row] @ (starts[row, i] + ends[row, i + width]).relu() + own[row]
    return logits


def inputs(*, per_example: bool, dtype=torch.float32, count: int = 7):
    torch.manual_seed(0)
    shape = (3, 4) if per_example else (4,)
    made = [torch.randn(3, count, 8), torch.randn(3, count, 8), torch.randn(*shape, 8), torch.randn(*shape)]
    return [x.to(dtype).requires_grad_() for x in made]


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("count", [7, 2])
def test_scores_and_gradients_equal_the_reference(per_example, count):
    results = []
    for score in (score_spans, reference):
        leaves = inputs(per_example=per_example, count=count)
        logits = score(*leaves, max_width=5)
        (logits * torch.arange(logits.numel()).view_as(logits).cos()).sum().backward()
        results.append([logits.detach(), *(leaf.grad for leaf in leaves)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_gradient_is_that_of_the_forward_pass_with_its_own_masks(per_example, dropout):
    """Against finite differences in float64: wrong or other masks in the backward pass would not pass."""
    leaves = inputs(per_example=per_example, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: scoring._Scores.apply(*x, 5, dropout, 11), leaves)


def test_training_head_without_dropout_has_the_gradient_of_the_plain_head():
    """At MiniLM's width; relative to the largest gradient of each weight."""
    torch.manual_seed(0)
    head = SpanHead(hidden=384, max_width=4, dropout=0.0).train()
    words, types = torch.randn(2, 6, 384), torch.randn(3, 384)
    mask = torch.ones(2, 6, dtype=torch.bool)
    index = torch.tensor([(b, i, j) for b in range(2) for i in range(6) for j in range(i, min(i + 4, 6))])
    gradients = []
    for plain in (False, True):
        head.zero_grad()
        if plain:
            logits = head.vectors(words, index) @ types.T
        else:
            all_logits = head(words, mask, types).logits
            logits = all_logits[index[:, 0], index[:, 1], index[:, 2] - index[:, 1]]
        nn.functional.softplus(logits).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in head.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_dropout_keeps_the_mean_and_follows_torchs_seed():
    starts, ends = torch.ones(8, 20, 256), torch.ones(8, 20, 256)
    folded, offset = torch.full((1, 256), 1 / 256), torch.zeros(1)

    def draw(seed):
        torch.manual_seed(seed)
        return score_spans(starts, ends, folded, offset, max_width=3, dropout=0.25)[:, :18]

    first = draw(1)
    assert first.mean().item() == pytest.approx(2, rel=0.01)
    # Of 256 independent numbers each kept with 3/4: standard deviation of the mean 2 * sqrt(1/3 / 256).
    assert first.std().item() == pytest.approx(2 * (1 / 3 / 256) ** 0.5, rel=0.15)
    assert torch.equal(first, draw(1))
    assert not torch.equal(first, draw(2))
    widths = first.flatten(0, 1).squeeze(-1)
    assert torch.corrcoef(widths.T).triu(1).abs().max() < 0.3  # each width has a mask of its own


def test_the_size_of_pieces_changes_nothing(monkeypatch):
    results = []
    for piece in (1, 1 << 18):
        monkeypatch.setattr(scoring, "PIECE", piece)
        leaves = inputs(per_example=True)
        logits = score_spans(*leaves, max_width=5)
        logits.square().sum().backward()
        results.append([logits.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_without_gradients_the_scores_are_the_same():
    leaves = inputs(per_example=False)
    with torch.inference_mode():
        bare = score_spans(*leaves, max_width=5)
    assert torch.equal(bare, score_spans(*leaves, max_width=5).detach())


def test_nothing_is_kept_per_span():
    """What autograd holds for the backward pass does not grow with the number of widths."""

    def kept(max_width):
        head = SpanHead(hidden=16, max_width=max_width, dropout=0.1).train()
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            head(torch.randn(2, 30, 16), torch.ones(2, 30, dtype=torch.bool), torch.randn(3, 16))
        return sum(sizes)

    assert kept(12) == kept(1)


def test_bf16_gives_float32_logits_and_gradients_near_those_of_float32():
    torch.manual_seed(0)
    head = SpanHead(hidden=32, max_width=6, dropout=0.0).train()
    words, types = torch.randn(4, 20, 32), torch.randn(3, 32)
    mask = torch.ones(4, 20, dtype=torch.bool)
    gradients = []
    for enabled in (False, True):
        head.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = head(words, mask, types).logits
        assert logits.dtype == torch.float32
        logits.sigmoid().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in head.parameters()]))
    exact, rounded = gradients
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_types_of_each_example_score_its_own_spans_only():
    torch.manual_seed(0)
    head = SpanHead(hidden=16, max_width=3, dropout=0.1).eval()
    words, types = torch.randn(3, 6, 16), torch.randn(3, 4, 16)
    mask = torch.ones(3, 6, dtype=torch.bool)
    together = head(words, mask, types).logits
    for row in range(3):
        alone = head(words[row : row + 1], mask[row : row + 1], types[row]).logits
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)
    with pytest.raises(ShapeError, match="2 sets of type vectors for 3 examples"):
        head(words, mask, types[:2])
