"""Losses of the student: L = a * L_lang + b * L_dist (arXiv 2503.15737)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kogner.student.spans import SpanScores


def language_loss(
    scores: SpanScores, targets: Tensor, type_mask: Tensor, *, alpha: float = -1.0, gamma: float = 0.0
) -> Tensor:
    """Binary cross-entropy over all span/type pairs, summed over pairs and averaged over sentences.

    targets: (batch, words, widths, types), 1 where the span is a mention of the type.
    type_mask: (batch, types), False where a sentence's corpus does not annotate the type: such pairs count nothing.
    alpha, gamma: focal loss (Lin et al. 2017); alpha < 0 and gamma 0 switch its two parts off (the paper's setting).
    Returns a scalar.
    """
    counted = scores.valid.unsqueeze(-1) & type_mask[:, None, None, :]
    logits = scores.logits.float()
    loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if gamma > 0:
        probability = torch.sigmoid(logits)
        loss = loss * (targets * (1 - probability) + (1 - targets) * probability) ** gamma
    if alpha >= 0:
        loss = loss * (targets * alpha + (1 - targets) * (1 - alpha))
    return (loss * counted).sum() / logits.shape[0]
