"""Texts of a batch behind one another, without padding between them, for inference on a processor.

Nearly all the work of an encoder is done on each sub-token by itself, and sentences of a request or a document have all
lengths: in batches of up to 4,096 padded sub-tokens, of 125 abstracts 37 % and of one request's 12,000 characters 49 %
were padding. Here the layers see the sub-tokens alone, as one row; only attention, which looks across them, puts texts
of about the same length together (Zeng et al. 2022, ByteTransformer, arXiv 2210.03052, do the same on GPUs).

The rows are rounded up, so that few numbers of them are met (`packing.rounded`); those at the end belong to no text.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kogner.annotate import attention
from kogner.annotate.batching import cuts
from kogner.annotate.packing import rounded
from kogner.student.encoder import Encoder

NAME = "kogner_texts"
KINDS = ("bert", "camembert", "electra", "roberta", "xlm-roberta")  # whose positions are a table and nothing else
A_GROUP = 64  # sub-tokens that a group of texts costs in attention beside its own

_UNDER_WAY = threading.local()


@dataclass(frozen=True)
class Group:
    """Texts that attention looks at together.

    shape: texts, tokens. rows: (texts * tokens,) index into the sub-tokens of the batch, any at padding. here: the same
    as a slice where the texts have one length and lie behind one another. mask: (texts, 1, 1, tokens), False at
    padding; None where there is none. real: (sub-tokens,) index into the rows of those that are no padding; places:
    (sub-tokens,), what the rows are there.
    """

    shape: tuple[int, int]
    rows: Tensor
    here: slice | None = None
    mask: Tensor | None = None
    real: Tensor | None = None
    places: Tensor | None = None


def register() -> bool:
    """Make the attention known to transformers under NAME; False where this version has no place for it."""
    if not attention.register():
        return False
    import transformers

    transformers.AttentionInterface.register(NAME, attend)
    transformers.AttentionMaskInterface.register(NAME, attention.mask)
    return True


def groups(lengths: np.ndarray) -> list[Group]:
    """Texts of so many sub-tokens, behind one another, by their lengths."""
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths)
    found, start = [], 0
    for end in cuts(lengths[order], budget=None, each=A_GROUP):
        texts = np.sort(order[start:end])
        start = end
        size, longest = lengths[texts], int(lengths[texts].max())
        place = np.arange(longest)
        first = ends[texts] - size
        rows = first[:, None] + np.minimum(place, size[:, None] - 1)
        if (size == longest).all():
            behind = len(texts) == 1 or bool((np.diff(texts) == 1).all())
            here = slice(int(first[0]), int(first[0]) + rows.size) if behind else None
            found.append(Group(rows.shape, torch.from_numpy(rows.ravel()), here))
        else:
            seen = place < size[:, None]
            mask, real = torch.from_numpy(seen[:, None, None, :]), torch.from_numpy(seen.ravel().nonzero()[0])
            flat = torch.from_numpy(rows.ravel())
            found.append(Group(rows.shape, flat, mask=mask, real=real, places=flat[real]))
    return found


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """`attention.attention` within each text of the batch that `UnpaddedEncoder` is at.

    query, key, value: (1, heads, sub-tokens, size). Returns (1, sub-tokens, heads, size).
    """
    del attention_mask
    by_token = [x[0].transpose(0, 1) for x in (query, key, value)]
    result = by_token[0].new_zeros(by_token[0].shape)
    for group in _UNDER_WAY.groups:
        parts = [x[group.here] if group.here is not None else x.index_select(0, group.rows) for x in by_token]
        q, k, v = (x.unflatten(0, group.shape).transpose(1, 2) for x in parts)
        found = attention.attention(module, q, k, v, group.mask, **rest)[0].flatten(0, 1)
        if group.here is not None:
            result[group.here] = found
        elif group.real is None or group.places is None:
            result.index_copy_(0, group.rows, found)
        else:
            result.index_copy_(0, group.places, found.index_select(0, group.real))
    return result.unsqueeze(0), None


def fits(encoder: Encoder) -> bool:
    """Whether an encoder made ready by `packing.prepared` can do without padding: of KINDS, with our attention."""
    config: Any = encoder.model.config
    own = getattr(config, "_attn_implementation", None) == attention.NAME
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    return own and absolute and getattr(config, "model_type", None) in KINDS


class UnpaddedEncoder(Encoder):
    """An encoder of the same weights as `source`, one that `fits`, whose layers see no padding."""

    def __init__(self, source: Encoder) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(source.__dict__)
        self._modules = dict(source._modules)
        model: Any = source.model
        model.config._attn_implementation = NAME  # the copy that `prepared` made
        table = model.get_submodule("embeddings").position_embeddings
        # RoBERTa and its relatives count positions from behind the one that stands for padding.
        self.first_position = 0 if table.padding_idx is None else table.padding_idx + 1

    def tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Encoder.tokens`; zeros at padding."""
        flat, _ = self._behind_one_another(ids, mask)
        result = flat.new_zeros(*ids.shape, flat.shape[-1])
        result[mask.bool()] = flat
        return result

    def at(self, ids: Tensor, mask: Tensor, index: Tensor) -> Tensor:
        """See `Encoder.at`."""
        flat, first = self._behind_one_another(ids, mask)
        chosen = flat.index_select(0, (first[:, None] + index).flatten()).unflatten(0, index.shape)
        return chosen if self.projection is None else self.projection(chosen)

    def _behind_one_another(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the sub-tokens of all texts (sub-tokens, width), and where each text begins (texts,)."""
        if self.unknown is not None:
            ids = ids.masked_fill(ids >= self.rows, self.unknown)
        real, lengths = mask.bool(), mask.sum(1)
        count = int(lengths.sum())
        room = rounded(count) - count
        flat = nn.functional.pad(ids[real], (0, room))
        place = nn.functional.pad((mask.cumsum(1) - 1)[real], (0, room)) + self.first_position
        _UNDER_WAY.groups = groups(lengths.numpy())
        try:
            found: Tensor = self.model(input_ids=flat[None], position_ids=place[None]).last_hidden_state
        finally:
            _UNDER_WAY.groups = ()
        return found[0, :count], lengths.cumsum(0) - lengths
