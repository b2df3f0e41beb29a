"""Raw text with what a student and the graph's names find in it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.names import Names
from kogner.annotate.predictor import Predictor, Settings
from kogner.artifacts import read_manifest
from kogner.cli import cli
from kogner.data import corpora
from kogner.data.formats import jsonl
from kogner.data.overlap import BY_ID, BY_TEXT, Overlap
from kogner.data.pseudo import BLOCK, FEW_NAMES, PseudoSettings, chosen, label
from kogner.data.silver import DOCUMENT_TWICE
from kogner.errors import ConfigError, InputError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

TEXT = "Aspirin and ibuprofen met fever."


class Told:
    """Says what it is told to, by the labels that it is asked for, above their threshold."""

    def __init__(self, found, **info):
        self.found, self.asked, self.info = found, 0, StudentInfo(**info)

    def predict(self, documents, *, labels, settings, names):
        assert settings.overlap == "all" and settings.multi_label and names is None
        self.asked += 1
        for one in documents:
            seen = [m for m in self.found if m.type in labels and m.score >= settings.threshold]
            yield Document(one.id, one.text, tuple(m for m in seen if m.end <= len(one.text)))


def at(word, kind, score):
    begin = TEXT.index(word)
    return Mention(begin, begin + len(word), kind, word, ids=("X:1",), score=score)


THRESHOLDS = {"chemical": 0.3, "disease": 0.3, "gene": 0.3, "protein": 0.3}


def test_what_is_sure_is_a_mention_what_is_not_is_in_doubt_and_the_rest_is_none():
    found = [
        at("Aspirin", "chemical", 0.9),
        at("Aspirin and ibuprofen", "chemical", 0.29),  # another border of a mention: none
        at("ibuprofen", "chemical", 0.4),  # found, not sure
        at("fever", "disease", 0.2),  # not found, perhaps one
        at("met", "disease", 0.1),
    ]
    counts = Counter()
    told = Told(found, thresholds=THRESHOLDS)
    raw = Document("1", TEXT, (at("met", "gene", 1.0),), frozenset({"gene"}))
    (one,) = label([raw], told, [["chemical"], ["disease"]], reading=Settings(threshold=0.99), counts=counts)
    assert [(m.text, m.score, m.ids) for m in one.mentions] == [("Aspirin", None, ())]
    assert sorted(m.text for m in one.unsure) == ["fever", "ibuprofen"]
    assert one.types == {"chemical", "disease"} and one.text == TEXT and one.id == "1"
    assert counts == {"mention": 1, "found, in doubt": 1, "not found, in doubt": 1}
    assert told.asked == 1


def test_a_text_found_elsewhere_in_the_document_is_in_doubt_where_it_is_not():
    text = "Aspirin met aspirin."
    found = [Mention(0, 7, "chemical", "Aspirin", score=0.9), Mention(12, 19, "chemical", "aspirin", score=0.04)]
    documents = [Document("1", text)]
    (one,) = label(documents, Told(found, thresholds=THRESHOLDS), [["chemical"]], reading=Settings())
    assert [m.start for m in one.mentions] == [0] and [m.start for m in one.unsure] == [12]
    agreeing = Told(found, thresholds=THRESHOLDS, agreement={"chemical": 0.5})
    (one,) = label(documents, agreeing, [["chemical"]], reading=Settings(agreement=0.0))
    assert [m.start for m in one.unsure] == [12]  # found by agreement, not sure
    (one,) = label(documents, agreeing, [["chemical"]], reading=Settings(), settings=PseudoSettings(0.31, 0.15))
    assert [m.start for m in one.mentions] == [0, 12]


def test_groups_may_overlap_each_other():
    found = [at("Aspirin and ibuprofen", "gene", 0.9), at("ibuprofen", "protein", 0.8), at("Aspirin", "protein", 0.2)]
    documents = [Document("1", TEXT)]
    told = Told(found, thresholds=THRESHOLDS)
    (one,) = label(documents, told, [["gene"], ["protein"]], reading=Settings())
    assert [(m.text, m.type) for m in one.mentions] == [("Aspirin and ibuprofen", "gene"), ("ibuprofen", "protein")]
    assert [(m.text, m.type) for m in one.unsure] == [("Aspirin", "protein")]
    (one,) = label(documents, told, [["gene", "protein"]], reading=Settings())
    assert [(m.text, m.type) for m in one.mentions] == [("Aspirin and ibuprofen", "gene")]
    assert sorted(m.text for m in one.unsure) == ["Aspirin", "ibuprofen"]


def test_groups_may_cross_each_other():
    found = [at("Aspirin and ibuprofen", "gene", 0.9), at("ibuprofen met", "protein", 0.8), at("met", "protein", 0.25)]
    (one,) = label(
        [Document("1", TEXT)], Told(found, thresholds=THRESHOLDS), [["gene"], ["protein"]], reading=Settings()
    )
    assert [(m.text, m.type) for m in one.mentions] == [("Aspirin and ibuprofen", "gene"), ("ibuprofen met", "protein")]
    assert one.unsure == ()
    found[1] = at("ibuprofen met", "protein", 0.2)
    (one,) = label([Document("1", TEXT)], Told(found, thresholds=THRESHOLDS), [["gene", "protein"]], reading=Settings())
    assert [(m.text, m.type) for m in one.unsure] == [("ibuprofen met", "protein"), ("met", "protein")]


def test_more_documents_than_are_read_at_a_time():
    told = Told([at("Aspirin", "chemical", 0.9)], thresholds=THRESHOLDS)
    texts = [Document(str(number), TEXT) for number in range(BLOCK + 1)]
    found = list(label(texts, told, [["chemical"]], reading=Settings()))
    assert [one.id for one in found] == [one.id for one in texts] and told.asked == 2
    assert all(len(one.mentions) == 1 for one in found)


@pytest.mark.parametrize("groups", [[], [["gene"], ["gene"]]])
def test_each_type_once(groups):
    with pytest.raises(ConfigError, match="each once"):
        next(label([Document("1", TEXT)], Told([]), groups, reading=Settings()))


def test_settings_in_no_order():
    with pytest.raises(ConfigError, match="doubt <= keep"):
        PseudoSettings(keep=0.3, doubt=0.4)


def graph_of(folder):
    names = {"aspirin": "Chemical", "ibuprofen": "Chemical", "fever": "Disease"}
    build(
        [Entity(f"X:{number}", kind, name) for number, (name, kind) in enumerate(names.items())],
        [], folder, rejected=Rejections(),
    )  # fmt: skip
    return folder


def test_documents_are_chosen_by_seed_names_and_what_is_excluded(tmp_path):
    names = Names(GraphStore.open(graph_of(tmp_path / "graph")))
    texts = {"a": TEXT, "b": "Nothing here.", "c": "Aspirin for fever.", "d": "Aspirin aspirin.", "e": TEXT + " Too."}
    documents = [Document(name, text) for name, text in texts.items()]
    left_out = Counter()
    taken = chosen(
        [*documents, documents[0]], ["chemical", "disease"], names=names, min_names=2,
        excluded=Overlap([Document("e", "Else.")]), left_out=left_out,
    )  # fmt: skip
    assert {one.id for one in taken} == {"a", "c"}
    assert left_out == {DOCUMENT_TWICE: 1, FEW_NAMES: 2, BY_ID: 1}
    order = [one.id for one in chosen(documents, ["chemical"], seed=1)]
    assert sorted(order) == sorted(texts)
    assert [one.id for one in chosen(documents[::-1], ["chemical"], seed=1, documents_at_most=3)] == order[:3]
    assert [one.id for one in chosen(documents, ["chemical"], seed=2)] != order


@pytest.fixture
def student(tmp_path, tiny_student):
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("chemical", "disease")), folder)
    return tmp_path / "student"


def calling(student, labels):
    return ["data", "pseudo-label", "--model", str(student), "--labels", labels]


def test_the_command_writes_a_corpus_that_training_reads(tmp_path, student):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    long = "Aspirin, ibuprofen and nothing else were given against the fever of all the patients in this ward."
    mine = Document("1", TEXT, (Mention(0, 7, "gene", "Aspirin"),), frozenset({"gene"}))
    jsonl.write(corpus / "train.jsonl", [mine, Document("3", f"As said: {long}", (), frozenset({"gene"}))])
    jsonl.write(corpus / "test.jsonl", [Document("2", long, (), frozenset({"gene"}))])
    graph = graph_of(tmp_path / "graph")
    call = [*calling(student, "chemical,disease"), "--out", str(tmp_path / "p")]
    result = CliRunner().invoke(cli, call)
    assert isinstance(result.exception, ConfigError) and "nothing to read" in str(result.exception)
    call += ["--corpus", str(corpus), "--exclude", str(corpus)]
    result = CliRunner().invoke(cli, [*call, "--min-names", "2"])
    assert isinstance(result.exception, ConfigError) and "without --graph" in str(result.exception)
    named = ["--graph", str(graph), "--name-weight", "9", "--min-names", "3", "--documents", "5"]
    result = CliRunner().invoke(cli, [*call, *named])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert said["left_out"] == {BY_TEXT: 1}
    assert said["documents"] == 1 and sum(said["mentions"].values()) == said["spans"]["mention"]
    parents = read_manifest(tmp_path / "p").parents
    assert parents == {"graph": read_manifest(graph).hash, "student": read_manifest(student).hash}
    (one,) = corpora.load("p", tmp_path / "p", "train").documents
    assert one.id == "corpus:1" and one.types == {"chemical", "disease"}
    (alone,) = Predictor.load(str(student)).predict(
        [Document("1", TEXT)], labels=["chemical", "disease"], settings=Settings(name_weight=9.0),
        names=Names(GraphStore.open(graph)),
    )  # fmt: skip
    sure = {m.key for m in alone.mentions if m.score >= 0.5}
    assert {m.key for m in one.mentions} == sure and len(sure) > 0


def test_no_document_is_left(tmp_path, student):
    (tmp_path / "raw.txt").write_text("Nothing here.")
    graph = graph_of(tmp_path / "graph")
    call = [*calling(student, "chemical"), "--text", str(tmp_path / "raw.txt")]
    result = CliRunner().invoke(cli, [*call, "--graph", str(graph), "--min-names", "1", "--out", str(tmp_path / "p")])
    assert isinstance(result.exception, InputError) and "no document is left" in str(result.exception)
    assert not (tmp_path / "p").exists()
