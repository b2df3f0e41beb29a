"""What spans have to reach: by label the score to be found, and what names of a graph add or take on the way there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kogner.annotate.agreement import FLOOR
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.names import DEFAULT_WEIGHT, NAME_FLOOR, Names, Span, shifted, total
from kogner.errors import InputError
from kogner.student.decode import warmed

if TYPE_CHECKING:
    from kogner.annotate.predictor import Settings
    from kogner.student.checkpoint import StudentInfo


@dataclass(frozen=True)
class Bounds:
    """Every field is a list with a number for each label. Scores are calibrated ones, weights and losses are logits.

    thresholds: score from which a span is found. agreement: how much other places of its text count, 0 = not at all.
    looked_at: score from which a span is looked at, since agreement may raise it.
    temperatures: of the calibration.
    weights: what a name adds; most: what it adds at most, with the entity that it names. losses: what a span loses that
    is no name. floors: score that a name has at least, 0 where names count for nothing.
    by_entity: what entities add to the weights of their names; not by label.
    """

    thresholds: Sequence[float]
    agreement: Sequence[float]
    looked_at: Sequence[float]
    temperatures: Sequence[float]
    weights: Sequence[float]
    most: Sequence[float]
    losses: Sequence[float]
    floors: Sequence[float]
    by_entity: EntityWeights

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        settings: Settings,
        info: StudentInfo,
        *,
        names: Names | None = None,
        entity_weights: EntityWeights | None = None,
    ) -> Bounds:
        """What settings say, and where they say nothing the checkpoint.

        Raises InputError for a threshold of what is no label.
        """
        count = len(labels)
        thresholds, agreement = _thresholds(labels, settings, info), _agreement(labels, settings, info)
        temperatures = [info.temperature(label) for label in labels]
        weights, losses, by_entity = [0.0] * count, [0.0] * count, EntityWeights()
        if names is not None and settings.name_weight is not None:
            weights = [settings.name_weight] * count
        elif names is not None:
            weights = [info.name_weight(label, DEFAULT_WEIGHT) for label in labels]
            losses = [info.name_loss(label) if names.knows(label) else 0.0 for label in labels]
            by_entity = entity_weights or by_entity
        most = [total(weight, by_entity.most(label)) for weight, label in zip(weights, labels, strict=True)]
        # Whoever wants all spans wants each name, also where it counts for nothing.
        counts = [names is not None and (value > 0 or settings.overlap == "all") for value in most]
        floors = [warmed(NAME_FLOOR, heat) if has else 0.0 for heat, has in zip(temperatures, counts, strict=True)]
        looked_at = [
            min(value, FLOOR) if weight else value for value, weight in zip(thresholds, agreement, strict=True)
        ]
        return cls(thresholds, agreement, looked_at, temperatures, weights, most, losses, floors, by_entity)

    def asked(self) -> np.ndarray:
        """The student's own scores, before calibration, from which a span may come to be looked at: (labels,) float64.

        As a name, for which NAME_FLOOR is enough, or as none.
        """
        as_name = [shifted(value, -max(weight, 0.0)) for value, weight in zip(self.looked_at, self.most, strict=True)]
        as_none = [shifted(value, loss) for value, loss in zip(self.looked_at, self.losses, strict=True)]
        return np.minimum(self._before_calibration(as_none), np.maximum(self._before_calibration(as_name), NAME_FLOOR))

    def within_reach(self, names: Collection[Span]) -> list[Span]:
        """Those, in order, that would be looked at if the student gave them nothing."""
        return sorted(span for span in names if self._reach[span[2]]) if any(self._reach) else []

    @cached_property
    def _reach(self) -> list[bool]:
        """By label, whether the most that a name may add lifts the floor to where spans are looked at."""
        lifted = [shifted(value, max(weight, 0.0)) for value, weight in zip(self.floors, self.most, strict=True)]
        return [value >= bound for value, bound in zip(lifted, self.looked_at, strict=True)]

    def _before_calibration(self, scores: Sequence[float]) -> np.ndarray:
        return np.array(
            [
                score if heat == 1 else warmed(score, 1 / heat)
                for score, heat in zip(scores, self.temperatures, strict=True)
            ]
        )


def _thresholds(labels: Sequence[str], settings: Settings, info: StudentInfo) -> list[float]:
    own = {name.strip(): value for name, value in (settings.thresholds or {}).items()}
    if unknown := sorted(set(own) - set(labels)):
        raise InputError(f"threshold given for {unknown[0]!r}, which is not among the labels: {', '.join(labels)}")
    return [
        own.get(label, info.threshold(label) if settings.threshold is None else settings.threshold) for label in labels
    ]


def _agreement(labels: Sequence[str], settings: Settings, info: StudentInfo) -> list[float]:
    if settings.overlap == "all":  # whoever wants all spans wants those that the student found
        return [0.0] * len(labels)
    if settings.agreement is not None:
        return [settings.agreement] * len(labels)
    return [info.agreement_of(label) for label in labels]
