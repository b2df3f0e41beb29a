"""Temperatures and score thresholds per type, fitted on dev documents only, in one pass of the student over them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from kogner.annotate.agreement import settled
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.names import MAX_NAME_WEIGHT, NAME_FLOOR, Names
from kogner.annotate.predictor import Predictor, Settings
from kogner.records import Document, Mention
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import Candidate, decode
from kogner.student.model import Student
from kogner.train.posterior import posterior_mean

if TYPE_CHECKING:
    from kogner.train.splits import Split

NEAR = 0.0005  # of F1
GRID = np.round(np.arange(0.20, 0.81, 0.02), 2)
PRIOR = (0.5, 0.2)  # mean and deviation of thresholds of calibrated scores, before dev is looked at
FLOOR = 0.01  # score from which spans are looked at; below lie nearly all spans of a text, nearly none of them right
WEAK = 3e-5  # of a span whose text stands elsewhere with FLOOR or more: at the hottest it shows as 0.03
COOLEST, HOTTEST = 1 / 3, 3.0  # a score of FLOOR is still below GRID[0] at the hottest
LEAST = 30  # right and wrong spans that a temperature is fitted to
EDGE = 2**-25  # scores are made in single precision: 1 stands for anything above 1 - EDGE


@dataclass(frozen=True)
class Fitted:
    """What dev data says of each type; types it says too little of are absent, the defaults count for them."""

    temperatures: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)

    def info(self, types: Sequence[str] = (), base: str = "") -> StudentInfo:
        """A student of these types, with this."""
        return StudentInfo(
            tuple(types),
            thresholds=self.thresholds,
            base=base,
            temperatures=self.temperatures,
            agreement=self.agreement,
        )


@dataclass(frozen=True)
class Scored:
    """Every span of the dev documents that scores FLOOR or more, and every name of the graph, NAME_FLOOR at least,
    overlapping or not, before calibration.

    spans: (spans, 4) int64 of document, start, end (half-open characters), type index; in order of the documents.
    scores: (spans,) float64. right: (spans,) bool, whether it is a gold mention. named: (spans,) bool, whether it is a
    name of its type in the graph. gold: (documents, types) int64, gold mentions.
    entity: (spans,) float64, what the entity adds to the weight of that name. by_graph: (types,) bool, whether the
    graph has names of a type and they were looked for.
    """

    spans: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    gold: np.ndarray
    named: np.ndarray
    entity: np.ndarray
    by_graph: np.ndarray

    @classmethod
    def of(
        cls,
        spans: np.ndarray,
        scores: np.ndarray,
        right: np.ndarray,
        gold: np.ndarray,
        *,
        named: np.ndarray | None = None,
        by_graph: np.ndarray | None = None,
    ) -> Scored:
        """Spans of which entities add nothing; without names, where none were looked for."""
        count, types = len(scores), gold.shape[1]
        named = np.zeros(count, dtype=bool) if named is None else named
        by_graph = np.zeros(types, dtype=bool) if by_graph is None else by_graph
        return cls(spans, scores, right, gold, named, np.zeros(count), by_graph)


def fit(student: Student, splits: Sequence[Split], types: Sequence[str], *, calibrate: bool = True) -> Fitted:
    """Temperatures, and the thresholds for the scores that they give; without `calibrate` for the scores as they are.

    Types without dev mentions get neither, those with few spans no temperature.
    """
    return fit_to(scored_dev(student, splits, types), types, calibrate=calibrate)


def fit_to(dev: Scored, types: Sequence[str], *, calibrate: bool = True) -> Fitted:
    """What `fit` gives, of dev documents that were scored before."""
    temperatures = fit_temperatures(dev, types) if calibrate else {}
    return Fitted(temperatures, best_thresholds(dev, types, temperatures))


def scored_dev(
    student: Student,
    splits: Sequence[Split],
    types: Sequence[str],
    *,
    names: Names | None = None,
    agreement: bool = False,
) -> Scored:
    """The spans of all dev documents, each asked for those of `types` that its own corpus has.

    names: of a graph. agreement: also spans down to WEAK whose text is that of another of the type with FLOOR or more.
    """
    predictor = Predictor(student)
    index = {name: number for number, name in enumerate(types)}
    # Small blocks: of a student that has learned nothing, every span scores FLOOR.
    floor = min(FLOOR, NAME_FLOOR if names is not None else 1.0, WEAK if agreement else 1.0)
    everything = Settings(
        threshold=floor, multi_label=True, overlap="all", token_budget=8192, block=100_000, digits=17, name_weight=0.0
    )  # with names, of which each is found then, and none counts
    gold: list[list[int]] = []
    spans, scores, right, named = array("q"), array("d"), array("b"), array("b")
    number = 0
    with evaluating(student):
        for split in splits:
            labels = asked(split, index)
            if not split.dev or not labels:
                continue
            predicted = predictor.predict(split.dev, labels=labels, settings=everything, names=names)
            for document, found in zip(split.dev, predicted, strict=True):
                keys = {mention.key for mention in document.mentions}
                known = set() if names is None else names.spans(document.text, labels)
                kinds = Counter(mention.type for mention in document.mentions)
                gold.append([kinds[name] for name in types])
                strong = {(m.text.lower(), m.type) for m in found.mentions if agreement and (m.score or 0.0) >= FLOOR}
                for mention in found.mentions:
                    is_name = (mention.start, mention.end, labels.index(mention.type)) in known
                    is_weak = (mention.score or 0.0) < FLOOR
                    if is_weak and not is_name and (mention.text.lower(), mention.type) not in strong:
                        continue
                    spans.extend((number, mention.start, mention.end, index[mention.type]))
                    scores.append(mention.score or 0.0)
                    right.append(mention.key in keys)
                    named.append(is_name)
                number += 1
    return Scored.of(
        np.array(spans).reshape(-1, 4), np.array(scores), np.array(right, dtype=bool),
        np.array(gold, dtype=np.int64).reshape(-1, len(types)), named=np.array(named, dtype=bool),
        by_graph=np.array([names is not None and names.knows(name) for name in types]),
    )  # fmt: skip


def by_entity(
    dev: Scored, splits: Sequence[Split], types: Sequence[str], names: Names, weights: EntityWeights
) -> Scored:
    """The same spans, with what the entities add that those among them which are names are names of."""
    entity = np.zeros(len(dev.scores))
    number = 0
    for split in splits if weights.of else ():
        labels = asked(split, types)
        index = {list(types).index(name): at for at, name in enumerate(labels)}
        for document in split.dev if labels else ():
            evidence = names.evidence(document.text, labels, weights)
            first, last = np.searchsorted(dev.spans[:, 0], (number, number + 1))
            for at in range(first, last):
                _, start, end, kind = dev.spans[at].tolist()
                if dev.named[at]:
                    entity[at] = evidence[start, end, index[kind]]
            number += 1
    return replace(dev, entity=entity)


@contextmanager
def evaluating(student: Student) -> Iterator[None]:
    """The student in evaluation mode, and back: while it trains, a predictor makes its engine anew for each block."""
    was_training = student.training
    student.eval()
    try:
        yield
    finally:
        student.train(was_training)


def found_at(
    dev: Scored, splits: Sequence[Split], types: Sequence[str], info: StudentInfo
) -> dict[str, list[Document]]:
    """By corpus, its dev documents with what a student with these thresholds and temperatures finds there.

    What `info` says of names and of agreement counts as well.
    """
    thresholds = [info.threshold(name) for name in types]
    agreement = [info.agreement_of(name) for name in types]
    found = {split.name: [replace(document, mentions=()) for document in split.dev] for split in splits}
    for corpus, at, document, spans in by_document(dev, shown(dev, types, info), splits, types):
        chosen = decode([span for span in spans if span.score >= thresholds[span.type]])
        if any(agreement):
            chosen = settled(document.text, chosen, spans, thresholds=thresholds, weights=agreement)
        mentions = [Mention(c.start, c.end, types[c.type], score=round(c.score, 4)) for c in chosen]
        found[corpus][at] = replace(document, mentions=tuple(mentions))
    return found


def shown(dev: Scored, types: Sequence[str], info: StudentInfo) -> np.ndarray:
    """Scores as a user sees them, calibrated and with what `info` says of names: (spans,)."""
    scores = calibrated(dev, [info.temperature(name) for name in types])
    weights, losses = ([of(name) for name in types] for of in (lambda name: info.name_weight(name, 0), info.name_loss))
    return with_names(dev, scores, weights, losses)


def by_document(
    dev: Scored, scores: np.ndarray, splits: Sequence[Split], types: Sequence[str]
) -> Iterator[tuple[str, int, Document, list[Candidate]]]:
    """Of each dev document that was scored its corpus, its place there, itself, and its spans with these scores."""
    number = 0
    for split in splits:
        for at, document in enumerate(split.dev if asked(split, types) else ()):
            own = slice(*np.searchsorted(dev.spans[:, 0], (number, number + 1)))
            yield split.name, at, document, candidates_of(dev.spans[own], scores[own])
            number += 1


def asked(split: Split, types: Container[str]) -> list[str]:
    """Those of the types that a corpus is asked for."""
    return [name for name in split.types if name in types]


def fit_temperatures(dev: Scored, types: Sequence[str]) -> dict[str, float]:
    """T of each type with the largest likelihood of its spans being right or wrong under sigmoid(z / T).

    Guo et al. 2017 (arXiv 1706.04599), section 4.2, for a sigmoid. What counts are all spans from FLOOR on, whether
    decoding would keep them or not; gold spans below it do not, since the wrong ones there are missing as well, and
    with the right ones alone every small score would look too small. (On dev of BC5CDR, NCBI and BC2GM floors from
    0.01 to 0.2, before or after decoding, came within one point of calibration error of each other.) The likelihood
    is concave in 1 / T: its slope, sum of z * (right - sigmoid(z / T)), is brought to 0 by bisection.
    """
    fitted = {}
    for number, name in enumerate(types):
        own = (dev.spans[:, 3] == number) & (dev.scores >= FLOOR)
        z, right = _logits(dev.scores[own]), dev.right[own]
        if min(right.sum(), (~right).sum()) < LEAST:
            continue
        low, high = 1 / HOTTEST, 1 / COOLEST
        for _ in range(40):
            middle = (low + high) / 2
            if (z * (right - _sigmoid(z * middle))).sum() > 0:
                low = middle
            else:
                high = middle
        fitted[name] = round(2 / (low + high), 3)
    return fitted


def best_thresholds(dev: Scored, types: Sequence[str], temperatures: Mapping[str, float]) -> dict[str, float]:
    """The threshold of each type that its exact F1 over all dev documents speaks for (`posterior_mean`).

    Flat decoding by score, so what is found at a threshold is what is found at a lower one and scores enough
    (exactly so for one type; with several, a weaker span of another type may still come in its place).
    Types without dev mentions are left out: the default counts for them, here too.
    """
    scores = calibrated(dev, [temperatures.get(name, 1.0) for name in types])
    least = np.where(dev.gold.any(axis=0), GRID[0], StudentInfo().default_threshold)  # by type
    enough = scores >= least[dev.spans[:, 3]]
    spans, scores, right = dev.spans[enough], scores[enough], dev.right[enough]
    hits = np.zeros((len(types), len(dev.gold), len(GRID)))
    found = np.zeros_like(hits)
    for part in np.split(np.arange(len(spans)), np.flatnonzero(np.diff(spans[:, 0])) + 1):
        candidates = candidates_of(spans[part], scores[part])
        gold = {candidate[:3] for candidate, is_right in zip(candidates, right[part], strict=True) if is_right}
        for chosen in decode(candidates):
            at = chosen.type, spans[part[0], 0], np.searchsorted(GRID, chosen.score, side="right") - 1
            found[at] += 1
            hits[at] += chosen[:3] in gold
    fitted = {}
    for number, name in enumerate(types):
        mentions = dev.gold[:, number]
        if mentions.any():
            own = found[number].any(axis=1) | (mentions > 0)
            right_at, found_at_least = (one[number, own][:, ::-1].cumsum(axis=1)[:, ::-1] for one in (hits, found))
            mean, deviation = PRIOR
            value = posterior_mean(GRID, right_at, found_at_least, mentions[own], mean=mean, deviation=deviation)
            fitted[name] = round(value, 2)
    return fitted


def with_names(dev: Scored, scores: np.ndarray, weights: Sequence[float], losses: Sequence[float]) -> np.ndarray:
    """Scores with the weight of its type, and what its entity adds, added to the logit of each span that is a name, and
    the loss of its type taken from that of each that is none."""
    kinds = dev.spans[:, 3]
    whole = np.clip(np.array(weights)[kinds] + dev.entity, -MAX_NAME_WEIGHT, MAX_NAME_WEIGHT)
    added = np.where(dev.named, whole, -(np.array(losses) * dev.by_graph)[kinds])
    found: np.ndarray = np.where(added == 0, scores, _sigmoid(_logits(scores) + added))
    return found


def candidates_of(spans: np.ndarray, scores: np.ndarray) -> list[Candidate]:
    """What `decode` takes, of spans as in `Scored` and their scores."""
    columns = (spans[:, 1], spans[:, 2], spans[:, 3], scores)
    return [Candidate(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def calibrated(dev: Scored, temperatures: Sequence[float]) -> np.ndarray:
    """Scores under a temperature per type: (spans,)."""
    heats = np.array(temperatures)[dev.spans[:, 3]]
    found: np.ndarray = np.where(heats == 1, dev.scores, _sigmoid(_logits(dev.scores) / heats))
    return found


def _logits(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    found: np.ndarray = np.log(clipped / (1 - clipped))
    return found


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-logits))
    return found
