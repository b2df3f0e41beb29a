"""Names of a graph as evidence: what scores higher by how much, and the weights that dev documents give."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate.agreement import FLOOR
from kogner.annotate.bounds import Bounds
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.names import NAME_FLOOR, Names, shifted, with_names
from kogner.annotate.predictor import Predictor, Settings
from kogner.cli import cli
from kogner.data.formats import jsonl
from kogner.errors import ArtifactError, InputError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention, Sentence
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import Candidate, warmed
from kogner.train.name_evidence import best_name_evidence
from kogner.train.splits import Split
from kogner.train.thresholds import Scored

TEXT = "aspirin lowered the fever"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "graph"
    entities = [Entity("X:1", "Chemical", "aspirin"), Entity("X:2", "Disease", "fever"), Entity("X:3", "Gene", "THB1")]
    build(entities, [], path, rejected=Rejections())
    return GraphStore.open(path)


def bounds(*thresholds: float, weights: float = 0.0, losses: float = 0.0) -> Bounds:
    count = len(thresholds)
    nothing, floors = [0.0] * count, [NAME_FLOOR] * count
    return Bounds(
        thresholds, agreement=nothing, looked_at=thresholds, temperatures=[1.0] * count, weights=[weights] * count,
        most=[weights] * count, losses=[losses] * count, floors=floors, by_entity=EntityWeights(),
    )  # fmt: skip


def test_names_count_for_the_labels_of_their_type(store):
    names = Names(store)
    assert names.spans(TEXT, ["disease", "drug"]) == {(0, 7, 1), (20, 25, 0)}
    assert names.spans("THB1 is a gene", ["gene", "protein"]) == {(0, 4, 0), (0, 4, 1)}
    assert names.spans(TEXT, ["anything else"]) == set()


def test_a_shifted_score_is_a_logit_away():
    assert shifted(0.5, 1) == pytest.approx(1 / (1 + math.exp(-1)))
    assert shifted(shifted(0.3, 2), -2) == pytest.approx(0.3)
    assert (shifted(0, 3), shifted(1, 3), shifted(0.3, 0)) == (0, 1, 0.3)


def test_what_is_no_name_has_to_reach_the_threshold_by_itself():
    sentence = Sentence("d", ((0, 7), (8, 15), (16, 19), (20, 25)), ("aspirin", "lowered", "the", "fever"))
    candidates = [Candidate(0, 1, 0, 0.3), Candidate(1, 2, 0, 0.3), Candidate(3, 4, 0, 0.6)]
    names = {(0, 7, 0): 0.0}
    assert with_names(candidates, sentence, names, bounds(0.5, weights=0.5)) == [candidates[2]]
    kept = with_names(candidates, sentence, names, bounds(0.5, weights=2.0))
    assert [one.start for one in kept] == [0, 3] and kept[0].score == shifted(0.3, 2)
    kept = with_names(candidates, sentence, names, bounds(0.5, weights=2.0, losses=0.6))
    assert [one.start for one in kept] == [0], "what is no name may lose"


def test_a_name_that_the_student_gave_nothing_counts_from_the_floor_on():
    sentence = Sentence("d", ((30, 37), (38, 45), (46, 49), (50, 55)), ("aspirin", "lowered", "the", "fever"))
    names = {(0, 7, 0): 0.0, (30, 37, 0): 0.0, (38, 44, 0): 0.0, (46, 55, 1): 0.0, (50, 55, 1): 1.0, (60, 65, 1): 9.0}
    within_reach = sorted(names)
    candidates = [Candidate(0, 1, 0, 1e-6), Candidate(1, 2, 0, 0.6)]
    reached = replace(bounds(0.4, 0.6), weights=[9.0, 5.0], floors=[NAME_FLOOR, 0.01])
    kept = with_names(candidates, sentence, names, reached, within_reach=within_reach)
    assert kept == [
        Candidate(0, 1, 0, shifted(NAME_FLOOR, 9)),  # which it gave less than that
        Candidate(1, 2, 0, 0.6),
        Candidate(3, 4, 1, shifted(0.01, 6)),  # (46, 55) scores less than 0.6, (38, 44) ends within a word
    ]
    assert with_names([], sentence, names, replace(reached, weights=[1.0, 1.0]), within_reach=within_reach) == []


def test_predictions_with_names_that_the_student_gave_nothing(tiny_student, store):
    """They come in where the weight carries them over the threshold, wider ones than the student scores too."""
    at_most = Predictor(tiny_student, StudentInfo(types=("disease",)))
    plain = {m.key for m in at_most.predict_text(TEXT, labels=["disease"], settings=Settings(threshold=0.99))}
    assert plain == set()
    for temperature, weight, wanted in ((1.0, 9.0, False), (3.0, 9.0, True), (3.0, 4.0, False)):
        info = StudentInfo(types=("disease",), temperatures={"disease": temperature}, name_weights={"disease": weight})
        predictor = Predictor(tiny_student, info)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Predictor, "_score", lambda self, sentences, *args: [[] for _ in sentences])
            found = predictor.predict_text(
                TEXT, labels=["disease"], names=Names(store), settings=Settings(threshold=0.9, agreement=0.0)
            )
        assert [(m.start, m.end, m.type) for m in found] == ([(20, 25, "disease")] if wanted else [])


def test_names_that_count_for_nothing_change_nothing(tiny_student, store):
    """Also where the calibrated floor lies above the score from which agreement looks at a span."""
    info = StudentInfo(types=("disease",), temperatures={"disease": 3.0}, name_weights={"disease": 0.0})
    settings = Settings(threshold=0.9, agreement=0.5)
    of = Bounds.of(["disease"], settings, info, names=Names(store))
    assert warmed(NAME_FLOOR, 3.0) > of.looked_at[0] == FLOOR
    assert of.floors == [0.0] and of.within_reach([(20, 25, 0)]) == []
    sentence = Sentence("d", ((20, 25),), ("fever",))
    assert with_names([Candidate(0, 1, 0, 0.01)], sentence, {(20, 25, 0): 0.0}, of) == []
    counts = Bounds.of(["disease"], replace(settings, name_weight=0.5), info, names=Names(store))
    assert counts.floors == [warmed(NAME_FLOOR, 3.0)] and counts.within_reach([(20, 25, 0)]) == [(20, 25, 0)]
    (kept,) = with_names([Candidate(0, 1, 0, 0.04)], sentence, {(20, 25, 0): -0.6}, counts)
    assert kept.score == pytest.approx(shifted(0.04, -0.1)), "a name that counts against a span does not lift it first"


def test_predictions_with_names(tiny_student, store):
    predictor = Predictor(tiny_student, StudentInfo(types=("disease",), name_weights={"Disease": 2.0}))
    everything = Settings(threshold=0.0001, overlap="all", multi_label=True, digits=12)
    plain = {m.key: m.score for m in predictor.predict_text(TEXT, labels=["chemical", "disease"], settings=everything)}
    found = predictor.predict_text(TEXT, labels=["chemical", "disease"], settings=everything, names=Names(store))
    weights = {(0, 7, "chemical"): 1.0, (20, 25, "disease"): 2.0}  # the default, and what the checkpoint says
    assert {m.key for m in found} >= set(plain)
    for mention in found:
        wanted = shifted(plain[mention.key], weights.get(mention.key, 0))
        assert mention.score == pytest.approx(wanted, rel=1e-9)
    none = predictor.predict_text(
        TEXT, labels=["chemical", "disease"], names=Names(store),
        settings=Settings(threshold=0.0001, overlap="all", multi_label=True, digits=12, name_weight=0),
    )  # fmt: skip
    assert {m.key: m.score for m in none} == plain
    # A threshold between what the student gives and what it is with the name added.
    between = Settings(threshold=shifted(plain[20, 25, "disease"], 1), overlap="all")
    for given, wanted in ((Names(store), True), (None, False)):
        found = predictor.predict_text(TEXT, labels=["disease"], settings=between, names=given)
        assert ((20, 25) in {m.key[:2] for m in found}) == wanted


def test_what_is_no_name_loses_where_the_graph_knows_the_label(tiny_student, store):
    labels, everything = (
        ["disease", "anything else"],
        Settings(threshold=1e-6, overlap="all", multi_label=True, digits=12),
    )
    info = StudentInfo(name_weights={"disease": 2.0}, name_losses={"Disease": 1.5, "anything else": 1.5})
    predictor, names = Predictor(tiny_student, info), Names(store)
    plain = {m.key: m.score for m in predictor.predict_text(TEXT, labels=labels, settings=everything)}
    found = {m.key: m.score for m in predictor.predict_text(TEXT, labels=labels, settings=everything, names=names)}
    for (start, end, label), score in found.items():
        by = 0.0 if label != "disease" else 2.0 if (start, end) == (20, 25) else -1.5
        assert score == pytest.approx(shifted(plain[start, end, label], by), rel=1e-9)
    weighed = Settings(threshold=1e-6, overlap="all", multi_label=True, digits=12, name_weight=2.0)
    found = {m.key: m.score for m in predictor.predict_text(TEXT, labels=labels, settings=weighed, names=names)}
    assert found.items() >= {key: score for key, score in plain.items() if key[:2] != (20, 25)}.items()


def test_settings_and_checkpoints_that_cannot_be():
    with pytest.raises(InputError, match="name_weight"):
        Settings(name_weight=-1)
    with pytest.raises(ArtifactError, match="name_weights"):
        StudentInfo(name_weights={"a": -0.5})
    with pytest.raises(ArtifactError, match="name_losses"):
        StudentInfo(name_losses={"a": "much"})
    assert StudentInfo(name_weights={"a": 0}).name_weight("A", 1.0) == 0
    assert StudentInfo(name_losses={"a": 2}).name_loss("A") == 2 and StudentInfo().name_loss("a") == 0


def test_weights_are_what_dev_says():
    """Type a: names below the threshold are right. Type b: they are wrong. Type c: none was found."""
    spans, scores, right, named = [], [], [], []
    for document in range(200):
        for kind, start, score, is_right, is_name in (
            (0, 0, 0.3, True, True), (0, 5, 0.3, False, False), (0, 10, 0.9, True, False),
            (1, 20, 0.3, False, True), (1, 25, 0.9, True, False), (2, 30, 0.9, True, False),
        ):  # fmt: skip
            spans.append((document, start, start + 3, kind))
            scores.append(score)
            right.append(is_right)
            named.append(is_name)
    kinds = ("a", "a", "b", "c")
    mentions = tuple(Mention(at, at + 3, kind) for at, kind in zip((0, 10, 25, 30), kinds, strict=True))
    split = Split("made", (), [Document(str(number), "x" * 40, mentions) for number in range(200)], ("a", "b", "c"))
    gold = np.array([[2, 1, 1]] * 200)
    dev = Scored.of(np.array(spans), np.array(scores), np.array(right), gold, named=np.array(named))
    weights = best_name_evidence(dev, [split], ["a", "b", "c"], StudentInfo()).weights
    assert weights.keys() == {"a", "b"} and weights["b"] == 0  # c has no names
    assert 1 < weights["a"] < 4  # 0.3 reaches 0.5 with 0.85 logits; more is as good, and less likely from the start
    # Another corpus, small as it is, counts as much: there the names are wrong.
    extra = np.array([(200, 10, 13, 0), (200, 0, 3, 0), (200, 20, 23, 0)])
    both = Scored.of(
        np.concatenate([dev.spans, extra]), np.append(dev.scores, [0.9, 0.3, 0.3]),
        np.append(dev.right, [True, False, False]), np.append(gold, [[1, 0, 0]], 0),
        named=np.append(dev.named, [False, True, True]),
    )  # fmt: skip
    other = Split("other", (), [Document("1", "x" * 40, (Mention(10, 13, "a"),))], ("a",))
    assert best_name_evidence(both, [split, other], ["a", "b", "c"], StudentInfo()).weights == {"a": 0.0, "b": 0.0}


def test_losses_are_what_dev_says():
    """Type a: what is no name is wrong, at scores that names do not reach. Type b: no less right than names are."""
    spans, scores, right, named = [], [], [], []
    for document in range(200):
        for kind, start, score, is_right, is_name in (
            (0, 0, 0.2, True, True), (0, 5, 0.7, False, False), (0, 10, 0.99, True, False),
            (1, 20, 0.2, True, True), (1, 25, 0.7, True, False),
        ):  # fmt: skip
            spans.append((document, start, start + 3, kind))
            scores.append(score)
            right.append(is_right)
            named.append(is_name)
    mentions = tuple(Mention(at, at + 3, kind) for at, kind in ((0, "a"), (10, "a"), (20, "b"), (25, "b")))
    split = Split("made", (), [Document(str(number), "x" * 40, mentions) for number in range(200)], ("a", "b"))
    gold = np.array([[2, 2]] * 200)
    made, known = (np.array(spans), np.array(scores), np.array(right), gold), np.array(named)
    fitted = best_name_evidence(
        Scored.of(*made, named=known, by_graph=np.array([True, True])), [split], ["a", "b"], StudentInfo()
    )
    # 0.7 lies 0.85 logits above 0.5, 0.99 4.6.
    assert 0.85 < fitted.losses["a"] < 4.6 and fitted.losses["b"] == 0
    assert all(weight > 1.39 for weight in fitted.weights.values()), "that a name needs"
    unknown = best_name_evidence(Scored.of(*made, named=known), [split], ["a", "b"], StudentInfo())
    assert unknown.losses == {"a": 0.0, "b": 0.0}, "nothing is lost where the graph has no names of a type"


def test_calibrate_fits_them_and_annotate_takes_them(tiny_student, store, tmp_path):
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("disease",)), folder)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    document = Document("1", TEXT, (Mention(20, 25, "disease", "fever"),), frozenset({"disease"}))
    jsonl.write(corpus / "dev.jsonl", [document] * 1)
    run = ["calibrate", "--data", f"made={corpus}", "--graph", str(store.path), "--threads", "1"]
    result = CliRunner().invoke(cli, [*run, str(tmp_path / "student"), str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert set(said["name_weights"]) == {"disease"} and said["with_names"]["made"]["f1"] >= said["after"]["made"]["f1"]
    _, info, _ = checkpoint.load(tmp_path / "out")
    assert dict(info.name_weights) == said["name_weights"] and dict(info.name_losses) == said["name_losses"]
    result = CliRunner().invoke(
        cli, ["evaluate", "--model", str(tmp_path / "out"), "--data", f"made={corpus}", "--split", "dev", "--json",
              "--graph", str(store.path)],
    )  # fmt: skip
    assert json.loads(result.stdout.splitlines()[-1])["made"]["f1"] == said["with_names"]["made"]["f1"]
