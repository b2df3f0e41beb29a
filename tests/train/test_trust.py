"""How much a name counts, from texts that nobody annotated: Naive Bayes over all spans, no annotation read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.names import Names
from kogner.annotate.predictor import MAX_NAME_WEIGHT, Predictor, Settings
from kogner.cli import cli
from kogner.data.formats.jsonl import line_of
from kogner.errors import ConfigError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.train import trust
from kogner.train.trust import LEAST, weights_of_texts

TEXT = "aspirin lowered the fever"
TEXTS = [Document(str(number), f"{TEXT} {'again ' * (number % 5)}") for number in range(LEAST + 5)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "graph"
    build([Entity("X:1", "Chemical", "aspirin"), Entity("X:2", "Disease", "fever")], [], path, rejected=Rejections())
    return path


@pytest.fixture
def names(graph):
    return Names(GraphStore.open(graph))


class Stub:
    """A student's predictor that gives every span that `scores` names its score."""

    def __init__(self, scores):
        self.scores = scores

    def __call__(self, student, info):
        return self

    def predict(self, documents, *, labels, settings):
        for document in documents:
            assert not document.mentions
            yield replace(
                document, mentions=tuple(Mention(*place, score=score) for place, score in self.scores.items())
            )


def weights(monkeypatch, student, names, scores, labels=("chemical",), texts=None):
    monkeypatch.setattr(trust, "Predictor", Stub(scores))
    texts = texts or [Document(str(number), TEXT, (Mention(0, 7, "chemical"),)) for number in range(LEAST)]
    return weights_of_texts(student, StudentInfo(), texts, labels, names=names)


def test_what_a_name_counts_for(monkeypatch, tiny_student, names):
    # Four words: 4 + 3 + 2 + 1 spans, one a name. The student gives it 0.5, and 0.25 to another: of 0.75 entities 0.5
    # are names, of 9.25 others 0.5.
    scores = {(0, 7, "chemical"): 0.5, (8, 15, "chemical"): 0.25}
    expected = math.log((0.5 / 0.75) / (0.5 / 9.25))
    assert weights(monkeypatch, tiny_student, names, scores) == {"chemical": pytest.approx(expected, abs=0.005)}


def test_a_student_that_refuses_all_names_takes_their_weight(monkeypatch, tiny_student, names):
    scores = {(0, 7, "chemical"): 0.0002, (8, 15, "chemical"): 0.99}
    assert weights(monkeypatch, tiny_student, names, scores) == {"chemical": 0.0}


def test_a_student_that_finds_names_and_nothing_else(monkeypatch, tiny_student, names):
    texts = [Document(str(number), TEXT + " and" * 3000) for number in range(LEAST)]
    assert weights(monkeypatch, tiny_student, names, {(0, 7, "chemical"): 1.0}, texts=texts) == {
        "chemical": MAX_NAME_WEIGHT
    }


def test_names_that_the_student_never_scores_count_for_nothing(monkeypatch, tiny_student, names):
    assert weights(monkeypatch, tiny_student, names, {(8, 15, "chemical"): 0.9}) == {"chemical": 0.0}


def test_names_that_no_span_reaches_are_not_counted(monkeypatch, tiny_student, graph, tmp_path):
    long = "a very long name that runs over twelve words and so is reached by no span"
    build(
        [Entity("X:1", "Chemical", long), Entity("X:2", "Chemical", "aspirin")],
        [],
        tmp_path / "long",
        rejected=Rejections(),
    )
    names = Names(GraphStore.open(tmp_path / "long"))
    texts = [Document(str(number), f"aspirin is no {long}") for number in range(LEAST)]
    assert len(names.spans(texts[0].text, ["chemical"])) == 2 and tiny_student.config.max_width < len(long.split())
    words = len(texts[0].text.split())
    spans = sum(words - size for size in range(tiny_student.config.max_width))
    expected = math.log(1 / (0.5 / (spans - 0.5)))
    found = weights(monkeypatch, tiny_student, names, {(0, 7, "chemical"): 0.5}, texts=texts)
    assert found == {"chemical": pytest.approx(expected, abs=0.005)}


def test_few_names_say_nothing(monkeypatch, tiny_student, names):
    scores = {(0, 7, "chemical"): 0.5, (20, 25, "disease"): 0.5}
    texts = [Document(str(number), "aspirin lowered the blood") for number in range(LEAST)] + [Document("x", TEXT)]
    found = weights(monkeypatch, tiny_student, names, scores, ("chemical", "disease", "gene"), texts)
    assert found.keys() == {"chemical"}


def test_sums_over_the_spans_of_a_student(tiny_student, names):
    """The same by hand, of what the student scores; annotation changes nothing."""
    labels = ["chemical", "disease"]
    everything = Settings(threshold=1e-4, multi_label=True, overlap="all", digits=17)
    found = list(Predictor(tiny_student).predict(TEXTS, labels=labels, settings=everything))
    spans = sum(4 + number % 5 - size for number in range(len(TEXTS)) for size in range(tiny_student.config.max_width)
                if 4 + number % 5 > size)  # fmt: skip
    expected = {}
    for label, place in (("chemical", (0, 7)), ("disease", (20, 25))):
        scores = {(d.id, m.start, m.end): m.score for d in found for m in d.mentions if m.type == label}
        named = [score for (_, *where), score in scores.items() if tuple(where) == place]
        entity = sum(score for score in scores.values() if score >= 0.01)
        rate = (len(TEXTS) - sum(named)) / (spans - entity)
        expected[label] = pytest.approx(max(math.log(sum(named) / entity / rate), 0), abs=0.006)
    got = weights_of_texts(tiny_student, StudentInfo(), TEXTS, labels, names=names)
    assert got == expected and any(got.values())
    annotated = [replace(one, mentions=(Mention(8, 15, "chemical"),)) for one in TEXTS]
    assert weights_of_texts(tiny_student, StudentInfo(), annotated, labels, names=names) == got


def test_the_command(tiny_student, graph, names, tmp_path):
    known = StudentInfo(
        types=("chemical", "gene"), thresholds={"chemical": 0.3}, name_weights={"Chemical": 1, "gene": 2}
    )
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(tiny_student, known, place)
        (place / "README.md").write_text("# card\n")
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(line_of(one) + "\n" for one in TEXTS))

    def run(*arguments):
        call = ["calibrate", "--graph", graph, *arguments, tmp_path / "student", tmp_path / "out"]
        return CliRunner().invoke(cli, list(map(str, call)), catch_exceptions=False)

    done = run("--text", texts)
    assert "has weights of names for chemical, gene already" in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    expected = weights_of_texts(tiny_student, known, TEXTS, ["chemical"], names=names)
    assert said == {
        "out": str(tmp_path / "out"), "name_weights": expected, "documents": len(TEXTS), "too_few_names": ["gene"]
    }  # fmt: skip
    _, after = checkpoint.open_student(tmp_path / "out")
    assert after == replace(known, name_weights={"gene": 2, **expected})
    assert "25 texts" in (tmp_path / "out" / "README.md").read_text()
    dev = tmp_path / "made"
    dev.mkdir()
    (dev / "dev.jsonl").write_text(
        "".join(line_of(replace(one, types=frozenset({"chemical"}))) + "\n" for one in TEXTS)
    )
    call = ["calibrate", "--data", f"made={dev}", str(tmp_path / "out"), str(tmp_path / "again")]
    assert CliRunner().invoke(cli, call, catch_exceptions=False).exit_code == 0
    assert "25 texts" not in (tmp_path / "again" / "README.md").read_text()
    for arguments, says in (
        (["--text", texts, "--data", "a=b"], "instead"),
        (["--text", texts, "--split", "dev"], "--split goes with --data"),
        (["--data", "a=b", "--documents", 3], "--documents goes with --text"),
        (["--text", texts, "--labels", "gene"], "fewer than 20 names of gene"),
        (["--text", texts, "--documents", "3"], "stand in 3 documents"),
        ([], "instead"),
    ):
        with pytest.raises(ConfigError, match=says):
            run(*arguments)
    with pytest.raises(ConfigError, match="give --graph"):
        CliRunner().invoke(cli, ["calibrate", "--text", str(texts), "a", "b"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="--labels goes with"):
        CliRunner().invoke(cli, ["calibrate", "--data", "a=b", "--labels", "x", "a", "b"], catch_exceptions=False)
