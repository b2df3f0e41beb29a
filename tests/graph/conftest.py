"""A graph small enough to check by hand: drugs, diseases, a gene, a phenotype. All rows are our own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Entity, Triple

ENTITIES = (
    Entity("X:1", "Chemical", "Painaway", ("Sorestop", "alpha-Painol"), ("Y:10",), "Takes pain away."),
    Entity("X:2", "Disease", "Sore Thumb, Type 2", ("thumb ache",), ("OMIM:7",), "A thumb that hurts."),
    Entity("X:3", "Disease", "Finger Diseases"),
    Entity("X:4", "Gene", "THB1", ("thumb receptor 1", "TRα"), ("HGNC:4",)),
    Entity("X:5", "Phenotype", "painaway", ("Throbbing",), ("Z:1", "Z:2")),
    Entity("X:6", "Phenotype", "Red Thumbs", (), ("Z:2",)),
)
TRIPLES = (
    Triple("X:1", "treats", "X:2"),
    Triple("X:2", "is_a", "X:3"),
    Triple("X:4", "associated_with", "OMIM:7"),
    Triple("X:2", "has_phenotype", "X:5"),
    Triple("X:3", "is_a", "X:3"),
)


@pytest.fixture(scope="session")
def tiny():
    return ENTITIES, TRIPLES


@pytest.fixture(scope="session")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "tiny"
    build(ENTITIES, TRIPLES, path, rejected=Rejections())
    return path


@pytest.fixture(scope="session")
def store(store_path):
    return GraphStore.open(store_path)


@pytest.fixture(scope="session")
def shared_graph():
    place = os.environ.get("KOGNER_SHARED")
    folder = (Path(place) if place else Path(__file__).parents[3] / "shared") / "graph"
    if not (folder / "nodes.tsv.xz").is_file():
        pytest.skip(f"no shared graph at {folder}; set KOGNER_SHARED to the folder that holds graph/")
    return folder
