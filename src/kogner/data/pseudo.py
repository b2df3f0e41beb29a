"""Pseudo-labels (Lee 2013): raw text with what a student, and names of the graph beside it, find in it.

A student that reads with names of the graph finds more than one that reads without; what both found together in raw
text, a student can learn to find alone. So the knowledge that costs a scan at inference costs nothing after training.
Labels that a student is not sure of are in doubt: training learns nothing from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kogner.annotate.agreement import FLOOR, settled
from kogner.annotate.batching import batched
from kogner.data.silver import DOCUMENT_TWICE, rank
from kogner.errors import ConfigError
from kogner.records import Document, Mention
from kogner.student.decode import Candidate, decode

if TYPE_CHECKING:
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data.overlap import Overlap
    from kogner.student.checkpoint import StudentInfo

KIND, VERSION = "pseudo-labels", 1
MENTION, UNSURE, NOT_FOUND = "mention", "found, in doubt", "not found, in doubt"
FEW_NAMES = "document with few names"
BLOCK = 200  # documents that are read at a time


@dataclass(frozen=True)
class PseudoSettings:
    """keep: the score from which what was found is a mention; below it is in doubt. doubt: the score from which a span
    that was not found is in doubt; below it is none, unless its text is found elsewhere in the document.
    """

    keep: float = 0.5
    doubt: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.doubt <= self.keep < 1:
            raise ConfigError(f"0 < doubt <= keep < 1 is needed, not doubt={self.doubt}, keep={self.keep}")


def chosen(
    documents: Iterable[Document],
    labels: Sequence[str],
    *,
    documents_at_most: int | None = None,
    seed: int = 0,
    names: Names | None = None,
    min_names: int = 0,
    excluded: Overlap | None = None,
    left_out: Counter[str] | None = None,
) -> list[Document]:
    """Documents in an order that their ids and the seed fix, until there are enough.

    min_names: leave out texts with fewer different names of the labels. excluded: documents whose like is left out.
    left_out: what was left out, by reason, is added to it.
    """
    left_out = Counter() if left_out is None else left_out
    by_id: dict[str, Document] = {}
    for document in documents:
        if document.id in by_id:
            left_out[DOCUMENT_TWICE] += 1
        by_id.setdefault(document.id, document)
    taken: list[Document] = []
    for document in sorted(by_id.values(), key=lambda one: rank(one.id, seed)):
        if documents_at_most is not None and len(taken) == documents_at_most:
            break
        if names is not None and min_names:
            found = {document.text[start:end].casefold() for start, end, _ in names.spans(document.text, labels)}
            if len(found) < min_names:
                left_out[FEW_NAMES] += 1
                continue
        reason = None if excluded is None else excluded.found(document)
        if reason is not None:
            left_out[reason] += 1
            continue
        taken.append(document)
    return taken


def check_groups(groups: Sequence[Sequence[str]]) -> list[str]:
    """The types of all groups. Raises ConfigError where there is none, or one twice."""
    types = [name for group in groups for name in group]
    if len(set(types)) < len(types) or not types:
        raise ConfigError(f"types {', '.join(types) or '(none)'}: at least one is needed, and each once")
    return types


def label(
    documents: Iterable[Document],
    predictor: Predictor,
    groups: Sequence[Sequence[str]],
    *,
    reading: Settings,
    names: Names | None = None,
    settings: PseudoSettings | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[Document]:
    """The documents with pseudo-labels; mentions that they have are not looked at.

    groups: types; those of one group do not overlap, as one corpus has them, and are found as `kogner annotate` finds
    its labels; those of different groups may share words in any way. reading: how to read; what it says of thresholds,
    overlap and agreement is not looked at, since thresholds and agreement are the checkpoint's.
    counts: what became of the spans is added to it.
    Raises ConfigError, at the first document, for what `check_groups` refuses.
    """
    settings = settings or PseudoSettings()
    counts = Counter() if counts is None else counts
    types = check_groups(groups)
    # Read once, all spans that anything below looks at, as they are before any is chosen.
    low = replace(
        reading, threshold=min(FLOOR, settings.doubt), thresholds=None, nested=False, multi_label=True,
        overlap="all", digits=17,
    )  # fmt: skip
    for block in batched(documents, BLOCK):
        plain = [replace(one, mentions=(), unsure=()) for one in block]
        for document, seen in zip(
            plain, predictor.predict(plain, labels=types, settings=low, names=names), strict=True
        ):
            found = [one for group in groups for one in _found(seen, group, predictor.info)]
            same = {(one.text.lower(), one.type) for one in found}
            likely = [
                one
                for one in seen.mentions
                if (one.score or 0) >= settings.doubt or (one.text.lower(), one.type) in same
            ]
            yield _told_apart(document, found, likely, frozenset(types), settings, counts)


def _found(seen: Document, types: Sequence[str], info: StudentInfo) -> list[Mention]:
    """What a student finds of some types that do not overlap. seen: with all spans that it scores FLOOR or more."""
    own = {(one.start, one.end, types.index(one.type)): one for one in seen.mentions if one.type in types}
    candidates = [Candidate(*key, one.score or 0.0) for key, one in own.items()]
    thresholds = [info.threshold(name) for name in types]
    agreement = [info.agreement_of(name) for name in types]
    chosen = decode(one for one in candidates if one.score >= thresholds[one.type])
    if any(agreement):
        chosen = settled(seen.text, chosen, candidates, thresholds=thresholds, weights=agreement)
    return [replace(own[one[:3]], score=one.score) for one in chosen]


def _told_apart(
    document: Document,
    found: Iterable[Mention],
    likely: Iterable[Mention],
    types: frozenset[str],
    settings: PseudoSettings,
    counts: Counter[str],
) -> Document:
    """A document with what was found in it, as mentions or in doubt; likely: what reached the lower threshold."""
    sure: list[Mention] = []
    unsure: list[Mention] = []
    for one in found:
        (sure if (one.score or 0) >= settings.keep else unsure).append(replace(one, score=None, ids=()))
    counts[MENTION] += len(sure)
    counts[UNSURE] += len(unsure)
    known = {one.key for one in (*sure, *unsure)}
    for one in likely:
        # What overlaps a mention of its type is another border of it, and none beside the one that was chosen.
        if one.key not in known and not any(_overlap(one, other) for other in sure if other.type == one.type):
            unsure.append(replace(one, score=None, ids=()))
            counts[NOT_FOUND] += 1
    order = sorted(sure, key=lambda one: (one.start, -one.end, one.type))
    return replace(document, mentions=tuple(order), unsure=tuple(unsure), types=types)


def _overlap(one: Mention, other: Mention) -> bool:
    return one.start < other.end and other.start < one.end
