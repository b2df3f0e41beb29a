"""Exact span scores: a prediction counts where start, end and type all equal a gold mention's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from kogner.errors import InputError
from kogner.records import Document


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


def score(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str] | None = None
) -> SpanScores:
    """Score predicted against gold documents, matched by id; a gold document without prediction is missed whole.

    types: what is scored; None takes all types of the gold documents. In each document only types that are annotated
    there count: a prediction of another type is neither right nor wrong and is counted as `ignored`.
    Every gold mention counts, reachable by a model or not; one that stands twice in a file counts twice.
    Raises InputError for predictions of unknown documents, or ids that occur twice on one side.
    """
    by_id = _by_id(predicted, "predicted")
    unknown = by_id.keys() - _by_id(gold, "gold").keys()
    if unknown:
        raise InputError(f"{len(unknown)} predicted documents are not in the gold ones, e.g. {min(unknown)!r}")
    annotated = {document.id: document.types | {m.type for m in document.mentions} for document in gold}
    wanted = set(types) if types is not None else set().union(*annotated.values())
    counts = {side: Counter[str]() for side in ("gold", "predicted", "correct")}
    ignored = 0
    for document in gold:
        scored = wanted & annotated[document.id]
        theirs = by_id.get(document.id)
        right = Counter(mention.key for mention in document.mentions if mention.type in scored)
        guess = Counter(mention.key for mention in theirs.mentions if mention.type in scored) if theirs else Counter()
        ignored += len(theirs.mentions) - guess.total() if theirs else 0
        for side, found in (("gold", right), ("predicted", guess), ("correct", right & guess)):
            for (_, _, kind), count in found.items():
                counts[side][kind] += count
    return SpanScores(
        gold=counts["gold"].total(),
        predicted=counts["predicted"].total(),
        correct=counts["correct"].total(),
        by_type={
            kind: Counts(counts["gold"][kind], counts["predicted"][kind], counts["correct"][kind])
            for kind in sorted(wanted)
        },
        ignored=ignored,
    )


def _by_id(documents: Sequence[Document], side: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for document in documents:
        if document.id in found:
            raise InputError(f"the {side} documents hold this id twice; ids must be unique", document=document.id)
        found[document.id] = document
    return found
