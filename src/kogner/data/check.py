"""Written sentences become training documents, or are left out with a reason.

The paper's check comes first (`kogner.data.sanity`); what follows it is stricter and can be turned off, rule by rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kogner.data import sanity
from kogner.data.check_counts import Checked, Verdict
from kogner.data.check_leaked import leaked, typed
from kogner.data.pairs import End
from kogner.data.prompts import kind_key, spoken
from kogner.data.rows import Row
from kogner.data.sanity import Rejected
from kogner.data.similar import Similar, hashes_of
from kogner.data.written import Written, key_of, readings
from kogner.errors import ConfigError
from kogner.graph.identifiers import is_text
from kogner.records import Document, Mention

if TYPE_CHECKING:
    from kogner.graph.scan import Scanner

LEAKED, LENGTH = "instructions or markup in the sentence", "sentence too short or too long"
SAME_PLACE, TYPE = "the entities are not apart in the sentence", "type differs from the graph's"
SIMILAR, NAMED = "nearly the same as an earlier sentence", "negative sentence that names an entity"
NO_TEXT = "sentence with characters that are no text"
NOT_THERE, OTHER_TYPE = "further entity not in the sentence", "further entity of a type that was not given"
SEVERAL = "name of the graph that is of several types"


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


class Checker:
    """Checks rows one after the other; it remembers sentences, so that later ones like them are left out.

    scanner: see `Rules`.
    """

    def __init__(
        self, settings: CheckSettings | None = None, *, scanner: Callable[[tuple[str, ...]], Scanner] | None = None
    ) -> None:
        self.rules = Rules(settings or CheckSettings(), scanner)
        self.counts = Checked()
        self._similar = Similar()

    def check(self, row: Row) -> Document | Rejected:
        """The document that a row gives, or why it gives none. Counted in `counts`."""
        verdict, document = self.rules.judge(row)
        rejected = self.settle(verdict)
        if rejected is not None:
            return rejected
        assert document is not None
        return document

    def settle(self, verdict: Verdict) -> Rejected | None:
        """Why the next row is left out, its verdict or that it is like an earlier one; counted in `counts`."""
        rejected = verdict.rejected
        if rejected is None and verdict.hashes and self._similar.add_hashes(verdict.hashes):
            rejected = Rejected(SIMILAR, verdict.sentence)
        self.counts.add(verdict, rejected)
        return rejected


class Rules:
    """All that can be said of a row without the others.

    scanner: gives that of a graph for the labels of a row; names that no mention overlaps become mentions as well, with
    their ids.
    """

    def __init__(self, settings: CheckSettings, scanner: Callable[[tuple[str, ...]], Scanner] | None = None) -> None:
        self.settings = settings
        self._scanner = scanner
        self._remarks: list[str] = []

    def judge(self, row: Row) -> tuple[Verdict, Document | None]:
        """What the rules say of a row, and the document it gives."""
        self._remarks = []
        relation = row.pairs[0].relation
        found = self._judge(row)
        if isinstance(found, Rejected):
            return Verdict(relation, found, tuple(self._remarks)), None
        document, written, names = found
        hashes = tuple(hashes_of(document.text, names)) if self.settings.similar else ()
        kinds = tuple([one.type for one in document.mentions])
        remarks = tuple(self._remarks)
        verdict = Verdict(
            relation, None, remarks, document.text, kinds, written.words, hashes, row.repaired, written.pieces
        )
        return verdict, document

    def _judge(self, row: Row) -> tuple[Document, Written, list[str]] | Rejected:
        """The document, its sentence, and the names of its entities as it writes them."""
        if row.rejected is not None:
            return Rejected(row.rejected, row.detail)
        settings, ends = self.settings, row.ends
        kge = [(end.name, end.id) for end in ends]
        answer = row.answer if row.known else _stripped(row.answer)
        if row.negative or settings.variants:
            ner = answer.get("ner") if isinstance(answer, dict) else None
            if not isinstance(ner, list) or not isinstance(answer.get("sentence"), str):
                return Rejected(sanity.MISSING_KEYS, str(answer)[:200])
            written = Written(answer["sentence"], inverted=not row.known)
            spans = _named(kge, written) if row.negative else _loose(kge, written, ner)
            if isinstance(spans, Rejected):
                return spans
        else:
            sane = sanity.check(answer, kge)
            if isinstance(sane, Rejected):
                return sane
            written, spans = Written(sane.sentence, inverted=not row.known), list(sane.spans)
        sentence, size = written.text, written.words
        if not is_text(sentence):
            return Rejected(NO_TEXT, repr(sentence))
        if not settings.min_words <= size <= settings.max_words:
            return Rejected(LENGTH, f"{size} words: {sentence}")
        if settings.leaked:
            hit = leaked(sentence)
            if row.copied:
                hit = "the example of the prompt"
            if hit is None and not row.known and not row.negative:
                hit = typed(written, ends)
            if hit is not None:
                return Rejected(LEAKED, f"{hit!r} in {sentence}")
        mentions = self._of_pairs(row, ends, written, spans)
        if isinstance(mentions, Rejected):
            return mentions
        # what is known of a real text says where its entities are
        own = {(one.start, one.end) for one in mentions} if settings.apart and not row.known else set()
        if row.known:
            mentions = _with_known(row, sentence, mentions)
        if settings.further:
            mentions = self._with_further(row, kge, written, mentions)
            mentions = [one for one in mentions if (one.start, one.end) not in own or not _in_longer(one, mentions)]
        if self._scanner is not None:
            mentions = self._with_names(row, sentence, mentions, own)
        if own and not {end.id for end in ends} <= {one.entity for one in mentions}:
            return Rejected(SAME_PLACE, f"{' / '.join(end.name for end in ends)} in a longer name: {sentence}")
        if self._scanner is not None and row.negative and (named := _of_its_pairs(mentions, ends)) is not None:
            return Rejected(NAMED, f"{named.text!r} is {named.entity} in {sentence}")
        kinds = _kinds(row.types, tuple(sorted({one.type for one in mentions})))
        names = [one.text for one in mentions if one.entity is not None]
        mentions.sort(key=_key)
        return Document(row.id, sentence, tuple(mentions), kinds), written, names

    def _of_pairs(
        self, row: Row, ends: Sequence[End], written: Written, spans: Sequence[tuple[int, int, str, str]]
    ) -> list[Mention] | Rejected:
        """Mentions of the entities that were given; a place inside a longer one's is not an entity's own."""
        settings, sentence = self.settings, written.text
        labels = _labels(row.types)
        kinds = [labels.get(kind_key(kind), kind.strip()) for _, _, kind, _ in spans]
        if not all(kinds):
            return Rejected(sanity.MISSING_KEYS, f"an entity has an empty type: {sentence}")
        if settings.types:
            for kind, end in zip(kinds, ends, strict=False):
                if kind_key(kind) != kind_key(end.type):
                    return Rejected(TYPE, f"{end.name} is a {spoken(end.type)}, not a {kind}: {sentence}")
        found: list[list[tuple[int, int]]] = []
        for (start, stop, _, _), end in zip(spans, ends, strict=False):
            if settings.all_places:
                found.append(written.places(end.name) if settings.variants else written.exact(end.name))
            else:
                found.append([(start, stop)])
        if settings.apart:
            found = _apart(found)
            if not all(found):
                return Rejected(SAME_PLACE, f"{' / '.join(end.name for end in ends)} in {sentence}")
        return [
            Mention(start, stop, kind, sentence[start:stop], entity=identifier)
            for own, kind, (_, _, _, identifier) in zip(found, kinds, spans, strict=True)
            for start, stop in own
        ]

    def _with_further(
        self, row: Row, kge: Sequence[tuple[str, str]], written: Written, mentions: list[Mention]
    ) -> list[Mention]:
        """With the entries of `ner` that are about something else than the entities that were given."""
        entries = row.answer.get("ner") if isinstance(row.answer, dict) else None
        if not isinstance(entries, list) or not entries:
            return mentions
        labels, given = _labels(row.types), {key_of(reading) for name, _ in kge for reading in readings(name)}
        taken = {(one.start, one.end) for one in mentions}
        for entry in entries:
            name, kind = (entry.get("mention"), entry.get("type")) if isinstance(entry, dict) else (None, None)
            if not row.negative and isinstance(name, str) and key_of(name) in given:
                continue
            label = labels.get(kind_key(kind)) if isinstance(kind, str) else None
            if not isinstance(name, str) or label is None:
                self._remarks.append(OTHER_TYPE)
                continue
            there = written.exact(name)
            if not there:
                self._remarks.append(NOT_THERE)
            for start, end in there if self.settings.all_places else there[:1]:
                if (start, end) not in taken:
                    taken.add((start, end))
                    mentions.append(Mention(start, end, label, written.text[start:end]))
        return mentions

    def _with_names(self, row: Row, sentence: str, mentions: list[Mention], own: Set[tuple[int, int]]) -> list[Mention]:
        """With the graph's names that overlap no mention, and with the ids of those that are such a name.

        own: places of the pairs' names; a longer name of another entity takes them, `insulin resistance` of `insulin`.
        """
        assert self._scanner is not None
        labels, scanner = _labels(row.types), self._scanner(row.types)
        for found in scanner.scan(sentence):
            best = found.readings[0]
            equal = [one for one in found.readings if (one.preferred, one.exact) == (best.preferred, best.exact)]
            if len({kind_key(one.type) for one in equal}) > 1:
                self._remarks.append(SEVERAL)
                continue
            label, identifier = labels[kind_key(best.type)], scanner.store.ids([best.row])[0]
            same = [n for n, one in enumerate(mentions) if (one.start, one.end) == (found.start, found.end)]
            if same:
                one = mentions[same[0]]
                if one.entity is None and one.type == label:
                    mentions[same[0]] = Mention(one.start, one.end, one.type, one.text, entity=identifier)
                continue
            met = [one for one in mentions if found.start < one.end and one.start < found.end]
            if all(
                (one.start, one.end) in own
                and one.entity != identifier
                and found.start <= one.start <= one.end <= found.end
                for one in met
            ):
                mentions = [one for one in mentions if one not in met]
                text = sentence[found.start : found.end]
                mentions.append(Mention(found.start, found.end, label, text, entity=identifier))
        return mentions


def _stripped(answer: Any) -> Any:
    """An answer whose sentence has no blanks around it."""
    if isinstance(answer, dict) and isinstance(answer.get("sentence"), str):
        return answer | {"sentence": answer["sentence"].strip()}
    return answer


def _of_its_pairs(mentions: Sequence[Mention], ends: Sequence[End]) -> Mention | None:
    """The first mention of an entity of the row's pairs."""
    ids = {end.id for end in ends}
    return next((one for one in mentions if one.entity in ids), None)


def _named(kge: Sequence[tuple[str, str]], written: Written) -> list[tuple[int, int, str, str]] | Rejected:
    """No places, where a negative sentence names none of the entities."""
    for name, _ in kge:
        if written.places(name):
            return Rejected(NAMED, f"{name!r} in {written.text}")
    return []


def _loose(
    kge: Sequence[tuple[str, str]], written: Written, ner: list[Any]
) -> list[tuple[int, int, str, str]] | Rejected:
    """As the paper's check, but for all entities of the row, and names may be written in other ways.

    An entity's entry of `ner` is the one that mentions it, of the same number where none does.
    """
    spans: list[tuple[int, int, str, str]] = []
    for number, (name, identifier) in enumerate(kge):
        entry = _entry_of(name, number, ner)
        if entry is None and number >= len(ner):
            return Rejected(sanity.STRUCTURE, f"{len(ner)} entries in ner for {len(kge)} entities")
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            return Rejected(sanity.MISSING_KEYS, f"ner {number + 1} has no type: {str(entry)[:200]}")
        places = written.places(name)
        if not places:
            return Rejected(sanity.NOT_FOUND, sanity.not_found(written.text, name))
        spans.append((*places[0], entry["type"], identifier))
    return spans


def _entry_of(name: str, number: int, ner: list[Any]) -> Any:
    """The entry of `ner` for an entity, the one of its number first; None where there is none."""
    own = ner[number] if number < len(ner) else None
    for entry in (own, *ner):
        mention = entry.get("mention") if isinstance(entry, dict) and isinstance(entry.get("type"), str) else None
        if isinstance(mention, str) and (mention == name or key_of(mention) in map(key_of, readings(name))):
            return entry
    return own


def _with_known(row: Row, sentence: str, mentions: list[Mention]) -> list[Mention]:
    """With the mentions that the row brings along, other names of the pair's entities among them.

    A place of the pair's that only lies inside one of them is none: `insulin` of a known `insulin resistance`.
    """
    taken = {(one.start, one.end) for one in mentions}
    known: set[tuple[int, int]] = set()
    for start, end, kind, identifier in row.known:
        if 0 <= start < end <= len(sentence) and kind:
            known.add((start, end))
            if (start, end) not in taken:
                mentions.append(Mention(start, end, kind, sentence[start:end], entity=identifier))
                taken.add((start, end))
    return [one for one in mentions if (one.start, one.end) in known or not _in_longer(one, mentions)]


def _in_longer(one: Mention, mentions: Sequence[Mention]) -> bool:
    """Whether a mention lies in a longer one of another entity."""
    return any(
        other.start <= one.start and one.end <= other.end and len(other.text) > len(one.text)
        for other in mentions
        if other.entity != one.entity
    )


def _apart(found: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """The places of each name that lie in none of another name's, of those before it what is left."""
    left = list(found)
    for number, own in enumerate(left):
        others = [one for other, them in enumerate(left) if other != number for one in them]
        left[number] = [one for one in own if not any(_inside(one, other) for other in others)]
    return left


def _inside(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a place lies in another that is longer, or is the same."""
    return other[0] <= one[0] and one[1] <= other[1]


def _key(mention: Mention) -> tuple[int, int, str]:
    return mention.start, mention.end, mention.type


@lru_cache(10_000)
def _labels(types: tuple[str, ...]) -> dict[str, str]:
    """The labels of a row by what their spellings have in common; to be read only."""
    return {kind_key(label): label for label in types}


@lru_cache(10_000)
def _kinds(given: tuple[str, ...], met: tuple[str, ...]) -> frozenset[str]:
    """The types of a row and those of its mentions, one object for all rows that have the same."""
    return frozenset((*given, *met))
