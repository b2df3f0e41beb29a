"""What a name counts by its entity: the table, its file, and what it does to a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from kogner.annotate.entity_weights import FILE, LEAST, STEP, EntityWeights, scaled_logits
from kogner.annotate.names import MAX_NAME_WEIGHT, NAME_FLOOR, Names, shifted
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import ArtifactError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Entity
from kogner.student.checkpoint import StudentInfo

TEXT = "aspirin lowered the insulin"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("entities") / "graph"
    build([Entity("X:1", "Chemical", "aspirin"), Entity("X:2", "Chemical", "insulin")], [], path, rejected=Rejections())
    return GraphStore.open(path)


def made(**logits):
    """Weights of the label chemical by the number of the entity, X:1 as x1."""
    ids = [name.replace("x", "X:") for name in logits]
    return EntityWeights({"chemical": EntityWeights.table(ids, np.array(list(logits.values())))})


def test_a_table_says_what_was_put_in_to_half_a_step():
    ids = [f"MESH:{number}" for number in range(5000)]
    logits = np.random.default_rng(0).normal(scale=3, size=len(ids))
    weights = EntityWeights({"chemical": EntityWeights.table(ids, logits)})
    found = np.array([weights.logit("Chemical", one) for one in ids])
    assert np.abs(found - np.clip(logits, -127 * STEP, 127 * STEP)).max() <= STEP / 2
    for scale in (0.0, 0.5, 3.0):  # what dev tries is what is stored
        stored = weights.scaled({"chemical": scale})
        tried = scaled_logits(found, scale)
        assert [stored.logit("chemical", one) for one in ids] == tried.tolist()
        assert np.abs(tried[tried != 0]).min(initial=9) >= LEAST * STEP and np.abs(tried).max() <= 127 * STEP
    assert weights.logit("chemical", "MESH:unknown") == weights.logit("disease", ids[0]) == 0
    assert weights.most("CHEMICAL") == found.max() and weights.most("disease") == 0
    assert made(x1=-1.0).most("chemical") == 0  # none of them adds anything


def test_scaled_joined_and_left_out():
    weights = made(x1=2.0, x2=-1.0)
    half = weights.scaled({"Chemical": 0.5})
    assert (half.logit("chemical", "X:1"), half.logit("chemical", "X:2")) == (1.0, -0.5)
    assert not weights.scaled({"chemical": 0}).of and not weights.scaled({"chemical": 0.1}).of
    assert not weights.without(["CHEMICAL"]).of
    assert not weights.scaled({"disease": 1.0}).of  # dev said nothing of chemicals
    other = EntityWeights({"disease": EntityWeights.table(["X:1"], np.array([3.0]))}).joined(made(x1=1.0))
    assert weights.joined(other).logit("chemical", "X:1") == 1.0 and other.logit("disease", "X:1") == 3.0


def test_they_travel_with_a_folder(tmp_path):
    assert not EntityWeights.read(tmp_path).of
    made(x1=2.0, x2=-1.0).save(tmp_path)
    assert EntityWeights.read(tmp_path).logit("chemical", "X:2") == -1.0
    EntityWeights().save(tmp_path)  # of a student that has none any more
    assert not (tmp_path / FILE).exists()


KEYS, STEPS = np.array([1, 2], np.uint32), np.array([1, 2], np.int8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keys.a": KEYS}, "holds no weights of entities for 'a'"),
        ({"keys.a": KEYS, "steps.a": STEPS[:1]}, "holds no weights of entities for 'a'"),
        ({"keys.a": KEYS, "steps.a": STEPS.astype(np.int16)}, "holds no weights of entities for 'a'"),
        ({"keys.a": KEYS[::-1].copy(), "steps.a": STEPS}, "entities of 'a' are not in order"),
        ({"keys.a": KEYS[None], "steps.a": STEPS[None]}, "entities of 'a' are not in order"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, arrays, message):
    save_file(arrays, tmp_path / FILE)
    with pytest.raises(ArtifactError, match=message):
        EntityWeights.read(tmp_path)


def test_what_is_no_file_of_weights_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(ArtifactError, match="cannot be read"):
        EntityWeights.read(tmp_path)


def test_names_say_what_their_entities_add(store):
    names = Names(store)
    first, second = made(x1=2.0, x2=-1.0), made(x2=3.0)
    for _ in range(2):  # what is remembered is of the weights that are asked for
        assert names.evidence(TEXT, ["disease", "drug", "chemical"], first) == {
            (0, 7, 1): 0.0, (0, 7, 2): 2.0, (20, 27, 1): 0.0, (20, 27, 2): -1.0,
        }  # fmt: skip
        assert names.evidence(TEXT, ["chemical"], second) == {(0, 7, 0): 0.0, (20, 27, 0): 3.0}


def test_a_prediction_counts_names_by_their_entities(tiny_student, store):
    info = StudentInfo(types=("chemical",), name_weights={"chemical": 1.0})
    everything = {"threshold": 1e-6, "overlap": "all", "multi_label": True, "digits": 14}

    def found(predictor, **more):
        names, settings = Names(store), Settings(**everything, **more)
        return {
            m.key: m.score for m in predictor.predict_text(TEXT, labels=["chemical"], settings=settings, names=names)
        }

    plain = found(Predictor(tiny_student, info), name_weight=0)
    weights = made(x1=2.0, x2=-3.0)
    predictor = Predictor(tiny_student, info, entity_weights=weights)
    for key, score in found(predictor).items():
        added = {(0, 7): 3.0, (20, 27): -2.0}.get(key[:2], 0.0)
        assert score == pytest.approx(shifted(plain[key], added), rel=1e-9)
    assert found(predictor, name_weight=0) == plain  # who says how much a name counts says so of all of them
    far = Predictor(tiny_student, info, entity_weights=made(x1=7.0).joined(EntityWeights()))
    far.info = StudentInfo(types=("chemical",), name_weights={"chemical": 9.0})
    assert found(far)[0, 7, "chemical"] == pytest.approx(shifted(plain[0, 7, "chemical"], MAX_NAME_WEIGHT), rel=1e-9)
    # A name that only its entity brings to the threshold is found, and one that its entity takes from it is not.
    between = Settings(threshold=shifted(plain[0, 7, "chemical"], 2.9), overlap="all")
    assert (0, 7) in {
        m.key[:2] for m in predictor.predict_text(TEXT, labels=["chemical"], settings=between, names=Names(store))
    }
    above = Settings(threshold=shifted(plain[20, 27, "chemical"], -0.5), overlap="all")
    for given, wanted in ((predictor, False), (Predictor(tiny_student, info), True)):
        spans = given.predict_text(TEXT, labels=["chemical"], settings=above, names=Names(store))
        assert ((20, 27) in {m.key[:2] for m in spans}) == wanted


def test_spans_that_no_name_could_lift_are_not_looked_at(tiny_student, store, monkeypatch):
    """Nearly every span of a text scores less, and a server answers only so many."""
    asked = []

    def scored(self, sentences, labels, least, settings):
        asked.append(least)
        return [[] for _ in sentences]

    monkeypatch.setattr(Predictor, "_score", scored)
    info = StudentInfo(types=("chemical",), name_weights={"chemical": 4.0})
    for logit, least in ((7.0, NAME_FLOOR), (1.0, shifted(0.5, -5.0)), (-7.0, shifted(0.5, -4.0))):
        weights = made(x1=logit)
        predictor = Predictor(tiny_student, info, entity_weights=weights)
        predictor.predict_text(TEXT, labels=["chemical"], names=Names(store))
        assert asked[-1] == pytest.approx([least])
