from __future__ import annotations

import json

import pytest
import torch

from kogner import artifacts
from kogner.annotate.predictor import Predictor
from kogner.config import StudentConfig
from kogner.data import corpora
from kogner.evaluate.spans import score
from kogner.recipe import load_recipe
from kogner.student import checkpoint, gliner
from kogner.student.checkpoint import StudentInfo
from kogner.train.loop import train
from kogner.train.splits import to_split

LABELS = ["chemical", "disease"]


@pytest.mark.parametrize("start", ["encoder", "GLiNER checkpoint"])
def test_it_trains_with_the_loop_that_a_bi_encoder_trains_with(tiny_encoder, corpus, tmp_path, start):
    overrides = [
        f"student.encoder={tiny_encoder}", "student.architecture=uni", "student.rnn_layers=1", "student.max_width=4",
        "student.dropout=0", "train.steps=400", "train.batch_size=12", "train.encoder_lr=0.002", "train.head_lr=0.002",
        "train.eval_every=1000", "train.precision=fp32", "loss.dist_weight=0",
    ]  # fmt: skip
    if start != "encoder":
        torch.manual_seed(1)
        config = StudentConfig(architecture="uni", encoder=str(tiny_encoder), rnn_layers=1, max_width=4, words="gliner")
        student = checkpoint.create(config)
        with artifacts.writing(tmp_path / "g", kind=gliner.KIND, version=gliner.FORMAT) as building:
            gliner.save(student, StudentInfo(base="tiny"), building)
        (tmp_path / "g" / "kogner.json").unlink()
        overrides.append(f"student.initial={tmp_path / 'g'}")
    recipe = load_recipe(None, overrides)
    splits = [to_split("made", corpora.load("made", corpus, "train"), corpora.load("made", corpus, "dev"))]
    metrics = train(recipe, splits, tmp_path / "out")
    assert metrics["dev"]["made"]["f1"] > 99
    if start == "encoder":  # labels are known by their names, not by their places
        predictor = Predictor.load(tmp_path / "out")
        for labels in (["disease", "chemical"], ["disease"], ["chemical"]):
            found = list(predictor.predict(splits[0].dev, labels=labels))
            assert score(splits[0].dev, found, types=labels).f1 > 0.95, labels
    config = json.loads((tmp_path / "out" / "student.json").read_text())["student"]
    assert config["architecture"] == "uni"
    assert config["words"] == ("kogner" if start == "encoder" else "gliner")
    (found,) = Predictor.load(tmp_path / "out").predict_text("aspirin lowered the rats", labels=LABELS)
    assert (found.text, found.type) == ("aspirin", "chemical")
