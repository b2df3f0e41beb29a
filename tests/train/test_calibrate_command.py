from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.artifacts import file_sha256
from kogner.cli import cli
from kogner.data.formats.jsonl import line_of
from kogner.errors import ConfigError
from kogner.records import Document
from kogner.student import checkpoint, gliner, layout
from kogner.student.checkpoint import StudentInfo
from kogner.train.card import MARK

DEV = "".join(
    f"{number}|t|Aspirin and fever\n{number}|a|Morphine caused pain in rats.\n"
    f"{number}\t0\t7\tAspirin\tChemical\tD001241\n{number}\t34\t38\tpain\tDisease\tD010146\n\n"
    for number in range(1, 41)
)
WORDS = ("aspirin", "fever", "morphine", "pain", "headache", "ibuprofen", "il", "the")
KNOWN = StudentInfo(
    types=("chemical", "gene"),
    thresholds={"Chemical": 0.75, "gene": 0.4},
    temperatures={"Chemical": 2.5, "gene": 1.5},
    base="random",
)


@pytest.fixture(params=["kogner", "gliner"])
def model(request, tiny_student, tmp_path):
    kind, version, save = (
        (checkpoint.KIND, checkpoint.VERSION, checkpoint.save)
        if request.param == "kogner"
        else (gliner.KIND, gliner.FORMAT, gliner.save)
    )
    with artifacts.writing(tmp_path / "student", kind=kind, version=version) as place:
        save(tiny_student, KNOWN, place)
    return tmp_path / "student"


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "dev.PubTator.txt").write_text(DEV)
    return tmp_path / "made"


def run(*arguments):
    return CliRunner().invoke(cli, ["calibrate", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def own(model, tmp_path):
    """A dev split whose gold is what the student finds from a score of 0.35 on."""
    predictor = Predictor.load(model)
    predictor.info = StudentInfo()
    texts = [f"{a} lowered {b} in rats" for a in WORDS for b in WORDS]
    given = [Document(str(number), text) for number, text in enumerate(texts)]
    labels, settings = ["chemical", "disease"], Settings(threshold=0.35)
    found = predictor.predict(given, labels=labels, settings=settings)
    documents = [replace(document, types=frozenset(labels)) for document in found]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dev.jsonl").write_text("".join(line_of(document) + "\n" for document in documents))
    assert sum(len(document.mentions) for document in documents) > 30
    return tmp_path / "own"


def test_thresholds_are_those_with_the_best_f1(model, own, tmp_path):
    said = json.loads(run("--data", f"own={own}", model, tmp_path / "out").stdout.splitlines()[-1])
    assert said["after"]["own"]["f1"] > 95 > said["before"]["own"]["f1"]


def test_what_dev_says_is_written_and_the_rest_stays(model, corpus, tmp_path):
    done = run("--data", f"made={corpus}", model, tmp_path / "out")
    assert done.exit_code == 0
    said = json.loads(done.stdout.splitlines()[-1])
    assert file_sha256(model / layout.WEIGHTS) == file_sha256(tmp_path / "out" / layout.WEIGHTS)
    before, _ = checkpoint.open_student(model)
    after, info = checkpoint.open_student(tmp_path / "out")
    assert all(
        torch.equal(a, b) for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )
    assert info.thresholds == {"gene": 0.4, **said["thresholds"]}
    assert said["thresholds"].keys() == {"chemical", "disease"}
    assert info.temperatures == {"gene": 1.5, **said["temperatures"]}
    assert info.base == "random"


def test_a_student_keeps_its_files_and_names_what_it_came_from(tiny_student, corpus, tmp_path):
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(tiny_student, KNOWN, place)
        (place / "README.md").write_text(
            f"# card\n\n## Scores\n{MARK}\n\n| corpus | F1 |\n|---|---|\n| made | 1.00 |\n"
        )
        (place / "training_log.jsonl").write_text("{}\n")
        for name in ("optimizer.pt", "training_args.bin", "pytorch_model-00001-of-00002.bin", "x.pkl"):
            (place / name).write_text("a pickle")
    run("--data", f"made={corpus}", tmp_path / "student", tmp_path / "out")
    source = artifacts.open_artifact(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION)
    written = artifacts.open_artifact(tmp_path / "out", kind=checkpoint.KIND, version=checkpoint.VERSION)
    assert written.parents["calibrated"] == source.hash
    assert (tmp_path / "out" / "training_log.jsonl").read_text() == "{}\n"
    assert not [name for name in written.files if name.endswith((".pt", ".bin", ".pkl"))]
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith(f"# card\n\n## Calibration\n{MARK}\n") and "Scores" not in card, (
        "the new ones are of the same corpora"
    )
    assert "calibration" in written.metrics
    run("--data", f"made={corpus}", tmp_path / "out", tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == card


def test_a_missing_split_and_a_foreign_folder_are_errors_and_nothing_is_written(model, corpus, tmp_path):
    with pytest.raises(Exception, match="test"):
        run("--data", f"made={corpus}", "--split", "test", model, tmp_path / "out")
    with pytest.raises(ConfigError, match="must look like NAME=DIR"):
        run("--data", str(corpus), model, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(Exception, match="mine"):
        run("--data", f"made={corpus}", model, tmp_path / "mine")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"
