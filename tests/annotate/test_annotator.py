"""The parts of annotating, opened together."""

from __future__ import annotations

import pytest

from kogner.annotate.annotator import Annotator, GraphUse
from kogner.annotate.predictor import Predictor
from kogner.errors import ArtifactError, ConfigError
from kogner.records import Document
from kogner.student.checkpoint import StudentInfo


@pytest.mark.parametrize("use", [{"link_to": "MESH"}, {"aliases": ("x",)}, {"bank": "x"}, {"name_weight": 0.0}])
def test_what_needs_a_graph(use):
    with pytest.raises(ConfigError, match="without --graph"):
        GraphUse(**use)
    assert GraphUse(path="graph", **use).path == "graph"


def test_a_default_model_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="give --model"):
        Annotator.open("models/kogner-mini")


def test_without_a_graph_it_is_the_predictor(tiny_student):
    annotator = Annotator(Predictor(tiny_student, StudentInfo(types=("Chemical",), default_threshold=0.05)))
    document = Document("1", "aspirin lowered fever")
    assert list(annotator.annotate([document], labels=["chemical"])) == list(
        annotator.predictor.predict([document], labels=["chemical"])
    )
    said = annotator.untrained(["chemical", "disease", "chemcial"])
    assert said is not None and "(Chemical): disease, chemcial (is it 'Chemical'?); expect" in said
    assert annotator.untrained(["chemical"]) is None
    assert Annotator(Predictor(tiny_student)).untrained(["disease"]) is None
