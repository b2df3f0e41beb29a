"""What a uni-encoder reads before each text: `<<ENT>> type ... <<ENT>> type <<SEP>>` (GLiNER, arXiv 2311.08526)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import StudentConfig
from kogner.errors import InputError
from kogner.student.encoder import Prompt, TokenBatch, special_tokens, tokenise_whole

MIN_ROOM = 16  # sub-tokens a window must have left for its text


class Prompter:
    """Makes prompts of labels, and puts them before texts.

    tokenizer: of the text encoder. limit: sub-tokens that it reads at once, special ones included.
    """

    def __init__(self, config: StudentConfig, tokenizer: Any, *, limit: int) -> None:
        self.config, self.tokenizer, self.limit = config, tokenizer, limit
        self.before = len(special_tokens(tokenizer)[0])

    def room(self, labels: Sequence[str]) -> int:
        """Sub-tokens that one window may have beside the prompt. Raises InputError where the labels leave too few."""
        return self._room(len(self._tokens(labels)[0]), labels)

    def encode(self, labels: Sequence[str]) -> Prompt:
        """The prompt of the labels. Raises InputError where they leave too little room for text."""
        ids, marks = self._tokens(labels)
        self._room(len(ids), labels)
        return Prompt(torch.from_numpy(ids), torch.from_numpy(marks))

    def join(self, batch: TokenBatch, prompt: Prompt) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the encoder reads, and where its types and words stand in it.

        Returns ids and mask (batch, tokens), the marks (types,) and first sub-tokens of words (batch, words), both as
        indices into tokens. Raises InputError where both together are longer than the encoder reads.
        """
        at, count = self.before, len(prompt.ids)
        repeated = prompt.ids.expand(len(batch.ids), -1)
        ids = torch.cat([batch.ids[:, :at], repeated, batch.ids[:, at:]], dim=1)
        if ids.shape[1] > self.limit:
            raise InputError(
                f"a window and its prompt have {ids.shape[1]} sub-tokens, the encoder reads {self.limit}; cut "
                "windows to what `room` says for these labels"
            )
        mask = torch.cat([batch.mask[:, :at], torch.ones_like(repeated), batch.mask[:, at:]], dim=1)
        return ids, mask, prompt.marks + at, batch.first + count

    def _tokens(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        parts = [part for label in labels for part in (self.config.ent_token, label)]
        ids, first = tokenise_whole(self.tokenizer, [*parts, self.config.sep_token])
        return ids, first[:-1:2]

    def _room(self, prompt: int, labels: Sequence[str]) -> int:
        room = self.limit - prompt
        if room < MIN_ROOM:
            raise InputError(
                f"{len(labels)} labels take {prompt} of the {self.limit} sub-tokens that this uni-encoder reads "
                f"at once, and leave fewer than {MIN_ROOM} for text; give fewer or shorter labels"
            )
        return room
