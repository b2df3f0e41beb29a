from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.cli import cli
from kogner.data import corpora
from kogner.data.batch import WIDER
from kogner.data.formats.pubtator import OFFSET_MISMATCH
from kogner.errors import ConfigError
from kogner.evaluate.spans import Counts, SpanScores, with_lost
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.text import OFF_WORD_EDGES

PUBTATOR = (
    "1|t|Aspirin and fever\n1|a|Morphine caused pain.\n"
    "1\t0\t7\tAspirin\tChemical\tD001241\n1\t34\t38\tpain\tDisease\tD010146\n\n"
)


@pytest.fixture
def model(tiny_student, tmp_path):
    folder = tmp_path / "student"
    with artifacts.writing(folder, kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(tiny_student, StudentInfo(), place)
    return folder


def test_one_json_line_with_the_agreed_keys(model, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "test.PubTator.txt").write_text(PUBTATOR)
    command = [sys.executable, "-m", "kogner.cli", "evaluate", "--model", str(model), "--data", f"made={tmp_path}/made"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    result = json.loads(line)["made"]
    assert {"precision", "recall", "f1", "gold", "by_type"} <= set(result)
    assert result["gold"] == 2
    assert set(result["by_type"]) == {"chemical", "disease"}
    for row in (result, *result["by_type"].values()):
        assert {"ece", "unreachable"} <= set(row)
        for name in ("relaxed", "left", "right"):
            assert set(row[name]) == {"precision", "recall", "f1"}
            assert row[name]["f1"] >= row["f1"]
    assert "unseen" not in result
    low, high = result["interval"]
    assert 0 <= low <= result["f1"] <= high <= 100
    cost = result["cost"]
    assert (cost["documents"], cost["words"]) == (1, 7) and cost["seconds"] > 0 and cost["threads"] >= 1
    table = CliRunner().invoke(cli, command[3:], catch_exceptions=False).stdout.splitlines()
    assert json.loads(table[-1])["made"]["gold"] == 2
    assert len(table) > 3
    with pytest.raises(ConfigError, match="must look like NAME=DIR"):
        CliRunner().invoke(cli, [*command[3:], "--data", "nowhere"], catch_exceptions=False)


def test_what_the_reader_skipped_is_said_and_counts_as_missed(model, tmp_path):
    lost = "1\t19\t23\tgout\tDisease\tD006073\n"
    results = {}
    for name, content in (("whole", PUBTATOR), ("holed", PUBTATOR.replace("\n\n", f"\n{lost}\n"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.PubTator.txt").write_text(content)
        arguments = ["evaluate", "--model", str(model), "--data", f"{name}={tmp_path / name}", "--json"]
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        results[name] = json.loads(done.stdout.splitlines()[-1])[name]
        assert ("holed test: skipped 1: offset mismatch, first at" in done.stderr) == (name == "holed")
    whole, holed = results["whole"], results["holed"]
    assert (whole["skipped"], holed["skipped"]) == ({}, {OFFSET_MISMATCH: 1})
    assert (whole["gold"], holed["gold"]) == (2, 3)
    assert {kind: of["gold"] for kind, of in holed["by_type"].items()} == {"chemical": 1, "disease": 2}
    assert (whole["predicted"], whole["correct"]) == (holed["predicted"], holed["correct"])


def evaluate(model, folder, *more):
    arguments = ["evaluate", "--model", str(model), "--data", f"made={folder}", "--threshold", "0.02", *more]
    return CliRunner().invoke(cli, arguments)


def test_gold_out_of_reach_is_said_by_type_and_stands_beside_the_scores(model, tmp_path):
    """The tiny student's spans have at most 4 words; `spirin` is a part of one."""
    (tmp_path / "test.PubTator.txt").write_text(
        "1|t|Aspirin and fever and more of it\n1|a|Morphine caused pain.\n"
        "1\t1\t7\tspirin\tChemical\tD1\n1\t8\t32\tand fever and more of it\tDisease\tD2\n\n"
    )
    done = evaluate(model, tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout.splitlines()[-1])["made"]
    assert result["unreachable"] == {OFF_WORD_EDGES: 1, WIDER: 1}
    assert result["by_type"]["disease"]["unreachable"] == {WIDER: 1}
    assert result["gold"] == 2
    assert result["correct"] == 0
    assert "made test: 1 of 1 mentions of type disease are out of this student's reach" in done.stderr


def test_recall_on_names_of_the_training_corpus_and_others(model, tmp_path):
    (tmp_path / "test.PubTator.txt").write_text(PUBTATOR)
    (tmp_path / "train.PubTator.txt").write_text("2|t|ASPIRIN\n2\t0\t7\tASPIRIN\tChemical\tD001241\n\n")
    done = evaluate(model, tmp_path, "--train", f"made={tmp_path}")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout.splitlines()[-1])["made"]
    assert (result["seen"]["gold"], result["unseen"]["gold"]) == (1, 1)
    assert result["seen"]["correct"] + result["unseen"]["correct"] == result["correct"]
    assert "names unseen" in done.stdout
    (tmp_path / "train.PubTator.txt").write_text(PUBTATOR)
    nothing = evaluate(model, tmp_path, "--train", f"made={tmp_path}")
    assert "nothing is left to score: made: a train or dev split holds each of its 1 documents" in str(
        nothing.exception
    )
    more = tmp_path / "more"
    more.mkdir()
    (more / "test.PubTator.txt").write_text("3|t|Morphine caused pain.\n3\t0\t8\tMorphine\tChemical\tD1\n\n")
    some = evaluate(model, tmp_path, "--train", f"made={tmp_path}", "--data", f"more={more}")
    assert some.exit_code == 0 and set(json.loads(some.stdout.splitlines()[-1])) == {"more"}
    assert "made is not scored: a train or dev split holds each" in some.stderr
    bad = evaluate(model, tmp_path, "--train", "nowhere")
    assert "--train 'nowhere' must look like NAME=DIR" in str(bad.exception)


def test_overlap_policies_change_what_is_predicted(model, tmp_path):
    (tmp_path / "test.PubTator.txt").write_text(PUBTATOR)
    found = {}
    for name, more in {
        "flat": (),
        "nested": ("--nested",),
        "all": ("--overlap", "all"),
        "several": ("--overlap", "all", "--multi-label"),
    }.items():
        done = evaluate(model, tmp_path, "--json", *more)
        assert done.exit_code == 0, done.output
        found[name] = json.loads(done.stdout.splitlines()[-1])["made"]["predicted"]
    assert found["flat"] < found["nested"] < found["all"] < found["several"]
    assert "for nested entities take" in str(evaluate(model, tmp_path, "--nested", "--overlap", "best").exception)


def test_lost_mentions_lower_recall_only():
    counts = {"gene": Counts(gold=3, predicted=4, correct=2), "disease": Counts(gold=1, predicted=1, correct=1)}
    scores = with_lost(SpanScores(gold=4, predicted=5, correct=3, by_type=counts), {"gene": 1, "not scored": 7})
    assert (scores.gold, scores.by_type["gene"].gold, scores.by_type["disease"].gold) == (5, 4, 1)
    assert (scores.precision, scores.recall) == (3 / 5, 3 / 5)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("test.jsonl", '{"text": "a", "mentions": [{"start": 0, "end": 1, "text": "b", "type": "odd"}]}', "odd"),
        ("test.txt", "1|t|Zincol\n1\t0\t6\tgout\tOdd_One\n", "odd one"),
        ("test.txt", "1|t|Zincol\n1\t0\t6\tgout\tNonStandardRef\n1\t0\t6\tZincol\tChemical\n", None),
    ],
)  # fmt: skip
def test_a_corpus_knows_what_it_lost_by_its_own_type_names(tmp_path, name, content, kind):
    """Also where every mention of a type is lost; a type outside the task is no loss."""
    (tmp_path / name).write_text(content)
    corpus = corpora.load("mine", tmp_path, "test")
    assert corpus.lost == ({kind: 1} if kind else {})
    assert set(corpus.types) == {kind or "chemical"}
    assert corpus.report.skipped.total() == 1
