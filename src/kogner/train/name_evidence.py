"""How much names of a graph count for a student, and how much what their entities add to that, as dev documents say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from kogner.annotate.entity_weights import scaled_logits
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import decode
from kogner.train.posterior import f1_of, log_likelihood
from kogner.train.thresholds import NEAR, Scored, asked, calibrated, candidates_of, with_names

if TYPE_CHECKING:
    from kogner.train.splits import Split

WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)  # logits
SCALES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # of what the entity adds to that
PRIOR = ((1.0, 1.0), (3.0, 3.0))  # mean and deviation of a scale and of a weight, before dev is looked at


@dataclass(frozen=True)
class NameEvidence:
    """By type, the weight of a name, and how many times what its entity adds counts."""

    weights: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def applied(self, dev: Scored, types: Sequence[str]) -> Scored:
        """The same spans, what entities add being times the scale, as it is stored."""
        entity = np.zeros(len(dev.scores))
        for number, name in enumerate(types):
            own = dev.spans[:, 3] == number
            entity[own] = scaled_logits(dev.entity[own], self.scales.get(name, 0.0))
        return replace(dev, entity=entity)


def best_name_evidence(dev: Scored, splits: Sequence[Split], types: Sequence[str], info: StudentInfo) -> NameEvidence:
    """For each type with names among the spans what its exact F1 at its threshold speaks for.

    A weight of WEIGHTS, and where entities add something one of SCALES: the mean of those that the dev documents leave
    possible (`log_likelihood`), under a normal prior. The F1 is the mean over the corpora that have the type, and a
    setting that makes it worse for one of them is none, since one may mark what the graph names and another may not.
    Each type by itself. A scale above 0 has to be better than none by more than NEAR, and so has a weight.
    """
    scores = calibrated(dev, [info.temperature(name) for name in types])
    fitted = NameEvidence()
    for number, name in enumerate(types):
        own = dev.spans[:, 3] == number
        corpora = list(_corpora(splits, types, name))
        if corpora and dev.named[own].any():
            part = replace(
                dev, spans=dev.spans[own], scores=scores[own], right=dev.right[own], named=dev.named[own],
                entity=dev.entity[own],
            )  # fmt: skip
            of_type = _OfType(part, dev.gold[:, number], info.threshold(name), corpora)
            fitted.scales[name], fitted.weights[name] = of_type.plausible()
    return fitted


def _corpora(splits: Sequence[Split], types: Sequence[str], name: str) -> Iterator[slice]:
    """Of each corpus with mentions of a type its documents' numbers in `Scored`."""
    number = 0
    for split in splits:
        if not split.dev or not asked(split, types):
            continue
        if name in split.types and any(one.type == name for document in split.dev for one in document.mentions):
            yield slice(number, number + len(split.dev))
        number += len(split.dev)


@dataclass(frozen=True, eq=False)
class _OfType:
    """spans: those of one type, calibrated. gold: (documents,) its mentions. corpora: their documents' numbers."""

    spans: Scored
    gold: np.ndarray
    threshold: float
    corpora: Sequence[slice]

    def plausible(self) -> tuple[float, float]:
        """A scale and a weight."""
        scales = SCALES if self.spans.entity[self.spans.named].any() else SCALES[:1]
        tried = np.array([(scale, weight) for scale in scales for weight in WEIGHTS])
        right, found = (np.stack(of, 1) for of in zip(*(self.counts(*one) for one in tried.tolist()), strict=True))
        f1 = self.f1(right, found)
        mean, as_good = f1.mean(0), (f1 >= f1[:, [0]] - NEAR).all(0)
        for column in (0, 1):  # none of what entities add, and none of a name's weight, where that is about as good
            without = as_good & (tried[:, column] == 0)
            if without.any() and mean[without].max() >= mean[as_good].max() - NEAR:
                as_good = without
        mean_before, deviation = np.array(PRIOR).T
        before = -0.5 * (((tried - mean_before) / deviation) ** 2).sum(1)
        said = log_likelihood([(right[at], found[at], self.gold[at]) for at in self.corpora])
        weight = np.exp(said + before) * as_good
        if weight.any():
            scale, of_name = (round(float(one), 2) for one in (weight[:, None] * tried).sum(0) / weight.sum())
            if (self.f1(*(one[:, None] for one in self.counts(scale, of_name))) >= f1[:, [0]] - NEAR).all():
                return scale, of_name
        scale, of_name = tried[int(np.argmax(np.where(as_good, mean, 0)))].tolist()  # a mean need not be as good
        return scale, of_name

    def f1(self, right: np.ndarray, found: np.ndarray) -> np.ndarray:
        """(corpora, settings), of (documents, settings)."""
        return np.stack([f1_of(right[at].sum(0), found[at].sum(0), self.gold[at].sum()) for at in self.corpora])

    def counts(self, scale: float, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Spans that are right and all that are found, of those that overlap one: (documents,) each."""
        shown = replace(self.spans, entity=scaled_logits(self.spans.entity, scale))
        every = with_names(shown, shown.scores, np.full(int(shown.spans[:, 3].max()) + 1, weight).tolist())
        enough = every >= self.threshold
        spans, scores, right = shown.spans[enough], every[enough], shown.right[enough]
        hits, found = np.zeros(len(self.gold)), np.zeros(len(self.gold))
        for part in np.split(np.arange(len(spans)), np.flatnonzero(np.diff(spans[:, 0])) + 1) if len(spans) else ():
            candidates = candidates_of(spans[part], scores[part])
            gold = {candidate[:3] for candidate, is_right in zip(candidates, right[part], strict=True) if is_right}
            chosen, document = decode(candidates), spans[part[0], 0]
            hits[document] += sum(one[:3] in gold for one in chosen)
            found[document] += len(chosen)
        return hits, found
