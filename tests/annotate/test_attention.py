from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from kogner.annotate import attention
from kogner.annotate.packing import can_pack

pytestmark = pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("block", [64, 3000, 1 << 21])  # less than a head, some heads of a text, several texts
@pytest.mark.parametrize("seen", ["all", "padded", "banded"])
@pytest.mark.parametrize("long", [1, 20])
def test_blocks_give_what_torchs_attention_gives(dtype, block, seen, long, monkeypatch):
    monkeypatch.setattr(attention, "_BLOCK", block)
    monkeypatch.setattr(attention, "_LONG", long)
    monkeypatch.setattr(attention, "onednn_outruns_mkl", lambda: True)
    torch.manual_seed(0)
    query, key, value = (torch.randn(5, 19, 6, 8, dtype=dtype).transpose(1, 2) for _ in range(3))
    mask = None
    if seen == "padded":
        mask = (torch.arange(19) < torch.tensor([19, 18, 18, 11, 3])[:, None])[:, None, None, :]
    elif seen == "banded":
        mask = ((torch.arange(19)[:, None] - torch.arange(19)).abs() < 4).expand(5, 1, 19, 19)
    found, _ = attention.attention(torch.nn.Identity(), query, key, value, mask, scaling=0.3)
    expected = scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask, scale=0.3)
    assert found.shape == (5, 19, 6, 8)
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(found.float(), expected.transpose(1, 2), atol=tolerance, rtol=tolerance)


def test_shared_keys_go_to_torch():
    torch.manual_seed(0)
    query = torch.randn(2, 4, 7, 8)
    key, value = torch.randn(2, 2, 2, 7, 8)
    found, _ = attention.attention(torch.nn.Identity(), query, key, value, None)
    assert torch.equal(found, scaled_dot_product_attention(query, key, value, enable_gqa=True).transpose(1, 2))


def test_a_mask_is_made_only_where_something_is_hidden():
    from transformers.masking_utils import bidirectional_mask_function as everything

    whole = torch.ones(2, 5, dtype=torch.bool)
    assert attention.mask(mask_function=everything, attention_mask=whole) is None
    assert attention.mask(mask_function=everything) is None
    whole[1, 3:] = False
    found = attention.mask(mask_function=everything, attention_mask=whole)
    assert found is not None
    assert torch.equal(found[:, 0, 0], whole)
