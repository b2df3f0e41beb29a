"""`kogner teacher near`: names, ids and what is said of them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from kogner.cli import cli
from kogner.errors import InputError
from kogner.graph.store import GraphStore, build
from kogner.records import Entity, Triple
from kogner.teacher.bank import Bank, write_bank
from kogner.teacher.query import ask

ENTITIES = [
    Entity("C:1", "Chemical", "aspirin", xrefs=("X:9",)),
    Entity("C:2", "Chemical", "[2H]ibuprofen"),
    Entity("D:1", "Disease", "cold", synonyms=("aspirin",)),
    Entity("D:2", "Disease", "fever"),
    Entity("G:1", "Gene", "COLD"),
    Entity("G:2", "Gene", "lonely"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Bank, GraphStore]:
    folder = tmp_path_factory.mktemp("query")
    build(ENTITIES, [Triple("C:1", "treats", "D:1"), Triple("C:2", "treats", "D:1")], folder / "graph")
    z = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [1, 1], [1, 0.2]])
    z2 = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]])
    ids = [entity.id for entity in ENTITIES]
    parents = {"graph": GraphStore.open(folder / "graph").artifact.hash}
    write_bank(folder / "bank", ids, {"Z": z, "Z''": z2}, keys={}, parents=parents, recipe={}, metrics={})
    return Bank.open(folder / "bank"), GraphStore.open(folder / "graph")


def found(answer) -> list[str]:
    return [item["id"] for item in answer["nearest"]]


def test_ids_xrefs_and_names_find_the_same_entity(world):
    for name in ("C:1", "X:9", "aspirin", "Aspirin"):
        assert ask(*world, name, limit=2)["query"] == {"id": "C:1", "type": "Chemical", "name": "aspirin"}


def test_others_of_the_name_are_told_in_the_lexicons_order(world, capsys):
    answer = ask(*world, "aspirin")
    assert answer["also"] == ["D:1"]  # a synonym there
    assert "may also mean D:1 (Disease cold)" in capsys.readouterr().err


def test_cosines_are_the_parts_means(world):
    answer = ask(*world, "aspirin", limit=6)
    assert found(answer) == ["G:1", "C:2", "D:2", "D:1"]
    by_id = {item["id"]: item for item in answer["nearest"]}
    assert by_id["G:1"]["by_part"] == {"Z": 0.7071, "Z''": 0.5774}
    for item in answer["nearest"]:
        assert item["cosine"] == pytest.approx(sum(item["by_part"].values()) / 2, abs=2e-4)


def test_entities_without_a_part_are_said_and_not_ranked(world, capsys):
    answer = ask(*world, "aspirin", limit=6)
    assert answer["unranked"] == {"Z''": 1}
    assert answer["ranked"] == 4
    assert "1 entities have nothing in Z''" in capsys.readouterr().err
    assert "G:2" in found(ask(*world, "aspirin", parts=["Z"]))


def test_an_entity_without_a_part_is_compared_by_the_others(world, capsys):
    answer = ask(*world, "lonely", limit=1)
    assert (answer["parts"], found(answer)) == (["Z"], ["C:2"])
    assert "G:2 has nothing in Z''; compared by Z" in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing in Z''"):
        ask(*world, "lonely", parts=["Z''"])


def test_only_some_types(world):
    assert found(ask(*world, "aspirin", types=["Disease"])) == ["D:2", "D:1"]
    with pytest.raises(InputError, match="no type Plant; its types: Chemical, Disease, Gene"):
        ask(*world, "aspirin", types=["Plant"])


def test_a_slice_is_asked_with_the_whole_graph(world, tmp_path):
    bank, store = world
    bank.slice(["D:2", "D:1", "C:2"], tmp_path / "slice")
    small = Bank.open(tmp_path / "slice")
    answer = ask(small, store, "aspirin", limit=5, types=["Disease"])  # C:1 has no row there, so its next bearer
    assert (answer["query"]["id"], answer["also"], found(answer)) == ("D:1", ["C:1"], ["D:2"])
    with pytest.raises(InputError, match="has no row for G:2"):
        ask(small, store, "lonely")
    with pytest.raises(InputError, match="no entity has the id, xref or name 'nothing'"):
        ask(small, store, "nothing")


def test_another_graph_is_told(world, tmp_path, capsys):
    build(ENTITIES[:3], [], tmp_path / "other")
    ask(world[0], GraphStore.open(tmp_path / "other"), "cold", limit=1)
    assert "was not made from the graph" in capsys.readouterr().err


def test_the_command(world):
    bank, store = world
    arguments = ["teacher", "near", "aspirin", "--bank", str(bank.path), "--graph", str(store.path), "--limit", "2"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "[2H]ibuprofen" in result.stdout
    assert "cosine Z''" in result.stdout
    printed = json.loads(result.stdout.splitlines()[-1])
    assert found(printed) == ["G:1", "C:2"]
    only = CliRunner().invoke(cli, [*arguments, "--json", "--parts", "Z"], catch_exceptions=False)
    assert found(json.loads(only.stdout)) == ["C:2", "G:2"]
