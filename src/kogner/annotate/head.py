"""The span head for inference: only spans above their thresholds leave it.

The words of a batch lie behind one another without padding, so that width k is one addition of two slices,
`starts[i] + ends[i + k]`; pairs across two sentences are computed and then left out. The work is done in pieces that
fit a processor's cache, and no tensor of all spans times all types is ever made.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from kogner.annotate.packing import PackedLinear, packs, rounded
from kogner.errors import KognerError
from kogner.student.spans import SpanHead

# Bytes of the inner vectors that are worked on at a time: about a second-level cache.
_PIECE, _PIECE_OF_GPU = 1 << 20, 1 << 28


class InferenceHead:
    """A `SpanHead` made ready for inference.

    dtype: what inner vectors are computed in. pack: lay the weights out for oneDNN, on a CPU that has it, where `packs`
    says so.
    """

    def __init__(self, head: SpanHead, *, dtype: torch.dtype = torch.float32, pack: bool) -> None:
        self.head, self.dtype, self.max_width, self.pack = head, dtype, head.max_width, pack
        self._folded: tuple[Tensor, Tensor, Tensor] | None = None  # types, and what they were folded into
        # Here and not only in what they make of words: oneDNN's relu turns what is no number into 0.
        check_finite(*(parameter.detach().to(dtype) for parameter in head.parameters()), dtype=dtype)
        wide = cast(nn.Linear, head.out[0])
        weight = wide.weight.detach()

        def side(network: nn.Sequential, half: Tensor, bias: Tensor | None) -> nn.Sequential:
            first, last = cast(nn.Linear, network[0]), cast(nn.Linear, network[3])
            return nn.Sequential(
                ready_linear(first.weight, first.bias, dtype=dtype, pack=pack, relu=True),
                ready_linear(last.weight, last.bias, dtype=dtype, pack=pack, relu=True),
                ready_linear(half, bias, dtype=dtype, pack=pack),
            )

        self.start = side(head.start, weight[:, : head.hidden], wide.bias)
        self.end = side(head.end, weight[:, head.hidden :], None)

    def hits(self, words: Tensor, sentence: Tensor, types: Tensor, at_least: Tensor) -> tuple[Tensor, Tensor]:
        """Spans whose logit reaches the bound of their type.

        words: (words, hidden), those of all sentences behind one another. sentence: (words,), ascending numbers that
        say where a sentence ends. types: (types, hidden), projected; or (sentences, types, hidden) where each sentence
        has type vectors of its own. at_least: (types,) logits.
        Returns an index (hits, 3) of first word, words beyond the first, and type, ordered by the first and then the
        second; and the logits (hits,) float32.
        Raises KognerError for vectors that are not finite.
        """
        count = len(words)
        words = functional.pad(words.to(self.dtype), (0, 0, 0, rounded(count) - count))
        starts, ends = self.start(words)[:count], self.end(words)[:count]
        folded, offset = self._fold(types)
        # What came in, and what the head's own weights made of it.
        check_finite(words, types, starts, ends, folded, offset, dtype=self.dtype)
        return search(
            starts, ends, sentence, folded, offset, at_least, max_width=self.max_width, dtype=self.dtype, pack=self.pack
        )

    def _fold(self, types: Tensor) -> tuple[Tensor, Tensor]:
        """`SpanHead.fold`; that of the last call is kept, since all batches of a text or block have the same types."""
        last = self._folded
        if last is None or last[0] is not types:
            last = (types, *self.head.fold(types.float()))
            self._folded = None if types.dim() == 3 else last
        return last[1], last[2]


def search(
    starts: Tensor,
    ends: Tensor,
    sentence: Tensor,
    folded: Tensor,
    offset: Tensor,
    at_least: Tensor,
    *,
    max_width: int,
    dtype: torch.dtype = torch.float32,
    pack: bool,
) -> tuple[Tensor, Tensor]:
    """Spans whose logit `folded . relu(start + end) + offset` reaches the bound of their type.

    starts, ends: (words, 4 * hidden), the halves of the wide layer. folded: (types, 4 * hidden), offset: (types,), see
    `SpanHead.fold`; or (sentences, types, ...) where each sentence has type vectors of its own. sentence, at_least, and
    what is returned: as in `InferenceHead.hits`.
    """
    if folded.dim() == 3:
        return _search_each(
            starts, ends, sentence, folded, offset, at_least, max_width=max_width, dtype=dtype, pack=pack
        )
    scored = ready_linear(folded, offset, dtype=dtype, pack=pack)
    count, inner = starts.shape
    bytes_of_piece = _PIECE if starts.device.type == "cpu" else _PIECE_OF_GPU
    step = max(16, bytes_of_piece // (inner * starts.element_size()))
    buffer = starts.new_zeros(rounded(min(step, count)), inner)
    last = torch.searchsorted(sentence, sentence, right=True)  # first word of the next sentence
    index: list[Tensor] = []
    values: list[Tensor] = []
    for begin in range(0, count, step):
        room = last[begin : begin + step] - torch.arange(begin, min(begin + step, count), device=last.device)
        for width in range(min(max_width, int(room.max()))):
            size = min(step, count - begin - width)
            torch.add(starts[begin : begin + size], ends[begin + width : begin + width + size], out=buffer[:size])
            logits = scored(buffer[: rounded(size)].relu_())[:size].float()
            found = (logits >= at_least) & (room[:size] > width).unsqueeze(1)
            where = found.nonzero()
            if len(where):
                values.append(logits[found])
                first, kind = where.unbind(1)
                index.append(torch.stack([first + begin, torch.full_like(first, width), kind], dim=1))
    if not index:
        return torch.zeros(0, 3, dtype=torch.long, device=starts.device), at_least.new_zeros(0)
    all_index, all_values = torch.cat(index), torch.cat(values)
    order = torch.argsort(all_index[:, 0] * max_width + all_index[:, 1], stable=True)
    return all_index[order], all_values[order]


def check_finite(*vectors: Tensor, dtype: torch.dtype) -> None:
    """Raise KognerError for vectors that are not finite: no span of theirs would reach any bound."""
    # A sum is not finite where a number is not, and takes a thirtieth of the time; large ones may add up to infinity.
    if not all(bool(some.sum().isfinite()) or bool(torch.isfinite(some).all()) for some in vectors):
        raise KognerError(
            f"the student's vectors are not finite at {str(dtype).removeprefix('torch.')}; use precision bf16 or fp32, "
            "or check the checkpoint"
        )


def _search_each(
    starts: Tensor,
    ends: Tensor,
    sentence: Tensor,
    folded: Tensor,
    offset: Tensor,
    at_least: Tensor,
    *,
    max_width: int,
    dtype: torch.dtype,
    pack: bool,
) -> tuple[Tensor, Tensor]:
    """`search` where each sentence has types of its own: all widths of a sentence at once, as there are few words for
    each set of types; and without packing types that are used once.
    """
    device, inner = starts.device, starts.shape[1]
    bytes_of_piece = 2 * _PIECE if device.type == "cpu" else _PIECE_OF_GPU
    places = torch.arange(max_width, device=device)
    index: list[Tensor] = []
    values: list[Tensor] = []
    buffer = starts.new_empty(0, inner)
    begins = torch.searchsorted(sentence, torch.arange(len(folded) + 1, device=device)).tolist()
    for number, (begin, end) in enumerate(pairwise(begins)):
        widths = min(max_width, end - begin)
        if not widths:
            continue
        scored = ready_linear(folded[number], offset[number], dtype=dtype, pack=pack, once=True)
        after = functional.pad(ends[begin:end], (0, 0, 0, widths - 1))
        step = min(end - begin, max(1, bytes_of_piece // (widths * inner * starts.element_size())))
        if len(buffer) < step * widths:
            buffer = starts.new_empty(step * widths, inner)
        for first in range(begin, end, step):
            size = min(step, end - first)
            ahead = after[first - begin :].as_strided((size, widths, inner), (inner, inner, 1))
            pairs = buffer[: size * widths].view(size, widths, inner)
            torch.add(starts[first : first + size].unsqueeze(1), ahead, out=pairs)
            logits = scored(pairs.relu_().view(-1, inner)).float().view(size, widths, -1)
            room = torch.arange(end - first, end - first - size, -1, device=device)
            found = (logits >= at_least) & (places[:widths] < room.unsqueeze(1)).unsqueeze(2)
            where = found.nonzero()
            if len(where):
                values.append(logits[found])
                where[:, 0] += first
                index.append(where)
    if not index:
        return torch.zeros(0, 3, dtype=torch.long, device=device), at_least.new_zeros(0)
    return torch.cat(index), torch.cat(values)


def ready_linear(
    weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype, pack: bool, relu: bool = False, once: bool = False
) -> nn.Module:
    """A linear layer for inference, with a relu behind it if asked: packed for oneDNN, or plain.

    once: it will be used a few times only, so that laying its weight out would not pay.
    """
    if pack and packs(dtype):
        return PackedLinear(weight, bias, dtype=dtype, activation="relu" if relu else "none", reorder=not once)
    return _PlainLinear(weight.to(dtype), None if bias is None else bias.to(dtype), relu=relu)


class _PlainLinear(nn.Module):
    """What `PackedLinear` does, where torch has no oneDNN, packing does not pay, or the weights are on a GPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.relu = weight.contiguous(), bias, relu

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.weight, self.bias)
        return y.relu_() if self.relu else y
