from __future__ import annotations

import pytest
import torch

from kogner.annotate import engine
from kogner.annotate.engine import check_compiler, resolved, threads
from kogner.annotate.head import check_finite
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import ConfigError, InputError, KognerError

LABELS = ["chemical", "disease"]
TEXT = "Aspirin lowered the fever of rats. Morphine caused no pain, was it? IL-2 gene with ibuprofen; headache!"
EVERY = {"threshold": 1e-6, "overlap": "all", "multi_label": True}


def scores(predictor, **settings):
    found = predictor.predict_text(TEXT, labels=LABELS, settings=Settings(**EVERY, **settings))
    return {m.key: m.score for m in found}


def test_bf16_is_close_to_fp32(tiny_student):
    predictor = Predictor(tiny_student)
    exact, rounded = scores(predictor), scores(predictor, precision="bf16")
    assert len(exact) > 100
    assert rounded.keys() == exact.keys()
    # bfloat16 holds 8 bits: logits of size 5 may move by some hundredths, scores by a quarter of that
    assert max(abs(rounded[key] - exact[key]) for key in exact) < 0.02
    assert rounded != exact


def test_auto_is_bf16_where_that_is_fast(monkeypatch):
    for fast, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(engine, "bf16_is_fast", lambda device, fast=fast: fast)
        assert resolved("auto", "cpu") == expected
        assert resolved("fp32", "cpu") == "fp32"
    assert resolved("fp16", "cuda") == "fp16"


def test_fp16_on_a_processor_is_refused(tiny_student):
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        scores(Predictor(tiny_student), precision="fp16")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "fp8"}, "use one of auto, fp32, bf16, fp16"),
        ({"token_budget": 0}, "token_budget=0 must be 1 or more"),
        ({"threads": -1}, "threads=-1 must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(InputError, match=message):
        Settings(**settings)


def test_threads_are_put_back(tiny_student, monkeypatch):
    before = torch.get_num_threads()
    seen = []
    encode = tiny_student.encode_labels
    monkeypatch.setattr(
        tiny_student, "encode_labels", lambda labels: seen.append(torch.get_num_threads()) or encode(labels)
    )
    scores(Predictor(tiny_student), threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="inside"), threads(before + 1):
        raise ValueError("inside")
    assert torch.get_num_threads() == before


def test_compile_without_a_compiler_is_a_clear_error(tiny_student, monkeypatch):
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler"):
        scores(Predictor(tiny_student), compile=True)
    monkeypatch.setenv("CXX", "nowhere++")
    with pytest.raises(ConfigError, match="nowhere\\+\\+ \\(from CXX\\)"):
        check_compiler("cpu")


@pytest.mark.slow
def test_a_compiled_encoder_gives_the_same_spans(tiny_student):
    try:
        check_compiler("cpu")
    except ConfigError as error:
        pytest.skip(str(error))
    predictor = Predictor(tiny_student)
    exact, compiled = scores(predictor), scores(predictor, compile=True)
    assert compiled == pytest.approx(exact, abs=2e-4)
    assert scores(predictor, compile=True, token_budget=30) == pytest.approx(exact, abs=2e-4)


def test_threads_of_calls_that_overlap_are_put_back():
    before = torch.get_num_threads()
    first, second = threads(before + 1), threads(before + 2)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.get_num_threads() == before + 2
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == before


def test_bf16_on_a_processor_without_it_is_said(tiny_student, monkeypatch, capsys):
    for fast in (True, False):
        monkeypatch.setattr("kogner.hardware.bf16_is_fast", lambda device, fast=fast: fast)
        scores(Predictor(tiny_student), precision="bf16")
        assert ("no arithmetic for bf16" in capsys.readouterr().err) is not fast


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_is_found_and_large_numbers_are_not(dtype):
    check_finite(torch.full((1000,), 3e38).to(dtype), torch.zeros(0, 5), dtype=dtype)
    for bad in ([torch.inf, -torch.inf], [torch.nan, 1.0], [1.0, -torch.inf]):
        with pytest.raises(KognerError, match="not finite"):
            check_finite(torch.zeros(3), torch.tensor(bad).to(dtype), dtype=dtype)
