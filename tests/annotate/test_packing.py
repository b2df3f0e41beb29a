from __future__ import annotations

import pytest
import torch

from kogner.annotate import packing
from kogner.annotate.disentangled import DisentangledAttention
from kogner.annotate.head import InferenceHead
from kogner.annotate.packing import PackedLinear, can_pack, prepared, rounded
from kogner.errors import KognerError
from kogner.student.spans import SpanHead

needs_onednn = pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")
DTYPES = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(not can_pack(torch.bfloat16), reason="oneDNN has no bfloat16 on this processor"),
    ),
]


@pytest.fixture(autouse=True)
def packed(monkeypatch):
    """Packed layers are tested on processors too where they do not pay."""
    monkeypatch.setattr(packing, "packing_pays", lambda: True)


def tiny(kind: str) -> torch.nn.Module:
    from transformers import AutoModel, BertConfig, DebertaV2Config, ModernBertConfig

    torch.manual_seed(0)
    small = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = {
        "bert": BertConfig(**small, intermediate_size=64),
        "bert-tanh": BertConfig(**small, intermediate_size=64, hidden_act="gelu_pytorch_tanh"),
        "bert-relu": BertConfig(**small, intermediate_size=64, hidden_act="relu"),
        "deberta": DebertaV2Config(
            **small, intermediate_size=64, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8
        ),
        "modernbert": ModernBertConfig(**small, intermediate_size=48, pad_token_id=0, reference_compile=False),
    }[kind]
    return AutoModel.from_config(config).eval()


@needs_onednn
@pytest.mark.parametrize("kind", ["bert", "bert-tanh", "bert-relu", "deberta", "modernbert"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_packed_encoder_gives_the_same_vectors(kind, dtype):
    model = tiny(kind)
    ids = torch.randint(1, 99, (3, 17))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        found = prepared(model, dtype=dtype)(input_ids=ids, attention_mask=mask).last_hidden_state
    assert found.dtype == dtype
    real = mask.bool()
    tolerance = 2e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.float()[real], expected[real], atol=tolerance, rtol=tolerance)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


SMALL = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 512, "pad_token_id": 0,
}  # fmt: skip
DECODER = {**SMALL, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
ENCODERS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "mpnet", "albert"), SMALL),
    "electra": {**SMALL, "embedding_size": 32},
    "distilbert": {"vocab_size": 60, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "modernbert": {**SMALL, "local_attention": 8, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1},
    "deberta": {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {
        **SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 16,
        "conv_kernel_size": 3, "conv_act": "gelu",
    },
    "qwen2": DECODER,  # which reads from left to right
}  # fmt: skip


@needs_onednn
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_kinds_of_encoders_give_the_vectors_of_transformers(kind, dtype, monkeypatch):
    from transformers import AutoConfig, AutoModel

    from kogner.annotate import attention

    monkeypatch.setattr(attention, "_LONG", 20)
    monkeypatch.setattr(attention, "onednn_outruns_mkl", lambda: True)
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **ENCODERS[kind])).eval()
    ids = torch.randint(4, 60, (3, 24))
    mask = (torch.arange(24) < torch.tensor([24, 21, 9])[:, None]).long()
    clone = prepared(model, dtype=dtype)
    for texts in (1, 3):  # without padding, and with it
        with torch.inference_mode():
            expected = model(input_ids=ids[:texts], attention_mask=mask[:texts]).last_hidden_state
            found = clone(input_ids=ids[:texts], attention_mask=mask[:texts]).last_hidden_state
        real = mask[:texts].bool()
        tolerance = 2e-5 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(found.float()[real], expected[real], atol=tolerance, rtol=tolerance)


def test_bfloat16_is_packed_only_where_onednn_takes_it(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False, raising=False)
    assert not can_pack(torch.bfloat16)
    model = tiny("bert")
    ids = torch.randint(1, 99, (2, 9))
    with torch.inference_mode():
        expected = model(input_ids=ids).last_hidden_state
        clone = prepared(model, dtype=torch.bfloat16, pack=can_pack(torch.bfloat16))
        found = clone(input_ids=ids).last_hidden_state
    assert not any(isinstance(module, PackedLinear) for module in clone.modules())
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)


@needs_onednn
def test_every_linear_layer_is_packed_and_the_rest_is_shared():
    model = tiny("bert")
    clone = prepared(model)
    assert not any(type(module) is torch.nn.Linear for module in clone.modules())
    assert clone.embeddings.word_embeddings.weight is model.embeddings.word_embeddings.weight


@needs_onednn
def test_where_packing_does_not_pay_layers_stay_and_attention_is_ours_all_the_same(monkeypatch):
    monkeypatch.setattr(packing, "packing_pays", lambda: False)
    model = tiny("deberta")
    clone = prepared(model)
    kinds = {type(module) for module in clone.modules()}
    assert PackedLinear not in kinds
    assert {torch.nn.Linear, DisentangledAttention} <= kinds
    ids = torch.randint(1, 99, (2, 9))
    with torch.inference_mode():
        expected, found = (some(input_ids=ids).last_hidden_state for some in (model, clone))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("pack", [False, pytest.param(True, marks=needs_onednn)])
@pytest.mark.parametrize("widths", [1, 5, 12])
def test_hits_are_the_spans_of_the_training_head_above_their_bounds(pack, widths):
    torch.manual_seed(1)
    head = SpanHead(hidden=16, max_width=widths, dropout=0.3).eval()
    lengths = [7, 1, 3, 9]
    words = torch.randn(4, 9, 16)
    mask = torch.arange(9)[None] < torch.tensor(lengths)[:, None]
    types = torch.randn(3, 16)
    at_least = torch.tensor([0.0, 0.2, -0.3])
    with torch.inference_mode():
        scores = head(words, mask, types)
        expected = ((scores.logits >= at_least) & scores.valid.unsqueeze(-1)).nonzero()
        sentence = torch.arange(4).repeat_interleave(torch.tensor(lengths))
        index, logits = InferenceHead(head, pack=pack).hits(words[mask], sentence, types, at_least)
    begin = torch.tensor([0, 7, 8, 11])
    found = torch.stack(
        [sentence[index[:, 0]], index[:, 0] - begin[sentence[index[:, 0]]], index[:, 1], index[:, 2]], dim=1
    )
    assert len(expected) > 20
    assert torch.equal(found, expected)
    torch.testing.assert_close(logits, scores.logits[tuple(expected.T)], atol=1e-5, rtol=1e-5)


def test_hits_do_not_depend_on_the_piece_size(monkeypatch):
    torch.manual_seed(2)
    head = SpanHead(hidden=16, max_width=6, dropout=0.0).eval()
    words, sentence = torch.randn(80, 16), torch.arange(8).repeat_interleave(10)
    types, at_least = torch.randn(2, 16), torch.zeros(2)
    with torch.inference_mode():
        whole = InferenceHead(head, pack=can_pack()).hits(words, sentence, types, at_least)
        monkeypatch.setattr("kogner.annotate.head._PIECE", 1)
        pieces = InferenceHead(head, pack=can_pack()).hits(words, sentence, types, at_least)
    assert torch.equal(whole[0], pieces[0])
    torch.testing.assert_close(whole[1], pieces[1], atol=1e-5, rtol=1e-5)


def test_no_span_reaches_an_endless_bound():
    head = SpanHead(hidden=16, max_width=4, dropout=0.0).eval()
    with torch.inference_mode():
        index, logits = InferenceHead(head, pack=can_pack()).hits(
            torch.randn(5, 16), torch.zeros(5, dtype=torch.long), torch.randn(2, 16), torch.full((2,), torch.inf)
        )
    assert index.shape == (0, 3)
    assert logits.shape == (0,)


def test_sentences_may_have_types_of_their_own():
    torch.manual_seed(3)
    head = SpanHead(hidden=16, max_width=3, dropout=0.0).eval()
    lengths = torch.tensor([4, 2, 5])
    words, sentence = torch.randn(11, 16), torch.arange(3).repeat_interleave(lengths)
    types, at_least = torch.randn(3, 2, 16), torch.zeros(2)
    ready = InferenceHead(head, pack=can_pack())
    with torch.inference_mode():
        index, logits = ready.hits(words, sentence, types, at_least)
        alone = [
            ready.hits(words[sentence == i], sentence[sentence == i], types[i], at_least) for i in range(len(lengths))
        ]
    assert len(index) > 10
    torch.testing.assert_close(logits, torch.cat([values for _, values in alone]), atol=1e-5, rtol=1e-5)
    begin = torch.tensor([0, 4, 6])
    expected = torch.cat([own[:, 0] + at for (own, _), at in zip(alone, begin, strict=True)])
    assert torch.equal(index[:, 0], expected)


def test_rows_are_rounded_to_few_numbers():
    numbers = range(1, 10_000)
    assert all(rows <= rounded(rows) <= max(rows + 15, rows * 1.032) for rows in numbers)
    assert len({rounded(rows) for rows in numbers}) < 250
    assert rounded(0) == 0


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1030])
def test_hits_of_any_number_of_words(count):
    """Rows that were added to fill the matrices are seen nowhere."""
    torch.manual_seed(4)
    head = SpanHead(hidden=16, max_width=3, dropout=0.0).eval()
    words, sentence, types = torch.randn(count, 16), torch.arange(count) // 40, torch.randn(2, 16)
    with torch.inference_mode():
        index, logits = InferenceHead(head, pack=can_pack()).hits(words, sentence, types, torch.full((2,), -1e9))
        for number in range(0, count, 40):
            own = head(
                words[None, number : number + 40], torch.ones(1, min(40, count - number), dtype=torch.bool), types
            )
            inside = sentence[index[:, 0]] == number // 40
            first, width, kind = index[inside].unbind(1)
            torch.testing.assert_close(logits[inside], own.logits[0, first - number, width, kind], atol=1e-5, rtol=1e-5)
            assert inside.sum() == 2 * own.valid.sum()


@pytest.mark.parametrize("broken", ["words", "types"])
def test_vectors_that_are_not_finite_are_an_error_and_not_an_empty_result(broken):
    head = InferenceHead(SpanHead(hidden=16, max_width=3, dropout=0.0).eval(), pack=can_pack())
    given = {"words": torch.randn(5, 16), "types": torch.randn(2, 16)}
    given[broken][1, 3] = torch.inf
    with pytest.raises(KognerError, match="not finite"), torch.inference_mode():
        head.hits(given["words"], torch.zeros(5, dtype=torch.long), given["types"], torch.zeros(2))
