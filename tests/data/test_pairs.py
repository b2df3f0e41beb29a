"""Pairs: how many of each relation type, which names, what is drawn again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogner.cli import main
from kogner.data.pairs import (
    DRAWN_TWICE,
    MAX_NAME,
    NO_NAME,
    SAME_ENTITY,
    SAME_NAME,
    Pair,
    PairSettings,
    cleaned,
    draw,
    read,
    straight,
    usable,
)
from kogner.errors import ConfigError, InputError
from kogner.graph.store import GraphStore, build
from kogner.records import Entity, Triple

# Rows of each of BioMedGraphica's relation types and what the paper draws of them: 2,718 of 27,232,091.
BIOMEDGRAPHICA = {
    "Protein-Protein": (16484820, 1648), "Drug-Drug": (3882582, 388), "Metabolite-Protein": (2804430, 280),
    "Exposure-Disease": (979780, 97), "Protein-Phenotype": (478279, 47), "Gene-Transcript": (427810, 42),
    "Pathway-Exposure": (301448, 30), "Exposure-Pathway": (301448, 30), "Promoter-Gene": (230358, 23),
    "Phenotype-Disease": (181192, 18), "Disease-Phenotype": (181192, 18), "Pathway-Protein": (176133, 17),
    "Protein-Pathway": (152912, 15), "Transcript-Protein": (152585, 15), "Protein-Disease": (143394, 14),
    "Drug-Phenotype": (93826, 9), "Drug-Protein": (84859, 8), "Drug-Disease": (39977, 3), "Exposure-Gene": (28982, 2),
    "Metabolite-Disease": (24970, 2), "Phenotype-Phenotype": (23427, 2), "Microbiota-Disease": (22371, 2),
    "Metabolite-Pathway": (12198, 1), "Disease-Disease": (12006, 1), "Drug-Metabolite": (3589, 1),
    "Drug-Pathway": (3065, 1), "Pathway-Drug": (1795, 1), "Metabolite-Metabolite": (931, 1),
    "Drug-Microbiota": (866, 1), "Microbiota-Drug": (866, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "graph"
    entities = [
        Entity("C:1", "Chemical", "aspirin"),
        Entity("C:2", "Chemical", "C:2", ("", "ENSG00000196839", '"heparin"')),
        Entity("D:1", "Disease", "D:1"),
        Entity("D:2", "Disease", "Aspirin"),
        *(Entity(f"D:{number}", "Disease", f"ache {number}") for number in range(10, 40)),
    ]
    triples = [Triple("C:1", "treats", f"D:{number}") for number in range(10, 40)]
    triples += [Triple("C:2", "odd", end) for end in ("C:2", "D:1", "D:10")]
    triples += [Triple("D:10", "odd", "C:2"), Triple("C:1", "odd", "D:2")]
    build(entities, triples, path)
    return path


def test_the_paper_draws_2718_rows_of_biomedgraphica():
    settings = PairSettings()
    wanted = {name: settings.wanted(rows) for name, (rows, _) in BIOMEDGRAPHICA.items()}
    assert wanted == {name: drawn for name, (_, drawn) in BIOMEDGRAPHICA.items()}
    assert sum(wanted.values()) == 2718


@pytest.mark.parametrize(
    ("settings", "rows", "wanted"),
    [
        ({"number": 5}, 100, 5),
        ({"number": 5}, 3, 3),
        ({"one_in": 10, "cap": 4}, 100, 4),
        ({"minimum": 7}, 100, 7),
        ({}, 0, 0),
    ],
)
def test_how_many(settings, rows, wanted):
    assert PairSettings(**settings).wanted(rows) == wanted


def test_a_draw_is_seeded_and_each_relation_type_has_its_own(graph):
    store = GraphStore.open(graph)
    settings = PairSettings(one_in=3)
    whole, again = draw(store, settings), draw(store, settings)
    assert whole.pairs == again.pairs
    alone = draw(store, settings, relations=["treats"]).pairs
    assert alone == [pair for pair in whole.pairs if pair.relation == "treats"] and len(alone) == 10
    assert len({pair.tail.id for pair in alone}) == 10
    assert draw(store, PairSettings(one_in=3, seed=1), relations=["treats"]).pairs != alone


def test_what_is_drawn_again(graph):
    found = draw(GraphStore.open(graph), PairSettings(number=5), relations=["odd"])
    assert found.left_out == {SAME_ENTITY: 1, NO_NAME: 1, SAME_NAME: 1, DRAWN_TWICE: 1}
    (pair,) = found.pairs
    assert {pair.head.name, pair.tail.name} == {"heparin", "ache 10"}
    assert found.relations == {"odd": {"rows": 5, "wanted": 5, "drawn": 1}}


def test_ids_that_readers_give_for_names_are_none(tmp_path):
    """As of BioMedGraphica, whose entities without a name have that of their first reference."""
    entities = [
        Entity("BMG_PT1", "Protein", "UNIPROT:A0A023HHK9", (), xrefs=("UNIPROT:A0A023HHK9",)),
        Entity("BMG_DS1", "Disease", "ICD10:E78.6", ("low HDL",), xrefs=("ICD10:E78.6",)),
        Entity("BMG_DS2", "Disease", "gout", (), xrefs=("ICD10:M10",)),
    ]
    triples = [Triple("BMG_PT1", "marks", "BMG_DS1"), Triple("BMG_DS1", "marks", "BMG_DS2")]
    build(entities, triples, tmp_path / "graph")
    found = draw(GraphStore.open(tmp_path / "graph"), PairSettings(number=2))
    assert [(pair.head.name, pair.tail.name) for pair in found.pairs] == [("low HDL", "gout")]
    assert found.left_out == {NO_NAME: 1}


def test_a_total_takes_one_of_each_type_in_turn(graph):
    store = GraphStore.open(graph)
    found = draw(store, PairSettings(total=5))
    assert [pair.relation for pair in found.pairs] == ["odd", *["treats"] * 4]
    assert len(draw(store, PairSettings(total=1000)).pairs) == 31
    assert draw(store, PairSettings(total=1)).pairs[0].relation == "odd"


def test_unknown_relation(graph):
    with pytest.raises(ConfigError, match="no relation cures; it has odd, treats"):
        draw(GraphStore.open(graph), relations=["cures"])


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["a | b"], "a"),
        (["NM_001662.4", "ARF5"], "ARF5"),
        (["CHEBI:123", "12345", "-", "x" * (MAX_NAME + 1)], None),
        (["C18:1", "x"], "C18:1"),
        (["P2RY12", "x"], "P2RY12"),
        (["LY2835219"], "LY2835219"),
        (["p53"], "p53"),
        (["(R)-carvone"], "(R)-carvone"),
        (["[heart]\n failure"], "[heart] failure"),
        (["\ud800", "x"], "x"),
    ],
)
def test_usable_names(names, name):
    assert usable(names) == name


@pytest.mark.parametrize(
    ("name", "synonyms", "best"),
    [
        ("Arthritis, Rheumatoid", ["RA", "Rheumatoid Arthritides", "Rheumatoid arthritis"], "Rheumatoid arthritis"),
        ("Leukemia, Lymphocytic, Chronic, B-Cell", ["CLL"], "B-Cell Chronic Lymphocytic Leukemia"),
        ("Receptors, GABA-A", ["GABA A Receptor"], "GABA-A Receptors"),
        ("disease, type 1", ["Disease type 1"], "Disease type 1"),
        ("hearing loss, autosomal dominant 73", [], "hearing loss, autosomal dominant 73"),
        ("pain, rash, and fever", ["PRF", "syndrome of pain"], "syndrome of pain"),
        ("pain, rash, and fever", ["PRF"], "pain, rash, and fever"),
        ("1,2-dichloroethane", ["EDC"], "1,2-dichloroethane"),
    ],
)
def test_names_that_a_sentence_would_hold(name, synonyms, best):
    assert straight(name, synonyms) == best


def test_names_change_nothing_of_what_is_drawn(tmp_path):
    entities = [Entity("C:1", "Chemical", "gold"), Entity("D:1", "Disease", "arthritis rheumatic")]
    entities += [Entity(f"D:{n}", "Disease", f"Ache {'x' * n}, Chronic") for n in range(2, 9)]
    entities += [Entity("D:9", "Disease", "Chronic Ache xx")]
    triples = [Triple("C:1", "treats", f"D:{n}") for n in range(1, 10)] + [Triple("D:9", "is_a", "D:2")]
    build(entities, triples, tmp_path / "graph")
    store = GraphStore.open(tmp_path / "graph")
    first, best = (draw(store, PairSettings(number=9, first_names=own)) for own in (True, False))
    assert [(one.id, one.head.id, one.tail.id) for one in first.pairs] == [
        (one.id, one.head.id, one.tail.id) for one in best.pairs
    ]
    assert {one.tail.name for one in best.pairs if one.tail.id == "D:3"} == {"Chronic Ache xxx"}
    assert {one.tail.name for one in first.pairs if one.tail.id == "D:3"} == {"Ache xxx, Chronic"}
    (alike,) = [one for one in best.pairs if one.relation == "is_a"]
    assert {alike.head.name, alike.tail.name} == {"Ache xx, Chronic", "Chronic Ache xx"}


@given(st.text())
def test_cleaning_again_changes_nothing_but_what_lay_inside(text):
    once = cleaned(text)
    assert once == once.strip() and "\n" not in once and len(once) <= len(text)


def test_command(graph, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["data", "pairs", "--graph", str(graph), "--out", str(tmp_path / "p.jsonl"), "--number", "3", "--quiet"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped.value.code == 0 and said["pairs"] == 4
    pairs = list(read(tmp_path / "p.jsonl"))
    assert len(pairs) == 4 and Pair.from_dict(pairs[0].to_dict()) == pairs[0]
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl:1: is no pair"):
        list(read(tmp_path / "bad.jsonl"))
