"""Splits made of one: of written sentences by entity, so that no entity of the test pairs is seen in training, or by
relation; of a corpus without a dev split by document."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from kogner.data.corpora import Corpus
from kogner.errors import ConfigError, InputError

TRAIN, DEV, TEST = "train", "dev", "test"


def by_entity(entities: Sequence[Collection[str]], shares: Mapping[str, float], *, seed: int = 0) -> list[str]:
    """The split of each sentence, given the entities of its pairs.

    Sentences that have an entity in common, over however many others, form a group and stay together: the largest goes
    to train, the others, in an order that the seed fixes, to the split that lacks most. shares: of the sentences, by
    split; dev and test get less than theirs where one group holds nearly all.
    """
    _check(shares)
    leader: dict[str, str] = {}

    def lead(one: str) -> str:
        at = one
        while leader.setdefault(at, at) != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    for own in entities:
        first, *others = sorted(own) or ["-"]
        for other in others:
            leader[lead(other)] = lead(first)
    groups = [lead(min(own)) if own else "-" for own in entities]
    sizes = Counter(groups)
    largest = max(sizes.items(), key=lambda item: (item[1], item[0]))[0] if sizes else ""
    order = sorted(sizes, key=lambda name: (name != largest, hashlib.sha256(f"{seed} {name}".encode()).digest()))
    return _filled(groups, sizes, order, shares)


def by_relation(relations: Sequence[str], shares: Mapping[str, float], *, seed: int = 0) -> list[str]:
    """The split of each sentence, given its relation type: all sentences of one type are in one split."""
    _check(shares)
    sizes = Counter(relations)
    order = sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(f"{seed} {name}".encode()).digest()))
    return _filled(list(relations), sizes, order, shares)


def _filled(
    groups: Sequence[str], sizes: Mapping[str, int], order: Sequence[str], shares: Mapping[str, float]
) -> list[str]:
    """The split of each group: the one that lacks most of its share and is not made too large, else train."""
    total = len(groups)
    filled = dict.fromkeys(shares, 0)
    where: dict[str, str] = {}
    for name in order:
        lacking = {split: share * total - filled[split] for split, share in shares.items()}
        fitting = [split for split in shares if split != TRAIN and sizes[name] <= lacking[split] + 0.5]
        best = max([TRAIN, *fitting], key=lambda split: lacking[split] / max(shares[split] * total, 1e-9))
        where[name] = TRAIN if not where else best
        filled[where[name]] += sizes[name]
    return [where[name] for name in groups]


def _check(shares: Mapping[str, float]) -> None:
    fits = all(share >= 0 for share in shares.values()) and abs(sum(shares.values()) - 1) <= 1e-6  # nan does not
    if TRAIN not in shares or not fits:
        raise ConfigError(f"the shares of the splits must add up to 1 and have one for train, not {dict(shares)}")


def with_dev(corpus: Corpus, share: float) -> dict[str, Corpus]:
    """A train split without those of its documents that become dev, drawn by their ids alone, and these.

    Raises InputError for a corpus of fewer than two documents.
    """
    if len(corpus) < 2:
        raise InputError(f"holds {len(corpus)} document; for a dev split of its own it needs two", path=corpus.path)
    ranked = sorted(corpus.documents, key=lambda one: hashlib.sha256(one.id.encode(errors="surrogatepass")).digest())
    count = min(max(round(share * len(corpus)), 1), len(corpus) - 1)
    chosen = {id(document) for document in ranked[:count]}
    train = tuple(document for document in corpus.documents if id(document) not in chosen)
    dev = tuple(document for document in corpus.documents if id(document) in chosen)
    return {"train": replace(corpus, documents=train), "dev": replace(corpus, split="dev", documents=dev)}
