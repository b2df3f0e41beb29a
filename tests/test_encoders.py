"""Names of encoders: the alias, folders, hub ids, and what is refused."""

import importlib.util
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
