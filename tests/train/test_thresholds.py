from __future__ import annotations

import dataclasses
import json
from time import perf_counter

import numpy as np
import pytest

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import ArtifactError
from kogner.evaluate.spans import score
from kogner.records import Document, Mention
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import warmed
from kogner.train.splits import Split
from kogner.train.thresholds import (
    COOLEST,
    FLOOR,
    GRID,
    HOTTEST,
    LEAST,
    Scored,
    best_thresholds,
    fit,
    fit_temperatures,
    scored_dev,
)

TEXTS = ["aspirin lowered the fever of rats", "morphine caused no pain in the rats", "il gene with headache"] * 3


@pytest.fixture
def gold(tiny_student):
    """Gold is what the student itself finds at a middle score, so lower thresholds are wrong by construction."""
    plain = [Document(str(i), text, types=frozenset({"chemical"})) for i, text in enumerate(TEXTS)]
    low = list(Predictor(tiny_student).predict(plain, labels=["chemical"], settings=Settings(threshold=0.2)))
    scores = sorted({m.score for d in low for m in d.mentions})
    middle = scores[len(scores) // 2]
    return [
        Document(d.id, d.text, tuple(Mention(m.start, m.end, m.type) for m in d.mentions if m.score >= middle), d.types)
        for d in low
    ]


@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.5])
def test_with_many_documents_the_fitted_threshold_is_about_the_best_of_the_grid(tiny_student, gold, temperature):
    types, temperatures = ["chemical", "gene"], {"chemical": temperature}
    many = [dataclasses.replace(d, id=f"{d.id}/{i}") for i in range(30) for d in gold]
    splits = [Split("s", (), many, ("chemical",))]
    dev = scored_dev(tiny_student, splits, types)
    fitted = best_thresholds(dev, types, temperatures)
    assert set(fitted) == {"chemical"}

    def f1(threshold: float) -> float:
        info = StudentInfo(thresholds={"chemical": threshold}, temperatures=temperatures)
        found = list(Predictor(tiny_student, info).predict(gold, labels=["chemical"]))
        return score(gold, found, types=["chemical"]).f1

    by_threshold = [f1(float(t)) for t in GRID]
    assert f1(fitted["chemical"]) > max(by_threshold) - 0.02 > min(by_threshold) + 0.1
    if temperature == 1.0:
        assert dict(fit(tiny_student, splits, types, calibrate=False).thresholds) == fitted


def test_fit_gives_both_for_the_types_that_dev_knows_enough_of(tiny_student, gold):
    """The student is random: hundreds of its spans are wrong, and those that are right are repeated to be enough."""
    many = [dataclasses.replace(d, id=f"{d.id}/{i}") for i in range(12) for d in gold]
    fitted = fit(tiny_student, [Split("s", (), many, ("chemical",))], ["chemical", "gene"])
    assert set(fitted.thresholds) == set(fitted.temperatures) == {"chemical"}
    assert COOLEST - 1e-3 <= fitted.temperatures["chemical"] <= HOTTEST
    assert fit(tiny_student, [Split("s", (), (), ("chemical",))], ["chemical"]).thresholds == {}


def made(logits: np.ndarray, temperature: float, *, kind: int = 0) -> Scored:
    """Spans of which as many are right as sigmoid(z / T) says; those under the floor are not seen."""
    random = np.random.default_rng(3)
    right = random.uniform(size=len(logits)) < 1 / (1 + np.exp(-logits / temperature))
    scores = (1 / (1 + np.exp(-logits))).round(4)
    seen = scores >= FLOOR
    count = int(seen.sum())
    places = np.arange(count) // 20, np.arange(count) % 20 * 5, np.arange(count) % 20 * 5 + 3, np.full(count, kind)
    mentions = np.bincount(places[0], right[seen]).astype(np.int64)[:, None]
    return Scored.of(np.stack(places, axis=1), scores[seen], right[seen], mentions)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_temperature_that_was_put_in_is_found_again(temperature):
    """Also with the spans under the floor cut off: they are chosen by score alone, which leaves the rest unbiased."""
    logits = np.random.default_rng(2).normal(-1, 3, size=60_000)
    fitted = fit_temperatures(made(logits, temperature), ["a"])
    assert fitted["a"] == pytest.approx(temperature, rel=0.04)  # its standard error is 0.01


def test_temperatures_keep_within_their_limits_and_need_spans_of_both_kinds():
    logits = np.random.default_rng(2).normal(0, 3, size=2_000)
    assert fit_temperatures(made(logits, 20.0), ["a"]) == {"a": pytest.approx(HOTTEST, rel=1e-3)}
    assert fit_temperatures(made(logits, 0.05), ["a"]) == {"a": pytest.approx(COOLEST, rel=2e-3)}
    assert fit_temperatures(made(logits[: LEAST + 5], 1.0), ["a"]) == {}
    assert fit_temperatures(made(logits, 1.0, kind=1), ["a"]) == {}
    assert warmed(float(GRID[0]), 1 / HOTTEST) >= FLOOR  # no span that could pass GRID[0] lies under the floor


def test_a_hundred_thousand_spans_take_no_time():
    dev = made(np.random.default_rng(2).normal(-1, 3, size=150_000), 2.0)
    started = perf_counter()
    temperatures = fit_temperatures(dev, ["a"])
    best_thresholds(dev, ["a"], temperatures)
    assert len(dev.spans) > 100_000
    assert perf_counter() - started < 5  # 0.4 s measured


def keys(mentions):
    return [m.key for m in mentions]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_threshold_is_a_probability_after_calibration(tiny_student, temperature):
    plain = Predictor(tiny_student)
    heated = Predictor(tiny_student, StudentInfo(temperatures={"Chemical": temperature}))
    for text in TEXTS[:3]:
        for threshold in (0.2, 0.4, 0.6):
            raw = plain.predict_text(
                text, labels=["chemical"], settings=Settings(threshold=warmed(threshold, 1 / temperature))
            )
            found = heated.predict_text(text, labels=["chemical"], settings=Settings(threshold=threshold))
            assert keys(found) == keys(raw)
            assert [m.score for m in found] == pytest.approx([warmed(m.score, temperature) for m in raw], abs=2e-3)
            assert all(m.score >= threshold - 1e-4 for m in found)


def saved(student, info, place):
    with artifacts.writing(place, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(student, info, folder)
    return place


def test_temperatures_travel_with_the_checkpoint_and_older_ones_have_none(tiny_student, tmp_path):
    info = StudentInfo(types=("chemical",), temperatures={"chemical": 1.7})
    folder = saved(tiny_student, info, tmp_path / "new")
    assert checkpoint.load(folder)[1].temperature("CHEMICAL") == 1.7
    raw = json.loads((folder / "student.json").read_text())
    del raw["info"]["temperatures"]
    older = tmp_path / "older"
    folder.rename(older)
    manifest = json.loads((older / "artifact.json").read_text())
    (older / "student.json").write_text(json.dumps(raw))
    manifest["files"]["student.json"]["bytes"] = (older / "student.json").stat().st_size
    (older / "artifact.json").write_text(json.dumps(manifest))
    assert checkpoint.load(older)[1].temperature("chemical") == 1.0


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_that_cannot_be_is_a_clear_error(value):
    with pytest.raises(ArtifactError, match=r"temperatures\['chemical'\]=.* must be a number above 0"):
        StudentInfo(temperatures={"chemical": value})
