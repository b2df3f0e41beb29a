"""Names of encoders: the alias, folders, hub ids, and what is refused."""

import importlib.util
import json
import struct
from pathlib import Path

import pytest

from kogner import encoders
from kogner.errors import InputError, KognerError


def save_bert(folder: Path, *, safe: bool = True) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
    )  # fmt: skip
    model = BertModel(config)
    model.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_minilm_is_the_installed_folder_or_the_hub_id(monkeypatch):
    if importlib.util.find_spec(encoders.MINILM_PACKAGE):
        assert (Path(encoders.resolve("minilm")) / "model.safetensors").is_file()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert encoders.resolve("minilm") == "sentence-transformers/all-MiniLM-L6-v2"


def test_folders_and_hub_ids_stay_as_they_are(tmp_path):
    folder = save_bert(tmp_path / "bert")
    assert encoders.resolve(str(folder)) == str(folder)
    assert encoders.resolve("microsoft/deberta-v3-large") == "microsoft/deberta-v3-large"


@pytest.mark.parametrize("name", ["./absent", "/absent/folder", "two words", "", "a/b/c"])
def test_what_is_neither_is_refused(name):
    with pytest.raises(InputError):
        encoders.resolve("." if name == "" else name)


def test_loads_without_pooler_in_float32(tmp_path):
    import torch

    tokenizer, model = encoders.load(str(save_bert(tmp_path / "bert")))
    assert model.dtype == torch.float32
    assert not model.training
    assert model.pooler is None
    assert tokenizer("a b")["input_ids"] == [2, 5, 6, 3]


def test_pickled_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="safetensors"):
        encoders.load(str(save_bert(tmp_path / "bert", safe=False)))


def test_missing_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_bert(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of the encoder's weights"):
        encoders.load(str(folder))


def test_damaged_weights_are_an_error_of_the_user(tmp_path):
    folder = save_bert(tmp_path / "bert")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(KognerError, match="bert"):
        encoders.load(str(folder))


def test_an_unreachable_hub_is_explained(monkeypatch):
    from transformers import AutoTokenizer

    def offline(*_, **__):
        raise OSError("We couldn't connect to the hub.\nmore")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", offline)
    with pytest.raises(KognerError, match=r"some/model.*could not be loaded.*couldn't connect"):
        encoders.load("some/model")


def varint(number):
    more = number >> 7
    return bytes([number & 127 | (128 if more else 0)]) + (varint(more) if more else b"")


def block(number, data):
    """A field of bytes in a message of protocol buffers."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def save_spm_deberta(folder):
    """As DeBERTa-v3 lies on the hub: a SentencePiece model and no tokenizer.json."""
    from transformers import DebertaV2Config, DebertaV2Model

    special = [("[PAD]", 3), ("[CLS]", 3), ("[SEP]", 3), ("[UNK]", 2)]  # kinds: 3 control, 2 unknown, 1 normal
    pieces = [*special, *((piece, 1) for piece in ("\u2581aspirin", "\u2581fever", "\u2581", "a", "b"))]
    model = b""
    for rank, (piece, kind) in enumerate(pieces):
        score = struct.pack("<f", 0.0 if kind > 1 else -1.0 - rank)
        model += block(1, block(1, piece.encode()) + varint(2 << 3 | 5) + score + varint(3 << 3) + varint(kind))
    numbers = {3: 1, 40: 3, 41: 1, 42: 2, 43: 0}  # of the trainer: unigram; ids of unknown, begin, end, padding
    model += block(2, b"".join(varint(at << 3) + varint(value) for at, value in numbers.items()))
    config = DebertaV2Config(
        vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        relative_attention=True, position_buckets=8, position_biased_input=False, pos_att_type=["p2c", "c2p"],
    )  # fmt: skip
    DebertaV2Model(config).save_pretrained(folder)
    (folder / "spm.model").write_bytes(model)
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    return folder


@pytest.mark.skipif(
    not all(map(encoders._is_installed, encoders._SENTENCEPIECE)), reason="needs sentencepiece and protobuf"
)
def test_a_sentencepiece_model_without_a_tokenizer_file(tmp_path):
    tokenizer, _ = encoders.load(str(save_spm_deberta(tmp_path)))
    ids = tokenizer("aspirin fever ba zz")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[:6] == ["[CLS]", "\u2581aspirin", "\u2581fever", "\u2581", "b", "a"]
    assert ids[-2:] == [tokenizer.unk_token_id, tokenizer.sep_token_id] == [3, 2]


def test_the_package_that_a_sentencepiece_model_needs_is_named(tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    def fails(*_, **__):
        raise ValueError("`tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`.")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fails)
    monkeypatch.setattr(encoders, "_is_installed", lambda module: module != "google.protobuf")
    with pytest.raises(KognerError, match=r"SentencePiece model, and protobuf is not .*pip install protobuf$"):
        encoders.tokenizer_at(tmp_path)


@pytest.mark.parametrize("field", ["_attn_implementation", "attn_implementation"])
@pytest.mark.parametrize("name", ["kernels-community/any", "someone/kernel:function", "flash_attention_2"])
def test_a_configuration_cannot_name_code_to_load(tmp_path, field, name):
    folder = save_bert(tmp_path / "bert")
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {field: name}))
    config = encoders.config_at(folder)
    assert config._attn_implementation is None
    assert encoders.load(str(folder))[1].config._attn_implementation in ("eager", "sdpa")
    assert encoders.skeleton(config).config._attn_implementation in ("eager", "sdpa")


def test_parts_of_a_composed_configuration_cannot_either():
    from transformers import BertConfig, ClapConfig

    config = ClapConfig()
    config.text_config._attn_implementation = "owner/kernel"
    config.more = BertConfig(attn_implementation="owner/kernel")
    tamed = encoders.harmless(config)
    assert tamed.text_config._attn_implementation is None
    assert tamed.more._attn_implementation is None
    assert encoders.harmless(BertConfig(attn_implementation="eager"))._attn_implementation == "eager"


@pytest.mark.parametrize("kind", ["roberta", "plain"])
def test_words_by_themselves_are_what_they_are_inside_a_text(tmp_path, kind):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel, RobertaTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters, "\u0120p", "\u0120pa", "\u0120f"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [("\u0120", "p"), ("\u0120p", "a"), ("\u0120", "f")]
    if kind == "roberta":
        tokenizer = RobertaTokenizer(vocab=vocabulary, merges=merges)
    else:
        backend = Tokenizer(models.BPE(vocabulary, merges))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
    tokenizer.save_pretrained(tmp_path / "e")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    RobertaModel(RobertaConfig(vocab_size=len(pieces), **sizes)).save_pretrained(tmp_path / "e")

    def split(tokenizer):
        ids = tokenizer(["pain", "fe"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
        return tokenizer.convert_ids_to_tokens(ids)

    words = ["\u0120pa", "i", "n", "\u0120f", "e"]
    tokenizer, _ = encoders.load(str(tmp_path / "e"), single_words=True)
    assert split(tokenizer) == words
    tokenizer.save_pretrained(tmp_path / "again")
    assert split(encoders.tokenizer_at(tmp_path / "again")) == words  # of a student on disk, without asking for it
    assert encoders.load(str(tmp_path / "e"))[0].convert_ids_to_tokens([vocabulary["p"]]) == ["p"]
    assert encoders.load(str(tmp_path / "e"))[0].tokenize("pain")[0] == "p"
