"""The student: a bi-encoder span model of the GLiNER family, scored by the factorised span head.

`kogner.student.uni` holds the uni-encoder; callers use both alike: `room` says how long a window may be beside the
labels, `collate` pads windows, `encode_labels` makes of labels what `forward` takes as types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kogner.config import StudentConfig
from kogner.errors import ShapeError
from kogner.student.encoder import Encoded, Encoder, Prompt, TokenBatch, collate, collate_labels, max_tokens
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
        self.text_encoder = Encoder(text_model, hidden, tokenizer=tokenizer)
        self.label_encoder = (
            None if label_model is None else Encoder(label_model, hidden, tokenizer=self.label_tokenizer)
        )
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

    def room(self, labels: Sequence[str]) -> int:
        """Sub-tokens that one window may have where these labels are asked for, special tokens included."""
        return self.text_limit

    def collate(self, windows: Sequence[Encoded]) -> TokenBatch:
        """Pad windows into one batch."""
        return collate(windows, pad_id=self.tokenizer.pad_token_id or 0)

    def encode_labels(self, labels: Sequence[str]) -> Tensor | Prompt:
        """Types as `forward` takes them: here projected type vectors q_t, (types, hidden), which can be kept."""
        encoder = self.text_encoder if self.label_encoder is None else self.label_encoder
        limit = max_tokens(self.label_tokenizer, encoder.model.config)
        ids, mask = collate_labels(self.label_tokenizer, labels, limit=limit)
        types: Tensor = self.type_head(encoder.pooled(ids.to(self.device), mask.to(self.device)))
        return types

    def encode_words(self, batch: TokenBatch) -> Tensor:
        """Word vectors h: (batch, words, hidden)."""
        words: Tensor = self.word_dropout(self.text_encoder.words(batch))
        return words

    def read(self, batch: TokenBatch, types: Tensor | Prompt) -> tuple[Tensor, Tensor]:
        """Word vectors (batch, words, hidden), and the type vectors that the span head scores them against.

        types: what `encode_labels` returned. Raises ShapeError where it comes from a student of another architecture.
        """
        if isinstance(types, Prompt):
            raise ShapeError("a prompt is no set of type vectors; encode the labels with this student")
        return self.encode_words(batch), types

    def forward(self, batch: TokenBatch, types: Tensor | Prompt) -> tuple[SpanScores, Tensor]:
        """Span scores, and the word vectors they were made from. Arguments and errors as in `read`."""
        words, vectors = self.read(batch, types)
        return self.span_head(words, batch.words, vectors), words
