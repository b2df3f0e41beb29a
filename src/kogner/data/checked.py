"""The corpus that `kogner data check` writes: splits, where each sentence comes from, what was left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.artifacts import write_lines
from kogner.data import apart
from kogner.data.check import Checker
from kogner.data.check_counts import Verdict
from kogner.data.check_page import card, page
from kogner.data.checking import Kept, Work, judged
from kogner.data.formats.jsonl import encoded
from kogner.data.sanity import Rejected
from kogner.data.written import key_of
from kogner.progress import counting

KIND, VERSION = "bmg", 1
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
    """The split of each sentence, `entity` or `relation`, see `kogner.data.apart`.

    Entities of one name are one entity: no text tells them apart, and training may not hold the name of one of dev's.
    """
    if how == "entity":
        # names sort behind ids, so that they change no group's place in the order where all names differ
        told = [
            {one for identifier, name in kept.entities for one in (identifier, f"\uffff{key_of(name)}")}
            for kept in corpus.kept
        ]
        return apart.by_entity(told, shares, seed=seed)
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
