"""Which entities annotators mark: kindred ones, too, that stand in no annotated document."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.entity_weights import FILE, EntityWeights
from kogner.annotate.names import Names
from kogner.annotate.predictor import Predictor
from kogner.cli import cli
from kogner.data.formats import jsonl
from kogner.errors import ConfigError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.teacher.bank import Bank, write_bank
from kogner.train.entity_weights import LEAST, learn
from kogner.train.splits import Split

KINDS = {"drug": 30, "hormone": 30}  # both Chemical in the graph; annotators mark drugs
SEEN = 20  # of each, in annotated documents


def names_of(kind):
    letters = "bcdfghklmnprstvz"
    return [f"{kind[0]}{letters[n % 16]}o{letters[n // 16]}a{kind}in" for n in range(KINDS[kind])]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return made(tmp_path_factory.mktemp("marked"), {"drug": "drug:", "hormone": "hormone:"})


@pytest.fixture(scope="module")
def one_vocabulary(tmp_path_factory):
    """The same with ids that do not tell drugs from hormones."""
    return made(tmp_path_factory.mktemp("one"), {"drug": "C:1", "hormone": "C:2"})


def made(folder, starts):
    entities = [
        Entity(f"{starts[kind]}{n}", "Chemical", name) for kind in KINDS for n, name in enumerate(names_of(kind))
    ]
    build([*entities, Entity("X:1", "Disease", "fever")], [], folder / "graph", rejected=Rejections())
    dice = np.random.default_rng(0)
    centre = {"drug": np.array([1.0, 0, 0, 0]), "hormone": np.array([0, 1.0, 0, 0])}
    ids = [*(one.id for one in entities), "X:1"]
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    near = np.stack([*(centre[one] + dice.normal(scale=0.15, size=4) for one in kinds), np.zeros(4)])
    parts = {"Z": near.astype(np.float16), "Z'": dice.normal(size=(len(ids), 3)).astype(np.float16)}
    write_bank(folder / "bank", ids, parts, keys={}, parents={"graph": "0" * 64}, recipe={}, metrics={})
    return GraphStore.open(folder / "graph"), Bank.open(folder / "bank")


def document(number, *, unsure=()):
    """A sentence with a drug, which is marked, and a hormone, which is not."""
    drug, hormone = (names_of(kind)[number % SEEN] for kind in KINDS)
    text = f"{drug} lowers {hormone} today"
    mention = Mention(0, len(drug), "chemical", drug)
    doubt = tuple(Mention(text.index(hormone), text.index(hormone) + len(hormone), "chemical") for _ in unsure)
    return Document(str(number), text, (mention,), frozenset({"chemical"}), doubt)


def split_of(documents):
    return Split("made", documents, (), ("chemical",))


def test_kindred_entities_count_alike(graph):
    store, bank = graph
    found = learn(
        [split_of([document(n) for n in range(40)])], ["chemical"], names=Names(store), bank=bank, parts=["Z"]
    )
    told = {"names": 80, "without_row": 0, "marked": 0.5, "penalties": 0, "entities": 60}
    assert found.told["chemical"] | {"penalties": 0} == told
    for kind, sign in (("drug", 1), ("hormone", -1)):
        logits = [sign * found.weights.logit("chemical", f"{kind}:{n}") for n in range(SEEN, KINDS[kind])]
        assert min(logits) > 0.5, kind  # of none of these was there a name in a document
    assert found.weights.logit("chemical", "X:1") == 0


def apart(graph, starts, **how):
    """How much more a drug counts than a hormone, of those that stand in no document."""
    store, bank = graph
    documents = [document(n) for n in range(SEEN)]  # each entity once
    found = learn([split_of(documents)], ["chemical"], names=Names(store), bank=bank, parts=["Z"], **how)
    drugs, hormones = (
        [found.weights.logit("chemical", f"{start}{n}") for n in range(SEEN, KINDS[kind])]
        for kind, start in starts.items()
    )
    return np.mean(drugs) - np.mean(hormones)


OF_ONE = {"drug": "C:1", "hormone": "C:2"}
OF_TWO = {"drug": "drug:", "hormone": "hormone:"}


def test_with_rows_of_others_nothing_holds_for_entities_that_were_not_seen(one_vocabulary, graph):
    assert min(apart(one_vocabulary, OF_ONE), apart(graph, OF_TWO)) > 2
    for seed in range(3):
        assert abs(apart(one_vocabulary, OF_ONE, control="vocabulary", seed=seed)) < 0.5
        assert abs(apart(graph, OF_TWO, control="shuffled", seed=seed)) < 0.5


def test_one_control_knows_what_a_vocabulary_says(graph):
    assert apart(graph, OF_TWO, control="vocabulary") > 2


def test_what_documents_say_of_an_entity_itself_holds_against_its_kind(graph):
    """Of an entity that is marked, unlike the others of its kind; more so the more often it stands there."""
    store, bank = graph
    odd = names_of("hormone")[0]
    marked = Document("odd", f"{odd} is low", (Mention(0, len(odd), "chemical"),), frozenset({"chemical"}))
    logits = []
    for times in (1, 10):
        documents = [*(document(n) for n in range(1, 40)), *[marked] * times]
        weights = learn([split_of(documents)], ["chemical"], names=Names(store), bank=bank, parts=["Z"]).weights
        logits.append(weights.logit("chemical", "hormone:0"))
        assert logits[-1] > max(weights.logit("chemical", f"hormone:{n}") for n in range(1, 30))
    assert logits[1] > max(logits[0], 0)


@pytest.mark.parametrize(
    ("documents", "label", "why"),
    [
        ([document(n) for n in range(LEAST // 2 - 1)], "chemical", "too few names"),
        ([document(n, unsure=(1,)) for n in range(40)], "chemical", "all of them marked"),  # the others are in doubt
        ([], "chemical", "too few names"),
        ([document(0)], "nothing like it", "no type for it"),
        ([replace(document(n), types=frozenset({"disease"})) for n in range(40)], "chemical", "too few names"),
    ],
)
def test_what_teaches_nothing_says_why(graph, documents, label, why):
    store, bank = graph
    found = learn([split_of(documents)], [label], names=Names(store), bank=bank)
    assert not found.weights.of and why in found.told[label]["left_out"]


def test_types_that_differ_in_case_are_refused(graph):
    store, bank = graph
    with pytest.raises(ConfigError, match="differ in their case"):
        learn([split_of([document(0)])], ["chemical", "Chemical"], names=Names(store), bank=bank)


def test_entities_without_a_row_are_counted(graph, tmp_path):
    store, bank = graph
    bank.slice([f"{kind}:{n}" for kind in KINDS for n in range(SEEN // 2)], tmp_path / "slice")
    documents = [document(n) for n in range(40)]
    found = learn([split_of(documents)], ["chemical"], names=Names(store), bank=Bank.open(tmp_path / "slice"))
    assert (found.told["chemical"]["names"], found.told["chemical"]["without_row"]) == (40, 40)


def test_a_bank_of_another_graph_is_refused(graph, tmp_path):
    store, _ = graph
    write_bank(tmp_path / "bank", ["Y:1"], {"Z": np.ones((1, 4))}, keys={}, parents={}, recipe={}, metrics={})
    with pytest.raises(ConfigError, match="holds no entity of chemical that"):
        learn(
            [split_of([document(0)])], ["chemical"], names=Names(store), bank=Bank.open(tmp_path / "bank"), parts=["Z"]
        )


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_calibrate_keeps_them_and_calibrates_them_away(tiny_student, graph, tmp_path):
    store, bank = graph
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("chemical",), thresholds={"chemical": 0.5}), folder)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    jsonl.write(corpus / "train.jsonl", [document(n) for n in range(40)])
    unseen = {kind: names_of(kind)[SEEN:] for kind in KINDS}
    dev = [
        Document(f"dev{n}", f"{drug} lowers {hormone}", (Mention(0, len(drug), "chemical"),), frozenset({"chemical"}))
        for n, (drug, hormone) in enumerate(zip(unseen["drug"], unseen["hormone"], strict=True))
    ]
    jsonl.write(corpus / "dev.jsonl", dev)
    fit = ["calibrate", "--threads", "1", "--graph", store.path, "--data", f"made={corpus}"]
    result = run(*fit, "--bank", bank.path, tmp_path / "student", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    told = said["entity_weights"]["chemical"]
    assert told["names"] == 80 and told["scale"] > 0
    plain = json.loads(run(*fit, tmp_path / "student", tmp_path / "plain").stdout.splitlines()[-1])
    assert said["with_names"]["made"]["f1"] > plain["with_names"]["made"]["f1"]
    for same in ("thresholds", "agreement", "after", "after_alone"):  # what is read without names knows no entities
        assert said[same] == plain[same]
    assert not (tmp_path / "plain" / FILE).exists()
    cards = {name: (tmp_path / name / "README.md").read_text() for name in ("out", "plain")}
    assert "Names of chemical count by their entities" in cards["out"] and "their entities" not in cards["plain"]
    weights = Predictor.load(tmp_path / "out").entity_weights
    assert weights.logit("chemical", "drug:25") > 0 > weights.logit("chemical", "hormone:25")
    scored = run("evaluate", "--model", tmp_path / "out", "--data", f"made={corpus}", "--split", "dev", "--json",
                 "--graph", store.path)  # fmt: skip
    assert json.loads(scored.stdout.splitlines()[-1])["made"]["f1"] == said["with_names"]["made"]["f1"]
    exported = run("export", "--to", "gliner", tmp_path / "out", tmp_path / "gliner")
    assert exported.exit_code == 0, exported.output
    assert EntityWeights.read(tmp_path / "gliner").logit("chemical", "drug:25") == weights.logit("chemical", "drug:25")
    again = run(*fit, tmp_path / "out", tmp_path / "again")  # fitted anew, to documents alone
    assert again.exit_code == 0 and not (tmp_path / "again" / FILE).exists()
    alike = run(*fit, "--bank", bank.path, "--entities-of", "chemical", tmp_path / "student", tmp_path / "alike")
    assert alike.exit_code == 0, alike.output
    assert (tmp_path / "alike" / FILE).read_bytes() == (tmp_path / "out" / FILE).read_bytes()
    for more, says in (
        (["--bank", bank.path, "--entities-of", "drug"], "no corpus has drug; they have chemical"),
        (["--entities-of", "chemical"], "goes with --bank"),
    ):
        assert says in str(run(*fit, *more, tmp_path / "student", tmp_path / "none").exception)
    foreign = run(*fit, "--bank", bank.path, tmp_path / "gliner", tmp_path / "gliner-fitted")
    assert foreign.exit_code == 0, foreign.output
    assert (tmp_path / "gliner-fitted" / FILE).read_bytes() == (tmp_path / "out" / FILE).read_bytes()


@pytest.fixture
def weighted(tiny_student, tmp_path):
    """A student whose names of two types count by their entities."""
    weights = {
        label: EntityWeights.table(["drug:1", "drug:2"], np.array([2.0, -1.0])) for label in ("chemical", "disease")
    }
    with artifacts.writing(tmp_path / "weighted", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("chemical", "disease")), folder)
        EntityWeights(weights).save(folder)
    return tmp_path / "weighted"


def test_what_raw_text_says_of_a_type_stands_instead(weighted, graph, tmp_path):
    store, _ = graph
    (tmp_path / "texts.txt").write_text("\n".join(document(n).text for n in range(40)))
    fit = ["calibrate", "--threads", "1", "--graph", store.path, "--text", tmp_path / "texts.txt"]
    result = run(*fit, "--labels", "chemical", weighted, tmp_path / "out")
    assert result.exit_code == 0, result.output
    left = EntityWeights.read(tmp_path / "out")
    assert left.logit("chemical", "drug:1") == 0 and left.logit("disease", "drug:1") == 2.0


def test_a_bank_without_what_it_goes_with_is_refused(tmp_path):
    for more in (
        ["--data", "a=b"],
        ["--text", "t.txt", "--graph", "g"],
        ["--data", "a=b", "--graph", "g", "--split", "train"],
    ):
        result = run("calibrate", *more, "--bank", "b", "m", tmp_path / "out")
        assert result.exit_code != 0 and "--bank goes with --graph and --data" in str(result.exception or result.output)
