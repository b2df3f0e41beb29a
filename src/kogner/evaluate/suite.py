"""Suites: corpora that are scored together, in `recipes/suites/`."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.data.corpora import Corpus, load, splits
from kogner.data.linking import generality
from kogner.errors import ConfigError
from kogner.evaluate.spans import score, with_lost
from kogner.mapping import from_mapping
from kogner.recipe import read_mapping, shipped
from kogner.records import Document, Mention

if TYPE_CHECKING:
    from kogner.annotate.names import Names

FOLDER = "suites"


@dataclass(frozen=True)
class Member:
    """A corpus of a suite. folder: below that of all corpora. nested: whether its gold mentions lie in one another."""

    folder: str
    nested: bool = False


@dataclass(frozen=True)
class Suite:
    """corpora: by name. six: those whose mean F1 is quoted."""

    name: str
    corpora: Mapping[str, Member]
    six: tuple[str, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.six if name not in self.corpora]
        if unknown:
            raise ConfigError(f"suite {self.name}: {unknown[0]} of `six` is not among its corpora")

    def mean(self, f1: Mapping[str, float]) -> float | None:
        """The mean F1 of the six, None where one of them was not scored, or none is named."""
        return (
            round(statistics.mean(f1[name] for name in self.six), 2) if self.six and set(self.six) <= set(f1) else None
        )


def open_suite(source: str) -> Suite:
    """A suite from a YAML file, or a shipped one by name. Raises ConfigError for what is none."""
    path = shipped(source, FOLDER)
    return from_mapping(Suite, read_mapping(path, ("name", "corpora")), where=str(path))


def folder_of_corpora(given: Path | None) -> Path:
    """Where corpora lie: as given, else below what KOGNER_SHARED names, else `../shared/corpora`."""
    return given if given is not None else Path(os.environ.get("KOGNER_SHARED", "../shared")) / "corpora"


def open_member(name: str, member: Member, folder: Path, split: str) -> Corpus | str:
    """A split of a corpus, or why there is none."""
    place = folder / member.folder
    if not place.is_dir():
        return f"no folder {member.folder}"
    return load(name, place, split) if split in splits(place) else f"no {split} split"


def read_names(documents: Iterable[Document], types: Sequence[str], *, names: Names) -> list[Document]:
    """The documents with the graph's names of these types as their mentions, and nothing else.

    A name of an entity that several of the types may mean, as a protein and DNA, counts for the most general of them.
    """
    found = []
    for document in documents:
        of: dict[tuple[int, int, int], str] = {}
        for (start, end, kind), row in names.rows(document.text, types).items():
            place = start, end, row
            of[place] = min(of.get(place, types[kind]), types[kind], key=generality)
        mentions = [Mention(start, end, kind) for (start, end, _), kind in of.items()]
        found.append(replace(document, mentions=tuple(dict.fromkeys(mentions))))
    return found


def names_alone(corpus: Corpus, names: Names) -> dict[str, Any]:
    """Exact scores of the graph's names as the only thing that is found, in all and by type: the floor."""
    types = sorted(corpus.types)
    found = read_names(corpus.documents, types, names=names)
    scores = with_lost(score(corpus.documents, found, types=types), corpus.lost).to_dict()
    kept = ("precision", "recall", "f1")
    by_type = {kind: {key: of[key] for key in kept} for kind, of in scores["by_type"].items()}
    return {**{key: scores[key] for key in kept}, "by_type": by_type}
