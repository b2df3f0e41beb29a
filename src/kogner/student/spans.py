"""The span head: scores of all spans against all types, without building a vector per span.

The plain head is `s_ij = W2 relu(W1 relu([a_i ; b_j]) + b1) + b2`, `phi = sigmoid(s_ij . q_t)` with `a = start(h)` and
`b = end(h)`. Two identities make it cheap and change nothing:

- `W1 relu([a_i ; b_j]) = W1a relu(a_i) + W1b relu(b_j)`: the wide layer runs once per word, not once per span;
- `q . (W2 x + b2) = (W2^T q) . x + q . b2`: the last layer folds into the types.

Dropout after the inner relu commutes with the fold, so training scores the same way (see `kogner.student.scoring`); a
real span vector is needed only for the linked spans that are distilled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from kogner.errors import ShapeError
from kogner.student.scoring import score_spans


@dataclass(frozen=True)
class SpanScores:
    """Scores of every candidate span of a batch against every entity type.

    logits: (batch, words, widths, types), float32, before the sigmoid; span (i, k) covers words i .. i + k inclusive.
    valid: (batch, words, widths), False where a span runs past its sentence.
    """

    logits: Tensor
    valid: Tensor


def two_layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """The feed-forward network of GLiNER: inner width four times the output's, so that its weights fit here."""
    return nn.Sequential(
        nn.Linear(inputs, outputs * 4), nn.ReLU(), nn.Dropout(dropout), nn.Linear(outputs * 4, outputs)
    )


class SpanHead(nn.Module):
    """Start, end and output networks of a span (GLiNER's markerV0)."""

    def __init__(self, *, hidden: int, max_width: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.max_width = hidden, max_width
        self.start = two_layer(hidden, hidden, dropout)
        self.end = two_layer(hidden, hidden, dropout)
        self.out = two_layer(2 * hidden, hidden, dropout)

    def halves(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """The two addends of the wide layer.

        words: (batch, words, hidden). Returns (batch, words, 4 * hidden) for starts (bias included) and for ends.
        """
        wide = cast(nn.Linear, self.out[0])
        weight, bias = wide.weight, wide.bias
        starts = functional.linear(functional.relu(self.start(words)), weight[:, : self.hidden], bias)
        ends = functional.linear(functional.relu(self.end(words)), weight[:, self.hidden :])
        return starts, ends

    def fold(self, types: Tensor) -> tuple[Tensor, Tensor]:
        """Fold the last layer into projected types.

        types: (types, hidden), or (batch, types, hidden) where each example has type vectors of its own. Returns
        (..., types, 4 * hidden) and (..., types). Raises ShapeError for types of another width.
        """
        if types.dim() not in (2, 3) or types.shape[-1] != self.hidden:
            raise ShapeError(
                f"type vectors of shape {tuple(types.shape)} do not fit a span head of width {self.hidden}; "
                "encode the labels with this student"
            )
        last = cast(nn.Linear, self.out[3])
        return types @ last.weight, types @ last.bias

    def forward(self, words: Tensor, word_mask: Tensor, types: Tensor) -> SpanScores:
        """Score every span of at most `max_width` words.

        words: (batch, words, hidden). word_mask: (batch, words), True at real words.
        types: (types, hidden), projected; or (batch, types, hidden) where each example has type vectors of its own (a
        uni-encoder reads the types beside the text). Logits are float32 under autocast too.
        Raises ShapeError for types of another width or of another number of examples.
        """
        if types.dim() == 3 and len(types) != len(words):
            raise ShapeError(f"{len(types)} sets of type vectors for {len(words)} examples; give one for each")
        starts, ends = self.halves(words)
        folded, offset = self.fold(types)
        dropout = cast(nn.Dropout, self.out[2]).p if self.training else 0.0
        logits = score_spans(starts, ends, folded, offset, max_width=self.max_width, dropout=dropout)
        valid = [
            functional.pad(word_mask[:, width:], (0, min(width, words.shape[1]))) for width in range(self.max_width)
        ]
        return SpanScores(logits, torch.stack(valid, dim=2))

    def vectors(self, words: Tensor, index: Tensor) -> Tensor:
        """Span vectors s_ij of some spans only.

        words: (batch, words, hidden). index: (spans, 3) of sentence, first word, last word (inclusive).
        Returns (spans, hidden).
        """
        sentence, first, last = index.unbind(1)
        pair = torch.cat([self.start(words[sentence, first]), self.end(words[sentence, last])], dim=-1)
        vectors: Tensor = self.out(functional.relu(pair))
        return vectors
