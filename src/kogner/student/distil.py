"""Distillation of the teacher's bank into span vectors: L_dist = MSE(MLP(s_linked), MLP(H_linked)).

Both maps end in `kg_hidden` dimensions. Were both free, a constant would be a perfect answer; the guard keeps the
targets apart: either the teacher's map is a fixed whitened projection (`pca`), or it is free and a hinge keeps the
standard deviation of each target dimension, over a sample of the bank, at 1 or more (the variance term of VICReg,
Bardes et al. 2022). The variance of the mapped targets is returned with each loss, so that a collapse is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kogner.config import DistilConfig

GUARD_SAMPLE = 256


@dataclass(frozen=True)
class DistilLoss:
    """loss: the MSE. guard: the variance hinge, 0 where no guard is needed. variance: mean over target dimensions."""

    loss: Tensor
    guard: Tensor
    variance: float


class DistilHead(nn.Module):
    """Maps of both sides, and the bank rows of the entities that the training data links to.

    bank: (entities, width) float32, the teacher's rows H. columns: width of each distilled part, in order; each part
    is centred and scaled to unit variance, so that no part outweighs another by its units.
    """

    bank: Tensor

    def __init__(self, config: DistilConfig, *, hidden: int, bank: np.ndarray, columns: list[int]) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank", _standardise(torch.from_numpy(bank).float(), columns), persistent=False)
        self.student_map = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, config.kg_hidden)
        )  # fmt: skip
        self.teacher_map = nn.Linear(self.bank.shape[1], config.kg_hidden)
        if config.target == "pca":
            weight, bias = _whitened_projection(self.bank, config.kg_hidden)
            self.teacher_map.weight.data.copy_(weight)
            self.teacher_map.bias.data.copy_(bias)
            self.teacher_map.requires_grad_(False)

    def forward(self, spans: Tensor, rows: Tensor, *, step: int) -> DistilLoss:
        """Loss of linked spans: (linked, hidden) against their bank rows: (linked,) indices.

        step: chooses the guard's sample, so that a resumed run takes the same.
        """
        variance = self._targets_of_sample(step).var(0, correction=0)
        nothing = variance.new_zeros(())
        guard = functional.relu(1 - (variance + 1e-4).sqrt()).mean() if self.config.target == "linear" else nothing
        loss = nothing
        if len(rows):
            loss = functional.mse_loss(self.student_map(spans).float(), self.teacher_map(self.bank[rows]).float())
        return DistilLoss(loss, guard, float(variance.detach().mean()))

    def _targets_of_sample(self, step: int) -> Tensor:
        count = min(GUARD_SAMPLE, len(self.bank))
        rows = torch.randperm(len(self.bank), generator=torch.Generator().manual_seed(step))[:count]
        rows = rows.to(self.bank.device)
        targets: Tensor = self.teacher_map(self.bank[rows]).float()
        return targets


def _standardise(bank: Tensor, columns: list[int]) -> Tensor:
    centred = bank - bank.mean(0)
    parts = [part / part.std().clamp(min=1e-6) for part in centred.split(columns, dim=1)]
    return torch.cat(parts, dim=1)


def _whitened_projection(bank: Tensor, size: int) -> tuple[Tensor, Tensor]:
    mean = bank.mean(0)
    _, values, vectors = torch.linalg.svd(bank - mean, full_matrices=False)
    scale = (values / max(len(bank) - 1, 1) ** 0.5).clamp(min=1e-6)
    weight = torch.zeros(size, bank.shape[1])  # rows beyond the rank of a small bank stay 0
    kept = min(size, len(values))
    weight[:kept] = (vectors / scale.unsqueeze(1))[:kept]
    return weight, -(weight @ mean)
