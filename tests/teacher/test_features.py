"""Z against a plain forward pass, one text at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kogner import encoders
from kogner.config import FeaturesConfig
from kogner.errors import KognerError
from kogner.teacher import features
from kogner.teacher.features import Pooler, features_key, text_features

TEXTS = [
    ("red acid", "the salt of a long cell in the type of tissue"),
    ("fever", ""),
    ("x" * 90, ""),
    ("gene 12", "short"),
    ("fever", ""),
    ("pain in the red tissue", ""),
    ("blue receptor 7", "a gene in the tumour " * 9),
]


@pytest.fixture
def pooler(tiny_encoder) -> Pooler:
    config = FeaturesConfig(encoder=str(tiny_encoder), max_length=16, token_budget=24, precision="fp32")
    return Pooler.load(config, "cpu")


def plain(encoder, texts) -> np.ndarray:
    tokenizer, model = encoders.load(str(encoder))
    rows = []
    for name, description in texts:
        text = f"{name}: {description}" if description else name
        inputs = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            mean = model(**inputs).last_hidden_state[0].mean(0)
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("threads", [1, 2])
def test_equals_a_plain_forward_pass(pooler, tiny_encoder, tmp_path, threads):
    torch.set_num_threads(threads)
    found = text_features(TEXTS, pooler, folder=tmp_path)
    assert torch.get_num_threads() == threads
    assert found.dtype == np.float16
    # float16 has 11 bits: 5e-4 relative.
    np.testing.assert_allclose(found.astype(np.float32), plain(tiny_encoder, TEXTS), atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)


def test_bf16_stays_close(tiny_encoder, tmp_path):
    config = FeaturesConfig(encoder=str(tiny_encoder), max_length=16, precision="bf16")
    found = text_features(TEXTS, Pooler.load(config, "cpu"), folder=tmp_path).astype(np.float32)
    cosine = (found * plain(tiny_encoder, TEXTS)).sum(1)
    assert cosine.min() > 0.99


def test_goes_on_from_finished_shards(pooler, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD_TEXTS", 2)
    whole = np.array(text_features(TEXTS, pooler, folder=_folder(tmp_path / "whole")))
    calls = []

    def failing(self, texts, encode=Pooler.encode):
        calls.append(list(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, texts)

    folder = _folder(tmp_path / "cut")
    monkeypatch.setattr(Pooler, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        text_features(TEXTS, pooler, folder=folder)
    assert len(list(folder.glob("shard-*.npy"))) == 2
    resumed = text_features(TEXTS, pooler, folder=folder)
    assert np.array_equal(resumed, whole)
    assert sorted(text for call in calls[3:] + calls[:2] for text in call) == sorted(
        {features.entity_text(*pair) for pair in TEXTS}
    )
    assert not list(folder.glob("shard-*.npy"))
    text_features(TEXTS, pooler, folder=folder)
    assert len(calls) == 4  # nothing is encoded again


def test_the_key_changes_with_texts_weights_and_settings(pooler):
    key = features_key(TEXTS, pooler)
    assert key == features_key(list(TEXTS), replace(pooler, config=replace(pooler.config, token_budget=99)))
    assert key != features_key(TEXTS[::-1], pooler)
    assert key != features_key(TEXTS, replace(pooler, config=replace(pooler.config, max_length=15)))
    with torch.no_grad():
        next(pooler.model.parameters())[0, 0] += 1
    assert key != features_key(TEXTS, pooler)


def test_numbers_that_are_not_finite_are_an_error(pooler):
    with torch.no_grad():
        next(pooler.model.parameters()).fill_(float("nan"))
    with pytest.raises(KognerError, match=r"teacher\.features\.precision=fp32"):
        pooler.encode(["fever"])


def _folder(path):
    path.mkdir()
    return path
