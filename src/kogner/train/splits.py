"""What one corpus gives a run: train and dev documents, and shares of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kogner.config import TrainConfig
from kogner.data import corpora
from kogner.data.corpora import Corpus
from kogner.data.formats.jsonl import line_of
from kogner.errors import ConfigError
from kogner.progress import note
from kogner.records import Document


@dataclass(frozen=True)
class Split:
    """What one corpus gives: documents to train on and documents to choose by. Never a test split."""

    name: str
    train: Sequence[Document]
    dev: Sequence[Document]
    types: tuple[str, ...]


def training_corpora(name: str, path: Path) -> tuple[Corpus, Corpus | None]:
    """The train split of a corpus, and its dev split if there is one. Raises InputError without a train split."""
    return corpora.load(name, path, "train"), corpora.load(name, path, "dev") if "dev" in corpora.splits(path) else None


def to_split(name: str, train: Corpus, dev: Corpus | None) -> Split:
    """The two halves of a corpus as the loop takes them."""
    return Split(name, train.documents, dev.documents if dev else (), tuple(sorted(train.types)))


def subset(documents: Sequence[Document], share: float, seed: int) -> list[Document]:
    """The first `share` of a seeded shuffle, in the order of the corpus."""
    if share >= 1:
        return list(documents)
    chosen = np.random.default_rng(seed).permutation(len(documents))[: max(1, round(share * len(documents)))]
    return [documents[i] for i in sorted(chosen)]


def used(splits: Sequence[Split], config: TrainConfig) -> list[Split]:
    """What a run trains on: `train.train_share` of the corpora, then those of `train.beside`, whole, in its order.

    Raises ConfigError for a corpus of `train.beside` that is not there, or where no other is.
    """
    by_name = {split.name: split for split in splits}
    for name in config.beside:
        if name not in by_name:
            raise ConfigError(f"train.beside names {name!r}, which is not among the corpora: {', '.join(by_name)}")
    main = [split for split in splits if split.name not in config.beside]
    if not main:
        raise ConfigError("train.beside names every corpus; at least one other is needed, whose epochs count")
    share, seed = config.train_share, config.data_seed
    shared = [dataclasses.replace(split, train=subset(split.train, share, seed)) for split in main]
    return [*shared, *(by_name[name] for name in config.beside)]


def first(documents: Sequence[Document], count: int, seed: int) -> list[Document]:
    """A sample of so many documents; all of them for 0."""
    return subset(documents, count / len(documents) if 0 < count < len(documents) else 1.0, seed)


def dev_hash(splits: Sequence[Split]) -> str:
    """Hex sha256 of the dev documents of all splits."""
    lines = (line_of(document) for split in splits for document in split.dev)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def note_dev_types(splits: Sequence[Split]) -> None:
    """Say which dev mentions are not scored, since the train split of their corpus lacks their type."""
    for split in splits:
        found = Counts(m.type for document in split.dev for m in document.mentions if m.type not in split.types)
        if found:
            note(f"{split.name}: dev mentions of types that its train split lacks are not scored: {dict(found)}")
