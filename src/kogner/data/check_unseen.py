"""Training sentences that mention an entity of dev or test, annotated or not, are left out.

A language model lists what it likes, so the texts are looked through as well: every held-out name is searched in every
training sentence, in the form of `kogner.graph.forms`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from kogner.data import apart
from kogner.data.check_counts import Checked, Verdict
from kogner.data.checked import Corpus
from kogner.data.checking import Kept
from kogner.data.sanity import Rejected
from kogner.data.written import Written, key_of, readings

SEEN = "training sentence that mentions an entity of dev or test"
Told = tuple[str | None, str]  # an entity: its id, if it has one, and a name
_BEGINNING = 3  # characters of a key by which most places of a sentence are passed over


class HeldOut:
    """Entities, told by their ids and by their names; names: by their keys (see `kogner.data.written`)."""

    def __init__(self, told: Iterable[Told]) -> None:
        self.ids: set[str] = set()
        self.names: dict[str, set[str]] = {}
        for identifier, name in told:
            if identifier is not None:
                self.ids.add(identifier)
            for reading in readings(name):
                if key := key_of(reading):
                    self.names.setdefault(key, set()).add(reading)
        lengths: dict[str, set[int]] = {}
        for key in self.names:
            lengths.setdefault(key[:_BEGINNING], set()).add(len(key))
        self._lengths = {start: tuple(sorted(sizes)) for start, sizes in lengths.items()}
        self._short = tuple(sorted({len(key) for key in self.names if len(key) < _BEGINNING}))

    def keys_in(self, pieces: str) -> set[str]:
        """The keys of names that may stand in a sentence: what a key forgets, `confirmed` looks at.

        pieces: see `Written.pieces`.
        """
        parts = pieces.split("\n")
        key, edges = "".join(parts), list(accumulate(map(len, parts), initial=0))
        ends, names, lengths, short = set(edges), self.names, self._lengths, self._short
        found: set[str] = set()
        for begin in edges:
            for size in lengths.get(key[begin : begin + _BEGINNING], ()):
                if begin + size in ends and (own := key[begin : begin + size]) in names:
                    found.add(own)
            for size in short:
                if begin + size in ends and (own := key[begin : begin + size]) in names:
                    found.add(own)
        return found

    def confirmed(self, keys: Iterable[str], one: Kept) -> list[str]:
        """Those of some keys of which a name stands in a sentence, but not only inside longer mentions of it.

        `insulin` in an annotated `insulin resistance` is none.
        """
        document = json.loads(one.line)
        written = Written(document["text"])
        mentions = [(mention["start"], mention["end"]) for mention in document["mentions"]]
        return [
            key
            for key in sorted(keys)
            if any(
                not any(start <= begin and end <= stop and (start, stop) != (begin, end) for start, stop in mentions)
                for name in self.names[key]
                for begin, end in written.places(name)
            )
        ]


def unseen(corpus: Corpus, where: Sequence[str], counts: Checked, *, which: str) -> tuple[list[str], int]:
    """Leave training sentences out that mention an entity of dev or test.

    which: of dev's and test's entities, `pairs` (those of their pairs), `all` (every one they mention) or `none`. What
    is left out moves from `corpus.kept` to `corpus.rejected` and is counted so in `counts`. A mention is of an entity
    by its id or name; a name is looked for in all of the text (see `HeldOut`).

    Gives the splits of the sentences that are left, and how many entities of dev and test, or names of mentions
    without an id, training still mentions.
    """
    tested = [one for one, split in zip(corpus.kept, where, strict=True) if split != apart.TRAIN]
    named = [_named(one) for one in tested]
    every = HeldOut(told for own in named for told in own)
    barred = every if which == "all" else HeldOut(_of_pairs(tested, named) if which == "pairs" else ())
    seen_ids: set[str] = set()
    seen_keys: set[str] = set()
    kept: list[Kept] = []
    verdicts: list[Verdict] = []
    left: list[str] = []
    for one, verdict, split in zip(corpus.kept, corpus.verdicts, where, strict=True):
        if split == apart.TRAIN:
            ids = {identifier for identifier, _ in one.mentioned if identifier in every.ids}
            keys = {key for _, key in one.mentioned if key in every.names}
            standing = every.keys_in(verdict.pieces) - keys
            met = sorted({*(ids & barred.ids), *(keys & barred.names.keys())})
            if not met and (doubtful := standing & barred.names.keys()):
                met = barred.confirmed(doubtful, one)
            if met:
                document = json.loads(one.line)
                names = (min(barred.names.get(told, (told,))) for told in met)
                rejected = Rejected(SEEN, f"{', '.join(names)} in {document['text']}")
                corpus.rejected.append((document["id"], rejected))
                counts.take_back(verdict, rejected)
                continue
            seen_ids |= ids
            seen_keys |= keys
            if standing := standing - seen_keys:
                seen_keys.update(every.confirmed(standing, one))
        kept.append(one)
        verdicts.append(verdict)
        left.append(split)
    corpus.kept, corpus.verdicts = kept, verdicts
    told = {mention for one in tested for mention in one.mentioned}
    told |= {(identifier, key_of(name)) for one in tested for identifier, name in one.entities}
    return left, len({own or key for own, key in told if own in seen_ids or key in seen_keys})


def _of_pairs(tested: Sequence[Kept], named: Sequence[list[Told]]) -> Iterator[Told]:
    """The entities of the sentences' pairs, under all names that they have in their own sentence."""
    for one, told in zip(tested, named, strict=True):
        ids = {identifier for identifier, _ in one.entities}
        yield from (own for own in told if own[0] in ids)


def _named(one: Kept) -> list[Told]:
    """The entities of a sentence's pairs and mentions."""
    document = json.loads(one.line)
    mentions = [(m.get("entity"), document["text"][m["start"] : m["end"]]) for m in document["mentions"]]
    return [*one.entities, *mentions]
