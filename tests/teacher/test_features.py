"""Z against a plain forward pass, one text at a time."""

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from kogner import encoders
from kogner.config import FeaturesConfig
from kogner.errors import KognerError
from kogner.teacher import features
from kogner.teacher.features import Pooler, features_key, text_features
from kogner.teacher.reading import ReadingOrder, entity_text

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
    found = text_features(TEXTS, pooler, folder=tmp_path).vectors
    assert torch.get_num_threads() == threads
    assert found.dtype == np.float16
    # float16 has 11 bits: 5e-4 relative.
    np.testing.assert_allclose(found.astype(np.float32), plain(tiny_encoder, TEXTS), atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)


def test_bf16_stays_close(tiny_encoder, tmp_path):
    config = FeaturesConfig(encoder=str(tiny_encoder), max_length=16, precision="bf16")
    found = text_features(TEXTS, Pooler.load(config, "cpu"), folder=tmp_path).vectors.astype(np.float32)
    cosine = (found * plain(tiny_encoder, TEXTS)).sum(1)
    assert cosine.min() > 0.99


def test_goes_on_from_finished_shards(pooler, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD_TEXTS", 2)
    whole = np.array(text_features(TEXTS, pooler, folder=_folder(tmp_path / "whole")).vectors)
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
    assert not (folder / features.VECTORS).exists()
    resumed = text_features(TEXTS, pooler, folder=folder)
    assert np.array_equal(resumed.vectors, whole)
    assert resumed.distinct == 6
    assert sorted(text for call in calls[3:] + calls[:2] for text in call) == sorted(
        {entity_text(*pair) for pair in TEXTS}
    )
    assert sorted(file.name for file in folder.iterdir()) == ["Z.npy", "distinct.txt", "seconds.txt"]
    text_features(TEXTS, pooler, folder=folder)
    assert len(calls) == 4  # nothing is encoded again


def test_the_reading_order_is_that_of_a_sorted_list_of_the_distinct_texts():
    rng = np.random.default_rng(0)
    texts = [("n" * rng.integers(0, 4) + str(rng.integers(0, 30)), "d" * rng.integers(0, 2)) for _ in range(500)]
    number: dict[str, list[int]] = {}
    for row, pair in enumerate(texts):
        number.setdefault(entity_text(*pair), []).append(row)
    expected = sorted(number, key=lambda text: -len(text))
    order = ReadingOrder.of(texts)
    assert order.distinct == len(expected)
    assert [entity_text(*texts[row]) for row in order.first_rows(0, order.distinct)] == expected
    assert order.first_rows(0, order.distinct) == [number[text][0] for text in expected]
    rows, places = order.rows(3, 9)
    pairs = [(row, place) for place, text in enumerate(expected[3:9]) for row in number[text]]
    assert list(zip(rows.tolist(), places.tolist(), strict=True)) == pairs


_KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from kogner.teacher import features
from kogner.teacher.work import RowsOnDisk

class Dying(RowsOnDisk):
    def write(self, rows, vectors, numbers, *, done):
        if done == int(sys.argv[2]):  # some rows are there when the process dies
            super().write(rows[::2], vectors, numbers[::2], done=done - 16)
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(rows, vectors, numbers, done=done)

features.SHARD_TEXTS, features.RowsOnDisk = 16, Dying
lengths = lambda texts: np.array([[len(text), sum(map(ord, text))] for text in texts], np.float16)
texts = [("fever " * (n % 7) + str(n % 60), "") for n in range(100)]
features.text_features(texts, SimpleNamespace(width=2, encode=lengths), folder=Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    for name, kills in (("whole", [0]), ("cut", [32, 48, 0])):
        folder = _folder(tmp_path / name)
        for kill in kills:
            done = subprocess.run(
                [sys.executable, "-c", _KILLED, str(folder), str(kill)], capture_output=True, text=True, check=False
            )
            assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
    assert (tmp_path / "whole" / "Z.npy").read_bytes() == (tmp_path / "cut" / "Z.npy").read_bytes()


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
