"""Names in doubt: which there are, of which types, and that training gets them from what the command wrote."""

import json

import pytest
from click.testing import CliRunner

from kogner.cli import cli
from kogner.data import corpora
from kogner.data.doubts import KEPT_APART, OF_SEVERAL_TYPES, Doubt, Doubts
from kogner.graph.scan import Scanner
from kogner.graph.store import GraphStore, build
from kogner.records import Entity

ENTITIES = (
    Entity("C:1", "Chemical", "Aspirin"),
    Entity("C:2", "Chemical", "Li", ("lithium", "mg", "drug")),
    Entity("C:3", "Chemical", "Placebo effect"),
    Entity("C:4", "Chemical", "T4"),
    Entity("C:5", "Chemical", "doubtin"),
    Entity("D:5", "Disease", "doubtin"),
    Entity("D:1", "Disease", "Lithium"),
    Entity("D:2", "Disease", "Drug", ("was 2",)),
    Entity("D:3", "Disease", "Li", ("P", "AIMS")),
    Entity("O:1", "Other", "Placebo"),
)
OURS = {"Chemical": "chemical", "Disease": "disease"}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("doubts") / "graph"
    build(ENTITIES, (), path)
    return path


@pytest.fixture(scope="module")
def scanner(graph):
    return Scanner(GraphStore.open(graph), list(OURS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Li was given", [Doubt(0, 2, ("chemical", "disease"), KEPT_APART)]),  # a bare symbol
        ("the drug is", [Doubt(4, 8, ("chemical", "disease"), KEPT_APART)]),  # a common word, of all its readings
        ("our aims are", [Doubt(4, 8, ("disease",), KEPT_APART)]),  # a symbol in other case
        ("with T4 in it", [Doubt(5, 7, ("chemical",), KEPT_APART)]),  # a bare symbol with a digit
        ("it was 2 mg, P here", []),  # a function word, a unit, a letter
        ("of doubtin", [Doubt(3, 10, ("chemical", "disease"), OF_SEVERAL_TYPES)]),
        ("a placebo effect", []),  # a name of one type
        ("placebo", []),  # of no type that is asked for
    ],
)
def test_what_is_in_doubt(scanner, text, expected):
    assert Doubts(scanner, OURS).find(text, scanner.scan(text)) == expected


def test_training_gets_them(graph, tmp_path):
    lines = [{"id": "1", "text": "They gave aspirin and Li to some of them."}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    call = ["data", "silver", "--graph", graph, "--text", tmp_path / "texts.jsonl", "--out", tmp_path / "silver"]
    done = CliRunner().invoke(
        cli, [*map(str, call), "--types", "chemical=Chemical,disease=Disease", "--doubts"], catch_exceptions=False
    )
    assert json.loads(done.stdout.splitlines()[-1])["unsure"] == {KEPT_APART: 1}
    assert f"in doubt: 1 x name {KEPT_APART}" in done.stderr
    (document,) = corpora.load("made", tmp_path / "silver", "train").documents
    assert [(m.text, m.type) for m in document.mentions] == [("aspirin", "chemical")]
    assert [(m.text, m.type) for m in document.unsure] == [("Li", "chemical"), ("Li", "disease")]
