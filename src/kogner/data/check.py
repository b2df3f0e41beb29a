"""Written sentences become training documents, or are left out with a reason.

The paper's check comes first (`kogner.data.sanity`); what follows it is stricter and can be turned off, rule by rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any

from kogner.data import sanity
from kogner.data.prompts import spoken
from kogner.data.rows import Row
from kogner.data.sanity import Rejected
from kogner.data.similar import Similar
from kogner.errors import ConfigError
from kogner.graph.forms import Stems, agrees, pieces
from kogner.graph.identifiers import is_text
from kogner.records import Document, Mention
from kogner.text import words

LEAKED, LENGTH = "instructions or markup in the sentence", "sentence too short or too long"
SAME_PLACE, TYPE = "the entities are not apart in the sentence", "type differs from the graph's"
SIMILAR, NAMED = "nearly the same as an earlier sentence", "negative sentence that names an entity"
NO_TEXT = "sentence with characters that are no text"
NOT_THERE, OTHER_TYPE = "further entity not in the sentence", "further entity of a type that was not given"

_LEAKED = re.compile(
    r"```|</?\w+>|\$\w+|\{\s*\"|\"ner\"|\"mention\"|\bas an ai\b|\blanguage model\b"
    r"|^(?:sure|certainly|of course|okay|note|output|answer|sentence|abstract|relation|entities)\b\s*[:,!]"
    r"|^here (?:is|are) (?:a|an|the|one|your)\b|\bgiven (?:entit|relation|type)"
    r"|\bentity [12]\b|\btraining (?:data|example)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CheckSettings:
    """Which rules follow the paper's.

    all_places: every place of an entity becomes a mention, not only the first. variants: other case, hyphens, Greek
    letters and plurals of a name count as it. apart: the entities of a pair stand in different places. types: an
    entity's type in `ner` must be the graph's. leaked: no instructions, remarks or markup. similar: nearly the same
    sentences are left out, whatever their entities. further: other entries of `ner` become mentions, without an id.
    min_words, max_words: of a sentence.
    """

    all_places: bool = True
    variants: bool = True
    apart: bool = True
    types: bool = True
    leaked: bool = True
    similar: bool = True
    further: bool = True
    min_words: int = 5
    max_words: int = 120

    def __post_init__(self) -> None:
        if not 1 <= self.min_words <= self.max_words:
            raise ConfigError(f"words from {self.min_words} to {self.max_words} hold no sentence")

    @classmethod
    def paper(cls) -> CheckSettings:
        """The paper's check and nothing else: of each sentence the two entities at their first places."""
        off = dict.fromkeys(("all_places", "variants", "apart", "types", "leaked", "similar", "further"), False)
        return cls(**off, min_words=1, max_words=10**9)


@dataclass
class Checked:
    """Kept documents with the rows they come from, and counts.

    rejected: rows by reason. by_relation: per relation type its rows and how many were kept. remarks: things of kept
    rows that were left out or changed, by what. examples: per reason the first details.
    """

    rows: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    by_relation: dict[str, Counter[str]] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, row: Row, found: tuple[Document, int] | Rejected) -> None:
        """Count a row and what became of it."""
        self.rows += 1
        counts = self.by_relation.setdefault(row.pairs[0].relation, Counter())
        counts["rows"] += 1
        if isinstance(found, Rejected):
            self.rejected[found.reason] += 1
            counts[found.reason] += 1
            return
        self.kept += 1
        counts["kept"] += 1
        document, size = found
        self.types.update(mention.type for mention in document.mentions)
        self.lengths[size] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; kept + all of rejected are the rows."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "rejected": dict(self.rejected.most_common()),
            "remarks": dict(self.remarks.most_common()),
            "mentions": dict(self.types.most_common()),
            "words": dict(sorted(self.lengths.items())),
            "by_relation": {name: dict(counts) for name, counts in sorted(self.by_relation.items())},
        }


class Checker:
    """Checks rows one after the other; it remembers sentences, so that later ones like them are left out.

    scanner: of a graph; its names that no mention overlaps become mentions as well, with their ids.
    """

    def __init__(self, settings: CheckSettings | None = None, *, scanner: Any = None) -> None:
        self.settings = settings or CheckSettings()
        self.counts = Checked()
        self._similar = Similar()
        self._scanner = scanner

    def check(self, row: Row) -> Document | Rejected:
        """The document that a row gives, or why it gives none. Counted in `counts`."""
        found = self._check(row)
        self.counts.add(row, found)
        return found if isinstance(found, Rejected) else found[0]

    def _check(self, row: Row) -> tuple[Document, int] | Rejected:
        """The document and how many words it has."""
        if row.rejected is not None:
            return Rejected(row.rejected, row.detail)
        settings = self.settings
        written: Written | None = None
        if row.negative or settings.variants:
            ner = row.answer.get("ner") if isinstance(row.answer, dict) else None
            if not isinstance(ner, list) or not isinstance(row.answer.get("sentence"), str):
                return Rejected(sanity.MISSING_KEYS, str(row.answer)[:200])
            sentence: str = row.answer["sentence"]
            written = Written(sentence)
            size = len(written.words)
            spans = self._named(row, written) if row.negative else self._loose(row, written, ner)
            if isinstance(spans, Rejected):
                return spans
        else:
            sane = sanity.check(row.answer, row.kge)
            if isinstance(sane, Rejected):
                return sane
            sentence, spans = sane.sentence, list(sane.spans)
            size = len(words(sentence))
        if not is_text(sentence):
            return Rejected(NO_TEXT, repr(sentence))
        if not settings.min_words <= size <= settings.max_words:
            return Rejected(LENGTH, f"{size} words: {sentence}")
        if settings.leaked and (hit := _LEAKED.search(sentence)):
            return Rejected(LEAKED, f"{hit[0]!r} in {sentence}")
        mentions = self._of_pairs(row, sentence, spans, written if settings.variants else None)
        if isinstance(mentions, Rejected):
            return mentions
        if settings.further:
            mentions = self._with_further(row, sentence, mentions)
        if self._scanner is not None:
            mentions = self._with_names(row, sentence, mentions)
        if settings.similar:
            names = [sentence[one.start : one.end] for one in mentions if one.entity is not None]
            if self._similar.add(sentence, without=names):
                return Rejected(SIMILAR, sentence)
        kinds = frozenset(map(spoken, row.types))
        return Document(row.id, sentence, tuple(sorted(mentions, key=lambda one: one.key)), kinds), size

    def _named(self, row: Row, written: Written) -> list[tuple[int, int, str, str]] | Rejected:
        """No places, where a negative sentence names none of the entities."""
        for name, _ in row.kge:
            if next(written.places(name), None) is not None:
                return Rejected(NAMED, f"{name!r} in {written.text}")
        return []

    def _loose(self, row: Row, written: Written, ner: list[Any]) -> list[tuple[int, int, str, str]] | Rejected:
        """As the paper's check, but for all entities of the row, and names may be written in other ways."""
        spans: list[tuple[int, int, str, str]] = []
        for number, (name, identifier) in enumerate(row.kge):
            if number >= len(ner):
                return Rejected(sanity.STRUCTURE, f"{len(ner)} entries in ner for {len(row.kge)} entities")
            if not isinstance(ner[number], dict) or not isinstance(ner[number].get("type"), str):
                return Rejected(sanity.MISSING_KEYS, f"ner {number + 1} has no type: {str(ner[number])[:200]}")
            at = next(written.places(name), None)
            if at is None:
                return Rejected(sanity.NOT_FOUND, sanity.not_found(written.text, name))
            spans.append((*at, ner[number]["type"], identifier))
        return spans

    def _of_pairs(
        self, row: Row, sentence: str, spans: Sequence[tuple[int, int, str, str]], written: Written | None
    ) -> list[Mention] | Rejected:
        """Mentions of the entities that were given; a place inside a longer one's is not an entity's own."""
        settings = self.settings
        ends = [end for pair in row.pairs for end in (pair.head, pair.tail)]
        if settings.types:
            for (_, _, kind, _), end in zip(spans, ends, strict=False):
                if spoken(kind) != spoken(end.type):
                    return Rejected(TYPE, f"{end.name} is a {spoken(end.type)}, not a {kind}: {sentence}")
        found: list[list[tuple[int, int]]] = []
        for (start, stop, _, _), (name, _) in zip(spans, row.kge, strict=False):
            if settings.all_places:
                found.append(list(written.places(name) if written is not None else _exact(sentence, name)))
            else:
                found.append([(start, stop)])
        if settings.apart:
            for number, own in enumerate(found):
                others = [one for other, them in enumerate(found) if other != number for one in them]
                found[number] = [one for one in own if not any(_inside(one, other) for other in others)]
            if not all(found):
                return Rejected(SAME_PLACE, f"{' / '.join(name for name, _ in row.kge)} in {sentence}")
        return [
            Mention(start, stop, spoken(kind), sentence[start:stop], entity=identifier)
            for own, (_, _, kind, identifier) in zip(found, spans, strict=True)
            for start, stop in own
        ]

    def _with_further(self, row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
        allowed = {spoken(kind) for kind in row.types}
        taken = {(one.start, one.end) for one in mentions}
        entries = row.answer.get("ner") if isinstance(row.answer, dict) else None
        for entry in (entries if isinstance(entries, list) else [])[len(mentions and row.kge) :]:
            name, kind = (entry.get(key) for key in ("mention", "type")) if isinstance(entry, dict) else (None, None)
            if not isinstance(name, str) or not isinstance(kind, str) or spoken(kind) not in allowed:
                self.counts.remarks[OTHER_TYPE] += 1
                continue
            there = list(_exact(sentence, name))
            if not there:
                self.counts.remarks[NOT_THERE] += 1
            for start, end in there if self.settings.all_places else there[:1]:
                if (start, end) not in taken:
                    taken.add((start, end))
                    mentions.append(Mention(start, end, spoken(kind), sentence[start:end]))
        return mentions

    def _with_names(self, row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
        """With the graph's names that overlap no mention, and with the ids of those that are such a name."""
        kinds = {spoken(kind) for kind in row.types}
        for found in self._scanner.scan(sentence):
            best = found.readings[0]
            kind = spoken(best.type)
            if kind not in kinds:
                continue
            same = [n for n, one in enumerate(mentions) if (one.start, one.end) == (found.start, found.end)]
            identifier = self._scanner.store.ids([best.row])[0]
            if same:
                own = mentions[same[0]]
                if own.entity is None and own.type == kind:
                    mentions[same[0]] = Mention(own.start, own.end, own.type, own.text, entity=identifier)
                continue
            if any(found.start < one.end and one.start < found.end for one in mentions):
                continue
            text = sentence[found.start : found.end]
            mentions.append(Mention(found.start, found.end, kind, text, entity=identifier))
        return mentions


class Written:
    """A sentence that several names are looked for in. key, begins: of its words, see `kogner.graph.forms`."""

    def __init__(self, sentence: str) -> None:
        self.text = sentence
        parts, self._pieces = pieces(sentence, stem=_STEMS)
        ends = list(accumulate(map(len, parts)))
        self.words = list(map(int.__sub__, ends, map(len, parts)))  # where each word begins
        self._stops = [end - len(part) + len(part.rstrip()) for part, end in zip(parts, ends, strict=True)]
        self.key = "".join(self._pieces)
        begins = list(accumulate(map(len, self._pieces), initial=0))
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        for number, piece in enumerate(self._pieces):
            if piece:
                self._first[begins[number]] = number
                self._last[begins[number + 1]] = number

    def places(self, name: str) -> Iterator[tuple[int, int]]:
        """Where a name stands, whatever its case (but for symbols), hyphens, Greek letters and plural.

        Half-open, in order, without overlap.

        >>> written = Written("TNF-α and TNF alpha, not TNF")
        >>> [written.text[start:end] for start, end in written.places("TNF-alpha")]
        ['TNF-α', 'TNF alpha']
        """
        key = _key(name)
        at = self.key.find(key) if key else -1
        while at >= 0:
            first, last = self._first.get(at), self._last.get(at + len(key))
            if first is not None and last is not None:
                start, stop = self.words[first], self._stops[last]
                written = self.text[start:stop]
                if written == name or agrees(written, name):
                    yield start, stop
                    at += len(key) - 1
            at = self.key.find(key, at + 1)


_STEMS = Stems(200_000).__getitem__


@lru_cache(100_000)
def _key(name: str) -> str:
    return "".join(pieces(name, stem=_STEMS)[1])


def _exact(sentence: str, name: str) -> Iterator[tuple[int, int]]:
    """Where the words of a name stand, written as it is, without overlap."""
    spans = words(sentence)
    tokens = [sentence[start:end] for start, end in spans]
    searched = [name[start:end] for start, end in words(name)]
    begin = 0
    while (at := sanity.first_place(tokens[begin:], searched)) is not None:
        yield spans[begin + at][0], spans[begin + at + len(searched) - 1][1]
        begin += at + len(searched)


def _inside(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a place lies in another that is longer, or is the same."""
    return other[0] <= one[0] and one[1] <= other[1]
