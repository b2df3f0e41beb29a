"""The uni-encoder student: types and text in one pass of one encoder (GLiNER, arXiv 2311.08526).

A window is read behind the prompt of its types (`kogner.student.prompt`). The vector of a type is that of its
`<<ENT>>`; words are taken at their first sub-tokens and may pass a BiLSTM. Types see the text, so that their vectors
belong to one example: (batch, types, hidden). The span head is the bi-encoder's, folded once per example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kogner.config import StudentConfig
from kogner.errors import ShapeError
from kogner.student.encoder import Prompt, TokenBatch
from kogner.student.model import Student
from kogner.student.prompt import Prompter


class UniStudent(Student):
    """A student whose encoder reads types and text together."""

    def __init__(self, config: StudentConfig, *, tokenizer: Any, text_model: nn.Module) -> None:
        super().__init__(config, tokenizer=tokenizer, text_model=text_model)
        self.prompter = Prompter(config, tokenizer, limit=self.text_limit)
        self.rnn: nn.LSTM | None = None
        if config.rnn_layers:
            self.rnn = nn.LSTM(
                self.hidden, self.hidden // 2, num_layers=config.rnn_layers, bidirectional=True, batch_first=True
            )

    def room(self, labels: Sequence[str]) -> int:
        """Sub-tokens that one window may have beside the prompt. Raises InputError where the labels leave too few."""
        return self.prompter.room(labels)

    def encode_labels(self, labels: Sequence[str]) -> Prompt:
        """The prompt of the labels; their vectors exist only together with a text.

        Raises InputError where they leave too little room for text.
        """
        prompt = self.prompter.encode(labels)
        return Prompt(prompt.ids.to(self.device), prompt.marks.to(self.device))

    def read(self, batch: TokenBatch, types: Tensor | Prompt) -> tuple[Tensor, Tensor]:
        """Word vectors (batch, words, hidden) and type vectors (batch, types, hidden), from one pass over both.

        Raises ShapeError for type vectors of another student, InputError where both are longer than the encoder reads.
        """
        if not isinstance(types, Prompt):
            raise ShapeError("a uni-encoder takes its types as a prompt; encode the labels with this student")
        ids, mask, marks, first = self.prompter.join(batch, types)
        index = torch.cat([marks.expand(len(ids), -1), first], dim=1)
        vectors = self.text_encoder.at(ids, mask, index)
        count = len(marks)
        words = vectors[:, count:]
        if self.rnn is not None:
            words = _over_words(self.rnn, words, batch.words.sum(1))
        return self.word_dropout(words), self.type_head(vectors[:, :count])


def _over_words(rnn: nn.LSTM, words: Tensor, lengths: Tensor) -> Tensor:
    """A BiLSTM over the real words of each row: (batch, words, hidden) to the same, zeros behind them.

    lengths: (batch,), real words of each row; the longest row has no padding.
    """
    packed = pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(rnn(packed)[0], batch_first=True)[0]
