"""What TransR minimises, as functions of distances: right triples are to be near, corrupted ones far.

Each takes near (n,), distances of the right triples, and far (n, k), those of their negatives, infinite where an entity
drawn as a negative is the right one. It returns the sum over the n triples and its derivatives by near and by far.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kogner.config import TransrConfig

Objective = Callable[[Tensor, Tensor, TransrConfig], tuple[Tensor, Tensor, Tensor]]


def margin(near: Tensor, far: Tensor, config: TransrConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over negatives of max(0, margin + near - far) (Lin et al. 2015, equation 8)."""
    gap = config.margin + near.unsqueeze(1) - far
    active = (gap > 0).float() / far.shape[1]
    return gap.clamp(min=0).sum() / far.shape[1], active.sum(1), -active


def adversarial(near: Tensor, far: Tensor, config: TransrConfig) -> tuple[Tensor, Tensor, Tensor]:
    """-log s(margin - near) - sum p log s(far - margin), with p = softmax(-scale far) taken as fixed.

    Self-adversarial negatives (Sun et al. 2019, RotatE, equations 5 and 6); s is the logistic function.
    """
    weights = torch.softmax(-config.scale * far, dim=1).nan_to_num(0)  # all infinite: no negative of the triple is one
    losses = torch.nn.functional.softplus(near - config.margin)
    of_far = torch.nn.functional.softplus(config.margin - far)
    slope = -weights * torch.sigmoid(config.margin - far)
    return losses.sum() + (weights * of_far).sum(), torch.sigmoid(near - config.margin), slope


def softmax(near: Tensor, far: Tensor, config: TransrConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of the right triple among its negatives, with logits -scale * distance (InfoNCE)."""
    logits = -config.scale * torch.cat([near.unsqueeze(1), far], dim=1)
    shares = torch.softmax(logits, dim=1)
    losses = torch.logsumexp(logits, dim=1) - logits[:, 0]
    return losses.sum(), config.scale * (1 - shares[:, 0]), -config.scale * shares[:, 1:]


OBJECTIVES: dict[str, Objective] = {"margin": margin, "adversarial": adversarial, "softmax": softmax}
