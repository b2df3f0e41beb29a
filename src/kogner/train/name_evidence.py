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
COARSE = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)  # the same, where a loss is looked for beside them
LOSSES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)  # logits, of what is no name
SCALES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # of what the entity adds to that
# Mean and deviation of a scale, a weight and a loss, before dev is looked at.
SCALE, WEIGHT, LOSS = (1.0, 1.0), (3.0, 3.0), (0.0, 2.0)


@dataclass(frozen=True)
class NameEvidence:
    """By type, the weight of a name, how many times what its entity adds counts, and what no name loses."""

    weights: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)

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
    Each type by itself. A scale above 0 has to be better than none by more than NEAR, and so has a weight. Where names
    have one, a loss of what is none is looked for beside it, likewise.
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
            scale, weight = of_type.names()
            fitted.scales[name] = scale
            fitted.weights[name], fitted.losses[name] = of_type.loss_beside(scale, weight)
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

    def names(self) -> tuple[float, float]:
        """A scale and a weight."""
        scales = SCALES if self.spans.entity[self.spans.named].any() else SCALES[:1]
        tried = np.array([(scale, weight) for scale in scales for weight in WEIGHTS])
        right, found = self.counted([(*one, 0.0) for one in tried.tolist()])
        f1 = self.f1(right, found)
        mean, as_good = f1.mean(0), np.all(f1 >= f1[:, [0]] - NEAR, axis=0)
        for column in (0, 1):  # none of what entities add, and none of a name's weight, where that is about as good
            without = as_good & (tried[:, column] == 0)
            if without.any() and mean[without].max() >= mean[as_good].max() - NEAR:
                as_good = without
        if (between := self.between(tried, (SCALE, WEIGHT), right, found, as_good)) is not None:
            scale, weight = between
            if (self.f1(*self.counted([(scale, weight, 0.0)])) >= f1[:, [0]] - NEAR).all():
                return scale, weight
        scale, weight = tried[int(np.argmax(np.where(as_good, mean, 0)))].tolist()  # a mean need not be as good
        return scale, weight

    def loss_beside(self, scale: float, weight: float) -> tuple[float, float]:
        """A weight, at first that one, and a loss of what is no name; as it was where none is better."""
        if weight == 0 or not (~self.spans.named).any():
            return weight, 0.0
        tried = np.array([(one, loss) for loss in LOSSES for one in (weight, *COARSE)])  # the first is how it was
        right, found = self.counted([(scale, *one) for one in tried.tolist()])
        f1 = self.f1(right, found)
        mean, as_good = f1.mean(0), np.all(f1 >= f1[:, [0]] - NEAR, axis=0)
        if mean[as_good].max() <= mean[0] + NEAR:
            return weight, 0.0
        if (between := self.between(tried, (WEIGHT, LOSS), right, found, as_good)) is not None:
            of_name, loss = between
            now = self.f1(*self.counted([(scale, of_name, loss)]))
            if (now >= f1[:, [0]] - NEAR).all() and now.mean() > mean[0] + NEAR:
                return of_name, loss
        of_name, loss = tried[int(np.argmax(np.where(as_good, mean, 0)))].tolist()
        return of_name, loss

    def between(
        self,
        tried: np.ndarray,
        prior: Sequence[tuple[float, float]],
        right: np.ndarray,
        found: np.ndarray,
        as_good: np.ndarray,
    ) -> tuple[float, float] | None:
        """The mean of settings that are as good, by what documents say of them and a normal prior, if any is left."""
        mean, deviation = np.array(prior).T
        before = -0.5 * (((tried - mean) / deviation) ** 2).sum(1)
        said = log_likelihood([(right[at], found[at], self.gold[at]) for at in self.corpora])
        weight = np.exp(said + before) * as_good
        if not weight.any():
            return None
        one, other = (round(float(each), 2) for each in (weight[:, None] * tried).sum(0) / weight.sum())
        return one, other

    def counted(self, settings: Sequence[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
        """`counts` of scales, weights and losses: (documents, settings) each."""
        right, found = zip(*(self.counts(*one) for one in settings), strict=True)
        return np.stack(right, 1), np.stack(found, 1)

    def f1(self, right: np.ndarray, found: np.ndarray) -> np.ndarray:
        """(corpora, settings), of (documents, settings)."""
        return np.stack([f1_of(right[at].sum(0), found[at].sum(0), self.gold[at].sum()) for at in self.corpora])

    def counts(self, scale: float, weight: float, loss: float) -> tuple[np.ndarray, np.ndarray]:
        """Spans that are right and all that are found, of those that overlap one: (documents,) each."""
        shown = replace(self.spans, entity=scaled_logits(self.spans.entity, scale))
        count = len(shown.by_graph)
        every = with_names(shown, shown.scores, [weight] * count, [loss] * count)
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
