"""Hetionet, PrimeKG and DRKG as they are published, written small."""

import gzip
import lzma

import pytest

from kogner.errors import InputError
from kogner.graph.readers.columns import Coded
from kogner.graph.readers.drkg import read_drkg
from kogner.graph.readers.hetionet import METAEDGES, read_hetionet
from kogner.graph.readers.primekg import identifier, read_primekg
from kogner.graph.readers.vocabularies import local_id, type_of_kind, uniform
from kogner.graph.rejections import Rejections
from kogner.records import Entity

NODES = (
    'id\tname\tkind\nDisease::DOID:1612\tsore "thumb\tDisease\n'
    "Gene::2157\tF8\tGene\nCompound::DB00945\tPainol\tCompound\n"
    "Symptom::D058447\tEye Pain\tSymptom\nSide Effect::C0027497\tNausea\tSide Effect\nnothing\tx\tGene\n"
    "Biological Process::GO:0003193\tgrowth\tBiological Process\nGene::7\t\tGene\nGene::2157\tagain\tGene\n"
)
EDGES = (
    "source\tmetaedge\ttarget\nCompound::DB00945\tCtD\tDisease::DOID:1612\n"
    "Gene::2157\tGpBP\tBiological Process::GO:0003193\n"
    "Gene::2157\tXyZ\tGene::7\nGene2157\tGiG\tGene::7\nGene::2157\tGr>G\tGene::2157\n"
)


def read(reader, path):
    rejected = Rejections()
    source = reader(path, rejected=rejected)
    entities = list(source.entities)
    triples = [
        triple
        for table in source.triples
        for triple in zip(*(getattr(table, name).to_pylist() for name in ("heads", "relations", "tails")), strict=True)
    ]
    return entities, triples, rejected


def test_hetionet(tmp_path):
    (tmp_path / "hetionet-v1.0-nodes.tsv").write_text(NODES)
    (tmp_path / "hetionet-v1.0-edges.sif.gz").write_bytes(gzip.compress(EDGES.encode(), mtime=0))
    entities, triples, rejected = read(read_hetionet, tmp_path)
    assert [(one.id, one.type) for one in entities] == [
        ("DOID:1612", "Disease"),
        ("NCBIGene:2157", "Gene"),
        ("DrugBank:DB00945", "Chemical"),
        ("MESH:D058447", "Symptom"),
        ("UMLS:C0027497", "SideEffect"),
        ("GO:0003193", "BiologicalProcess"),
    ]
    assert entities[0].name == 'sore "thumb'
    assert triples == [
        ("DrugBank:DB00945", "compound_treats_disease", "DOID:1612"),
        ("NCBIGene:2157", "gene_participates_biological_process", "GO:0003193"),
        ("NCBIGene:2157", "gene_regulates_gene", "NCBIGene:2157"),
    ]
    assert rejected.as_dict() == {"id without its kind": 2, "duplicate id": 1, "empty name": 1, "unknown metaedge": 1}


def test_metaedges_are_the_published_24():
    """Each abbreviation has the capitals of its kinds and the small letter of its verb."""
    kinds = {"anatomy": "A", "compound": "C", "disease": "D", "gene": "G", "symptom": "S", "side_effect": "SE",
             "biological_process": "BP", "cellular_component": "CC", "molecular_function": "MF", "pathway": "PW",
             "pharmacologic_class": "PC"}  # fmt: skip
    assert len(METAEDGES) == len(set(METAEDGES.values())) == 24
    for short, name in METAEDGES.items():
        first = next(kind for kind in sorted(kinds, key=len, reverse=True) if name.startswith(f"{kind}_"))
        last = next(kind for kind in sorted(kinds, key=len, reverse=True) if name.endswith(f"_{kind}"))
        verb = name.removeprefix(f"{first}_").removesuffix(f"_{last}")
        middle = verb[0] + (">" if short == "Gr>G" else "")
        assert short == kinds[first] + middle + kinds[last]


def test_hetionet_without_edges(tmp_path):
    (tmp_path / "hetionet-v1.0-nodes.tsv").write_text(NODES)
    with pytest.raises(InputError, match=r"has no hetionet-v1\.0-edges"):
        read_hetionet(tmp_path, rejected=Rejections())


HEADER = "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source\n"
GENE, DRUG = "0,9796,gene/protein,PHYHIP,NCBI", '1,DB00945,drug,"Painol, plain",DrugBank'
GROUP, SIGN = "2,13924_12592,disease,sore thumbs,MONDO_grouped", "3,23,effect/phenotype,Hernia,HPO"
PRIME = HEADER + "".join(
    f"{line}\n"
    for line in (
        f"drug_protein,target,{DRUG},{GENE}",
        f"disease_phenotype_positive,phenotype present,{GROUP},{SIGN}",
        f"protein_protein,ppi,{GENE},{GENE}",
        f"drug_protein,enzyme,{GENE},{DRUG}",
        f"drug_protein,target,{GENE},{DRUG}",
        f"disease_phenotype_positive,phenotype present,{SIGN},{GROUP}",
        f"drug_protein,target,4,,drug,nameless,DrugBank,{GENE}",
        "too,few,cells",
    )
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_primekg(tmp_path, pack):
    (tmp_path / "kg.csv").write_bytes(pack(PRIME.encode()))
    entities, triples, rejected = read(read_primekg, tmp_path / "kg.csv")
    assert sorted(entities, key=lambda one: one.id) == [
        Entity("DrugBank:DB00945", "Chemical", "Painol, plain"),
        Entity("HP:0000023", "Phenotype", "Hernia"),
        Entity("NCBIGene:9796", "Gene", "PHYHIP"),
        Entity("PrimeKG:13924_12592", "Disease", "sore thumbs", (), ("MONDO:0013924", "MONDO:0012592")),
    ]
    assert triples == [
        ("DrugBank:DB00945", "drug_protein:target", "NCBIGene:9796"),
        ("PrimeKG:13924_12592", "disease_phenotype_positive:phenotype_present", "HP:0000023"),
        ("NCBIGene:9796", "protein_protein:ppi", "NCBIGene:9796"),
        ("NCBIGene:9796", "drug_protein:enzyme", "DrugBank:DB00945"),
    ]
    assert rejected.as_dict() == {
        "mirrored edge": 2,
        "edge without a relation, or with an end without id, type, name or source": 1,
        "wrong number of cells": 1,
    }


def test_primekg_ids():
    assert identifier("MONDO", "5148") == ("MONDO:0005148", ())
    assert identifier("GO", "3193")[0] == "GO:0003193"
    assert identifier("REACTOME", "R-HSA-109581")[0] == "Reactome:R-HSA-109581"
    assert identifier("CTD", "D013749")[0] == "MESH:D013749"
    assert identifier("CTD", "x1")[0] == "CTD:x1"


@pytest.mark.parametrize(
    ("text", "says"), [(HEADER.replace("x_type,", ""), "no column x_type"), ("", "is empty"), (None, "does not exist")]
)
def test_bad_primekg(tmp_path, text, says):
    if text is not None:
        (tmp_path / "kg.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read(read_primekg, tmp_path / "kg.csv")


def test_primekg_of_no_rows(tmp_path):
    (tmp_path / "kg.csv").write_text(HEADER)
    assert read(read_primekg, tmp_path)[:2] == ([], [])


DRKG = (
    "Gene::2157\tbioarx::HumGenHumGen:Gene:Gene\tGene::2158\nCompound::DB00945\tDRUGBANK::treats::Compound:Disease\tDisease::MESH:D003324\n"
    "Disease::SARS-CoV2 E\tcov\tGene::2157\nnothing\tx\tGene::2157\nGene::2157\t\tGene::2158\nGene::2157\tonly two\n"
)


def test_drkg(tmp_path):
    (tmp_path / "drkg.tsv").write_text(DRKG)
    (tmp_path / "names.tsv").write_text("Gene::2157\tF8\nno entity\tx\n")
    entities, triples, rejected = read(read_drkg, tmp_path)
    assert sorted(entities, key=lambda one: one.id) == [
        Entity("Disease:SARS-CoV2_E", "Disease", "SARS-CoV2 E"),
        Entity("DrugBank:DB00945", "Chemical", "DB00945"),
        Entity("MESH:D003324", "Disease", "MESH:D003324"),
        Entity("NCBIGene:2157", "Gene", "F8"),
        Entity("NCBIGene:2158", "Gene", "2158"),
    ]
    assert triples[0] == ("NCBIGene:2157", "bioarx::HumGenHumGen:Gene:Gene", "NCBIGene:2158")
    assert len(triples) == 3
    assert rejected.as_dict() == {
        "empty relation": 1,
        "id without its kind": 1,
        "name without its entity": 1,
        "wrong number of cells": 1,
    }
    assert rejected.remarks == {"entity whose name is its id": 4}


def test_a_tenth_of_broken_rows(tmp_path):
    rows = [f"Gene::{n}\tr\tGene::{n + 1}" if n % 10 else f"Gene::{n}\tbroken" for n in range(5_000)]
    (tmp_path / "drkg.tsv").write_text("\n".join(rows) + "\n")
    _, triples, rejected = read(read_drkg, tmp_path)
    assert len(triples) == 4_500
    assert rejected.as_dict() == {"wrong number of cells": 500}


def test_truncated_and_missing(tmp_path):
    with pytest.raises(InputError, match=r"has no drkg\.tsv"):
        read_drkg(tmp_path, rejected=Rejections())
    rows = "".join(f"Gene::{n * 7919 % 10007}\tr{n}\tGene::{n}\n" for n in range(3_000))
    (tmp_path / "drkg.tsv.gz").write_bytes(gzip.compress(rows.encode(), mtime=0)[:-300])
    with pytest.raises(InputError, match="cannot be read"):
        read(read_drkg, tmp_path)


def test_identifiers_and_kinds():
    assert uniform("Orphanet:1") == uniform("ORPHA:1") == "ORPHANET:1"
    assert uniform("MSH:D1") == uniform("mesh:D1") == uniform("MESH:D1") == "MESH:D1"
    assert uniform("no prefix") == "no prefix"
    assert local_id("Chemical", "pubchem:5") == "PubChem:5"
    assert local_id("Pathway", "WP3_r8") == "WikiPathways:WP3_r8"
    assert local_id("Gene", "some thing") == "Gene:some_thing"
    assert type_of_kind("Biological Process") == type_of_kind("biological_process") == "BiologicalProcess"
    assert type_of_kind("Wheel") == "Wheel"


def test_values_that_become_the_same_share_a_number():
    import pyarrow

    coded = Coded(lambda text: text.lower() or None)
    assert coded.numbers(pyarrow.array(["A", "b", "", "a"])).tolist() == [0, 1, -1, 0]
    assert coded.numbers(pyarrow.array(["B", "c"])).tolist() == [1, 2]
    assert coded.numbers(pyarrow.array([], pyarrow.string())).tolist() == []
    assert coded.texts(coded.numbers(pyarrow.array(["c", "B"]))).to_pylist() == ["c", "b"]


def test_an_id_of_two_types_is_said(tmp_path):
    (tmp_path / "drkg.tsv").write_text("Disease::MESH:D1\ttreats\tCompound::MESH:D1\n")
    rejected = Rejections()
    source = read_drkg(tmp_path / "drkg.tsv", rejected=rejected)
    assert len(list(source.entities)) == 1
    assert rejected.remarks["id under two types, of which the first was kept"] == 1
