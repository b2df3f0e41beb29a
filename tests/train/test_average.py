"""The mean of two students' weights."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from click.testing import CliRunner

from kogner import artifacts
from kogner.cli import cli
from kogner.commands.average import mean
from kogner.errors import ConfigError
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.student.layout import STUDENT, WEIGHTS


@pytest.fixture
def students(tmp_path, tiny_student):
    for name, factor in (("one", 1.0), ("two", 3.0)):
        with torch.no_grad():
            for weight in tiny_student.parameters():
                weight.mul_(factor)
        with artifacts.writing(tmp_path / name, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
            checkpoint.save(tiny_student, StudentInfo(types=("chemical",), thresholds={"chemical": 0.3}), folder)
            (folder / "README.md").write_text("# Mine\n")
    return tmp_path / "one", tmp_path / "two"


def test_the_mean_is_a_student_with_all_else_of_the_first(students, tmp_path):
    one, two = students
    call = ["average", "--share", "0.25", str(one), str(two), str(tmp_path / "mean")]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    written = artifacts.open_artifact(tmp_path / "mean", kind=checkpoint.KIND, version=checkpoint.VERSION, verify=True)
    assert json.loads(result.stdout.splitlines()[-1])["hash"] == written.hash
    hashes = {"averaged": artifacts.read_manifest(one).hash, "averaged_with": artifacts.read_manifest(two).hash}
    assert written.parents == hashes and written.metrics["average"]["share"] == 0.25
    before, after = (checkpoint.read_weights(place / WEIGHTS) for place in (one, tmp_path / "mean"))
    assert before.keys() == after.keys()
    for name, value in after.items():
        assert value.dtype == before[name].dtype
        torch.testing.assert_close(value.float(), before[name].float() * 1.5, rtol=2e-3, atol=1e-6)
    _, info, _ = checkpoint.load(tmp_path / "mean")
    assert info.thresholds == {"chemical": 0.3}
    card = (tmp_path / "mean" / "README.md").read_text()
    assert card.startswith("# Mine\n") and "0.75 of it, and `two`, 0.25" in card
    CliRunner().invoke(cli, [*call[:3], str(tmp_path / "mean"), str(two), str(tmp_path / "again")])
    again = (tmp_path / "again" / "README.md").read_text()
    assert again.count("## Average") == 1 and again.count("Its weights are the mean") == 2, "each mean is told"


def test_a_calibration_leaves_what_was_averaged_in_the_card(students, tmp_path, corpus):
    one, two = students
    calibrate = ["calibrate", "--data", f"made={corpus}", "--threads", "1"]
    for call in (
        [*calibrate, str(one), str(tmp_path / "first")],
        ["average", str(tmp_path / "first"), str(two), str(tmp_path / "mean")],
        [*calibrate, str(tmp_path / "mean"), str(tmp_path / "last")],
    ):
        result = CliRunner().invoke(cli, call)
        assert result.exit_code == 0, result.output
    card = (tmp_path / "last" / "README.md").read_text()
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# Mine", "## Calibration", "## Average"]
    f1 = json.loads(result.stdout.splitlines()[-1])["after"]["made"]["f1"]
    assert f"| made | {f1:.2f} |" in card


def test_students_that_read_differently_and_students_that_began_apart(students, tmp_path):
    one, two = students
    for file, old, new, says in (
        (STUDENT, '"max_width": ', '"max_width": 1', "max_width is"),
        ("text_encoder/tokenizer.json", '"model":', '"model" :', "text_encoder/tokenizer.json differs"),
    ):
        changed = tmp_path / "changed"
        with artifacts.writing(changed, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
            shutil.copytree(two, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifacts.MANIFEST))
            text = (folder / file).read_text()
            assert old in text
            (folder / file).write_text(text.replace(old, new, 1))
        result = CliRunner().invoke(cli, ["average", str(one), str(changed), str(tmp_path / "mean")])
        assert isinstance(result.exception, ConfigError) and says in str(result.exception)
    assert not (tmp_path / "mean").exists()
    result = CliRunner().invoke(cli, ["average", str(one), str(two), str(tmp_path / "mean")])
    assert "neither of" in result.stderr
    result = CliRunner().invoke(cli, ["average", str(tmp_path / "mean"), str(two), str(tmp_path / "again")])
    assert "neither of" not in result.stderr
    for name, source, parent in (("left", one, "0"), ("right", two, "0"), ("strange", two, "1")):
        with artifacts.writing(
            tmp_path / name, kind=checkpoint.KIND, version=checkpoint.VERSION, parents={"initial": parent * 64}
        ) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifacts.MANIFEST))
    for other, kin in (("right", True), ("strange", False)):
        result = CliRunner().invoke(
            cli, ["average", *(str(tmp_path / name) for name in ("left", other, "of-" + other))]
        )
        assert result.exit_code == 0 and ("neither of" not in result.stderr) == kin, "go on from one student, or do not"


def test_students_of_two_kinds(tmp_path):
    weights = {"a": torch.ones(2), "b": torch.ones(3)}
    with pytest.raises(ConfigError, match="no students of one kind: b is"):
        mean(weights, {"a": torch.ones(2), "b": torch.ones(4)}, 0.5, [tmp_path, tmp_path])
    with pytest.raises(ConfigError, match="a is in one alone"):
        mean(weights, {"b": torch.ones(3)}, 0.5, [tmp_path, tmp_path])
    whole = {"n": torch.tensor([1, 2])}
    assert mean(whole, {"n": torch.tensor([5, 6])}, 0.5, [tmp_path, tmp_path])["n"].tolist() == [1, 2]
