"""Sources become one graph where an id or a curated xref joins two entities one to one, and nowhere else."""

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.graph.merging import agree, merge, one_to_one, read_report, write_report
from kogner.graph.readers.source import Merge, Source
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.graph.triples import TripleTable
from kogner.records import Entity, Triple

MESH = (
    Entity("MESH:D1", "Disease", "Thumb Diseases", ("thumb disorder",), ("CAS:1-11-1",), "From MeSH."),
    Entity("MESH:D2", "Disease", "Ache"),
    Entity("MESH:D3", "Chemical", "Painol", (), ("CAS:50-00-0",)),
    Entity("MESH:D4", "Chemical", "Salt"),
)
MONDO = (
    Entity("MONDO:1", "Disease", "sore thumb", ("bad thumb",), ("MESH:D1", "OMIM:7"), "From MONDO."),
    Entity("MONDO:2", "Disease", "ache, one kind", (), ("MESH:D2",)),
    Entity("MONDO:3", "Disease", "ache, another kind", (), ("MESH:D2",)),
    Entity("MONDO:4", "Disease", "painol poisoning", (), ("MESH:D3",)),
)


def sources(*groups, triples=()):
    numbered = [Source(f"source {number}", iter(group), ()) for number, group in enumerate(groups)]
    return [*numbered[:-1], Source(numbered[-1].name, numbered[-1].entities, triples)]


def merged(*groups, triples=()):
    rejected = Rejections()
    found = merge(sources(*groups, triples=triples), rejected=rejected)
    return {entity.id: entity for entity in found.entities}, found, rejected


def test_one_to_one_by_xref():
    entities, found, _ = merged(MESH, MONDO)
    assert list(entities) == ["MESH:D1", "MESH:D2", "MESH:D3", "MESH:D4", "MONDO:2", "MONDO:3", "MONDO:4"]
    assert entities["MESH:D1"] == Entity(
        "MESH:D1",
        "Disease",
        "Thumb Diseases",
        ("thumb disorder", "sore thumb", "bad thumb"),
        ("CAS:1-11-1", "MONDO:1", "OMIM:7"),
        "From MeSH.",
    )
    assert found.merges == [Merge("MONDO:1", "MESH:D1", "xref", "MONDO:1 names MESH:D1", "source 1")]
    assert found.counts() == {
        "merged": {"xref": 1},
        "apart": {"xref: its candidate is claimed by several": 2, "xref: types differ": 1},
    }


def test_one_of_each_vocabulary_becomes_part_of_what_names_them():
    mondo = (
        Entity("MONDO:1", "Disease", "Marfan syndrome", (), ("OMIM:1", "ORPHANET:1")),
        Entity("MONDO:2", "Disease", "two numbers", (), ("OMIM:2", "OMIM:3")),
        Entity("MONDO:3", "Disease", "claimed by another", (), ("OMIM:4",)),
    )
    annotated = (
        *(Entity(f"OMIM:{number}", "Disease", f"OMIM {number}") for number in (1, 2, 3, 4)),
        Entity("ORPHANET:1", "Disease", "Marfan"),
        Entity("ORPHANET:4", "Disease", "says so itself", (), ("MONDO:3",)),
    )
    triples = [Triple("OMIM:1", "has", "OMIM:4"), Triple("ORPHANET:1", "has", "OMIM:2")]
    entities, found, _ = merged(mondo, annotated, triples=triples)
    assert list(entities) == ["MONDO:1", "MONDO:2", "MONDO:3", "OMIM:2", "OMIM:3", "ORPHANET:4"]
    assert {(one.id, one.became) for one in found.merges} == {
        ("OMIM:1", "MONDO:1"), ("ORPHANET:1", "MONDO:1"), ("OMIM:4", "MONDO:3")
    }  # fmt: skip
    assert found.apart == {"xref: its candidate is claimed by several": 3}
    assert [one.head for one in found.triples] == ["MONDO:1", "MONDO:1"]
    entities, found, _ = merged(annotated, mondo)  # which of the two leads cannot be told, so that it joins neither
    assert "MONDO:1" in entities and found.apart["xref: several candidates"] >= 1


def test_a_number_is_shared_whatever_the_case_of_its_prefix():
    entities, found, _ = merged(
        (Entity("MESH:D1", "Chemical", "painol", (), ("CAS:50-78-2",)),),
        (Entity("CHEBI:1", "Chemical", "painol", (), ("cas:50-78-2",)),),
    )
    assert list(entities) == ["MESH:D1"] and found.merges[0].why == "both have CAS:50-78-2"


def test_the_first_source_leads():
    entities, found, _ = merged(MONDO, MESH)
    assert entities["MONDO:1"].name == "sore thumb"
    assert found.merges == [Merge("MESH:D1", "MONDO:1", "xref", "MONDO:1 names MESH:D1", "source 1")]
    assert found.apart == {"xref: several candidates": 1, "xref: types differ": 1}


def test_same_id_and_what_an_entity_has_become():
    third = (Entity("MESH:D2", "Phenotype", "aching"), Entity("MONDO:1", "Disease", "thumb, sore", (), ("X:1",)))
    entities, found, rejected = merged(MESH, MONDO, third)
    assert entities["MESH:D2"].synonyms == ("aching",)
    assert entities["MESH:D1"].synonyms[-1] == "thumb, sore"
    assert "X:1" in entities["MESH:D1"].xrefs
    assert [one.rule for one in found.merges] == ["xref", "same id", "same id"]
    assert not rejected.remarks
    odd = (Entity("MESH:D3", "Disease", "x"),)
    entities, _, rejected = merged(MESH, odd)
    assert entities["MESH:D3"].type == "Chemical"
    assert rejected.remarks == {"same id in two sources under different types; the first was kept": 1}


def test_xrefs_join_over_three_sources():
    """OMIM:7 is named by MONDO:1, which is part of MESH:D1."""
    entities, found, _ = merged(MESH, MONDO, (Entity("OMIM:7", "Disease", "THUMB, SORE"),))
    assert "THUMB, SORE" in entities["MESH:D1"].synonyms
    assert found.merges[-1] == Merge("OMIM:7", "MESH:D1", "xref", "MESH:D1 names OMIM:7", "source 2")


def test_shared_numbers_and_spellings():
    chebi = (
        Entity("CHEBI:1", "Chemical", "painol", (), ("CAS:50-00-0",)),
        Entity("CHEBI:2", "Chemical", "salt", (), ("msh:D4",)),
    )
    _, found, _ = merged(MESH, chebi)
    assert [(one.id, one.became, one.rule) for one in found.merges] == [
        ("CHEBI:2", "MESH:D4", "xref"),
        ("CHEBI:1", "MESH:D3", "shared number"),
    ]


def test_triples_follow():
    table = TripleTable(*(pyarrow.array(column) for column in (["MONDO:1"], ["is_a"], ["MONDO:2"])))
    _, found, _ = merged(MESH, MONDO, triples=[Triple("MONDO:4", "r", "MONDO:1"), table])
    single, many = found.triples
    assert single == Triple("MONDO:4", "r", "MESH:D1")
    assert (many.heads.to_pylist(), many.tails.to_pylist()) == (["MESH:D1"], ["MONDO:2"])


def test_what_a_reader_made_one_follows_what_leads():
    """The second source made MONDO:1 and HP:9 part of its MESH:D1; MONDO:1 leads here, as the first source has it."""
    first = Source("mondo", (Entity("MONDO:1", "Disease", "sore thumb"),), (Triple("MONDO:1", "r", "HP:9"),))
    second = Source(
        "packages",
        (Entity("MESH:D1", "Disease", "Thumb Diseases", (), ("MONDO:1", "HP:9")),),
        (Triple("MESH:D1", "s", "MESH:D1"),),
        [Merge("MONDO:1", "MESH:D1", "mapping", "x"), Merge("HP:9", "MESH:D1", "mapping", "y")],
    )
    third = Source("hp", (Entity("HP:9", "Phenotype", "thumb ache"),), ())
    found = merge([first, second, third], rejected=Rejections())
    (only,) = found.entities
    assert (only.id, only.synonyms) == ("MONDO:1", ("Thumb Diseases", "thumb ache"))
    assert list(found.triples) == [Triple("MONDO:1", "r", "MONDO:1"), Triple("MONDO:1", "s", "MONDO:1")]
    assert {(one.id, one.became) for one in found.merges if one.id != "MONDO:1"} == {
        ("HP:9", "MONDO:1"),
        ("MESH:D1", "MONDO:1"),
    }


def test_an_id_is_no_name():
    bare, named = Entity("NCBIGene:2", "Gene", "2"), Entity("NCBIGene:2", "Gene", "THB2", ("thumb 2",))
    for first, second in ((bare, named), (named, bare)):
        entities, _, _ = merged((first,), (second,))
        assert entities["NCBIGene:2"] == named


def test_duplicates_within_a_source():
    _, found, rejected = merged(MESH, (*MONDO, MONDO[0]))
    assert rejected.as_dict() == {"duplicate id": 1}
    assert len(found.merges) == 1


def test_a_single_source_passes_untouched():
    only = Source("only", iter(MESH), iter([Triple("MESH:D1", "r", "MESH:D2")]), [Merge("a", "MESH:D1", "x", "y")])
    found = merge([only], rejected=Rejections())
    assert found.entities is only.entities
    assert found.triples is only.triples
    assert found.counts() == {"merged": {"x": 1}, "apart": {}}


def test_the_report_lies_in_the_store(tmp_path):
    _, found, _ = merged(MESH, MONDO)
    build(MESH, [], tmp_path / "graph", report=lambda folder: write_report(folder, found.merges))
    store = GraphStore.open(tmp_path / "graph")
    assert "merges.parquet" in store.artifact.files
    assert read_report(store.path, "MESH:D1") == found.merges
    assert read_report(store.path, "MESH:D2") == []
    assert read_report(tmp_path, "MESH:D1") == []


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ("Gene", "Gene", True),
        ("Disease", "Phenotype", True),
        ("Chemical", "Disease", False),
        ("Gene", "Protein", False),
    ],
)
def test_types(first, second, answer):
    assert agree(first, second) is agree(second, first) is answer


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz"))))
def test_one_to_one_is(pairs):
    kept, reasons = one_to_one(pairs)
    for first, second in kept:
        assert {pair for pair in pairs if first in pair or second in pair} == {(first, second)}
    assert {first for first, _ in kept} | set(reasons) == {first for first, _ in pairs}
    assert not {first for first, _ in kept} & set(reasons)


def test_no_two_of_a_source_become_part_of_one_by_different_rules():
    first = (Entity("MESH:D1", "Chemical", "painol", (), ("CAS:1-1-1",)),)
    second = (
        Entity("CHEBI:1", "Chemical", "painol one", (), ("MESH:D1",)),
        Entity("CHEBI:2", "Chemical", "painol two", (), ("CAS:1-1-1",)),
    )
    entities, found, _ = merged(first, second)
    assert list(entities) == ["MESH:D1", "CHEBI:2"]
    assert found.apart == {"shared number: its candidate has another of the source in it": 1}
    third = (Entity("MESH:D1", "Chemical", "painol"), Entity("MONDO:2", "Chemical", "other", (), ("MESH:D1",)))
    entities, found, _ = merged(first, third)
    assert list(entities) == ["MESH:D1", "MONDO:2"] and found.apart.total() == 1


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 9), st.lists(st.sampled_from([*(f"S{n}:{k}" for n in (1, 2) for k in range(4)),
                                                                   "CAS:1", "CAS:2"]), max_size=3)),
            max_size=5, unique_by=lambda one: one[0],
        ),
        min_size=2, max_size=3,
    )
)  # fmt: skip
@settings(deadline=None)
def test_at_most_one_of_a_source_is_in_an_entity(groups):
    """By xref and number; an id that an earlier source knows is that entity's in any case."""
    named = [
        [Entity(f"S{number}:{own}", "Chemical", f"n{number} {own}", (), tuple(xrefs)) for own, xrefs in group]
        for number, group in enumerate(groups)
    ]
    _, found, _ = merged(*named)
    joined = [(one.source, one.became) for one in found.merges if one.rule != "same id"]
    assert len(set(joined)) == len(joined)
