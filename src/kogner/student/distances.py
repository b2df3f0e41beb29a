"""How far mapped span vectors s are from the mapped bank rows t of their entities: the choices of `distil.loss`.

Each is a mean over what it compares, finite for any number of linked spans, and 0 where there is nothing to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from kogner.config import DistilConfig


@dataclass(frozen=True)
class Linked:
    """The linked spans of a batch, mapped, float32.

    students, targets: (linked, width). rows: (linked,) the entities' bank rows.
    candidates: (candidates, width) mapped bank rows to tell the right one from; candidate_rows: (candidates,) which
    ones, ascending, each once, all of `rows` among them. Both are empty unless the distance asks for them.
    """

    students: Tensor
    targets: Tensor
    rows: Tensor
    candidates: Tensor
    candidate_rows: Tensor


class Distance(Protocol):
    """Linked spans in, a scalar out. contrasts: whether it reads `candidates`."""

    contrasts: bool

    def __call__(self, linked: Linked) -> Tensor:
        """The mean distance."""


class Mse:
    """mean over spans and dimensions of (s - t)^2 (KoGNER, arXiv 2503.15737)."""

    contrasts = False

    def __call__(self, linked: Linked) -> Tensor:
        """0 where s = t; 1 for a student that knows only the mean of targets of variance 1."""
        if not len(linked.rows):
            return _nothing(linked)
        return functional.mse_loss(linked.students, linked.targets)


class Cosine:
    """mean over spans of 1 - cos(s, t) (the hidden-state loss of DistilBERT, Sanh et al. 2019, arXiv 1910.01108).

    Lengths do not count, so it asks for the direction of the teacher's vector alone.
    """

    contrasts = False

    def __call__(self, linked: Linked) -> Tensor:
        """Between 0 (same direction) and 2 (opposite)."""
        if not len(linked.rows):
            return _nothing(linked)
        return (1 - functional.cosine_similarity(linked.students, linked.targets)).mean()


class Contrastive:
    """InfoNCE (van den Oord et al. 2018, arXiv 1807.03748, equation 4), with the cosine over a temperature.

    mean over spans of -log(exp(cos(s, t) / T) / sum over candidates c of exp(cos(s, c) / T)). The candidates are the
    distinct entities of the batch and a sample of the bank; an entity that is linked twice is not its own negative.
    """

    contrasts = True

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, linked: Linked) -> Tensor:
        """log(candidates) for a student that knows nothing; 0 where there is but one candidate."""
        if not len(linked.rows):
            return _nothing(linked)
        students = functional.normalize(linked.students, dim=1)
        candidates = functional.normalize(linked.candidates, dim=1)
        right = torch.searchsorted(linked.candidate_rows, linked.rows)
        return functional.cross_entropy(students @ candidates.T / self.temperature, right)


class Relational:
    """Distance-wise RKD (Park et al. 2019, arXiv 1904.05068, equations 5 to 7): pairwise distances are to be alike.

    mean over pairs i < j of huber(|s_i - s_j| / m_s, |t_i - t_j| / m_t), m the mean distance over the pairs. It asks
    nothing of where the vectors lie, so the student's own geometry may be turned and scaled. Needs two linked spans.
    """

    contrasts = False

    def __call__(self, linked: Linked) -> Tensor:
        """0 where both sides have the same relative distances."""
        if len(linked.rows) < 2:
            return _nothing(linked)
        return functional.huber_loss(_relative(linked.students), _relative(linked.targets))


def make_distance(config: DistilConfig) -> Distance:
    """The distance that `distil.loss` names."""
    if config.loss == "contrastive":
        return Contrastive(config.temperature)
    plain: dict[str, Distance] = {"mse": Mse(), "cosine": Cosine(), "relational": Relational()}
    return plain[config.loss]


def _relative(vectors: Tensor) -> Tensor:
    distances = functional.pdist(vectors)  # its gradient is 0, not NaN, where two vectors are equal
    return distances / distances.mean().clamp(min=1e-6)


def _nothing(linked: Linked) -> Tensor:
    return linked.students.new_zeros(())
