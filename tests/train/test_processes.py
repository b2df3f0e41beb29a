from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from kogner.errors import ConfigError, KognerError
from kogner.train.log import TrainingLog
from kogner.train.processes import Processes, launch


def test_alone_nothing_is_added_up(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes, device = Processes.join("cpu")
    assert (processes, device) == (Processes(0, 1), "cpu")
    weight = nn.Parameter(torch.ones(2))
    processes.add_gradients([weight])
    assert weight.grad is None
    assert processes.total({"a": 1.5}, device=torch.device("cpu")) == {"a": 1.5}


def test_missing_accelerate_is_named_with_its_extra(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(KognerError, match=r"pip install 'kogner\[processes\]'"):
        Processes.join("cpu")


def test_processes_do_not_start_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="leave it out under accelerate launch"):
        launch(["train"], count=2)


def run(encoder: Path, corpus: Path, bank: Path, out: Path, *overrides: str, processes: int = 1) -> dict:
    sets = [
        f"student.encoder={encoder}", "student.max_width=4", "train.threads=1", "train.precision=fp32",
        "train.encoder_lr=0.002", "train.head_lr=0.002", "train.steps=12", "train.log_every=1", "train.eval_every=6",
        "train.save_every=5", *overrides,
    ]  # fmt: skip
    arguments = [argument for value in sets for argument in ("--set", value)]
    done = subprocess.run(
        [
            sys.executable, "-m", "kogner.cli", "train", "--data", f"made={corpus}", "--bank", str(bank),
            "--out", str(out), "--processes", str(processes), *arguments,
        ],
        check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == 1  # the first process alone reports
    return json.loads(lines[0])


def curve(out: Path) -> list[float]:
    lines = TrainingLog.lines(out / "training_log.jsonl")
    return [value for line in lines for name, value in line.items() if name in ("loss_lang", "loss_dist", "linked")]


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(still_encoder, corpus, bank, tmp_path):
    pytest.importorskip("accelerate")
    still = ["student.dropout=0"]
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    one = run(still_encoder, corpus, bank, whole, *still, "train.batch_size=16")
    two = run(still_encoder, corpus, bank, shared, *still, "train.batch_size=8", processes=2)
    assert curve(shared) == pytest.approx(curve(whole), rel=1e-3)
    assert len(curve(whole)) == 36
    assert two["steps"] == one["steps"] == 12
    assert two["training_data"] == one["training_data"]
    assert not (tmp_path / "shared.work").exists()


@pytest.mark.slow
def test_two_processes_equal_two_parts_of_one_with_dropout_too(tiny_encoder, corpus, bank, tmp_path):
    pytest.importorskip("accelerate")
    drawn = ["student.dropout=0.3", "train.batch_size=4", "loss.negative_share=0.5", "train.max_types=1"]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    run(tiny_encoder, corpus, bank, alone, *drawn, "train.accumulate=2")
    run(tiny_encoder, corpus, bank, shared, *drawn, processes=2)
    assert curve(shared) == pytest.approx(curve(alone), rel=1e-4)
