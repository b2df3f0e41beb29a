"""Training batches: sentences as sub-tokens, gold spans as targets, types as a mask, links as bank rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    types: (types,) bool, which types its corpus annotates. sentences: how many it holds. document: number of its
    document among those of the run. whole: False where it is a part of a sentence that was cut.
    """

    encoded: Encoded
    spans: np.ndarray
    types: np.ndarray
    sentences: int = 1
    document: int = 0
    whole: bool = True


@dataclass(frozen=True)
class Batch:
    """tokens: see TokenBatch. targets: (batch, words, widths, types) float. type_mask: (batch, types) bool.

    linked: (spans, 3) of sentence, first word, last word; rows: (spans,) their bank rows.
    """

    tokens: TokenBatch
    targets: Tensor
    type_mask: Tensor
    linked: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = (x.to(device, non_blocking=True) for x in (self.targets, self.type_mask, self.linked, self.rows))
        return Batch(self.tokens.to(device), *moved)


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
) -> tuple[list[Example], Counter[str]]:
    """Cut documents into training windows.

    types: all entity types of the run, in the order of the targets. rows: graph entity -> bank row. max_tokens: room of
    a window, special tokens included and a uni-encoder's prompt not. context, words: see `to_sentences`.
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
        wide = spans[:, 1] - spans[:, 0] >= max_width
        counts[WIDER] += int(wide.sum())
        spans = spans[~wide]
        mask = np.array([name in sentence.types for name in types])
        kept = 0
        cut = windows(encoded, specials=specials, max_tokens=max_tokens, max_words=max_words, max_width=max_width)
        for window in cut:
            last = window.first + len(window.encoded.first)
            inside = (spans[:, 0] >= window.first) & (spans[:, 1] < last)
            owned = (spans[:, 0] >= window.owned[0]) & (spans[:, 0] < window.owned[1])
            kept += int((inside & owned).sum())
            local = spans[inside] - np.array([window.first, window.first, 0, 0])
            examples.append(Example(window.encoded, local, mask, document=number, whole=len(cut) == 1))
        counts["linked"] += int((spans[:, 3] >= 0).sum())
        counts[SPLIT] += len(spans) - kept
    return examples, +counts


def fingerprint(examples: Sequence[Example]) -> str:
    """Hex sha256 of the training data as the model sees it; a resumed run checks that it is still the same."""
    digest = hashlib.sha256()
    for example in examples:
        for array in (example.encoded.ids, example.encoded.first, example.spans, example.types, example.document):
            digest.update(np.ascontiguousarray(array).tobytes())
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
    )
