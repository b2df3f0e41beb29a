from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from kogner.errors import KognerError
from kogner.train.log import TrainingLog, check_tensorboard


class Writer:
    """Stands in for SummaryWriter where tensorboard is not installed."""

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars = folder, purge_step, []

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass


@pytest.fixture
def board(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


def test_lines_after_the_resumed_step_are_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    log = TrainingLog(path, resume_step=0)
    for step in (1, 2, 3):
        log.write(step=step, loss_lang=1.0 / step)
    TrainingLog(path, resume_step=2).write(step=3, loss_lang=0.25)
    assert [(line["step"], line["loss_lang"]) for line in TrainingLog.lines(path)] == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_the_board_gets_the_same_figures_and_forgets_what_is_done_again(tmp_path, board):
    log = TrainingLog(tmp_path / "log.jsonl", resume_step=4, board=tmp_path / "board")
    log.write(step=5, loss_lang=2.0, rate=0.1)
    assert log._board.purge_step == 5
    assert log._board.scalars == [("loss_lang", 2.0, 5), ("rate", 0.1, 5)]


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path):
    TrainingLog(None, resume_step=0).write(step=1, loss_lang=1.0)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(KognerError, match=r"pip install 'kogner\[tensorboard\]'"):
        check_tensorboard()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_event_files_are_written(tmp_path):
    TrainingLog(tmp_path / "log.jsonl", resume_step=0, board=tmp_path / "board").write(step=1, loss_lang=1.0)
    assert list((tmp_path / "board").glob("events.out.tfevents.*"))
