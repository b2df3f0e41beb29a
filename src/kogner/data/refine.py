"""Silver sentences made better by students trained on them, without a label by hand.

A name of the graph may mean another thing in a text (`met`, `ray`), and most mentions of a text are no names of the
graph at all. A student that learnt from a name's own sentences repeats it. So the names are dealt into parts, one
student is trained for each with the names of that part in doubt (`hide`), and tells from context and form alone whether
they are mentions: names whose occurrences look like none are taken back, spans that every student finds are added, and
what is between stays in doubt, where training learns nothing from it (self-training with cross-fitting by name).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kogner.errors import ConfigError
from kogner.records import Document, Mention

KEPT, DOUBTED, TAKEN_BACK = "name kept", "name in doubt", "name taken back"
ADDED, ADDED_DOUBT = "span added", "span in doubt added"

Key = tuple[str, str]  # type, case-folded text


@dataclass(frozen=True)
class RefineSettings:
    """keep, drop: a name's score from which it is a mention, and below which it is none; between, it is in doubt.

    add, doubt: the score of all students from which a span that is no name is a mention, or in doubt.
    name_weight: how much the mean over a name's occurrences counts in its score beside the occurrence's own.
    """

    keep: float = 0.4
    drop: float = 0.1
    add: float = 0.9
    doubt: float = 0.2
    name_weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.drop <= self.keep < 1 or not 0 < self.doubt <= self.add < 1 or not 0 <= self.name_weight <= 1:
            raise ConfigError(
                "0 < drop <= keep < 1, 0 < doubt <= add < 1 and name_weight in [0, 1] are needed, not "
                f"keep={self.keep}, drop={self.drop}, add={self.add}, doubt={self.doubt}, "
                f"name_weight={self.name_weight}"
            )

    @property
    def floor(self) -> float:
        """The lowest score that makes a difference."""
        return min(self.drop, self.doubt) / 2


@dataclass
class Refined:
    """sentences: the refined ones. counts: what became of names and spans. worst: names by their mean score."""

    sentences: list[Document] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    means: dict[Key, tuple[float, int]] = field(default_factory=dict)

    def to_dict(self, *, worst: int = 50) -> dict[str, Any]:
        """Plain data for JSON: counts, and the commonest names among those of the lowest means."""
        low = sorted((key for key, (mean, _) in self.means.items() if mean < 0.1), key=lambda key: -self.means[key][1])
        return {
            "counts": dict(sorted(self.counts.items())),
            "lowest": [[*key, round(self.means[key][0], 3), self.means[key][1]] for key in low[:worst]],
        }


def part_of(mention: Mention, parts: int) -> int:
    """Which part a name belongs to, the same in any case and for any type."""
    return int.from_bytes(hashlib.sha256(mention.text.casefold().encode(errors="surrogatepass")).digest()[:8]) % parts


def hide(documents: Iterable[Document], part: int, parts: int) -> list[Document]:
    """The documents with the mentions whose name is of that part in doubt: what the student of the part learns from."""
    if not 0 <= part < parts or parts < 2:
        raise ConfigError(f"part {part} of {parts}: at least two parts are needed, counted from 0")
    hidden = []
    for document in documents:
        own = tuple(one for one in document.mentions if part_of(one, parts) == part)
        rest = tuple(one for one in document.mentions if part_of(one, parts) != part)
        hidden.append(replace(document, mentions=rest, unsure=(*document.unsure, *own)))
    return hidden


def refine(
    documents: Sequence[Document], predicted: Sequence[Sequence[Document]], settings: RefineSettings | None = None
) -> Refined:
    """Silver documents with names and spans sorted anew.

    predicted: for each part the same documents with what its student found, nested and above `settings.floor`; a span
    that is not among it scores 0.
    """
    settings = settings or RefineSettings()
    parts = len(predicted)
    refined = Refined()
    found = [
        [{one.key: float(one.score or 0) for one in document.mentions} for document in documents_of]
        for documents_of in predicted
    ]
    own: list[list[float]] = []
    sums: dict[Key, list[float]] = defaultdict(lambda: [0.0, 0])
    for number, document in enumerate(documents):
        scores = [found[part_of(one, parts)][number].get(one.key, 0.0) for one in document.mentions]
        own.append(scores)
        for one, score in zip(document.mentions, scores, strict=True):
            total = sums[_key(one)]
            total[0] += score
            total[1] += 1
    refined.means = {key: (total / count, int(count)) for key, (total, count) in sums.items()}
    for number, (document, scores) in enumerate(zip(documents, own, strict=True)):
        refined.sentences.append(
            _sorted(document, scores, [found[part][number] for part in range(parts)], refined, settings)
        )
    return refined


def _key(mention: Mention) -> Key:
    return mention.type, mention.text.casefold()


def _sorted(
    document: Document,
    scores: Sequence[float],
    found: Sequence[dict[tuple[int, int, str], float]],
    refined: Refined,
    settings: RefineSettings,
) -> Document:
    """One document's names and spans, sorted into mentions, in doubt, and none."""
    sure: list[Mention] = []
    unsure = list(document.unsure)
    for mention, score in zip(document.mentions, scores, strict=True):
        weight = settings.name_weight
        both = weight * refined.means[_key(mention)][0] + (1 - weight) * score
        if both >= settings.keep:
            sure.append(mention)
            refined.counts[KEPT] += 1
        elif both >= settings.drop:
            unsure.append(mention)
            refined.counts[DOUBTED] += 1
        else:
            refined.counts[TAKEN_BACK] += 1
    names = {one.key for one in document.mentions}
    doubted = {one.key for one in unsure}
    agreed = {
        key: min(one.get(key, 0.0) for one in found)
        for key in {key for one in found for key in one}
        if key not in names
    }
    kept = {one.key for one in sure}
    for (start, end, kind), score in sorted(agreed.items(), key=lambda item: (-item[1], item[0])):
        if score < settings.doubt:
            break
        mention = Mention(start, end, kind, document.text[start:end], score=round(score, 4))
        crosses = any(kind == k and start < b and a < end for a, b, k in kept)
        if score >= settings.add and not crosses:
            sure.append(mention)
            kept.add(mention.key)
            refined.counts[ADDED] += 1
        elif mention.key in doubted:
            continue
        elif not crosses or not any(kind == k and a <= start and end <= b for a, b, k in kept):
            unsure.append(mention)
            refined.counts[ADDED_DOUBT] += 1
    order = sorted(sure, key=lambda one: one.key)
    unsure = [one for one in unsure if one.key not in kept]
    return replace(document, mentions=tuple(order), unsure=tuple(sorted(unsure, key=lambda one: one.key)))
