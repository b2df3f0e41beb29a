"""A tiny student and a tiny graph, and servers of them."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from running import ENTITIES, TRIPLES, serving

from kogner import artifacts
from kogner.annotate.annotator import Annotator, GraphUse
from kogner.graph.rejections import Rejections
from kogner.graph.store import build
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo


@pytest.fixture(scope="session")
def model(tiny_encoder, tmp_path_factory):
    """Folder of a tiny student that knows chemicals."""
    import torch

    from kogner.config import StudentConfig

    torch.manual_seed(1)
    student = checkpoint.create(StudentConfig(encoder=str(tiny_encoder), max_width=4))
    out = tmp_path_factory.mktemp("model") / "student"
    with artifacts.writing(out, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        info = StudentInfo(types=("chemical",), thresholds={"chemical": 0.05}, default_threshold=0.06)
        checkpoint.save(student, info, folder)
    return out


@pytest.fixture(scope="session")
def graph(tmp_path_factory):
    """Folder of a tiny graph."""
    out = tmp_path_factory.mktemp("graph") / "graph"
    build(ENTITIES, TRIPLES, out, rejected=Rejections())
    return out


@pytest.fixture(scope="session")
def annotator(model):
    return Annotator.open(str(model))


@pytest.fixture(scope="module")
def client(annotator):
    """A server of the tiny student, without a graph."""
    with serving(annotator) as client:
        yield client


@pytest.fixture(scope="module")
def linked(model, graph):
    """A server of the tiny student and the tiny graph."""
    with serving(Annotator.open(str(model), GraphUse(str(graph)))) as client:
        yield client
