"""The text encoder and its batches: word vectors from first sub-tokens, label vectors by mean pooling."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kogner.errors import InputError

# Halves of a surrogate pair, which JSON escapes can bring in; tokenizers take UTF-8 only.
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# A word of more sub-tokens than this is read by its first ones; only the first gives the word's vector, and the cap
# keeps one endless "word" (base64, a sequence) from filling the window. The word itself is never dropped.
PIECES_PER_WORD = 32

# GLiNER reads up to 384 words and their labels in one pass of such an encoder, whatever their sub-tokens.
RELATIVE_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Encoded:
    """A window of words as sub-tokens.

    ids: (tokens,) with special tokens. first: (words,) index of each word's first sub-token.
    """

    ids: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class TokenBatch:
    """Padded windows.

    ids, mask: (batch, tokens). first: (batch, words) index into tokens. words: (batch, words), True at real words.
    """

    ids: Tensor
    mask: Tensor
    first: Tensor
    words: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on another device."""
        return TokenBatch(*(x.to(device, non_blocking=True) for x in (self.ids, self.mask, self.first, self.words)))


@dataclass(frozen=True)
class Prompt:
    """Types as a uni-encoder reads them: sub-tokens that stand before the text of every window.

    ids: (tokens,), without special tokens. marks: (types,) index in `ids` of the marker before each type.
    """

    ids: Tensor
    marks: Tensor


def tokenise(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[Encoded]:
    """Sub-tokens of sentences given as words. Words that the tokenizer turns into nothing get its unknown token.

    sentences: words of each sentence. Nothing is cut here: see `kogner.student.windows` for long ones.
    """
    begin, end = special_tokens(tokenizer)
    encoded = []
    for ids, owner, words in _pieces(tokenizer, sentences):
        first = np.searchsorted(owner, np.arange(words))
        keep = np.arange(len(owner)) - first[owner] < PIECES_PER_WORD if len(owner) else np.zeros(0, dtype=bool)
        owner, ids = owner[keep], ids[keep]
        first = np.searchsorted(owner, np.arange(words))
        encoded.append(Encoded(np.concatenate([begin, ids, end]), first + len(begin)))
    return encoded


def tokenise_whole(tokenizer: Any, parts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sub-tokens of the parts of a prompt, all of them and without special tokens, and where each part begins."""
    ((ids, owner, count),) = _pieces(tokenizer, [parts])
    return ids, np.searchsorted(owner, np.arange(count))


def _pieces(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Per sentence: ids (tokens,), the word that each belongs to (tokens,), number of words."""
    if not sentences:
        return
    rows = tokenizer(
        [[_SURROGATE.sub("\ufffd", word) for word in words] for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    for row, words in enumerate(sentences):
        owner = np.array(rows.word_ids(row), dtype=np.int64)
        ids = np.array(rows["input_ids"][row], dtype=np.int64)
        missing = np.setdiff1d(np.arange(len(words)), owner)
        if len(missing):
            owner = np.concatenate([owner, missing])
            ids = np.concatenate([ids, np.full(len(missing), tokenizer.unk_token_id, dtype=np.int64)])
            order = np.argsort(owner, kind="stable")
            owner, ids = owner[order], ids[order]
        yield ids, owner, len(words)


def special_tokens(tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the tokenizer puts before and after a single sequence, as ids."""
    probe = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    at = next(i for i in range(len(whole) - len(probe) + 1) if whole[i : i + len(probe)] == probe)
    return np.array(whole[:at], dtype=np.int64), np.array(whole[at + len(probe) :], dtype=np.int64)


_LIKE_ROBERTA = frozenset({
    "camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl",
})  # fmt: skip


def max_tokens(tokenizer: Any, model_config: Any) -> int:
    """Sub-tokens (special ones included) that the encoder can read at once; 512 where it does not say.

    A DeBERTa with relative positions only has no limit of its own (its `max_position_embeddings` is a table that is
    not used): the tokenizer's counts, else RELATIVE_TOKENS.
    """
    positions = getattr(model_config, "max_position_embeddings", 0)
    if getattr(model_config, "model_type", "") == "deberta-v2" and not model_config.position_biased_input:
        positions = RELATIVE_TOKENS
    limits = [
        limit for limit in (positions, getattr(tokenizer, "model_max_length", 0)) if limit and 0 < limit < 100_000
    ]
    limit = min(limits, default=512)
    # RoBERTa-like models lose the positions up to the padding index.
    if getattr(model_config, "model_type", "") in _LIKE_ROBERTA:
        limit = min(limit, getattr(model_config, "max_position_embeddings", limit) - 2)
    return int(limit)


def collate(windows: Sequence[Encoded], *, pad_id: int) -> TokenBatch:
    """Pad windows into one batch."""
    tokens = max(len(w.ids) for w in windows)
    words = max(len(w.first) for w in windows)
    ids = np.full((len(windows), tokens), pad_id, dtype=np.int64)
    mask = np.zeros((len(windows), tokens), dtype=np.int64)
    first = np.zeros((len(windows), words), dtype=np.int64)
    real = np.zeros((len(windows), words), dtype=bool)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
        first[row, : len(window.first)] = window.first
        real[row, : len(window.first)] = True
    return TokenBatch(*(torch.from_numpy(x) for x in (ids, mask, first, real)))


def collate_labels(tokenizer: Any, labels: Sequence[str], *, limit: int) -> tuple[Tensor, Tensor]:
    """Label texts as (ids, mask), each (types, tokens). Raises InputError for a label the encoder cannot read whole."""
    rows = tokenizer(list(labels), verbose=False)["input_ids"]  # padding would be switched on for other threads too
    for label, row in zip(labels, rows, strict=True):
        if len(row) > limit:
            raise InputError(
                f"label {label[:40]!r}... has {len(row)} sub-tokens, the label encoder reads {limit}; shorten the label"
            )
    ids = np.full((len(rows), max(map(len, rows))), tokenizer.pad_token_id or 0, dtype=np.int64)
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


class Encoder(nn.Module):
    """A transformer, and a linear map where its width is not the student's.

    tokenizer: where it knows tokens that the model has no row for (GLiNER adds its markers to the tokenizer of a
    bi-encoder, whose model never meets them), such a token in a text is read as unknown.
    """

    def __init__(self, model: nn.Module, hidden: int, *, tokenizer: Any | None = None) -> None:
        super().__init__()
        self.model = model
        self.rows: int = model.get_input_embeddings().num_embeddings  # type: ignore[operator]
        self.unknown = (tokenizer.unk_token_id or 0) if tokenizer is not None and len(tokenizer) > self.rows else None
        width = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.projection = nn.Linear(width, hidden) if width != hidden else None

    def tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors of sub-tokens: (batch, tokens, encoder width)."""
        if self.unknown is not None:
            ids = ids.masked_fill(ids >= self.rows, self.unknown)
        output: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return output

    def words(self, batch: TokenBatch) -> Tensor:
        """Vectors of words, taken at their first sub-tokens: (batch, words, hidden)."""
        return self.at(batch.ids, batch.mask, batch.first)

    def at(self, ids: Tensor, mask: Tensor, index: Tensor) -> Tensor:
        """Vectors of some sub-tokens, index (batch, chosen) into tokens: (batch, chosen, hidden)."""
        tokens = self.tokens(ids, mask)
        chosen = tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        return chosen if self.projection is None else self.projection(chosen)

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Mean over the real sub-tokens of each row: (rows, hidden)."""
        tokens = self.tokens(ids, mask)
        weights = mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)
        return mean if self.projection is None else self.projection(mean)
