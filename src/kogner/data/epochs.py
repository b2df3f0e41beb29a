"""The order of training sentences: epochs of batches, and some documents read several sentences at a time.

A student that has only seen single sentences finds far less in a whole abstract read at once. So in every epoch a share
of the documents (`train.join_sentences`) is cut into passages of a random length instead; each sentence still comes
once per epoch, and a batch still holds as many sentences.
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
class Joining:
    """share: of an epoch's documents that are read in passages. max_tokens: of a passage, special tokens included.

    specials: how many special tokens stand before and after.
    """

    share: float
    max_tokens: int
    specials: tuple[int, int]


def stream(
    examples: Sequence[Example], *, batch_size: int, seed: int, start: int, joining: Joining | None = None
) -> Iterator[Batch]:
    """Endless batches, from step `start` on, epoch after epoch."""
    epoch = 0
    while True:
        batches = order(examples, batch_size=batch_size, seed=seed, epoch=epoch, joining=joining)
        yield from batches[start:]
        start, epoch = max(start - len(batches), 0), epoch + 1


def order(
    examples: Sequence[Example], *, batch_size: int, seed: int, epoch: int, joining: Joining | None = None
) -> list[Batch]:
    """Batches of at most `batch_size` sentences of one epoch.

    A passage of more sentences than that is a batch of its own. Depends on nothing but its arguments, so that a run can
    resume.
    """
    random = np.random.default_rng([seed, epoch])
    joins = joining is not None and joining.share > 0
    passages = (
        _passages(examples, joining, random) if joining and joins else [range(i, i + 1) for i in range(len(examples))]
    )
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


def take(examples: Sequence[Example], batch: Batch, joining: Joining | None = None) -> list[Example]:
    """The examples of a batch, those of a passage as one."""
    specials = joining.specials if joining else (0, 0)
    return [
        examples[passage.start] if len(passage) == 1 else _joined([examples[i] for i in passage], specials)
        for passage in batch
    ]


def _passages(examples: Sequence[Example], joining: Joining, random: np.random.Generator) -> list[range]:
    """All examples once, in their order; those of the documents that are drawn, several together."""
    documents = max(example.document for example in examples) + 1
    drawn = random.random(documents + 1) < joining.share
    drawn[-1] = False  # the last place is that of document -1
    passages: list[range] = []
    document, tokens, words, limit = -1, 0, 0, 0
    for number, example in enumerate(examples):
        more_tokens = len(example.encoded.ids) - sum(joining.specials)
        more_words = len(example.encoded.first)
        fits = tokens + more_tokens <= joining.max_tokens and words + more_words <= limit
        if drawn[example.document] and example.document == document and fits:
            passages[-1] = range(passages[-1].start, number + 1)
            tokens, words = tokens + more_tokens, words + more_words
            continue
        passages.append(range(number, number + 1))
        document, tokens, words = example.document, len(example.encoded.ids), more_words
        limit = int(random.integers(SHORTEST, MAX_WORDS + 1)) if drawn[document] else 0
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
    return dataclasses.replace(
        parts[0], encoded=Encoded(ids, first), spans=spans, sentences=sum(part.sentences for part in parts)
    )
