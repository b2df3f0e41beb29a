"""Training batches: sentences as sub-tokens, gold spans as targets, types as a mask, links as bank rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import MAX_WORDS
from kogner.records import Document
from kogner.student.encoder import Encoded, TokenBatch, collate, special_tokens, tokenise
from kogner.student.windows import windows
from kogner.text import Splitter, to_sentences, words

WIDER = "wider than the span limit"
SPLIT = "cut by a window border"


@dataclass(frozen=True, slots=True)
class Example:
    """One window of a training sentence.

    spans: (mentions, 4) int64 of first word, last word (inclusive), type index, bank row (-1 without a link).
    entities: (mentions,) int64, number of each mention's entity among those that kinds are known of, -1 for another;
    empty where no kinds are learnt.
    unsure: (any, 3) int64 of first word, last word (inclusive), type index: spans that may or may not be mentions.
    types: (types,) bool, which types its corpus annotates. sentences: how many it holds. document: number of its
    document among those of the run. whole: False where it is a part of a sentence that was cut.
    """

    encoded: Encoded
    spans: np.ndarray
    types: np.ndarray
    sentences: int = 1
    document: int = 0
    whole: bool = True
    unsure: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    entities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Batch:
    """tokens: see TokenBatch. targets: (batch, words, widths, types) float. type_mask: (batch, types) bool.

    linked: (spans, 3) of sentence, first word, last word; rows: (spans,) their bank rows.
    unknown: (batch, words, widths, types) bool, where it is not known whether the target is 0; None where all is known.
    """

    tokens: TokenBatch
    targets: Tensor
    type_mask: Tensor
    linked: Tensor
    rows: Tensor
    unknown: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        targets, types, linked, rows = (
            x.to(device, non_blocking=True) for x in (self.targets, self.type_mask, self.linked, self.rows)
        )
        unknown = None if self.unknown is None else self.unknown.to(device, non_blocking=True)
        return Batch(self.tokens.to(device), targets, types, linked, rows, unknown)


def build_examples(
    documents: Iterable[Document],
    *,
    types: Sequence[str],
    rows: Mapping[str, int],
    tokenizer: Any,
    max_width: int,
    max_tokens: int,
    max_words: int = MAX_WORDS,
    context: int = 0,
    words: Splitter = words,
    kinds: Mapping[str, int] | None = None,
) -> tuple[list[Example], Counter[str]]:
    """Cut documents into training windows.

    types: all entity types of the run, in the order of the targets. rows: graph entity -> bank row. max_tokens: room of
    a window, special tokens included and a uni-encoder's prompt not. context, words: see `to_sentences`.
    kinds: graph entity -> its number among those that kinds are known of; None where no kinds are learnt.
    Returns the examples, and counts: mentions, linked mentions, and the mentions that training cannot use by reason.
    """
    index = {name: i for i, name in enumerate(types)}
    counts: Counter[str] = Counter()
    sentences = []
    numbers: list[int] = []
    for number, document in enumerate(documents):
        found, unreachable = to_sentences(document, keep_mentions=True, context=context, words=words)
        counts.update(unreachable)
        sentences.extend(found)
        numbers.extend([number] * len(found))
    begin, end = special_tokens(tokenizer)
    specials = (len(begin), len(end))
    examples = []
    all_encoded = tokenise(tokenizer, [sentence.texts for sentence in sentences])
    for sentence, number, encoded in zip(sentences, numbers, all_encoded, strict=True):
        spans = np.array(
            [(a, b - 1, index[name], rows.get(entity or "", -1)) for a, b, name, entity in sentence.spans],
            dtype=np.int64,
        ).reshape(-1, 4)
        counts["mentions"] += len(spans)
        named = [-1 if kinds is None else kinds.get(entity or "", -1) for *_, entity in sentence.spans]
        wide = spans[:, 1] - spans[:, 0] >= max_width
        counts[WIDER] += int(wide.sum())
        spans, entities = spans[~wide], np.array(named, np.int64)[~wide]
        mask = np.array([name in sentence.types for name in types])
        unsure = np.array([(a, b - 1, index[name]) for a, b, name in sentence.unsure if name in index], np.int64)
        unsure = unsure.reshape(-1, 3)
        kept = 0
        cut = windows(encoded, specials=specials, max_tokens=max_tokens, max_words=max_words, max_width=max_width)
        for window in cut:
            last = window.first + len(window.encoded.first)
            inside = (spans[:, 0] >= window.first) & (spans[:, 1] < last)
            owned = (spans[:, 0] >= window.owned[0]) & (spans[:, 0] < window.owned[1])
            kept += int((inside & owned).sum())
            local = spans[inside] - np.array([window.first, window.first, 0, 0])
            doubts = unsure[(unsure[:, 0] < last) & (unsure[:, 1] >= window.first)]
            doubts = np.column_stack([np.clip(doubts[:, :2], window.first, last - 1) - window.first, doubts[:, 2]])
            own = entities[:0] if kinds is None else entities[inside]
            examples.append(Example(window.encoded, local, mask, 1, number, len(cut) == 1, doubts, own))
        counts["linked"] += int((spans[:, 3] >= 0).sum())
        counts[SPLIT] += len(spans) - kept
    return examples, +counts


def fingerprint(examples: Sequence[Example]) -> str:
    """Hex sha256 of the training data as the model sees it; a resumed run checks that it is still the same."""
    digest = hashlib.sha256()
    for example in examples:
        for array in (example.encoded.ids, example.encoded.first, example.spans, example.types, example.document):
            digest.update(np.ascontiguousarray(array).tobytes())
        if len(example.unsure):
            digest.update(b"unsure" + np.ascontiguousarray(example.unsure).tobytes())
    return digest.hexdigest()


def make_batch(examples: Sequence[Example], *, max_width: int, pad_id: int) -> Batch:
    """Pad examples into one batch and fill its targets."""
    tokens = collate([example.encoded for example in examples], pad_id=pad_id)
    types = len(examples[0].types)
    targets = np.zeros((*tokens.first.shape, max_width, types), dtype=np.float32)
    linked, rows = [], []
    for number, example in enumerate(examples):
        first, last, kind, row = example.spans.T
        targets[number, first, last - first, kind] = 1
        with_row = row >= 0
        linked.append(np.stack([np.full(int(with_row.sum()), number), first[with_row], last[with_row]], axis=1))
        rows.append(row[with_row])
    return Batch(
        tokens,
        torch.from_numpy(targets),
        torch.from_numpy(np.stack([example.types for example in examples])),
        torch.from_numpy(np.concatenate(linked)),
        torch.from_numpy(np.concatenate(rows)),
        _unknown(examples, targets),
    )


def _unknown(examples: Sequence[Example], targets: np.ndarray) -> Tensor | None:
    """What `Batch.unknown` is: spans of an unsure one's type that share a word with it and are no mentions."""
    if not any(len(example.unsure) for example in examples):
        return None
    unknown = np.zeros(targets.shape, dtype=bool)
    starts = np.arange(targets.shape[1])[:, None]
    ends = starts + np.arange(targets.shape[2])
    for number, example in enumerate(examples):
        for first, last, kind in example.unsure:
            unknown[number, :, :, kind] |= (starts <= last) & (ends >= first)
    return torch.from_numpy(unknown & (targets == 0))
