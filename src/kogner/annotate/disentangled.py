"""DeBERTa's disentangled attention (He et al. 2021, DeBERTa, section 3) for inference on a processor.

The score of query i and key j is `q_i k_j + q_i P_k[r(i - j)] + k_j P_q[r(i - j)]`, where r puts a distance into a
bucket. transformers multiplies every query and key with all 512 buckets, copies the buckets for every text, and gathers
what it needs. A text of n tokens knows 2n - 1 distances: we multiply with these alone, once per head for all texts of a
block, and read the scores from that product through a view whose rows are shifted by one each, without a gather.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kogner.annotate.attention import hide, softmax
from kogner.hardware import onednn_outruns_mkl

_BLOCK = 4 << 20  # bytes of scores and of products with distances that are made at a time


def fits(module: nn.Module) -> bool:
    """Whether a module is the attention that this file replaces: DeBERTa-v2's and -v3's, with relative positions."""
    named = type(module).__name__ == "DisentangledSelfAttention" and hasattr(module, "query_proj")
    return named and hasattr(module, "pos_ebd_size")


class DisentangledAttention(nn.Module):
    """Takes the place of transformers' `DisentangledSelfAttention`. source: one whose linear layers are ready."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source = source
        self.heads: int = source.num_attention_heads
        self.kinds = [kind for kind in ("c2p", "p2c") if kind in source.pos_att_type]
        self.buckets: dict[str, Tensor] | None = None

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Vectors (batch, tokens, hidden), and None where transformers may return the weights.

        hidden_states: (batch, tokens, hidden). attention_mask: (batch, 1, tokens, tokens), 0 at padding.
        relative_pos: (1, tokens, tokens) bucket of each distance. rel_embeddings: (buckets, hidden), the same in every
        call. query_states, output_attentions: as transformers calls it for inference, None and False.
        """
        assert relative_pos is not None
        assert rel_embeddings is not None
        source, tokens = self.source, hidden_states.shape[1]
        if self.buckets is None:
            self.buckets = self._buckets(rel_embeddings)
        queries = hidden_states if query_states is None else query_states
        query = self._by_head(source.query_proj(queries)) / self._scale()
        key, value = self._by_head(source.key_proj(hidden_states)), self._by_head(source.value_proj(hidden_states))
        by_shift = self._by_shift(relative_pos.reshape(-1, tokens, tokens)[0])
        seen = attention_mask[:, :, :1].bool()  # the first token is never padding
        padded = not bool(seen.all())

        batch = hidden_states.shape[0]
        result = hidden_states.new_empty(batch, tokens, self.heads, value.shape[-1])
        room = max(1, _BLOCK // (tokens * (tokens + 2 * (2 * tokens - 1)) * hidden_states.element_size()))
        texts, heads = max(1, room // self.heads), min(self.heads, room)
        for text in range(0, batch, texts):
            here = slice(text, text + texts)
            for head in range(0, self.heads, heads):
                part = slice(head, head + heads)
                scores = self._scores(query[part, here], key[part, here], {k: v[part] for k, v in by_shift.items()})
                if padded:
                    hide(scores.transpose(0, 1), seen[here])
                weights = softmax(scores).flatten(0, 1)
                found = torch.bmm(weights, value[part, here].flatten(0, 1)).unflatten(0, scores.shape[:2])
                result[here, :, part] = found.permute(1, 2, 0, 3)
        return result.flatten(2), None

    def _scores(self, query: Tensor, key: Tensor, by_shift: dict[str, Tensor]) -> Tensor:
        """Scores (heads, texts, tokens, tokens) of queries and keys (heads, texts, tokens, size)."""
        shape, tokens = query.shape[:2], query.shape[2]
        scores = _products(query.flatten(0, 1), key.flatten(0, 1))
        for kind, positions in by_shift.items():
            rows = (query if kind == "c2p" else key).flatten(1, 2)
            product = _products(rows, positions)  # (heads, texts * tokens, shifts)
            shifts = product.shape[-1]
            # Row t at column s holds the shift s - (tokens - 1) from t: element (t, u) lies at s = u - t + tokens - 1.
            strides = (tokens * shifts, shifts - 1, 1)
            view = product.as_strided((len(scores), tokens, tokens), strides, tokens - 1)
            # A transposed copy and an addition: adding a transposed bfloat16 view takes four times as long.
            scores += view if kind == "c2p" else view.transpose(1, 2).contiguous()
        return scores.unflatten(0, shape)

    def _by_shift(self, bucket: Tensor) -> dict[str, Tensor]:
        """Position vectors (heads, 2 * tokens - 1, size) by the shift from a row's own token. bucket: [i, j] of i - j.

        In c2p a row is a query i, shifted to the key j: the distance is minus the shift. In p2c it is the shift.
        """
        assert self.buckets is not None
        falling = torch.cat([bucket[:, 0].flip(0), bucket[0, 1:]]).long()
        at = (falling + self.source.pos_ebd_size).clamp(0, self.source.pos_ebd_size * 2 - 1)
        order = {"c2p": at, "p2c": at.flip(0)}
        return {kind: vectors.index_select(1, order[kind]) for kind, vectors in self.buckets.items()}

    def _buckets(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Position vectors (heads, buckets, size) of each kind; those that keys are multiplied with, scaled."""
        source = self.source
        embeddings = embeddings[: source.pos_ebd_size * 2][None]
        found = {}
        for kind, own, shared in (("c2p", "pos_key_proj", "key_proj"), ("p2c", "pos_query_proj", "query_proj")):
            if kind in self.kinds:
                project = getattr(source, shared if source.share_att_key else own)
                found[kind] = self._by_head(project(embeddings))[:, 0]
        if "p2c" in found:
            found["p2c"] = found["p2c"] / self._scale()
        return found

    def _scale(self) -> float:
        size: int = self.source.attention_head_size
        return float((size * (1 + len(self.kinds))) ** 0.5)

    def _by_head(self, x: Tensor) -> Tensor:
        """(batch, tokens, heads * size) as (heads, batch, tokens, size), contiguous."""
        return x.unflatten(-1, (self.heads, -1)).permute(2, 0, 1, 3).contiguous()


def _products(left: Tensor, right: Tensor) -> Tensor:
    """left right^T of (batch, rows, size) and (batch, columns, size)."""
    if len(left) == 1 and left.dtype == torch.float32 and left.device.type == "cpu" and onednn_outruns_mkl():
        return torch.ops.mkldnn._linear_pointwise(left[0], right[0], None, "none", [], "")[None]
    return torch.bmm(left, right.transpose(1, 2))
