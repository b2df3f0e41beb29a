"""Exact span scores: a prediction counts where start, end and type all equal a gold mention's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kogner.errors import InputError
from kogner.records import Document, Mention

SIDES = ("gold", "predicted", "correct")


@dataclass(frozen=True)
class Counts:
    """gold, predicted and correct mentions, and the scores that follow, each in [0, 1] and 0 where undefined."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """correct / predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """correct / gold."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2 correct / (gold + predicted), the harmonic mean of precision and recall."""
        both = self.gold + self.predicted
        return 2 * self.correct / both if both else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; precision, recall and f1 in percent, as the field prints them."""
        return {
            "precision": round(100 * self.precision, 2),
            "recall": round(100 * self.recall, 2),
            "f1": round(100 * self.f1, 2),
            "gold": self.gold,
            "predicted": self.predicted,
            "correct": self.correct,
        }


@dataclass(frozen=True)
class SpanScores(Counts):
    """Micro counts over all scored types, and the same by type. ignored: predictions of types that are not scored."""

    by_type: dict[str, Counts] = field(default_factory=dict)
    ignored: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        by_type = {kind: counts.to_dict() for kind, counts in self.by_type.items()}
        return {**super().to_dict(), "ignored": self.ignored, "by_type": by_type}


@dataclass(frozen=True)
class Compared:
    """One gold document and what was predicted for it, mentions of scored types only. ignored: the others' number."""

    document: Document
    gold: list[Mention]
    predicted: list[Mention]
    ignored: int


def compare(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str] | None = None
) -> list[Compared]:
    """Bring predicted documents to their gold ones by id; a gold document without prediction has none.

    types: what is scored; None takes all types of the gold documents. In each document only types that are annotated
    there count: a prediction of another type is neither right nor wrong and is counted as `ignored`.
    Raises InputError for predictions of unknown documents, or ids that occur twice on one side.
    """
    by_id = _by_id(predicted, "predicted")
    unknown = by_id.keys() - _by_id(gold, "gold").keys()
    if unknown:
        raise InputError(f"{len(unknown)} predicted documents are not in the gold ones, e.g. {min(unknown)!r}")
    wanted = None if types is None else frozenset(types)
    found = []
    for document in gold:
        scored = document.types | {mention.type for mention in document.mentions}
        scored = scored if wanted is None else scored & wanted
        theirs = by_id[document.id].mentions if document.id in by_id else ()
        guess = [mention for mention in theirs if mention.type in scored]
        right = [mention for mention in document.mentions if mention.type in scored]
        found.append(Compared(document, right, guess, len(theirs) - len(guess)))
    return found


def scored_types(gold: Sequence[Document], types: Collection[str] | None) -> list[str]:
    """The types that scores are given for, sorted: those asked for, or all of the gold documents."""
    if types is not None:
        return sorted(set(types))
    return sorted({kind for document in gold for kind in (*document.types, *(m.type for m in document.mentions))})


def score(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str] | None = None
) -> SpanScores:
    """Score predicted against gold documents; types and errors as in `compare`.

    Every gold mention counts, reachable by a model or not; one that stands twice in a file counts twice.
    """
    counts = {side: Counter[str]() for side in SIDES}
    ignored = 0
    for pair in compare(gold, predicted, types=types):
        right = Counter(mention.key for mention in pair.gold)
        guess = Counter(mention.key for mention in pair.predicted)
        ignored += pair.ignored
        counts["gold"].update(mention.type for mention in pair.gold)
        counts["predicted"].update(mention.type for mention in pair.predicted)
        counts["correct"].update(kind for _, _, kind in (right & guess).elements())
    return summed(counts, types=scored_types(gold, types), ignored=ignored)


def with_lost(scores: SpanScores, lost: Mapping[str, int]) -> SpanScores:
    """Scores with the mentions of scored types that a reader had to skip (`Corpus.lost`) as gold that was missed."""
    by_type = {kind: replace(of, gold=of.gold + lost.get(kind, 0)) for kind, of in scores.by_type.items()}
    return replace(scores, gold=sum(of.gold for of in by_type.values()), by_type=by_type)


def summed(counts: Mapping[str, Mapping[str, int]], *, types: Sequence[str], ignored: int = 0) -> SpanScores:
    """Scores from counts by side (`gold`, `predicted`, `correct`) and type."""
    by_type = {kind: Counts(*(counts[side].get(kind, 0) for side in SIDES)) for kind in types}
    gold, predicted, correct = (sum(counts[side].get(kind, 0) for kind in types) for side in SIDES)
    return SpanScores(gold, predicted, correct, by_type=by_type, ignored=ignored)


def _by_id(documents: Sequence[Document], side: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for document in documents:
        if document.id in found:
            raise InputError(f"the {side} documents hold this id twice; ids must be unique", document=document.id)
        found[document.id] = document
    return found
