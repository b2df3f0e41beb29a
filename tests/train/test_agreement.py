"""The agreement that dev documents ask for, each type by itself, and none where a corpus would lose."""

from __future__ import annotations

import numpy as np
import pytest

from kogner.annotate.predictor import Predictor
from kogner.evaluate.spans import score
from kogner.records import Document, Mention
from kogner.student.checkpoint import StudentInfo
from kogner.train.agreement import best_agreement
from kogner.train.splits import Split
from kogner.train.thresholds import Scored, found_at, scored_dev, shown

TEXT = "Zinc rose. Then zinc fell. No zinc was left, and lead was none."
PLACES = [(0, 4), (16, 20), (30, 34)]
LEAD = (49, 53)
TYPES = ["chemical", "metal"]


def scored(*documents: tuple[list[float], float]) -> Scored:
    """Dev documents of TEXT: scores of `zinc` in its three places, and of `lead`."""
    spans, scores = [], []
    for number, (zinc, lead) in enumerate(documents):
        for (start, end), value in zip([*PLACES, LEAD], [*zinc, lead], strict=True):
            spans.append((number, start, end, 0))
            scores.append(value)
    return Scored.of(np.array(spans), np.array(scores), np.zeros(len(scores), bool), np.array([[1]]))


def split(name: str, *gold: list[tuple[int, int]]) -> Split:
    documents = [
        Document(f"{name}{number}", TEXT, tuple(Mention(*place, "chemical") for place in places))
        for number, places in enumerate(gold)
    ]
    return Split(name, (), documents, ("chemical",))


def test_places_that_are_right_ask_for_agreement_and_their_student_finds_them():
    dev = scored(([0.9, 0.2, 0.3], 0.1), ([0.9, 0.8, 0.2], 0.6))
    splits = [split("one", PLACES, [*PLACES, LEAD])]
    fitted = best_agreement(dev, splits, TYPES, StudentInfo())
    assert set(fitted) == {"chemical"} and fitted["chemical"] > 0
    before, after = (
        score(splits[0].dev, found_at(dev, splits, TYPES, info)["one"], types=["chemical"]).f1
        for info in (StudentInfo(), StudentInfo(agreement=fitted))
    )
    assert after == 1.0 > before


@pytest.mark.parametrize("temperature", [1.0, 2.7])
def test_what_is_fitted_sees_what_a_predictor_finds(tiny_student, temperature):
    text = "aspirin lowered fever. No aspirin, no pain. The rats had aspirin and fever. Pain, fever and aspirin."
    documents = [Document("1", text, types=frozenset({"chemical"}))]
    splits = [Split("one", (), documents, ("chemical",))]
    dev = scored_dev(tiny_student, splits, TYPES, agreement=True)
    scores = sorted(shown(dev, TYPES, StudentInfo(temperatures={"chemical": temperature})))
    for at in (0.5, 0.8, 0.95):
        info = StudentInfo(
            thresholds={"chemical": min(0.99, scores[int(at * len(scores))])},
            temperatures={"chemical": temperature},
            agreement={"chemical": 0.6},
        )
        (expected,) = found_at(dev, splits, TYPES, info)["one"]
        (found,) = Predictor(tiny_student, info).predict(documents, labels=["chemical"])
        assert [one.key for one in found.mentions] == [one.key for one in expected.mentions]


@pytest.mark.parametrize("gold", [[[PLACES[0]]], [[PLACES[0], LEAD]]])
def test_places_that_are_wrong_ask_for_none(gold):
    dev = scored(([0.95, 0.3, 0.3], 0.7 if LEAD in gold[0] else 0.1))
    assert best_agreement(dev, [split("one", *gold)], TYPES, StudentInfo()) == {"chemical": 0.0}


def test_what_one_corpus_loses_no_other_gains():
    dev = scored(([0.9, 0.2, 0.3], 0.1), ([0.9, 0.2, 0.3], 0.1))
    both = [split("one", PLACES), split("two", [PLACES[0]])]
    assert best_agreement(dev, both, TYPES, StudentInfo()) == {"chemical": 0.0}
    assert best_agreement(dev, both[:1], TYPES, StudentInfo())["chemical"] > 0
