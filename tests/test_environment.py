"""What a result says of where it came from."""

import sys
from pathlib import Path

import pytest

from kogner import environment as module
from kogner.environment import _processor, environment, place


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("/home/me/.venv/bin/kogner", "kogner show --out x"),
        ("/home/me/src/kogner/cli.py", "kogner show --out x"),
        ("bench/run.py", "python bench/run.py show --out x"),
        ("{here}/bench/run.py", "python bench/run.py show --out x"),
        ("/elsewhere/run.py", "python run.py show --out x"),
    ],
)
def test_the_command_names_no_folder_of_the_machine(script, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script.format(here=Path.cwd()), "show", "--out", "x"])
    assert environment()["command"] == shown


def test_the_place_of_a_training():
    assert place("cpu").startswith(f"{_processor()}, torch ")


def test_processors_of_one_name_are_told_apart_by_their_family(monkeypatch):
    said = {"cpu family": "25", "model": "17"}
    monkeypatch.setattr(module, "_cpuinfo", said.get)
    assert environment()["machine"]["family"] == "25/17"
    del said["model"]
    assert environment()["machine"]["family"] is None


def test_a_command_names_no_place_of_this_machine(monkeypatch, tmp_path):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    given = ["kogner", "evaluate", "--data", f"a={tmp_path}/shared/a", "--out", f"{tmp_path}/project/out.json"]
    monkeypatch.setattr(sys, "argv", given)
    assert environment()["command"] == "kogner evaluate --data a=../shared/a --out out.json"
