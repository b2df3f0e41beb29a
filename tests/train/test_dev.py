"""Scores on dev documents during a training."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
import sys

import numpy as np
import pytest

from kogner.annotate import predictor as prediction
from kogner.annotate.predictor import Predictor, Settings
from kogner.data import corpora
from kogner.evaluate.spans import score
from kogner.records import Document, Mention
from kogner.student.checkpoint import StudentInfo
from kogner.train.dev import fitted_scores, sampled_scores
from kogner.train.splits import Split
from kogner.train.thresholds import fit, scored_dev

TYPES = ("chemical", "disease")


@pytest.fixture
def splits(tiny_student, corpus) -> list[Split]:
    """Two corpora; gold is what the student finds at a low threshold, every second of it, so that scores are not 0."""
    texts = corpora.load("made", corpus, "dev").documents
    found = Predictor(tiny_student).predict(texts, labels=TYPES, settings=Settings(threshold=0.3))
    gold = [
        Document(d.id, d.text, tuple(Mention(m.start, m.end, m.type) for m in d.mentions[::2]), frozenset(TYPES))
        for d in found
    ]
    return [Split("first", (), gold[:20], TYPES), Split("second", (), gold[20:], TYPES), Split("no dev", (), (), TYPES)]


def evaluate(student, splits, info):
    found = {}
    for split in splits:
        if split.dev:
            predictor = Predictor(student.eval(), info)
            predicted = list(predictor.predict(split.dev, labels=split.types, settings=Settings(token_budget=8192)))
            found[split.name] = score(split.dev, predicted, types=split.types).to_dict()
    return found


def test_the_score_a_step_is_chosen_by_is_that_of_the_thresholds_a_student_ships_with(tiny_student, splits):
    scores = sampled_scores(tiny_student, splits, TYPES)
    fitted = fit(tiny_student, splits, TYPES)
    info = StudentInfo(thresholds=fitted.thresholds, temperatures=fitted.temperatures)
    for name, how in (("dev_f1", info), ("dev_f1_unfitted", None)):
        results = evaluate(tiny_student, splits, info=how)
        assert set(results) == {"first", "second"}
        assert scores[name] == pytest.approx(np.mean([one["f1"] for one in results.values()]), abs=0.01)
        if how is info:
            assert fitted_scores(tiny_student, splits, TYPES, agreement=False) == (fitted, results)
    assert scores["dev_f1"] > scores["dev_f1_unfitted"]


@pytest.mark.parametrize("score", [scored_dev, fitted_scores])
def test_an_engine_is_made_once_for_all_blocks_and_the_student_trains_on(tiny_student, splits, score, monkeypatch):
    made = []

    class Counted(prediction.Engine):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(prediction, "Engine", Counted)
    tiny_student.train()
    score(tiny_student, splits, TYPES)
    assert len(made) == 1
    assert tiny_student.training
    broken = [dataclasses.replace(splits[0], dev=["no document"])]
    with pytest.raises(TypeError):
        score(tiny_student, broken, TYPES)
    assert tiny_student.training


MEMORY = """
import numpy as np
from kogner.hardware import keep_freed_memory, release_freed_memory
def held():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
keep_freed_memory()
before, buffers = held(), [np.ones(1 << 20) for _ in range({count})]
pin = np.ones(1 << 10)
del buffers
after = held()
released = release_freed_memory()
print(after - before, held() - before, released)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory its own way")
def test_freed_memory_is_kept_for_the_next_step_and_released_after_a_score():
    """200 MB in a process of its own; what lies below other memory is released too."""
    command = [sys.executable, "-c", MEMORY.format(count=25)]
    kept, left, released = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(kept) > 150
    assert int(left) < 50
    assert released == "True"
