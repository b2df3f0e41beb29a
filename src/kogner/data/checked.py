"""The corpus that `kogner data check` writes: splits, where each sentence comes from, what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.artifacts import write_lines
from kogner.data import apart
from kogner.data.check import Checker
from kogner.data.check_counts import Checked, Verdict
from kogner.data.check_page import card, page
from kogner.data.checking import Kept, Work, judged
from kogner.data.formats.jsonl import encoded
from kogner.data.sanity import Rejected
from kogner.progress import counting

KIND, VERSION = "bmg", 1
SEEN = "training sentence that mentions an entity of dev or test"
REJECTED, PROVENANCE, REPORT = "rejected.jsonl", "provenance.jsonl", "report.html"


@dataclass
class Corpus:
    """Kept sentences with their verdicts, and the others with a reason each: (id of the row, reason)."""

    kept: list[Kept] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    rejected: list[tuple[str, Rejected]] = field(default_factory=list)


def collect(sources: Sequence[Path], checker: Checker, work: Work, *, processes: int = 1) -> Corpus:
    """Check all rows of some files, in so many processes; what is kept is held in memory.

    checker: compares the sentences and counts.
    """
    found = Corpus()
    with counting("checking sentences") as counter:
        for chunk in judged(sources, work, processes=processes):
            for name, verdict, kept in chunk:
                rejected = checker.settle(verdict)
                if rejected is not None:
                    found.rejected.append((name, rejected))
                elif kept is not None:
                    found.kept.append(kept)
                    found.verdicts.append(verdict._replace(sentence="", hashes=()))
            counter.advance(len(chunk))
    return found


def splits(corpus: Corpus, how: str, shares: Mapping[str, float], *, seed: int) -> list[str]:
    """The split of each sentence, `entity` or `relation`, see `kogner.data.apart`."""
    if how == "entity":
        ids = [{identifier for identifier, _ in one.entities if identifier is not None} for one in corpus.kept]
        return apart.by_entity(ids, shares, seed=seed)
    return apart.by_relation([one.relation for one in corpus.kept], shares, seed=seed)


def write(
    folder: Path, corpus: Corpus, where: Sequence[str], figures: Mapping[str, Any], formats: Sequence[str]
) -> None:
    """Write everything into a folder that is being made. formats: those that the sentences were made in, in order."""
    for split in dict.fromkeys((apart.TRAIN, *where)):
        chosen = [one for one, own in zip(corpus.kept, where, strict=True) if own == split]
        write_lines(folder / f"{split}.jsonl", (one.line for one in chosen))
        for number, name in enumerate(formats):
            (folder / name).mkdir(exist_ok=True)  # two files of one split beside each other are no corpus
            ending = "txt" if name == "pubtator" else "jsonl"
            write_lines(folder / name / f"{split}.{ending}", (one.others[number] for one in chosen))
    named = {split: json.dumps(split) for split in set(where)}
    sources = (named[split].join(one.source) for one, split in zip(corpus.kept, where, strict=True))
    write_lines(folder / PROVENANCE, sources)
    left_out = ({"id": name, "reason": one.reason, "detail": one.detail} for name, one in corpus.rejected)
    write_lines(folder / REJECTED, map(encoded, left_out))
    (folder / REPORT).write_text(page(figures), encoding="utf-8")
    (folder / "README.md").write_text(card(figures), encoding="utf-8")


def unseen(corpus: Corpus, where: Sequence[str], counts: Checked, *, which: str) -> list[str]:
    """Leave training sentences out that mention an entity of dev or test, and give the splits of the others.

    which: of dev's and test's entities, `pairs` (those of their pairs), `all` (every one they mention) or `none`. What
    is left out moves from `corpus.kept` to `corpus.rejected` and is counted so in `counts`. A mention is of an entity
    by its id, or by a name that the entity has in dev or test: not every mention has an id.
    """
    held = _held(corpus, where, every=which == "all") if which != "none" else set()
    kept: list[Kept] = []
    verdicts: list[Verdict] = []
    left: list[str] = []
    for one, verdict, split in zip(corpus.kept, corpus.verdicts, where, strict=True):
        met = [] if split != apart.TRAIN else sorted(held.intersection(_told_by(one.mentioned)))
        if met:
            document = json.loads(one.line)
            rejected = Rejected(SEEN, f"{', '.join(dict.fromkeys(name for _, name in met))} in {document['text']}")
            corpus.rejected.append((document["id"], rejected))
            counts.take_back(verdict, rejected)
        else:
            kept.append(one)
            verdicts.append(verdict)
            left.append(split)
    corpus.kept, corpus.verdicts = kept, verdicts
    return left


def seen_in_training(corpus: Corpus, where: Sequence[str]) -> int:
    """Entities of dev and test, or names of mentions without an id, that training mentions as well."""
    train = {
        told
        for one, split in zip(corpus.kept, where, strict=True)
        if split == apart.TRAIN
        for told in _told_by(one.mentioned)
    }
    others = {
        mention
        for one, split in zip(corpus.kept, where, strict=True)
        if split != apart.TRAIN
        for mention in (*one.entities, *one.mentioned)
    }
    return len({mention[0] or mention[1] for mention in others if not train.isdisjoint(_told_by([mention]))})


def _held(corpus: Corpus, where: Sequence[str], *, every: bool) -> set[tuple[str, str]]:
    """What tells the entities of dev and test: those of their pairs, or every one."""
    held: set[tuple[str, str]] = set()
    for one, split in zip(corpus.kept, where, strict=True):
        if split != apart.TRAIN:
            own = {identifier for identifier, _ in one.entities}
            held.update(_told_by(one.entities))
            held.update(_told_by([mention for mention in one.mentioned if every or mention[0] in own]))
    return held


def _told_by(mentions: Iterable[tuple[str | None, str]]) -> Iterator[tuple[str, str]]:
    """The id and the key of each, told apart."""
    for identifier, key in mentions:
        if identifier is not None:
            yield "id", identifier
        if key:
            yield "name", key
