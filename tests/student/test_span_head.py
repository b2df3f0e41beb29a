from __future__ import annotations

import pytest
import torch
from torch import nn

from kogner.errors import ShapeError
from kogner.student.spans import SpanHead


def plain_scores(head: SpanHead, words: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    """The head as it is defined: one vector per span, then a dot product with each type."""
    batch, count, _ = words.shape
    scores = torch.zeros(batch, count, head.max_width, len(types))
    for i in range(count):
        for width in range(min(head.max_width, count - i)):
            pair = torch.cat([head.start(words[:, i]), head.end(words[:, i + width])], dim=-1)
            scores[:, i, width] = head.out(pair.relu()) @ types.T
    return scores


@pytest.fixture
def parts():
    torch.manual_seed(0)
    head = SpanHead(hidden=16, max_width=5, dropout=0.3).eval()
    words = torch.randn(3, 7, 16)
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, 4:] = False
    return head, words, mask, torch.randn(6, 16)


def test_factorised_scores_equal_the_plain_heads(parts):
    head, words, mask, types = parts
    scores = head(words, mask, types)
    expected = plain_scores(head, words, types)
    torch.testing.assert_close(scores.logits[scores.valid], expected[scores.valid], atol=1e-5, rtol=1e-5)


def test_valid_marks_spans_inside_the_sentence(parts):
    head, words, mask, types = parts
    valid = head(words, mask, types).valid
    for row in range(3):
        length = int(mask[row].sum())
        for i in range(7):
            for width in range(5):
                assert bool(valid[row, i, width]) == (i + width < length)


def test_factorised_gradient_equals_the_plain_heads(parts):
    head, words, mask, types = parts
    grads = []
    for score in (lambda: head(words, mask, types).logits, lambda: plain_scores(head, words, types)):
        head.zero_grad()
        logits = score()
        valid = head(words, mask, types).valid
        nn.functional.softplus(logits[valid]).sum().backward()
        grads.append([parameter.grad.clone() for parameter in head.parameters()])
    for ours, plain in zip(*grads, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_span_vectors_give_the_same_scores(parts):
    head, words, mask, types = parts
    scores = head(words, mask, types)
    index = torch.tensor([[0, 0, 0], [0, 2, 5], [2, 3, 6]])
    expected = torch.stack([scores.logits[b, i, j - i] for b, i, j in index.tolist()])
    torch.testing.assert_close(head.vectors(words, index) @ types.T, expected, atol=1e-5, rtol=1e-5)


def test_sentences_shorter_than_the_span_limit(parts):
    head, _, _, types = parts
    scores = head(torch.randn(1, 2, 16), torch.ones(1, 2, dtype=torch.bool), types)
    assert scores.logits.shape == (1, 2, 5, 6)
    assert int(scores.valid.sum()) == 3


def test_types_of_another_width_are_refused(parts):
    head, words, mask, _ = parts
    with pytest.raises(ShapeError, match="encode the labels with this student"):
        head(words, mask, torch.randn(2, 8))
