from __future__ import annotations

import pytest
import torch

from kogner.annotate import disentangled
from kogner.annotate.packing import can_pack, prepared

pytestmark = pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")


@pytest.mark.parametrize("kinds", [["p2c", "c2p"], ["c2p"], ["p2c"], []], ids=str)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("buckets", [6, -1])  # -1: every distance by itself
@pytest.mark.parametrize("block", [1, 20_000, 1 << 22])  # a head, some heads of a text, several texts
def test_vectors_are_those_of_transformers(kinds, shared, buckets, block, monkeypatch):
    from transformers import DebertaV2Config, DebertaV2Model

    monkeypatch.setattr(disentangled, "_BLOCK", block)
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        relative_attention=True, pos_att_type=kinds, share_att_key=shared, position_buckets=buckets,
        norm_rel_ebd="layer_norm", max_position_embeddings=24, initializer_range=0.3,
    )  # fmt: skip
    model = DebertaV2Model(config).eval()
    ids = torch.randint(1, 50, (5, 19))
    mask = (torch.arange(19) < torch.tensor([19, 18, 18, 7, 2])[:, None]).long()
    clone = prepared(model)
    found_modules = [m for m in clone.modules() if isinstance(m, disentangled.DisentangledAttention)]
    assert len(found_modules) == 2
    with torch.inference_mode():
        for rows in (slice(0, 5), slice(0, 1)):  # padded, and not
            expected = model(input_ids=ids[rows], attention_mask=mask[rows]).last_hidden_state
            found = clone(input_ids=ids[rows], attention_mask=mask[rows]).last_hidden_state
            real = mask[rows].bool()
            torch.testing.assert_close(found[real], expected[real], atol=2e-5, rtol=2e-5)


def test_a_deberta_without_relative_positions_stays_as_it_is():
    from transformers import DebertaV2Config, DebertaV2Model

    config = DebertaV2Config(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48
    )
    clone = prepared(DebertaV2Model(config).eval())
    assert not any(isinstance(module, disentangled.DisentangledAttention) for module in clone.modules())
