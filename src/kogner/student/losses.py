"""Losses of the student: L = a * L_lang + b * L_dist (arXiv 2503.15737)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kogner.student.spans import SpanScores


def language_loss(
    scores: SpanScores,
    targets: Tensor,
    type_mask: Tensor,
    *,
    alpha: float = -1.0,
    gamma: float = 0.0,
    siblings: Tensor | None = None,
    spans: Tensor | None = None,
    unknown: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy over all span/type pairs, summed over pairs and averaged over sentences.

    targets: (batch, words, widths, types), 1 where the span is a mention of the type.
    type_mask: (batch, types), False where a sentence's corpus does not annotate the type: such pairs count nothing.
    alpha, gamma: focal loss (Lin et al. 2017); alpha < 0 and gamma 0 switch its two parts off (the paper's setting).
    siblings: (types, types), [t, s] True where a mention of t is known not to be an s; such a mention counts as a
    negative of s even where the corpus does not annotate s.
    spans: (batch, words, widths), False where a span is left out (see `sampled_spans`).
    unknown: (batch, words, widths, types), True where a span may or may not be a mention: such pairs count nothing.
    Returns a scalar.
    """
    counted = type_mask[:, None, None, :]
    if siblings is not None:
        counted = counted | (targets @ siblings.to(targets.dtype) > 0)
    valid = scores.valid if spans is None else scores.valid & spans
    logits = scores.logits.float()
    counted = counted & valid.unsqueeze(-1)
    if unknown is not None:
        counted = counted & ~unknown
    weight = counted.to(logits.dtype)
    if alpha >= 0:
        weight = weight * (targets * alpha + (1 - targets) * (1 - alpha))
    if gamma > 0:
        probability = torch.sigmoid(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        loss = loss * (targets * (1 - probability) + (1 - targets) * probability) ** gamma
        return (loss * weight).sum() / logits.shape[0]
    # One fused operation keeps nothing per pair but what it is given.
    return functional.binary_cross_entropy_with_logits(logits, targets, weight, reduction="sum") / logits.shape[0]


def sampled_spans(targets: Tensor, share: float, *, seed: int) -> Tensor:
    """Which spans count where only a share of those without a gold mention is to: (batch, words, widths) bool.

    targets: (batch, words, widths, types). Spans of gold mentions always count. The same seed draws the same spans.
    """
    drawn = torch.rand(targets.shape[:3], generator=torch.Generator().manual_seed(seed))
    return (drawn < share).to(targets.device) | targets.amax(-1).bool()
