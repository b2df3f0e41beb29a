"""Experiments that were stopped, or that two processes run: what is trained once is not trained again."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from tests.experiment.conftest import changed

from kogner.artifacts import locked
from kogner.cli import main
from kogner.errors import KognerError
from kogner.experiment import runner, training
from kogner.experiment.folders import Folders
from kogner.experiment.plan import load
from kogner.experiment.stored import ABSENT, OTHER_INPUTS, OTHER_START, look
from kogner.experiment.training import find, run


class KilledError(Exception):
    """In the place of a kill."""


def test_a_student_whose_scoring_was_killed_is_scored_and_not_trained_again(plan, tmp_path, monkeypatch):
    cell, folders = find(load(plan), "half-no-graph-0"), Folders(tmp_path)

    def killed(*args, **settings):
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(training, "_tested", killed)
        with pytest.raises(KilledError):
            run(cell, folders, device="cpu", revision="x")
    assert folders.student(cell).is_dir() and not folders.scored(cell).exists()
    (file,) = folders.runs.rglob("*.trained.json")
    kept = json.loads(file.read_text())
    kept["told"]["seconds_before"] += 100
    file.write_text(json.dumps(kept))
    with monkeypatch.context() as patched:
        patched.setattr(training, "_train", killed)
        scored = run(cell, folders, device="cpu", revision="x")
    assert scored["seconds"] >= 100, "what the training took counts"
    assert scored["steps"] > 0 and scored["test"]["mine"] and scored["dev"]["mine"] is not None
    assert not list(folders.runs.rglob("*.trained.json"))


def test_a_student_of_other_inputs_is_trained_again(plan, tmp_path, monkeypatch):
    folders = Folders(tmp_path)

    def killed(*args, **settings):
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(training, "_tested", killed)
        with pytest.raises(KilledError):
            run(find(load(plan), "half-no-graph-0"), folders, device="cpu", revision="x")
    raw = yaml.safe_load(plan.read_text())
    cell = find(load(changed(plan, set=[*raw["set"], "train.steps=3"])), "half-no-graph-0")
    assert run(cell, folders, device="cpu", revision="x")["steps"] == 3


def test_what_a_killed_training_left_of_another_recipe_is_removed(plan, tmp_path, capsys):
    cell, folders = find(load(plan), "half-no-graph-0"), Folders(tmp_path)
    work = folders.student(cell).with_name(f"{cell.name}.work")
    work.mkdir(parents=True)
    (work / "run.json").write_text(json.dumps({"format": 4, "recipe": {"name": "another"}}))
    assert run(cell, folders, device="cpu", revision="x")["steps"] > 0
    said = capsys.readouterr().err
    assert "half-no-graph-0: what a killed training left there is removed" in said and "another" in said
    assert not work.exists()


def test_a_cell_waits_for_another_process_and_takes_what_that_made(plan, tmp_path, monkeypatch):
    cell, folders = find(load(plan), "half-no-graph-0"), Folders(tmp_path)
    calls = []
    command = ["cell", str(plan), cell.name, "--runs", str(tmp_path), "--parent", "0"]
    monkeypatch.setattr(training, "_end_with", lambda parent: None)
    monkeypatch.setattr("sys.argv", command)
    real = training.run
    monkeypatch.setattr(training, "run", lambda *args, **settings: calls.append(args) or real(*args, **settings))
    held = threading.Event()

    def other():
        with locked(folders.student(cell).with_name(f"{cell.name}.cell")):
            held.set()
            time.sleep(0.2)
            real(cell, folders, device="cpu", revision="other")

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    training.main()
    thread.join()
    assert not calls, "it was finished when its turn came"
    assert json.loads(folders.scored(cell).read_text())["revision"] == "other"
    shutil.rmtree(folders.student(cell))
    training.main()
    assert len(calls) == 1, "scores without the student that another training starts from"
    assert json.loads(folders.scored(cell).read_text())["revision"] != "other", "of the code that ran"


def test_scores_that_do_not_count_are_told_with_the_reason(plan, corpus, tmp_path, capsys):
    mine = shutil.copytree(corpus, tmp_path / "mine")
    yours = shutil.copytree(corpus, tmp_path / "yours")
    settings = {"half": {"train": ["mine"], "test": ["mine"]}, "other": {"train": ["yours"], "test": ["yours"]}}
    arms = {"no-graph": {}, "staged": {"initial": "first", "only": ["half"]}}
    changes = {"settings": settings, "corpora": {"mine": str(mine), "yours": str(yours)}, "arms": arms, "compare": []}
    experiment, folders = load(changed(plan, **changes)), Folders(tmp_path)
    cells = {cell.name: cell for cell in experiment.cells()}
    for name in ("stage-first-0", "half-staged-0", "half-no-graph-0", "other-no-graph-0"):
        run(cells[name], folders, device="cpu", revision="x")
    found, aside = look(experiment.cells(), folders)
    assert len(found) == 4 and not aside
    file = folders.scored(cells["stage-first-0"])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"student": "another"}))
    test = mine / "test.jsonl"
    test.write_text("".join(test.read_text().splitlines(keepends=True)[:-1]))
    three = ["stage-first-0", "half-no-graph-0", "half-staged-0"]
    assert look(experiment.cells(), folders)[1] == {OTHER_INPUTS: three}
    assert look(experiment.cells(), folders, as_recorded=True)[1] == {OTHER_START: ["half-staged-0"]}
    shutil.rmtree(yours)
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "run", str(plan), "--runs", str(tmp_path), "--cell", "half-no-graph-0", "--jobs", "1"])
    assert stopped.value.code == 0, "files of what was not asked for need not be here"
    out, err = capsys.readouterr()
    said = json.loads(out.splitlines()[-1])
    assert said["set_aside"] == {OTHER_INPUTS: ["stage-first-0", "half-staged-0"], ABSENT: ["other-no-graph-0"]}
    assert f"1 scores are there that do not count, {ABSENT}: other-no-graph-0" in err
    assert [(row["setting"], row["arm"]) for row in said["rows"]] == [("half", "no-graph")]


def test_folders_that_a_plan_sets_count_by_what_they_hold(plan, tiny_encoder, tmp_path):
    from kogner.experiment.identity import identity

    raw = yaml.safe_load(plan.read_text())
    for option in ("label_encoder", "initial"):
        folder = shutil.copytree(tiny_encoder, tmp_path / option)
        cell = find(load(changed(plan, set=[*raw["set"], f"student.{option}={folder}"])), "half-no-graph-0")
        before = identity(cell)
        assert identity(cell, before) == before
        (folder / "tokenizer.json").write_text("{}")
        assert identity(cell)["hash"] != before["hash"], option


def test_one_that_fails_lets_those_under_way_end_and_no_other_begin(plan, tmp_path, monkeypatch, capsys):
    from kogner.errors import KognerError
    from kogner.experiment import runner

    begun, failed = [], threading.Event()

    def made(cell, plan, folders, device):
        begun.append(cell.name)
        if cell.name == "half-no-graph-0":
            failed.set()
            raise KognerError("half-no-graph-0 failed: no space left")
        failed.wait()
        time.sleep(0.2)
        run(cell, folders, device=device, revision="x")

    monkeypatch.setattr(runner, "_run", made)
    folders, experiment = Folders(tmp_path), load(plan)
    with pytest.raises(KognerError, match="no space left"):
        runner.run_all(experiment, str(plan), folders, jobs=2, device="cpu", only=["half"])
    assert begun == ["stage-first-0", "half-no-graph-0"]
    assert [cell.name for cell, _ in look(experiment.cells(), folders)[0]] == ["stage-first-0"]
    cells = {cell.name: cell for cell in experiment.cells()}
    planned = [cells[name] for name in ("stage-first-0", "half-staged-0")]
    assert [cell.name for cell in runner.to_do(planned, folders)] == ["half-staged-0"]
    shutil.rmtree(folders.student(cells["stage-first-0"]))
    assert [cell.name for cell in runner.to_do(planned, folders)] == ["stage-first-0", "half-staged-0"]


def test_a_cell_that_is_killed_says_so(plan, tmp_path, monkeypatch):
    real = subprocess.run

    def killed(command, **settings):
        if "kogner.experiment.training" not in command:
            return real(command, **settings)
        return subprocess.CompletedProcess(command, -signal.SIGKILL, "", "")

    monkeypatch.setattr(subprocess, "run", killed)
    with pytest.raises(KognerError, match=r"half-no-graph-0 failed: it was killed by signal 9 .*fewer --jobs"):
        runner.run_all(
            load(plan), str(plan), Folders(tmp_path), jobs=1, device="cpu", cells=["half-no-graph-0"]
        )  # fmt: skip


def test_what_started_from_a_student_that_came_out_otherwise_is_run_again(plan, tmp_path, monkeypatch, capsys):
    folders, ran = Folders(tmp_path), []
    cells = {cell.name: cell for cell in load(plan).cells()}
    first, staged, other = (cells[name] for name in ("stage-first-0", "half-staged-0", "half-no-graph-0"))
    told = {cell.name: run(cell, folders, device="cpu", revision="x") for cell in (first, staged, other)}
    shutil.rmtree(folders.student(first))
    folders.scored(first).unlink()

    def again(cell, plan, folders, device):
        ran.append(cell.name)
        if cell == first:  # on another machine the same training has other weights
            shutil.copytree(folders.student(other), folders.student(first))
            changes = {"student": told[other.name]["student"]}
        else:
            changes = {"initial": told[other.name]["student"]}
        folders.scored(cell).write_text(json.dumps(told[cell.name] | changes))

    monkeypatch.setattr(runner, "_run", again)
    runner.run_all(load(plan), str(plan), folders, jobs=1, device="cpu", cells=[first.name, staged.name])
    assert ran == [first.name, staged.name]
    assert "1 trainings started from a student that is another one by now" in capsys.readouterr().err


def under_way(runs):
    """Trainings below a folder that are processes now."""
    lines = [file.read_bytes().decode() for file in Path("/proc").glob("[0-9]*/cmdline") if file.is_file()]
    return [line for line in lines if "kogner.experiment.training" in line and str(runs) in line]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_at_any_moment_the_same_command_ends_with_the_same_scores(plan, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def command(runs):
        run = [sys.executable, "-m", "kogner.cli", "--quiet", "experiment", "run", str(plan), "--runs", str(runs)]
        return [*run, "--jobs", "2"]

    def finished(runs):
        done = subprocess.run(command(runs), check=True, capture_output=True)
        return json.loads(done.stdout.splitlines()[-1])

    kept = yaml.safe_load(plan.read_text())["set"][:1]
    changed(plan, set=[*kept, "train.steps=30", "train.batch_size=4", "train.save_every=5"])
    expected = finished(whole)
    alive = 0
    for seconds in (0, 2, 4):
        process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(killed.rglob("*.work")):  # a training has begun
            time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        alive += process.poll() is None
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while under_way(killed):
            assert time.monotonic() < deadline, "a training outlived the command that started it"
            time.sleep(0.2)
    assert alive, "none was killed on the way"
    found = finished(killed)
    assert found["missing"] == []
    assert [(row["arm"], row["f1"]) for row in found["rows"]] == [(row["arm"], row["f1"]) for row in expected["rows"]]
