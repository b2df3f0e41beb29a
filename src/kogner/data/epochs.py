"""The order of training sentences: epochs of batches, and documents that an epoch reads several sentences at once.

A student that has only seen single sentences finds far less in a whole abstract read at once. So in every epoch a share
of the documents (`train.join_sentences`) is cut into passages of a random length instead. Each sentence still comes
once per epoch. A batch holds no more of them than without, sometimes fewer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kogner.config import MAX_WORDS
from kogner.data.batch import Example
from kogner.student.encoder import Encoded

POOL = 50  # batches that are sorted by length together: less padding, still well mixed
SHORTEST = 32  # words of the shortest limit that is drawn for a passage

Batch = list[range]  # of passages: numbers of examples that follow one another; most are a single one


@dataclass(frozen=True)
class Readings:
    """joined: share of an epoch's documents that is read in passages of at most max_tokens, special tokens included.

    specials: how many of those stand before and after a window.
    """

    joined: float = 0.0
    max_tokens: int = 0
    specials: tuple[int, int] = (0, 0)


def stream(
    examples: Sequence[Example], *, batch_size: int, seed: int, start: int, readings: Readings = Readings()
) -> Iterator[Batch]:
    """Endless batches, from step `start` on, epoch after epoch."""
    epoch = 0
    while True:
        batches = order(examples, batch_size=batch_size, seed=seed, epoch=epoch, readings=readings)
        yield from batches[start:]
        start, epoch = max(start - len(batches), 0), epoch + 1


def order(
    examples: Sequence[Example], *, batch_size: int, seed: int, epoch: int, readings: Readings = Readings()
) -> list[Batch]:
    """Batches of at most `batch_size` sentences of one epoch.

    A passage of more sentences than that is a batch of its own. Depends on nothing but its arguments, so that a run can
    resume.
    """
    random = np.random.default_rng([seed, epoch])
    passages = _passages(examples, readings, random)
    lengths = np.array([sum(len(examples[i].encoded.ids) for i in passage) for passage in passages])
    shuffled = random.permutation(len(passages))
    batches: list[Batch] = []
    for start in range(0, len(shuffled), batch_size * POOL):
        pool = shuffled[start : start + batch_size * POOL]
        batch: Batch = []
        held = 0
        for number in pool[np.argsort(lengths[pool], kind="stable")]:
            passage = passages[number]
            if batch and held + len(passage) > batch_size:
                batches.append(batch)
                batch, held = [], 0
            batch.append(passage)
            held += len(passage)
        batches.append(batch)
    return [batches[i] for i in random.permutation(len(batches))]


def steps_of(
    examples: Sequence[Example], *, epochs: float, batch_size: int, seed: int, readings: Readings = Readings()
) -> int:
    """Batches in so many epochs, the last of which may be a part of one; at least one."""
    whole = int(epochs)
    sizes = [
        len(order(examples, batch_size=batch_size, seed=seed, epoch=epoch, readings=readings))
        for epoch in range(whole + (epochs > whole))
    ]
    return max(1, sum(sizes[:whole]) + (round((epochs - whole) * sizes[-1]) if epochs > whole else 0))


def take(examples: Sequence[Example], batch: Batch, readings: Readings = Readings()) -> list[Example]:
    """The examples of a batch, those of a passage as one."""
    return [
        examples[passage.start] if len(passage) == 1 else _joined([examples[i] for i in passage], readings.specials)
        for passage in batch
    ]


def _passages(examples: Sequence[Example], readings: Readings, random: np.random.Generator) -> list[range]:
    """All examples once, in their order; those of the documents that are drawn, several sentences at once."""
    if not readings.joined:
        return [range(number, number + 1) for number in range(len(examples))]
    joined = random.random(max(example.document for example in examples) + 1) < readings.joined
    passages: list[range] = []
    last, tokens, words, limit = -1, 0, 0, 0
    for number, example in enumerate(examples):
        more_tokens = len(example.encoded.ids) - sum(readings.specials)
        more_words = len(example.encoded.first)
        joins = joined[example.document] and example.whole
        fits = tokens + more_tokens <= readings.max_tokens and words + more_words <= limit
        if joins and example.document == last and fits:
            passages[-1] = range(passages[-1].start, number + 1)
            tokens, words = tokens + more_tokens, words + more_words
            continue
        passages.append(range(number, number + 1))
        last, tokens, words = example.document if joins else -1, len(example.encoded.ids), more_words
        limit = int(random.integers(SHORTEST, MAX_WORDS + 1)) if joins else 0
    return passages


def _joined(parts: Sequence[Example], specials: tuple[int, int]) -> Example:
    """Sentences behind one another as one window, between one pair of the special tokens."""
    before, after = specials
    whole = parts[0].encoded.ids
    inner = [part.encoded.ids[before : len(part.encoded.ids) - after] for part in parts]
    tokens = np.cumsum([0, *map(len, inner)])
    words = np.cumsum([0, *(len(part.encoded.first) for part in parts)])
    ids = np.concatenate([whole[:before], *inner, whole[len(whole) - after :]])
    first = np.concatenate([part.encoded.first + at for part, at in zip(parts, tokens, strict=False)])
    shift = np.array([1, 1, 0, 0])
    spans = np.concatenate([part.spans + at * shift for part, at in zip(parts, words, strict=False)])
    unsure = np.concatenate([part.unsure + at * shift[:3] for part, at in zip(parts, words, strict=False)])
    return dataclasses.replace(
        parts[0], encoded=Encoded(ids, first), spans=spans, unsure=unsure,
        entities=np.concatenate([part.entities for part in parts]),
        sentences=sum(part.sentences for part in parts),
    )  # fmt: skip
