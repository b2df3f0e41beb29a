"""The student: a bi-encoder span model of the GLiNER family, scored by the factorised span head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kogner.config import StudentConfig
from kogner.student.encoder import Encoder, TokenBatch, collate_labels, max_tokens
from kogner.student.spans import SpanHead, SpanScores, two_layer


class Student(nn.Module):
    """Text encoder, label encoder (shared with it or its own), span head and type head.

    Score of span (i, j) and type t: sigmoid(s_ij . q_t) (arXiv 2503.15737, after GLiNER, arXiv 2311.08526).
    """

    def __init__(
        self,
        config: StudentConfig,
        *,
        tokenizer: Any,
        text_model: nn.Module,
        label_tokenizer: Any | None = None,
        label_model: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.label_tokenizer = label_tokenizer or tokenizer
        hidden = config.hidden or int(text_model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.hidden = hidden
        self.text_encoder = Encoder(text_model, hidden)
        self.label_encoder = None if label_model is None else Encoder(label_model, hidden)
        self.span_head = SpanHead(hidden=hidden, max_width=config.max_width, dropout=config.dropout)
        self.type_head = two_layer(hidden, hidden, config.dropout)
        self.word_dropout = nn.Dropout(config.dropout)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def text_limit(self) -> int:
        """Sub-tokens that one window may have, special ones included."""
        return max_tokens(self.tokenizer, self.text_encoder.model.config)

    def encode_labels(self, labels: Sequence[str]) -> Tensor:
        """Projected type vectors q_t: (types, hidden)."""
        encoder = self.text_encoder if self.label_encoder is None else self.label_encoder
        limit = max_tokens(self.label_tokenizer, encoder.model.config)
        ids, mask = collate_labels(self.label_tokenizer, labels, limit=limit)
        types: Tensor = self.type_head(encoder.pooled(ids.to(self.device), mask.to(self.device)))
        return types

    def encode_words(self, batch: TokenBatch) -> Tensor:
        """Word vectors h: (batch, words, hidden)."""
        words: Tensor = self.word_dropout(self.text_encoder.words(batch))
        return words

    def forward(self, batch: TokenBatch, types: Tensor) -> tuple[SpanScores, Tensor]:
        """Span scores against projected types (types, hidden), and the word vectors they were made from."""
        words = self.encode_words(batch)
        return self.span_head(words, batch.words, types), words
