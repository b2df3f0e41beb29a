"""The uni-encoder student: types and text in one pass of one encoder (GLiNER, arXiv 2311.08526).

A window is read as `<<ENT>> type ... <<ENT>> type <<SEP>> text`. The vector of a type is that of its `<<ENT>>`; words
are taken at their first sub-tokens and may pass a BiLSTM. Types see the text, so that their vectors belong to one
example: (batch, types, hidden). The span head is the bi-encoder's, folded once per example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kogner.config import StudentConfig
from kogner.errors import InputError, ShapeError
from kogner.student.encoder import Prompt, TokenBatch, special_tokens, tokenise_whole
from kogner.student.model import Student

MIN_ROOM = 16  # sub-tokens a window must have left for its text


class UniStudent(Student):
    """A student whose encoder reads types and text together."""

    def __init__(self, config: StudentConfig, *, tokenizer: Any, text_model: nn.Module) -> None:
        super().__init__(config, tokenizer=tokenizer, text_model=text_model)
        self.before = len(special_tokens(tokenizer)[0])
        self.rnn: nn.LSTM | None = None
        if config.rnn_layers:
            self.rnn = nn.LSTM(
                self.hidden, self.hidden // 2, num_layers=config.rnn_layers, bidirectional=True, batch_first=True
            )

    def room(self, labels: Sequence[str]) -> int:
        """Sub-tokens that one window may have beside the prompt. Raises InputError where the labels leave too few."""
        return self._room(len(self._tokens(labels)[0]), labels)

    def encode_labels(self, labels: Sequence[str]) -> Prompt:
        """The prompt of the labels; their vectors exist only together with a text.

        Raises InputError where they leave too little room for text.
        """
        ids, marks = self._tokens(labels)
        self._room(len(ids), labels)
        return Prompt(torch.from_numpy(ids).to(self.device), torch.from_numpy(marks).to(self.device))

    def read(self, batch: TokenBatch, types: Tensor | Prompt) -> tuple[Tensor, Tensor]:
        """Word vectors (batch, words, hidden) and type vectors (batch, types, hidden), from one pass over both.

        Raises ShapeError for type vectors of another student, InputError where both are longer than the encoder reads.
        """
        if not isinstance(types, Prompt):
            raise ShapeError("a uni-encoder takes its types as a prompt; encode the labels with this student")
        rows, at = len(batch.ids), self.before
        prompt = types.ids.expand(rows, -1)
        ids = torch.cat([batch.ids[:, :at], prompt, batch.ids[:, at:]], dim=1)
        if ids.shape[1] > self.text_limit:
            raise InputError(
                f"a window and its prompt have {ids.shape[1]} sub-tokens, the encoder reads {self.text_limit}; cut "
                "windows to what `room` says for these labels"
            )
        mask = torch.cat([batch.mask[:, :at], torch.ones_like(prompt), batch.mask[:, at:]], dim=1)
        index = torch.cat([(types.marks + at).expand(rows, -1), batch.first + prompt.shape[1]], dim=1)
        vectors = self.text_encoder.at(ids, mask, index)
        count = len(types.marks)
        words = vectors[:, count:]
        if self.rnn is not None:
            words = _over_words(self.rnn, words, batch.words)
        return self.word_dropout(words), self.type_head(vectors[:, :count])

    def _tokens(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        parts = [part for label in labels for part in (self.config.ent_token, label)]
        ids, first = tokenise_whole(self.tokenizer, [*parts, self.config.sep_token])
        return ids, first[:-1:2]

    def _room(self, prompt: int, labels: Sequence[str]) -> int:
        room = self.text_limit - prompt
        if room < MIN_ROOM:
            raise InputError(
                f"{len(labels)} labels take {prompt} of the {self.text_limit} sub-tokens that this uni-encoder reads "
                f"at once, and leave fewer than {MIN_ROOM} for text; give fewer or shorter labels"
            )
        return room


def _over_words(rnn: nn.LSTM, words: Tensor, mask: Tensor) -> Tensor:
    """A BiLSTM over the real words of each row: (batch, words, hidden) to the same."""
    packed = pack_padded_sequence(words, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
    output, _ = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=words.shape[1])
    return output
