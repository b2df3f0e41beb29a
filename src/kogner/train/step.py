"""One step's losses: where the language loss and distillation meet.

A step's batch may be learnt from in several parts (gradient accumulation, several processes). Each part's losses count
by its share of the whole, and what is drawn at random in a part follows from seed, step and part. So the parts add up
to the gradient of the whole batch (exactly so without dropout), whoever computes them. One distance is an exception:
`relational` compares the spans of a part with each other only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kogner.config import Recipe
from kogner.data.batch import Batch
from kogner.student.distil import DistilHead
from kogner.student.encoder import Prompt
from kogner.student.losses import language_loss, sampled_spans
from kogner.student.model import Student
from kogner.train.sampling import View

_SPANS = 1 << 32  # keeps the stream that spans are drawn from apart from torch's own


@dataclass(frozen=True)
class Step:
    """What the parts of a step have in common.

    number: from 0. dist_weight: b at this step. labels: text of each type column. siblings: see `View`.
    sentences, linked: how many the whole batch holds. rows: bank rows of all its links.
    """

    number: int
    dist_weight: float
    labels: Sequence[str]
    siblings: Tensor | None
    sentences: int
    linked: int
    rows: Tensor

    @classmethod
    def of(cls, view: View, *, number: int, dist_weight: float, device: torch.device) -> Step:
        """The step that a view of a whole batch is for."""
        rows = np.concatenate([example.spans[:, 3] for example in view.examples])
        rows = rows[rows >= 0]
        siblings = None if view.siblings is None else torch.from_numpy(view.siblings).to(device)
        return cls(
            number, dist_weight, view.labels, siblings, sum(example.sentences for example in view.examples), len(rows),
            torch.from_numpy(rows).to(device),
        )  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """The encoded labels of a step. The parts that are scored against them leave their gradients at them; `backward`
    takes the sum on into the label encoder, once for the step rather than once for each part.

    types: as the student scores against them. encoded: the same with what made them; None where nothing learns there.
    """

    types: Tensor | Prompt
    encoded: Tensor | None = None

    @classmethod
    def of(cls, encoded: Tensor | Prompt) -> Labels:
        """What `encode_labels` returned; a prompt is encoded with each part's text, so it has nothing to share."""
        if isinstance(encoded, Prompt) or not encoded.requires_grad:
            return cls(encoded)
        return cls(encoded.detach().requires_grad_(), encoded)

    def backward(self) -> None:
        """Once, after those of the parts."""
        if self.encoded is not None and isinstance(self.types, Tensor) and self.types.grad is not None:
            self.encoded.backward(self.types.grad)


class Trainee(nn.Module):
    """The student and, where it learns from a bank, its distillation head; one module so that one state holds both."""

    def __init__(self, student: Student, head: DistilHead | None) -> None:
        super().__init__()
        self.student, self.head = student, head

    def labels(self, step: Step) -> Labels:
        """The labels of a step, encoded once for all its parts."""
        return Labels.of(self.student.encode_labels(step.labels))

    def losses(
        self, batch: Batch, labels: Labels, step: Step, recipe: Recipe, *, part: int = 0
    ) -> tuple[Tensor, dict[str, float]]:
        """What a part adds to the total loss of its step, and to each of the step's figures in the log.

        After the last part's `backward` comes that of `labels`.
        """
        types = labels.types
        config = recipe.loss
        scores, words = self.student(batch.tokens, types)
        spans = None
        if config.negative_share < 1:
            seed = seed_of(recipe.train.seed, step.number, part) ^ _SPANS
            spans = sampled_spans(batch.targets, config.negative_share, seed=seed)
        lang = language_loss(
            scores, batch.targets, batch.type_mask, alpha=config.focal_alpha, gamma=config.focal_gamma,
            siblings=step.siblings, spans=spans, unknown=batch.unknown,
        )  # fmt: skip
        lang = lang * (len(batch.targets) / step.sentences)
        total, parts = config.lang_weight * lang, {"loss_lang": float(lang.detach())}
        if self.head is not None:
            # Drawn last, so that the arm without a graph sees the same dropout masks everywhere else.
            vectors = self.student.span_head.vectors(words, batch.linked)
            distil = self.head(vectors, batch.rows, step=step.number, around=step.rows)
            loss = distil.loss * (len(batch.rows) / max(step.linked, 1))
            total = total + step.dist_weight * loss
            if part == 0:  # the guard looks at the bank, not at a part
                total = total + recipe.distil.guard_weight * distil.guard
            parts |= {"loss_dist": float(loss.detach()), "target_variance": distil.variance if part == 0 else 0.0}
            parts |= {"target_rank": distil.rank if part == 0 else 0.0, "linked": float(len(batch.rows))}
        return total, parts

    def figures(self) -> dict[str, float]:
        """The figures that `losses` gives, at 0."""
        names = ["loss_lang"] + ["loss_dist", "target_variance", "target_rank", "linked"] * (self.head is not None)
        return dict.fromkeys(names, 0.0)


def seed_of(seed: int, step: int, part: int) -> int:
    """The seed of torch's random stream for one part of one step."""
    return int(np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)[0] >> 1)
