"""Written sentences become training documents, or are left out with a reason.

The paper's check comes first (`kogner.data.sanity`); what follows it is stricter and can be turned off, rule by rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from kogner.data import sanity
from kogner.data.prompts import kind_key, spoken
from kogner.data.rows import Row
from kogner.data.sanity import Rejected
from kogner.data.similar import Similar
from kogner.errors import ConfigError
from kogner.graph.forms import Stems, agrees, pieces
from kogner.graph.identifiers import is_text
from kogner.records import Document, Mention
from kogner.text import words

if TYPE_CHECKING:
    from kogner.graph.scan import Scanner

LEAKED, LENGTH = "instructions or markup in the sentence", "sentence too short or too long"
SAME_PLACE, TYPE = "the entities are not apart in the sentence", "type differs from the graph's"
SIMILAR, NAMED = "nearly the same as an earlier sentence", "negative sentence that names an entity"
NO_TEXT = "sentence with characters that are no text"
NOT_THERE, OTHER_TYPE = "further entity not in the sentence", "further entity of a type that was not given"
SEVERAL, REPAIRED = "name of the graph that is of several types", "sentence whose JSON had to be mended"

# What a model says about its task, or leaves of its form. `Of course, ...` may begin a real sentence.
_LEAKED = re.compile(
    r"```|\$(?:entities|relations|types|count)\b|\{\s*\"|\"(?:ner|mention|sentence)\"\s*:"
    r"|\bas an ai\b|\bas a language model\b"
    r"|^(?:sure|certainly|okay|output|answer|sentence|abstract|entities)\b\s*[:!]"
    r"|^here (?:is|are) (?:a|an|the|one|your|my) (?:\w+ )*(?:sentence|example|note)"
    r"|\bthe given (?:entit|relation|types)|\bentity [12]\b",
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

    rejected: rows by reason. by_relation: per relation type its rows, how many were kept, and reasons. remarks: things
    of kept rows that were left out or changed, by what. types, lengths: of kept sentences, mentions and words.
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

    scanner: gives that of a graph for the labels of a row; names that no mention overlaps become mentions as well, with
    their ids.
    """

    def __init__(
        self, settings: CheckSettings | None = None, *, scanner: Callable[[tuple[str, ...]], Scanner] | None = None
    ) -> None:
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
            size = written.words
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
        mentions = self._with_known(row, sentence, mentions)
        if settings.further:
            mentions = self._with_further(row, sentence, mentions)
        if self._scanner is not None:
            mentions = self._with_names(row, sentence, mentions)
        if settings.similar:
            names = [sentence[one.start : one.end] for one in mentions if one.entity is not None]
            if self._similar.add(sentence, without=names):
                return Rejected(SIMILAR, sentence)
        if row.repaired:
            self.counts.remarks[REPAIRED] += 1
        kinds = frozenset((*row.types, *(one.type for one in mentions)))
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
        labels = _labels(row)
        kinds = [labels.get(kind_key(kind), kind.strip()) for _, _, kind, _ in spans]
        if not all(kinds):
            return Rejected(sanity.MISSING_KEYS, f"an entity has an empty type: {sentence}")
        if settings.types:
            for kind, end in zip(kinds, row.ends, strict=False):
                if kind_key(kind) != kind_key(end.type):
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
            Mention(start, stop, kind, sentence[start:stop], entity=identifier)
            for own, kind, (_, _, _, identifier) in zip(found, kinds, spans, strict=True)
            for start, stop in own
        ]

    def _with_known(self, row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
        """With the mentions that the row brings along, other names of the pair's entities among them."""
        taken = {(one.start, one.end) for one in mentions}
        for start, end, kind, identifier in row.known:
            if 0 <= start < end <= len(sentence) and (start, end) not in taken and kind:
                taken.add((start, end))
                mentions.append(Mention(start, end, kind, sentence[start:end], entity=identifier))
        return mentions

    def _with_further(self, row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
        """With the entries of `ner` that are about something else than the entities that were given."""
        labels, given = _labels(row), {_key(name) for name, _ in row.kge}
        taken = {(one.start, one.end) for one in mentions}
        entries = row.answer.get("ner") if isinstance(row.answer, dict) else None
        for entry in entries if isinstance(entries, list) else []:
            name, kind = (entry.get(key) for key in ("mention", "type")) if isinstance(entry, dict) else (None, None)
            if not row.negative and isinstance(name, str) and _key(name) in given:
                continue
            label = labels.get(kind_key(kind)) if isinstance(kind, str) else None
            if not isinstance(name, str) or label is None:
                self.counts.remarks[OTHER_TYPE] += 1
                continue
            there = list(_exact(sentence, name))
            if not there:
                self.counts.remarks[NOT_THERE] += 1
            for start, end in there if self.settings.all_places else there[:1]:
                if (start, end) not in taken:
                    taken.add((start, end))
                    mentions.append(Mention(start, end, label, sentence[start:end]))
        return mentions

    def _with_names(self, row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
        """With the graph's names that overlap no mention, and with the ids of those that are such a name."""
        assert self._scanner is not None
        labels, scanner = _labels(row), self._scanner(row.types)
        for found in scanner.scan(sentence):
            best = found.readings[0]
            equal = [one for one in found.readings if (one.preferred, one.exact) == (best.preferred, best.exact)]
            if len({kind_key(one.type) for one in equal}) > 1:
                self.counts.remarks[SEVERAL] += 1
                continue
            label, identifier = labels[kind_key(best.type)], scanner.store.ids([best.row])[0]
            same = [n for n, one in enumerate(mentions) if (one.start, one.end) == (found.start, found.end)]
            if same:
                own = mentions[same[0]]
                if own.entity is None and own.type == label:
                    mentions[same[0]] = Mention(own.start, own.end, own.type, own.text, entity=identifier)
            elif not any(found.start < one.end and one.start < found.end for one in mentions):
                text = sentence[found.start : found.end]
                mentions.append(Mention(found.start, found.end, label, text, entity=identifier))
        return mentions


def _labels(row: Row) -> dict[str, str]:
    """The row's labels by what their spellings have in common."""
    return {kind_key(label): label for label in row.types}


class Written:
    """A sentence that several names are looked for in. words: how many it has. key: see `kogner.graph.forms`."""

    def __init__(self, sentence: str) -> None:
        self.text = sentence
        parts, self._pieces = pieces(sentence, stem=_STEMS)
        ends = list(accumulate(map(len, parts)))
        self.words = sum(not part.isspace() for part in parts)
        self._begins = list(map(int.__sub__, ends, map(len, parts)))
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
                start, stop = self._begins[first], self._stops[last]
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
