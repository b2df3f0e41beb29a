"""The control of names when a student reads: that a span is a name is known, and not of which type."""

import pytest
import yaml
from tests.experiment.conftest import changed

from kogner.annotate.names import Names
from kogner.errors import ConfigError, InputError
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.experiment.training import find, run
from kogner.experiment.untyped import UntypedNames
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Entity

KINDS = {"aspirin": "Chemical", "ibuprofen": "Chemical", "morphine": "Chemical", "fever": "Disease"}


@pytest.fixture
def graph(tmp_path):
    more = {"malaria": "Disease", "rigor": "Phenotype", "insulin": "Gene", "liver": "Anatomy"}
    entities = [Entity(f"X:{n}", kind, name) for n, (name, kind) in enumerate((KINDS | more).items())]
    build(entities, [], tmp_path / "graph", rejected=Rejections())
    return tmp_path / "graph"


def test_each_name_counts_for_every_label(graph):
    store = GraphStore.open(graph)
    text = "aspirin and insulin for fever, malaria and rigor of the liver"
    labels = ["chemical", "device", "disease"]
    untyped = UntypedNames(store, ["chemical", "disease", "gene"])
    true, found = Names(store).spans(text, labels), untyped.spans(text, labels)
    assert {text[start:end]: label for start, end, label in true} == {
        "aspirin": 0, "fever": 2, "malaria": 2, "rigor": 2,
    }  # fmt: skip
    assert {text[start:end] for start, end, _ in found} == {"aspirin", "insulin", "fever", "malaria", "rigor"}
    spans = {span[:2] for span in found}
    assert found == {(*span, label) for span in spans for label in (0, 2)}, "the graph knows nothing of devices"
    assert true < found, "no name is lost"
    assert untyped.spans(text, ["disease"]) == {(*span, 0) for span in spans}
    assert untyped.spans(text, ["device"]) == set()
    with pytest.raises(InputError, match="no type for 'device'"):
        UntypedNames(store, ["chemical", "device"])


def test_an_arm_reads_with_them(plan, graph, tmp_path):
    arms = yaml.safe_load(plan.read_text())["arms"]
    arms |= {
        "named": {"names_of": "no-graph", "only": ["half"]},
        "untyped": {"names_of": "no-graph", "untyped": ["chemical", "disease"], "only": ["half"]},
    }
    experiment = load(changed(plan, arms=arms, graph=str(graph), compare=[["named", "untyped"]]))
    base, named, control = (find(experiment, f"half-{arm}-0") for arm in ("no-graph", "named", "untyped"))
    assert identity(named)["hash"] != identity(control)["hash"]
    folders = Folders(tmp_path)
    run(base, folders, device="cpu", revision="x")
    found = {cell.arm: run(cell, folders, device="cpu", revision="x") for cell in (named, control)}
    assert found["named"]["name_weights"]["chemical"] > 0
    assert found["untyped"]["test"]["mine"]["f1"] < found["named"]["test"]["mine"]["f1"]


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"untyped": ["chemical"]}, "that needs names_of"),
        ({"names_of": "no-graph", "untyped": ["chemical"], "by_entity": {}, "only": ["half"]}, "a control of its own"),
        ({"alone": True, "untyped": ["chemical"]}, "finds names of the graph alone"),
    ],
)
def test_where_they_mean_nothing_they_are_refused(plan, graph, arm, says):
    arms = yaml.safe_load(plan.read_text())["arms"] | {"untyped": arm}
    with pytest.raises(ConfigError, match=says):
        load(changed(plan, arms=arms, graph=str(graph)))
