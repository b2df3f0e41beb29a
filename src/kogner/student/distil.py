"""Distillation of the teacher's bank into span vectors: L_dist = D(MLP(s_linked), MLP(H_linked)).

The paper's D is the mean squared error; `kogner.student.distances` holds the others. Both maps end in `kg_hidden`
dimensions, or one side keeps its own width and the other is mapped to it. Were both free, a constant would be a perfect
answer; the guard keeps the targets apart: either the teacher's map is fixed (`pca`, `none`), or it is free and held by
the variance and the covariance term of VICReg (Bardes et al. 2022) over a sample of the bank. A hinge keeps the
standard deviation of each target dimension at 1 or more, and squared covariances keep the dimensions from becoming
copies of one that is easy to predict, such as the entity type. Bank and targets are centred, so that no common offset
can be learnt instead. Variance and rank of the mapped targets are returned with each loss, so that a collapse is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kogner.config import DistilConfig
from kogner.errors import ConfigError
from kogner.student.distances import Linked, make_distance

GUARD_SAMPLE = 256


@dataclass(frozen=True)
class DistilLoss:
    """loss: mean distance. guard: see the module, 0 where none is needed. Of the mapped targets of a sample:

    variance: mean over dimensions. rank: (sum of eigenvalues)^2 / sum of their squares, of the covariance matrix; the
    number of dimensions where all carry as much, 1 where all are copies of one.
    """

    loss: Tensor
    guard: Tensor
    variance: float
    rank: float


class DistilHead(nn.Module):
    """Maps of both sides, and the bank rows of the entities that the training data links to.

    bank: (entities, width) float32, the teacher's rows H. columns: width of each distilled part, in order; each part
    is centred and scaled to unit variance, so that no part outweighs another by its units.
    Raises ConfigError where neither side is mapped and their widths differ.
    """

    bank: Tensor

    def __init__(self, config: DistilConfig, *, hidden: int, bank: np.ndarray, columns: list[int]) -> None:
        super().__init__()
        self.config = config
        self.distance = make_distance(config)
        rows = torch.from_numpy(bank).float()
        self.mean, self.scale = rows.mean(0), _scale(rows, columns)
        self.register_buffer("bank", (rows - self.mean) / self.scale, persistent=False)
        width = self.bank.shape[1]
        # Fewer entities than dimensions cannot fill them: copies would be all that the guard has to choose from.
        size = min(config.kg_hidden, max(len(bank) - 1, 1))
        if config.target == "none":
            size = width
        elif config.student_map == "none":
            size = hidden
        if config.student_map == "none" and size != hidden:
            raise ConfigError(
                f"distil.target=none and distil.student_map=none need vectors of one width, but "
                f"{', '.join(config.parts)} have {width} and the student {hidden}; set distil.student_map=linear"
            )
        self.student_map = student_map(config.student_map, hidden, size)
        self.teacher_map = nn.Identity() if config.target == "none" else nn.Linear(width, size, bias=False)
        if isinstance(self.teacher_map, nn.Linear) and config.target == "pca":
            self.teacher_map.weight.data.copy_(_whitened_projection(self.bank, size))
            self.teacher_map.requires_grad_(False)

    def forward(self, spans: Tensor, rows: Tensor, *, step: int, around: Tensor | None = None) -> DistilLoss:
        """Loss of linked spans: (linked, hidden) against their bank rows: (linked,) indices.

        step: chooses the samples of the guard and of the negatives, so that a resumed run takes the same.
        around: (any,) rows of the whole batch where `spans` are but a part of it; they are negatives of each other.
        """
        covariance = torch.cov(self._map(self._sample(GUARD_SAMPLE, seed=step)).T, correction=0)
        covariance = covariance.reshape(len(covariance) if covariance.dim() else 1, -1)
        variance = covariance.diagonal()
        guard = variance.new_zeros(())
        if self.config.target == "linear":
            hinge = functional.relu(1 - (variance + 1e-4).sqrt()).mean()
            guard = hinge + (covariance.square().sum() - variance.square().sum()) / len(variance)
        rank = variance.detach().sum() ** 2 / covariance.detach().square().sum().clamp(min=1e-12)
        candidates = rows[:0]
        if self.distance.contrasts:
            others = self._sample(self.config.negatives, seed=step + 2**32)
            candidates = torch.cat([rows, others] if around is None else [rows, around, others]).unique()
        linked = Linked(
            self.student_map(spans).float(), self._map(rows), rows, self._map(candidates), candidate_rows=candidates
        )
        return DistilLoss(self.distance(linked), guard, float(variance.detach().mean()), float(rank))

    def _map(self, rows: Tensor) -> Tensor:
        targets: Tensor = self.teacher_map(self.bank[rows]).float()
        return targets

    def _sample(self, count: int, *, seed: int) -> Tensor:
        """Distinct rows of the bank, `count` of them or all."""
        rows = torch.randperm(len(self.bank), generator=torch.Generator().manual_seed(seed))[:count]
        return rows.to(self.bank.device)


def student_map(kind: str, hidden: int, size: int) -> nn.Module:
    """The map of span vectors, as `DistilConfig.student_map` says, its weights drawn."""
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(hidden, size)
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size))


def _scale(rows: Tensor, columns: list[int]) -> Tensor:
    """(width,): for each column the standard deviation of its part, all columns of which are taken together."""
    parts = (rows - rows.mean(0)).split(columns, dim=1)
    return torch.cat([part.std().clamp(min=1e-6).expand(part.shape[1]) for part in parts])


def _whitened_projection(bank: Tensor, size: int) -> Tensor:
    """Weight (size, width) that maps the centred rows of a bank to uncorrelated dimensions of variance 1."""
    _, values, vectors = torch.linalg.svd(bank, full_matrices=False)
    scale = (values / max(len(bank) - 1, 1) ** 0.5).clamp(min=1e-6)
    weight = torch.zeros(size, bank.shape[1])  # rows beyond the rank of a small bank stay 0
    kept = min(size, len(values))
    weight[:kept] = (vectors / scale.unsqueeze(1))[:kept]
    return weight
