"""Attention on a processor in blocks of scores that its caches hold.

`scaled_dot_product_attention` of torch's CPU builds tiles queries and keys so finely that its matmuls run at a fraction
of what the processor does with larger ones. Here one matmul makes the scores of as many heads as fit into a block,
softmax works on them, and a second matmul follows: the same sums in another order. In bfloat16 scores are rounded
before the softmax. In float32 only long texts gain, one head at a time through oneDNN, and only where oneDNN is much
faster than the default library. `benchmarks/attention.py` measures both.

transformers looks attention up by name (its `AttentionInterface`), so the models themselves stay as they are. It is
used for kinds of encoders that tests compare with transformers, and where texts are padded behind their end, as
`kogner.student.encoder.collate` does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from kogner.hardware import onednn_outruns_mkl

NAME = "kogner_blocks"

_BLOCK = 2 << 20  # bytes of scores made at a time
_LONG = 384  # tokens from which float32 gains
_KEPT = 4 << 20  # most bytes of a block that is kept; the weights of _BLOCK have twice its bytes
_SPACE = threading.local()


KINDS = ("bert", "camembert", "electra", "modernbert", "roberta", "xlm-roberta")  # model types it is used for
_SINCE = (5, 5)  # transformers; before, some of them looked attention up elsewhere


def register() -> bool:
    """Make the attention known to transformers under NAME; False where this version has no place for it."""
    import transformers

    if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < _SINCE:
        return False
    transformers.AttentionInterface.register(NAME, attention)
    transformers.AttentionMaskInterface.register(NAME, mask)
    return True


def fits(config: Any) -> bool:
    """Whether a model of this configuration can have it: an encoder of one of KINDS that calls torch's attention."""
    own = getattr(config, "_attn_implementation", None) == "sdpa" and not getattr(config, "is_decoder", False)
    return own and getattr(config, "model_type", None) in KINDS


def pays(dtype: torch.dtype) -> bool:
    """Whether blocks are faster here. Where a processor multiplies tiles (AMX), torch's own attention uses them."""
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return dtype in (torch.float32, torch.bfloat16) and not (tiles and tiles())


def mask(*, mask_function: Any, attention_mask: Tensor | None = None, **rest: Any) -> Tensor | None:
    """The mask that `attention` gets, called by transformers once per batch.

    attention_mask: (batch, tokens), True and then False at padding. Returns None where there is none, a mask
    (batch, 1, 1, tokens) where every token sees all of its text, else what transformers makes for torch's attention.
    """
    from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

    if mask_function is not bidirectional_mask_function:
        return sdpa_mask(mask_function=mask_function, attention_mask=attention_mask, **rest)
    if attention_mask is None or bool(attention_mask.all()):
        return None
    return attention_mask[:, None, None, :].bool()


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """softmax(scaling * query key^T) value, for inference.

    query, key, value: (batch, heads, tokens, size). attention_mask: boolean and broadcast to (batch, heads, tokens,
    tokens), False where a key is not seen; or None. Returns (batch, tokens, heads, size).
    """
    del rest
    batch, heads, tokens, size = query.shape
    scaling = size**-0.5 if scaling is None else scaling
    shares = key.shape != query.shape  # several queries have one key
    plain = attention_mask is None or attention_mask.shape[2] == 1
    if query.dtype == torch.float32 and tokens >= _LONG and plain and not shares and onednn_outruns_mkl():
        return _one_by_one(query, key, value, attention_mask, scaling), None
    if query.dtype == torch.float32 or shares:
        more = {"enable_gqa": True} if shares else {}  # torch 2.4 does not know it
        found = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling, **more
        )
        return found.transpose(1, 2), None
    query = query * scaling
    result = query.new_empty(batch, tokens, heads, size)
    room = max(1, _BLOCK // (tokens * tokens * query.element_size()))  # (text, head) pairs in a block
    texts, per_text = max(1, room // heads), min(heads, room)
    for text in range(0, batch, texts):
        here = slice(text, text + texts)
        for head in range(0, heads, per_text):
            part = (here, slice(head, head + per_text))
            q, k, v = (x[part].flatten(0, 1) for x in (query, key, value))
            space = _kept("scores", (len(q), tokens, tokens), query.dtype)
            scores = torch.bmm(q, k.transpose(1, 2), out=space)
            if attention_mask is not None:
                hide(scores.unflatten(0, query[part].shape[:2]), attention_mask[here])
            found = torch.bmm(softmax(scores), v)
            result[here, :, part[1]] = found.unflatten(0, query[part].shape[:2]).transpose(1, 2)
    return result, None


def _one_by_one(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """What `attention` returns, each head of each text by itself. mask: (batch, 1, 1, tokens), True and then False."""
    batch, heads, tokens, _ = query.shape
    linear = torch.ops.mkldnn._linear_pointwise
    lengths = [tokens] * batch if mask is None else mask.sum(-1).flatten().tolist()
    query, key = (query * scaling).contiguous(), key.contiguous()
    found = []
    for text, length in enumerate(lengths):
        turned = value[text, :, :length].transpose(1, 2).contiguous()
        for head in range(heads):
            scores = linear(query[text, head], key[text, head, :length], None, "none", [], "")
            found.append(linear(torch.softmax(scores, dim=-1), turned[head], None, "none", [], ""))
    return torch.stack(found).unflatten(0, (batch, heads)).transpose(1, 2)


def softmax(scores: Tensor) -> Tensor:
    """Weights of the last dimension, computed in float32, of the scores' dtype; they may lie where the scores lay, and
    last until the next call.

    Neither in place nor of bfloat16: torch's kernels for those take 2 to 6 times as long at most lengths.
    """
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32, out=_kept("weights", scores.shape, torch.float32))
    return weights if scores.dtype == torch.float32 else scores.copy_(weights)


def _kept(name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor | None:
    """Memory of this thread that is used again and again; None where a block is too large, or gradients are asked for.

    Where the C library hands freed memory back to the kernel, making a block anew can take longer than filling it.
    """
    size = prod(shape)
    if not torch.is_inference_mode_enabled() or size * dtype.itemsize > _KEPT:
        return None
    held: dict[str, Tensor] | None = getattr(_SPACE, "held", None)
    if held is None:
        held = _SPACE.held = {}
    if name not in held or held[name].dtype != dtype:
        held[name] = torch.empty(_KEPT // dtype.itemsize, dtype=dtype)
    return held[name][:size].view(*shape)


def hide(scores: Tensor, seen: Tensor) -> None:
    """Give the lowest score to keys that are not seen.

    scores: (texts, heads, tokens, tokens), changed in place. seen: boolean, broadcast to it.
    """
    lowest = torch.finfo(scores.dtype).min
    if seen.shape[2] > 1:
        scores.masked_fill_(~seen, lowest)
        return
    # Only the columns in which some text is padded: a few, since texts of a batch are of about the same length.
    hidden = ~seen
    columns = hidden.flatten(0, 2).any(0).nonzero()
    if len(columns):
        first = int(columns[0])
        scores[..., first:].masked_fill_(hidden[..., first:], lowest)
