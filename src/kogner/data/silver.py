"""Training sentences without an annotator: raw text in which the graph's names are the mentions."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kogner.data.doubts import Doubts, best_types
from kogner.data.overlap import Overlap, letters
from kogner.data.related import Related
from kogner.errors import ConfigError
from kogner.graph.scan import Found, Scanner
from kogner.progress import counting
from kogner.records import Document, Mention
from kogner.text import sentences, words

KIND, VERSION = "silver", 1

DOCUMENT_TWICE = "document id seen before"
SENTENCE_TWICE = "sentence seen before"
TOO_SHORT, TOO_LONG = "sentence with too few words", "sentence with too many words"
NO_NAME = "sentence without a name, more than their share"
ACROSS, DOUBT_ACROSS = "name across a sentence border", "name in doubt across a sentence border"
SEVERAL_TYPES = "name of several types, none of them first"
ONLY_SEVERAL = "sentence with no other name than such"
NOT_RELATED = "sentence without two entities that the graph relates"


@dataclass(frozen=True)
class SilverSettings:
    """What is kept. sentences: how many at most, None for all. empty_share: share of them without a name, in [0, 1).

    min_words, max_words: of a sentence. seed: of the order in which documents are taken. related: only sentences that
    name two entities which the graph relates. shuffle_types: a control, see `with_shuffled_types`. doubts: names of
    several types, and those that the scanner keeps apart, stay in the sentences as `unsure`, see `make`.
    """

    sentences: int | None = None
    empty_share: float = 0.1
    min_words: int = 5
    max_words: int = 120
    seed: int = 0
    related: bool = False
    shuffle_types: bool = False
    doubts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.empty_share < 1:
            raise ConfigError(f"empty share {self.empty_share} must be at least 0 and below 1")
        if self.related and self.shuffle_types:
            raise ConfigError("related sentences with shuffled types would say that the graph relates what it does not")
        if self.doubts and self.shuffle_types:
            raise ConfigError("names in doubt with shuffled types would say which names are of several types")
        if self.sentences is not None and self.sentences < 1:
            raise ConfigError(f"{self.sentences} sentences: at least 1 is needed")
        if not 1 <= self.min_words <= self.max_words:
            raise ConfigError(f"words from {self.min_words} to {self.max_words} hold no sentence")


@dataclass
class Silver:
    """Silver sentences, each a document of its own. mentions: by type. left_out: by reason. documents: how many read.

    unsure: names in doubt, by reason, where they are kept as such.
    scanned: documents that were looked through before there were enough sentences. pairs: of each sentence, where only
    related ones are kept.
    """

    sentences: list[Document] = field(default_factory=list)
    mentions: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    scanned: int = 0
    without: int = 0
    pairs: list[list[tuple[Mention, str, Mention]]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "documents": self.documents,
            "scanned": self.scanned,
            "sentences": len(self.sentences),
            "without_names": self.without,
            "mentions": dict(sorted(self.mentions.items())),
            "unsure": dict(sorted(self.unsure.items())),
            "left_out": dict(sorted((+self.left_out).items())),
        }


def parse_types(text: str) -> dict[str, tuple[str, ...]]:
    """`chemical=Chemical,disease=Disease+Phenotype` as {type: graph types}. Raises ConfigError for another form.

    >>> parse_types("chemical=Chemical,disease=Disease+Phenotype")
    {'chemical': ('Chemical',), 'disease': ('Disease', 'Phenotype')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, separator, kinds = part.partition("=")
        listed = tuple(kind.strip() for kind in kinds.split("+"))
        if not separator or not name.strip() or not all(listed) or name.strip() in found:
            raise ConfigError(f"types {text!r} must look like chemical=Chemical,disease=Disease+Phenotype")
        found[name.strip()] = listed
    used = Counter(kind for kinds in found.values() for kind in kinds)
    twice = [kind for kind, count in used.items() if count > 1]
    if twice:
        raise ConfigError(f"graph type {', '.join(twice)} stands for several types in {text!r}; give it to one")
    return found


def make(
    documents: Iterable[Document],
    scanner: Scanner,
    types: Mapping[str, tuple[str, ...]],
    *,
    settings: SilverSettings | None = None,
    excluded: Overlap | None = None,
) -> Silver:
    """Cut texts into sentences and take the scanner's names for their mentions.

    types: our type -> graph types. Documents are taken in an order that their ids and the seed fix, until there are
    enough sentences, so they are all held in memory. The mentions' `entity` is the best reading's id; a name whose
    best readings are of several of our types is left out. Offsets are those of the sentence.
    With `settings.doubts` such a name is `unsure` of each of these types, and so is a name that the scanner's guard
    leaves out (a common word, a bare symbol, an upper class, one in other case; but no unit, and none with a function
    word): training takes what overlaps them neither for mentions of the type nor for none. Which sentences there are
    does not change.
    excluded: documents whose like is left out.
    """
    settings = settings or SilverSettings()
    silver = Silver()
    ours = {kind: name for name, kinds in types.items() for kind in kinds}
    by_id: dict[str, Document] = {}
    for document in documents:
        silver.documents += 1
        if document.id in by_id:
            silver.left_out[DOCUMENT_TWICE] += 1
        by_id.setdefault(document.id, document)
    seen: set[str] = set()
    related = Related(scanner.store) if settings.related else None
    doubts = Doubts(scanner, ours) if settings.doubts else None
    with counting("silver sentences", settings.sentences) as counter:
        for document in sorted(by_id.values(), key=lambda one: rank(one.id, settings.seed)):
            if settings.sentences is not None and len(silver.sentences) >= settings.sentences:
                break
            silver.scanned += 1
            reason = None if excluded is None else excluded.found(document)
            if reason is not None:
                silver.left_out[reason] += 1
                continue
            before = len(silver.sentences)
            _add(silver, document, scanner, ours, settings, seen, related, doubts)
            counter.advance(len(silver.sentences) - before)
    if settings.shuffle_types:
        silver.sentences = with_shuffled_types(silver.sentences, seed=settings.seed)
        silver.mentions = Counter(mention.type for one in silver.sentences for mention in one.mentions)
    return silver


def with_shuffled_types(sentences: Iterable[Document], *, seed: int) -> list[Document]:
    """A control for what silver teaches: each entity gets the type of another one, wherever it is mentioned.

    Spans, texts and how many entities there are of each type stay; what a type is does not.
    """
    sentences = list(sentences)
    types = {mention.entity: mention.type for one in sentences for mention in one.mentions}
    entities = sorted(entity for entity in types if entity is not None)
    drawn = np.random.default_rng(seed).permutation(len(entities)).tolist()
    other = {entity: types[entities[place]] for entity, place in zip(entities, drawn, strict=True)}
    return [
        replace(one, mentions=tuple(replace(m, type=other.get(m.entity or "", m.type)) for m in one.mentions))
        for one in sentences
    ]


def rank(name: str, seed: int) -> bytes:
    """Where a document comes among others, by its id and a seed."""
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogatepass")).digest()


def _add(
    silver: Silver,
    document: Document,
    scanner: Scanner,
    ours: Mapping[str, str],
    settings: SilverSettings,
    seen: set[str],
    related: Related | None,
    doubts: Doubts | None,
) -> None:
    """Add the sentences of a document. Names are looked for in the whole of it, since it defines abbreviations."""
    spans = sentences(document.text)
    starts = [start for start, _ in spans]
    inside: list[list[Found]] = [[] for _ in spans]
    names = scanner.scan(document.text)
    in_doubt = [] if doubts is None else doubts.find(document.text, names)
    silver.left_out[DOUBT_ACROSS] += sum(
        not any(start <= one.start and one.end <= end for start, end in spans) for one in in_doubt
    )
    for found in names:
        number = bisect_right(starts, found.start) - 1
        if number < 0 or found.end > spans[number][1]:
            silver.left_out[ACROSS] += 1
        else:
            inside[number].append(found)
    for number, (start, end) in enumerate(spans):
        if settings.sentences is not None and len(silver.sentences) >= settings.sentences:
            return
        text = document.text[start:end]
        count = len(words(text))
        if not settings.min_words <= count <= settings.max_words:
            silver.left_out[TOO_SHORT if count < settings.min_words else TOO_LONG] += 1
            continue
        key = letters(text)
        if key in seen:
            silver.left_out[SENTENCE_TWICE] += 1
            continue
        mentions = [
            mention
            for found in inside[number]
            if (mention := _mention(found, start, text, scanner, ours, silver)) is not None
        ]
        pairs = related.pairs(mentions) if related is not None else []
        if related is not None and not pairs:
            silver.left_out[NOT_RELATED] += 1
            continue
        if not mentions:
            if inside[number]:
                silver.left_out[ONLY_SEVERAL] += 1  # neither a positive sentence nor an empty one
                continue
            if silver.without + 1 > settings.empty_share * (len(silver.sentences) + 1):
                silver.left_out[NO_NAME] += 1
                continue
            silver.without += 1
        seen.add(key)
        if related is not None:
            silver.pairs.append(pairs)
        silver.mentions.update(mention.type for mention in mentions)
        own = [one for one in in_doubt if start <= one.start and one.end <= end]
        silver.unsure.update(one.reason for one in own)
        unsure = [
            Mention(one.start - start, one.end - start, name, document.text[one.start : one.end])
            for one in own
            for name in one.types
        ]
        silver.sentences.append(
            Document(
                f"{document.id}:{number + 1}", text, tuple(mentions), frozenset(ours.values()), unsure=tuple(unsure)
            )
        )


def _mention(
    found: Found, offset: int, text: str, scanner: Scanner, ours: Mapping[str, str], silver: Silver
) -> Mention | None:
    """The mention a found name is, or None, counted, where readings as good as the best are of another type of ours."""
    best = found.readings[0]
    if len(best_types(found, ours)) > 1:
        silver.left_out[SEVERAL_TYPES] += 1
        return None
    start, end = found.start - offset, found.end - offset
    return Mention(start, end, ours[best.type], text[start:end], entity=scanner.store.ids([best.row])[0])
