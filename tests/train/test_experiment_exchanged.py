"""The control of names when a student reads: entities have each other's types."""

import pytest
import yaml
from tests.train.test_experiment import changed

from kogner.annotate.names import Names
from kogner.errors import ConfigError, InputError
from kogner.experiment.cell import find, run
from kogner.experiment.exchanged import ExchangedNames
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Entity

KINDS = {"aspirin": "Chemical", "ibuprofen": "Chemical", "morphine": "Chemical", "fever": "Disease"}


@pytest.fixture
def graph(tmp_path):
    more = {"malaria": "Disease", "measles": "Disease", "sepsis": "Disease", "insulin": "Gene"}
    entities = [Entity(f"X:{n}", kind, name) for n, (name, kind) in enumerate((KINDS | more).items())]
    build(entities, [], tmp_path / "graph", rejected=Rejections())
    return tmp_path / "graph"


def test_entities_that_the_texts_name_exchange_their_types(graph):
    store = GraphStore.open(graph)
    text = "aspirin, ibuprofen and morphine for fever, malaria and measles"
    labels = ["chemical", "disease"]
    true = Names(store).spans(text, labels)
    assert len(true) == 6
    drawn = [ExchangedNames(store, ["Chemical", "Disease"], [text], seed=seed) for seed in range(5)]
    found = [names.spans(text, labels) for names in drawn]
    assert all({span[:2] for span in one} == {span[:2] for span in true} for one in found), "names stay names"
    assert all(sum(span[2] == 0 for span in one) == 3 for one in found), "as many of each type"
    assert any(one != true for one in found) and found[0] == drawn[0].spans(text, labels), (
        "of other types, always the same"
    )
    assert drawn[0].spans("sepsis and aspirin", labels) & {(0, 6, 0), (0, 6, 1)} == set(), "sepsis was not in the texts"
    assert {span[:2] for span in drawn[0].spans(text, ["disease"])} < {span[:2] for span in true}
    with pytest.raises(InputError, match="Anatomy"):
        ExchangedNames(store, ["Anatomy"], [text], seed=0)


def test_an_arm_reads_with_them(plan, graph, tmp_path):
    arms = yaml.safe_load(plan.read_text())["arms"]
    arms |= {
        "named": {"names_of": "no-graph", "only": ["half"]},
        "exchanged": {"names_of": "no-graph", "exchanged": ["Chemical", "Disease"], "only": ["half"]},
    }
    experiment = load(changed(plan, arms=arms, graph=str(graph), compare=[["named", "exchanged"]], seeds=3))
    # Seeds 0 and 1 draw the types that these four have.
    arms_of = ("no-graph", "named", "exchanged")
    base, named, control = (
        find(experiment, f"half-{arm}-2") for arm in arms_of
    )  # seeds 0 and 1 draw the types they have
    assert identity(named)["hash"] != identity(control)["hash"]
    folders = Folders(tmp_path)
    run(base, folders, device="cpu", revision="x")
    found = {cell.arm: run(cell, folders, device="cpu", revision="x") for cell in (named, control)}
    assert found["named"]["name_weights"]["chemical"] > 0
    assert found["exchanged"]["test"]["mine"]["f1"] < found["named"]["test"]["mine"]["f1"]


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"exchanged": ["Chemical"]}, "that needs names_of"),
        (
            {"names_of": "no-graph", "exchanged": ["Chemical"], "by_entity": {}, "only": ["half"]},
            "a control of its own",
        ),
        ({"alone": True, "exchanged": ["Chemical"]}, "finds names of the graph alone"),
    ],
)
def test_where_they_mean_nothing_they_are_refused(plan, graph, arm, says):
    arms = yaml.safe_load(plan.read_text())["arms"] | {"exchanged": arm}
    with pytest.raises(ConfigError, match=says):
        load(changed(plan, arms=arms, graph=str(graph)))
