"""A suite scores what is there, marks what is not, and leaves out what was trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.names import Names
from kogner.cli import cli
from kogner.data.formats import jsonl
from kogner.errors import ConfigError
from kogner.evaluate.suite import open_suite, read_names
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

FEVER = Mention(20, 25, "disease", "fever")
LONG = "aspirin lowered the fever of rats that had eaten nothing but cheese for a week and drunk water"


@pytest.fixture
def folder(tmp_path):
    for name, documents in {
        "one": [Document("1", "aspirin lowered the fever", (FEVER,), frozenset({"disease"}))],
        "two": [Document("7", LONG, (FEVER,), frozenset({"disease"})),
                Document("8", "aspirin raised their fever", (Mention(21, 26, "disease", "fever"),)),
                Document("10", "chosen by: no fever", (Mention(14, 19, "disease", "fever"),), frozenset({"disease"}))],
        "four": [Document("4#0", LONG, (FEVER,), frozenset({"disease"})),
                 Document("4#1", "no fever", (Mention(3, 8, "disease", "fever"),), frozenset({"disease"}))],
        "train": [Document("9", f"Again: {LONG}.", (), frozenset({"disease"}))],
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        split = "train" if name == "train" else "test"
        jsonl.write(tmp_path / name / f"{split}.jsonl", documents)
    jsonl.write(tmp_path / "train" / "dev.jsonl", [Document("10", "of dev", (), frozenset({"disease"}))])
    plan = {"name": "mine", "six": ["One"], "corpora": {
        "One": {"folder": "one"}, "Two": {"folder": "two", "nested": True}, "Three": {"folder": "three"},
        "Four": {"folder": "four"},
        "Trained": {"folder": "train"},
    }}  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path


def test_a_suite_is_scored(folder, tiny_student):
    with artifacts.writing(folder / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(tiny_student, StudentInfo(types=("disease",)), place)
    build([Entity("X:1", "Disease", "fever")], [], folder / "graph", rejected=Rejections())
    run = ["evaluate", "--model", str(folder / "student"), "--suite", str(folder / "mine.yaml"), "--json"]
    run += ["--corpora", str(folder), "--graph", str(folder / "graph"), "--train", f"trained={folder / 'train'}"]
    result = CliRunner().invoke(cli, run)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert said["missing"] == {
        "Three": "no folder three", "Trained": "no test split",
        # of one article, of which the second sentence is too short to be found
        "Four": "a train or dev split holds each of its 2 documents or their articles",
    }  # fmt: skip
    assert set(said["corpora"]) == {"One", "Two"}
    assert said["mean_f1_of_six"] == said["corpora"]["One"]["f1"]
    assert said["corpora"]["Two"]["left_out"] == {
        "document of an excluded corpus, by its id": 1,  # of dev, which chose step and thresholds
        "document of an excluded corpus, by a shared run of text": 1,
    }
    assert said["corpora"]["Two"]["gold"] == 1
    every = {"precision": 100.0, "recall": 100.0, "f1": 100.0}
    assert said["corpora"]["One"]["names_alone"] == {**every, "by_type": {"disease": every}}
    assert said["trained_on"] == ["trained"]


def test_a_corpus_of_ones_own_cannot_have_the_name_of_one_of_the_suite(folder):
    run = ["evaluate", "--model", str(folder), "--suite", str(folder / "mine.yaml"), "--corpora", str(folder)]
    result = CliRunner().invoke(cli, [*run, "--data", f"One={folder / 'two'}"])
    assert isinstance(result.exception, ConfigError) and "--data One has the name of a corpus" in str(result.exception)


def test_the_shipped_suite_and_what_is_none(tmp_path):
    suite = open_suite("biomed")
    assert len(suite.six) == 6 and suite.corpora["GENIA"].nested
    assert suite.mean(dict.fromkeys(suite.six, 50.0)) == 50 and suite.mean({"BC5CDR": 1}) is None
    assert replace(suite, six=()).mean({"BC5CDR": 1}) is None, "none is named"
    with pytest.raises(ConfigError, match="neither a file nor one of the shipped suites"):
        open_suite("nothing")
    (tmp_path / "bad.yaml").write_text("name: x\ncorpora: {A: {folder: a}}\nsix: [B]\n")
    with pytest.raises(ConfigError, match="B of `six`"):
        open_suite(str(tmp_path / "bad.yaml"))


def test_nothing_to_score(folder):
    result = CliRunner().invoke(cli, ["evaluate", "--model", str(folder)])
    assert isinstance(result.exception, ConfigError) and "nothing to score" in str(result.exception)


def test_a_name_of_several_types_counts_for_the_most_general(tmp_path):
    entities = [
        Entity("X:1", "Gene", "THB1"),
        Entity("X:2", "Chemical", "aspirin"),
        Entity("X:3", "Disease", "aspirin"),
    ]
    build(entities, [], tmp_path / "graph", rejected=Rejections())
    names = Names(GraphStore.open(tmp_path / "graph"))

    def found(*types):
        (document,) = read_names([Document("1", "THB1 and aspirin")], types, names=names)
        return {(mention.start, mention.type) for mention in document.mentions}

    assert found("DNA", "RNA", "protein") == {(0, "protein")}
    assert found("DNA", "RNA") == {(0, "DNA")}
    assert found("disease", "chemical", "protein") == {(0, "protein"), (9, "chemical"), (9, "disease")}
