"""Ontologies: the same terms from OBO and from JSON, what is no OBO costs only itself, circles do not hang."""

import gzip
import json
import lzma
import sys

import pytest

from kogner.errors import InputError, MissingExtraError
from kogner.graph.cycles import cyclic
from kogner.graph.readers.ontology import is_ontology, read_ontology
from kogner.graph.rejections import Rejections
from kogner.graph.store import build
from kogner.records import Entity, Triple

OBO = r"""format-version: 1.2
ontology: made/up.obo

[Term]
id: MONDO:0000001
name: sore thumb
def: "A thumb that is \"sore\"." [PMID:1]
synonym: "thumb ache" EXACT []
synonym: "ache" BROAD []
synonym: "hurting thumb" RELATED layperson [X:1]
xref: MSH:D000001 {source="x"}
xref: Orphanet:7
xref: https://example.org/thumb
alt_id: MONDO:0000009
is_a: MONDO:0000002 ! ache
relationship: BFO:0000050 MONDO:0000003 ! hand trouble

[Term]
id: MONDO:0000002
name: ache

[Term]
id: MONDO:0000003
name: hand trouble

[Term]
id: MONDO:0000004
name: gone
is_obsolete: true

[Term]
id: GO:0000005
name: thumb growth
namespace: biological_process

[Term]
id: ZZZ:1
name: of nothing known

[Typedef]
id: BFO:0000050
name: part of
"""
ENTITIES = [
    Entity(
        "MONDO:0000001",
        "Disease",
        "sore thumb",
        ("thumb ache", "hurting thumb"),
        ("MONDO:0000009", "MESH:D000001", "ORPHANET:7"),
        'A thumb that is "sore".',
    ),
    Entity("MONDO:0000002", "Disease", "ache"),
    Entity("MONDO:0000003", "Disease", "hand trouble"),
    Entity("GO:0000005", "BiologicalProcess", "thumb growth"),
    Entity("ZZZ:1", "up", "of nothing known"),
]
TRIPLES = [
    Triple("MONDO:0000001", "is_a", "MONDO:0000002"),
    Triple("MONDO:0000001", "part_of", "MONDO:0000003"),
]


def iri(identifier):
    return "http://purl.obolibrary.org/obo/" + identifier.replace(":", "_")


def obograph():
    owl = "http://www.geneontology.org/formats/oboInOwl#"
    nodes = [
        {
            "id": iri("MONDO:0000001"),
            "lbl": "sore thumb",
            "type": "CLASS",
            "meta": {
                "definition": {"val": 'A thumb that is "sore".', "xrefs": ["PMID:1"]},
                "synonyms": [
                    {"pred": "hasExactSynonym", "val": "thumb ache", "xrefs": []},
                    {"pred": "hasBroadSynonym", "val": "ache"},
                    {"pred": "hasRelatedSynonym", "val": "hurting thumb"},
                ],
                "xrefs": [{"val": "MSH:D000001"}, {"val": "Orphanet:7"}],
                "basicPropertyValues": [
                    {"pred": owl + "hasAlternativeId", "val": "MONDO:0000009"},
                    {"pred": owl + "creation_date", "val": "long ago"},
                ],
            },
        },
        {"id": iri("MONDO:0000002"), "lbl": "ache", "type": "CLASS"},
        {"id": iri("MONDO:0000003"), "lbl": "hand trouble", "type": "CLASS"},
        {"id": iri("MONDO:0000004"), "lbl": "gone", "type": "CLASS", "meta": {"deprecated": True}},
        {
            "id": iri("GO:0000005"),
            "lbl": "thumb growth",
            "type": "CLASS",
            "meta": {"basicPropertyValues": [{"pred": owl + "hasOBONamespace", "val": "biological_process"}]},
        },
        {"id": iri("ZZZ:1"), "lbl": "of nothing known", "type": "CLASS"},
        {"id": iri("BFO:0000050"), "lbl": "part of", "type": "PROPERTY"},
        {"id": "http://example.org/somebody", "lbl": "somebody", "type": "INDIVIDUAL"},
    ]
    edges = [
        {"sub": iri("MONDO:0000001"), "pred": "is_a", "obj": iri("MONDO:0000002")},
        {"sub": iri("MONDO:0000001"), "pred": iri("BFO:0000050"), "obj": iri("MONDO:0000003")},
    ]
    return {"graphs": [{"id": iri("made/up.json"), "nodes": nodes, "edges": edges}]}


def read(path, **options):
    rejected = Rejections()
    source = read_ontology(path, rejected=rejected, **options)
    return list(source.entities), list(source.triples), rejected


def same(found):
    """Entities with their synonyms and xrefs in an order of their own: JSON has none for them."""
    return [(one.id, one.type, one.name, {*one.synonyms}, {*one.xrefs}, one.description) for one in found]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_obo(tmp_path, pack):
    path = tmp_path / "any.obo"
    path.write_bytes(pack(OBO.encode()))
    entities, triples, rejected = read(path)
    assert same(entities) == same(ENTITIES)
    assert triples == TRIPLES
    assert rejected.as_dict() == {"broad synonym": 1, "obsolete term": 1, "xref that is no identifier": 1}
    assert not rejected.remarks


def test_xrefs_that_mondo_marks_as_related_are_no_identity(tmp_path):
    (tmp_path / "mondo.obo").write_text(
        "ontology: mondo\n\n[Term]\nid: MONDO:0000001\nname: sore thumb\n"
        'xref: MESH:D000001 {source="MONDO:relatedTo"}\n'
        'xref: MESH:D000002 {source="MONDO:equivalentTo", source="MONDO:relatedTo"}\n'
        'xref: MESH:D000003 {source="DOID:7"}\n'
        'xref: MESH:D000004 {source="MONDO:superClassOf"}\n'
    )
    (entity,), _, rejected = read(tmp_path / "mondo.obo")
    assert entity.xrefs == ("MESH:D000002", "MESH:D000003")
    assert rejected.as_dict() == {"xref to a related concept": 2}


def test_xrefs_that_mondo_marks_in_json_where_the_file_keeps_annotations(tmp_path):
    def xref(identifier, *sources):
        pred = "http://www.geneontology.org/formats/oboInOwl#source"
        return {"val": identifier, "meta": {"basicPropertyValues": [{"pred": pred, "val": one} for one in sources]}}

    xrefs = [
        xref("MESH:D000001", "MONDO:relatedTo"),
        xref("MESH:D000002", "MONDO:equivalentTo", "MONDO:relatedTo"),
        xref("MESH:D000003", "DOID:7"),
        xref("MESH:D000004", "MONDO:superClassOf"),
        {"val": "MESH:D000005"},
        {"val": "MESH:D000006", "meta": {"basicPropertyValues": None}},
        {"val": "MESH:D000007", "meta": ["odd"]},
    ]
    node = {"id": iri("MONDO:0000001"), "lbl": "sore thumb", "type": "CLASS", "meta": {"xrefs": xrefs}}
    (tmp_path / "mondo.json").write_text(json.dumps({"graphs": [{"id": "mondo", "nodes": [node]}]}))
    (entity,), _, rejected = read(tmp_path / "mondo.json")
    assert entity.xrefs == tuple(f"MESH:D00000{n}" for n in (2, 3, 5, 6, 7))
    assert rejected.as_dict() == {"xref to a related concept": 2}


def test_edges_of_what_is_no_node_are_counted(tmp_path):
    graph = obograph()
    graph["graphs"][0]["edges"] += [
        {"sub": iri("MONDO:0000077"), "pred": "is_a", "obj": iri("MONDO:0000001")},
        {"sub": iri("MONDO:0000077"), "pred": "is_a", "obj": iri("MONDO:0000002")},
    ]
    (tmp_path / "any.json").write_text(json.dumps(graph))
    entities, triples, rejected = read(tmp_path / "any.json")
    assert (len(entities), triples) == (len(ENTITIES), TRIPLES)
    assert rejected.counts["triple with an unknown end"] == 2
    assert rejected.examples["triple with an unknown end"] == [iri("MONDO:0000077")]


def test_json_gives_the_same(tmp_path):
    path = tmp_path / "any.json.gz"
    path.write_bytes(gzip.compress(json.dumps(obograph()).encode(), mtime=0))
    entities, triples, rejected = read(path)
    assert same(entities) == same(ENTITIES)
    assert triples == TRIPLES
    assert rejected.as_dict() == {"broad synonym": 1, "individual (no term)": 1, "obsolete term": 1}
    assert is_ontology(path)


def test_what_a_user_chooses(tmp_path):
    (tmp_path / "any.obo").write_text(OBO)
    entities, _, rejected = read(tmp_path / "any.obo", kind="Thing", scopes=("BROAD",))
    assert entities[0].synonyms == ("ache",)
    assert entities[-1].type == "Thing"
    assert rejected.as_dict()["exact synonym"] == rejected.as_dict()["related synonym"] == 1


def test_a_bad_clause_costs_only_itself(tmp_path):
    (tmp_path / "bad.obo").write_text(
        "ontology: x\n\n[Term]\nid: HP:1\nname: one\nxref: two words here\nsynonym: unquoted\n"
        'synonym: "good" EXACT []\n'
        "\n[Term]\nname: without id\n\n[Term]\nid: HP 2\nname: blanks in the id\n\n[Term]\nid: HP:1\nname: again\n"
        "\n[Term]\nid: HP:3\n\n[Fact]\nid: HP:4\n\n[Term]\nid: HP:5\nname: five\nis_a: HP:1\n"
    )
    entities, triples, rejected = read(tmp_path / "bad.obo")
    assert [(one.id, one.synonyms) for one in entities] == [("HP:1", ("good",)), ("HP:5", ())]
    assert triples == [Triple("HP:5", "is_a", "HP:1")]
    assert rejected.as_dict() == {
        "clause that is no OBO": 2,
        "term without a proper id": 2,
        "duplicate id": 1,
        "stanza of an unknown kind": 1,
        "term without a name": 1,
    }
    assert "bad.obo:6 xref: two words here" in rejected.examples["clause that is no OBO"]


def test_an_id_that_can_be_none_is_shown(tmp_path):
    (tmp_path / "x.obo").write_text("ontology: x\n\n[Term]\nid: HP:a\\ b\nname: one\n")
    _, _, rejected = read(tmp_path / "x.obo")
    assert rejected.examples == {"id with blanks": [r"x.obo: 'HP:a\\ b'"]}


def test_bad_nodes_of_json(tmp_path):
    graph = obograph()
    xrefs = [{"val": "MSH:D000009"}, {"val": "two words here"}, {"val": "UMLS:C0000009"}]
    graph["graphs"][0]["nodes"][1]["meta"] = {"xrefs": xrefs, "definition": {"val": "kept"}}
    graph["graphs"][0]["nodes"][2]["meta"] = {"xrefs": None, "definition": None, "synonyms": ["bare", {"val": "x"}]}
    graph["graphs"][0]["nodes"] += ["no node", {"lbl": "without id"}]
    graph["graphs"][0]["edges"] += [{"sub": "x"}]
    (tmp_path / "any.json").write_text(json.dumps(graph))
    entities, _, rejected = read(tmp_path / "any.json")
    assert entities[1].description == "kept"
    assert entities[1].xrefs == ("MESH:D000009", "UMLS:C0000009"), "one bad xref costs no other"
    assert rejected.as_dict()["xrefs of a term that are no OBO"] == 1
    assert rejected.as_dict()["synonyms of a term that are no OBO"] == 2
    assert rejected.as_dict()["term without a proper id"] == 2
    assert rejected.as_dict()["edge without its ends"] == 1


def test_structures_of_chemicals_are_no_names(tmp_path):
    (tmp_path / "chebi.obo").write_text(
        'ontology: chebi\n\n[Term]\nid: CHEBI:1\nname: painol\nxref: CAS:50-00-0 {source="x"}\n'
        'synonym: "InChIKey=AAA-BBB-C" RELATED InChIKey [ChEBI]\nsynonym: "CCO" RELATED SMILES [ChEBI]\n'
        'synonym: "painolum" RELATED LATIN [ChEBI]\n'
        'property_value: http://purl.obolibrary.org/obo/chebi/mass "1" xsd:string\n'
        "\n[Term]\nid: CHEBI:2\nname: new\n"
        'property_value: chemrof:inchi_key_string "DDD-EEE-F" xsd:string\n'
    )
    (old, new), _, rejected = read(tmp_path / "chebi.obo")
    assert (old.synonyms, set(old.xrefs)) == (("painolum",), {"CAS:50-00-0", "INCHIKEY:AAA-BBB-C"})
    assert new.xrefs == ("INCHIKEY:DDD-EEE-F",)
    assert rejected.as_dict() == {"structure synonym": 2}
    key = {"pred": "http://purl.obolibrary.org/obo/chebi/inchikey", "val": "DDD-EEE-F"}
    node = {"id": iri("CHEBI:2"), "lbl": "new", "type": "CLASS", "meta": {"basicPropertyValues": [key]}}
    (tmp_path / "chebi.json").write_text(json.dumps({"graphs": [{"id": "x", "nodes": [node]}]}))
    assert read(tmp_path / "chebi.json")[0] == [new]


def test_circles_are_kept_and_counted(tmp_path):
    terms = "".join(f"\n[Term]\nid: HP:{n}\nname: n{n}\nis_a: HP:{(n + 1) % 3}\n" for n in range(3))
    terms += "\n[Term]\nid: HP:7\nname: below\nis_a: HP:0\n\n[Term]\nid: HP:8\nname: own\nis_a: HP:8\n"
    (tmp_path / "circle.obo").write_text("ontology: x\n" + terms)
    entities, triples, rejected = read(tmp_path / "circle.obo")
    assert len(entities) == len(triples) == 5
    build(entities, triples, tmp_path / "graph", rejected=rejected)
    assert rejected.remarks == {"entity in a circle of is_a": 4}


def test_circles_of_any_depth():
    chain = [(str(n), str(n + 1)) for n in range(20_000)]
    assert cyclic(chain) == set()
    assert cyclic([*chain, ("20000", "19998")]) == {"19998", "19999", "20000"}
    assert cyclic([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]) == set()
    assert cyclic([("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"), ("e", "e")]) == {*"abcde"}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.obo", b"hello\n", "has no"),
        ("x.obo", b"[Term]\nid: HP:1\nname: \xff\n", r"x\.obo:3: is not UTF-8"),
        ("x.obo", gzip.compress(OBO.encode() * 30, mtime=0)[:-40], "cut short"),
        ("x.json", b"{", "is no OBO-graph JSON"),
        ("x.json", b'{"nodes": []}', "is no OBO-graph JSON"),
        ("x.json", b'{"graphs": []}', "has no term"),
        ("x.json", b'{"graphs": [7]}', "is no OBO-graph JSON"),
        ("x.json", b'{"graphs": [{"id": 7, "nodes": [{"id": ["a"]}]}]}', "has no term"),
        ("x.json", b'{"graphs": ' + b"[" * 100_000, "is no OBO-graph JSON"),
        ("x.obo", b"PK\x03\x04zip", "is a zip archive"),
    ],
)
def test_bad_files(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says):
        read(tmp_path / name)


def test_missing_file_and_library(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "none.obo")
    (tmp_path / "any.obo").write_text(OBO)
    monkeypatch.setitem(sys.modules, "fastobo", None)
    with pytest.raises(MissingExtraError, match=r"kogner\[ontologies\]"):
        read(tmp_path / "any.obo")


def test_a_bad_edge_costs_no_term(tmp_path):
    nodes = [{"id": f"HP:000000{n}", "lbl": f"t{n}", "type": "CLASS", "meta": {"synonyms": 5}} for n in (1, 2)]
    edges = [
        {"sub": "HP:0000001", "pred": "is_a", "obj": "HP:0000002"},
        {"sub": ["HP:0000001"], "pred": "is_a", "obj": "HP:0000002"},
        {"sub": "HP:0000001", "pred": None, "obj": "HP:0000002"},
        {"sub": "HP:0000001", "pred": "is_a", "obj": 7},
    ]
    (tmp_path / "x.json").write_text(json.dumps({"graphs": [{"id": "hp", "nodes": nodes, "edges": edges}]}))
    rejected = Rejections()
    source = read_ontology(tmp_path / "x.json", rejected=rejected)
    assert [entity.id for entity in source.entities] == ["HP:0000001", "HP:0000002"]
    assert rejected.counts["edge without its ends"] == 3
