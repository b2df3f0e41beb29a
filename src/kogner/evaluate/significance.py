"""Is one way of training better than another? A paired bootstrap over test documents, and the chance of seeds.

Koehn 2004 (EMNLP, "Statistical significance tests for machine translation evaluation") resamples documents; micro F1 of
each resample comes from its documents' counts. Seeds are drawn at random too, but three of them cannot be resampled:
where they agree in the sign no resample has the other one. So each resample adds what a mean of so few may be off by:
the standard error of the seeds' differences times a draw of Student's t with one degree of freedom less than seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kogner.errors import InputError
from kogner.evaluate.spans import compare
from kogner.records import Document, article_of

Array = np.ndarray[Any, Any]
ROUNDS = 10_000


@dataclass(frozen=True)
class Difference:
    """Of two arms, F1 in points (0 to 100): the mean of the differences, its 95 % interval, and p (two-sided).

    p: twice the share of resamples on the other side of zero, at least 2 / rounds. seeds: where it is one, the chance
    of training is in neither.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "difference": round(self.mean, 2),
            "interval": [round(self.low, 2), round(self.high, 2)],
            "p": round(self.p, 4),
            "seeds": self.seeds,
        }


def document_counts(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str]
) -> list[tuple[int, int, int]]:
    """(gold, predicted, correct) mentions of each gold document, in order; exact spans and types.

    Passages of one article (`ID#1`, `ID#2`, as readers of PubTator, CoNLL and GENIA name them, and documents that share
    an id) count together: what an article calls its entities comes again in each, so they are not drawn independently.
    """
    found: dict[str, tuple[int, int, int]] = {}
    for pair in compare(gold, predicted, types=types):
        right, guess = (Counter(mention.key for mention in side) for side in (pair.gold, pair.predicted))
        article = article_of(pair.document.id)
        before = found.get(article, (0, 0, 0))
        counts = (right.total(), guess.total(), (right & guess).total())
        found[article] = tuple(x + y for x, y in zip(before, counts, strict=True))  # type: ignore[assignment]
    return list(found.values())


def f1_interval(
    counts: Sequence[Sequence[int]], *, missed: int = 0, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of micro F1 in points, by drawing documents again; of one model, so not of its training.

    counts: (documents, 3) of `document_counts`. missed: gold mentions of no document, counted in each resample.
    """
    table = np.asarray(counts, np.float64).reshape(-1, 3)
    if not len(table):
        return 0.0, 0.0
    drawn = np.empty((rounds, 3))
    for start, weights in _draws(len(table), rounds, seed):
        drawn[start : start + len(weights)] = weights @ table
    drawn[:, 0] += missed
    low, high = np.percentile(_f1(drawn), [2.5, 97.5]).tolist()
    return low, high


@dataclass(frozen=True)
class Resampled:
    """A difference of two arms in F1, points. per_seed: by seed. drawn: (rounds,), of documents drawn again."""

    per_seed: dict[int, float]
    drawn: Array


def paired_bootstrap(
    better: Sequence[Sequence[Sequence[int]]],
    baseline: Sequence[Sequence[Sequence[int]]],
    *,
    missed: int = 0,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Difference:
    """Compare two arms by their counts: (seeds, documents, 3) of `document_counts`, the same seeds in one order.

    A resample takes documents with replacement, the same for both arms. missed: as in `f1_interval`.
    Raises InputError where the two have not the same seeds and documents.
    """
    return overall([resampled(better, baseline, missed=missed, rounds=rounds, seed=seed)], seed=seed)


def overall(resamples: Sequence[Resampled], *, seed: int = 0) -> Difference:
    """The mean of several differences, each as `resampled` gives it, and its interval.

    Where the documents are the same, so are those that the same rounds draw, so that what they have in common counts.
    So it does of seeds: trainings of one seed may start from the same student, and what counts is the mean of each
    seed, of those that all differences have. Where these are not two, what is said is said of one training.
    """
    mean = float(np.mean([np.mean(list(one.per_seed.values())) for one in resamples]))
    drawn = np.mean([one.drawn for one in resamples], axis=0)
    common = sorted(set.intersection(*(set(one.per_seed) for one in resamples)))
    seeds = max(1, len(common))
    if seeds > 1:
        of_seeds = np.random.default_rng([seed, 1]).standard_t(seeds - 1, len(drawn))
        per_seed = np.mean([[one.per_seed[number] for number in common] for one in resamples], axis=0)
        drawn = drawn + per_seed.std(ddof=1) / np.sqrt(seeds) * of_seeds
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    other = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Difference(mean, low, high, min(1.0, max(2 * other, 2 / len(drawn))), seeds)


def resampled(
    better: Sequence[Sequence[Sequence[int]]],
    baseline: Sequence[Sequence[Sequence[int]]],
    *,
    missed: int = 0,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Resampled:
    """The difference of two arms, seed by seed, and in each resample of the documents. See `paired_bootstrap`."""
    if len(better) != len(baseline) or not better:
        raise InputError(f"two arms need the same seeds and documents, not {len(better)} and {len(baseline)} trainings")
    both = redraw([*better, *baseline], missed=missed, rounds=rounds, seed=seed)
    return both.difference(range(len(better)), range(len(better), 2 * len(better)))


@dataclass(frozen=True)
class Redrawn:
    """Trainings in points of F1. f1: (trainings,), as scored. drawn: (trainings, rounds), of documents drawn again."""

    f1: Array
    drawn: Array

    def difference(
        self, better: Sequence[int], baseline: Sequence[int], *, numbers: Sequence[int] | None = None
    ) -> Resampled:
        """Of two arms. better, baseline: their trainings, seed by seed. numbers: the seeds; 0 and so on where None."""
        ours, theirs = list(better), list(baseline)
        per_seed = (self.f1[ours] - self.f1[theirs]).tolist()
        seeds = range(len(ours)) if numbers is None else numbers
        drawn = (self.drawn[ours] - self.drawn[theirs]).mean(0)
        return Resampled(dict(zip(seeds, per_seed, strict=True)), drawn)


def redraw(
    trainings: Sequence[Sequence[Sequence[int]]], *, missed: int = 0, rounds: int = ROUNDS, seed: int = 0
) -> Redrawn:
    """Draw the documents again, for all trainings at once: many are compared with several others.

    trainings: (trainings, documents, 3) of `document_counts`. missed: as in `f1_interval`. Raises InputError where they
    were not scored on the same documents.
    """
    if len({len(counts) for counts in trainings}) > 1:
        raise InputError(
            "trainings were scored on other numbers of documents; where an earlier version counted each sentence of a "
            "document by itself, run these again"
        )
    counts = np.asarray(trainings, np.float64)
    if counts.ndim != 3 or counts.shape[2] != 3 or 0 in counts.shape:
        raise InputError(f"trainings need counts of (trainings, documents, 3), not {counts.shape}")
    if (counts[..., 0] != counts[0, :, 0]).any():
        raise InputError(
            "trainings were scored on other gold mentions, though on as many documents; where a reader has changed, "
            "run those of before it again"
        )
    number, documents, _ = counts.shape
    more = np.array([missed, 0, 0], np.float64)
    side_by_side = counts.transpose(1, 0, 2).reshape(documents, -1)
    drawn = np.empty((number, rounds))
    for start, weights in _draws(documents, rounds, seed):
        f1 = _f1((weights @ side_by_side).reshape(len(weights), number, 3) + more)
        drawn[:, start : start + len(weights)] = f1.T
    return Redrawn(_f1(counts.sum(1) + more), drawn)


def holm(values: Sequence[float]) -> list[float]:
    """p of several comparisons, corrected for their number by Holm's (1979) steps, in the order given, at most 1.

    The chance that any of those below a level is there by chance is below that level.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, worst = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        worst = max(worst, values[number] * (len(values) - place))
        corrected[number] = min(1.0, worst)
    return corrected


def _draws(documents: int, rounds: int, seed: int) -> Iterator[tuple[int, Array]]:
    """How often each document is drawn, (some rounds, documents), and the first of these rounds; bounded in memory."""
    random = np.random.default_rng([seed, 0])
    step = max(1, 4_000_000 // documents)
    for start in range(0, rounds, step):
        size = min(step, rounds - start)
        yield start, random.multinomial(documents, np.full(documents, 1 / documents), size).astype(np.float64)


def _f1(counts: Array) -> Array:
    """Micro F1 in percent of (..., 3) counts of gold, predicted and correct; 0 where there is nothing."""
    both = counts[..., 0] + counts[..., 1]
    return np.divide(200 * counts[..., 2], both, out=np.zeros_like(both), where=both > 0)
