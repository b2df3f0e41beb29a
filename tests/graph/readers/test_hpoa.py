"""HPO's annotation files, also in the columns of older releases."""

import gzip

import pytest

from kogner.errors import InputError
from kogner.graph.readers.hpoa import read_hpoa
from kogner.graph.rejections import Rejections
from kogner.records import Entity, Triple

NEW = "database_id\tdisease_name\tqualifier\thpo_id\treference\taspect\n"
ROWS = (
    "OMIM:10\tache\t\tHP:1\tr\tP\nOMIM:10\tache\tNOT\tHP:2\tr\tP\nOMIM:10\tache\t\tHP:9\tr\tI\n"
    "ORPHA:5\trare ache\t\tHP:1\tr\tP\nOMIM:10\tache\nOMIM 11\tx\t\tHP:1\tr\tP\n"
)
GENES = "ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id\n501\tTHB1\tHP:1\tAche\t-\tOMIM:10\n"
GENES += "501\tTHB1\tHP:9\tInherited\t-\tOMIM:10\n"
DISEASES = (
    "ncbi_gene_id\tgene_symbol\tassociation_type\tdisease_id\tsource\nNCBIGene:502\tTHB2\tMENDELIAN\tORPHA:5\tx\n"
)


def read(path):
    rejected = Rejections()
    source = read_hpoa(path, rejected=rejected)
    return list(source.entities), list(source.triples), rejected


def test_a_folder(tmp_path):
    (tmp_path / "phenotype.hpoa").write_text("#version: 1\n" + NEW + ROWS)
    (tmp_path / "genes_to_phenotype.txt").write_text(GENES)
    (tmp_path / "genes_to_disease.txt.gz").write_bytes(gzip.compress(DISEASES.encode(), mtime=0))
    entities, triples, rejected = read(tmp_path)
    assert entities == [
        Entity("OMIM:10", "Disease", "ache"),
        Entity("ORPHANET:5", "Disease", "rare ache"),
        Entity("NCBIGene:501", "Gene", "THB1"),
        Entity("HP:1", "Phenotype", "Ache"),
        Entity("NCBIGene:502", "Gene", "THB2"),
    ]
    assert triples == [
        Triple("OMIM:10", "has_phenotype", "HP:1"),
        Triple("ORPHANET:5", "has_phenotype", "HP:1"),
        Triple("NCBIGene:501", "gene_associated_with_disease", "OMIM:10"),
        Triple("NCBIGene:501", "associated_with_phenotype", "HP:1"),
        Triple("NCBIGene:502", "gene_associated_with_disease", "ORPHANET:5"),
    ]
    assert rejected.as_dict() == {
        "annotation that is no phenotype (onset, inheritance, course)": 2,
        "id with blanks": 1,
        "negated phenotype annotation": 1,
        "wrong number of fields": 1,
    }


def test_what_has_no_name_and_what_says_nothing_new_is_counted(tmp_path):
    rows = "OMIM:1\t\t\tHP:1\tr\tP\nOMIM:1\t\t\tHP:1\tother\tP\nOMIM:2\t\t\tHP:1\tr\tP\nOMIM:2\tlate\t\tHP:2\tr\tP\n"
    (tmp_path / "phenotype.hpoa").write_text(NEW + rows)
    genes = "".join(f"501\t-\tHP:{n}\tAche\t-\tOMIM:{m}\n" for n, m in ((1, 1), (1, 2), (2, 2), (2, 1), (1, 1)))
    (tmp_path / "genes_to_phenotype.txt").write_text(GENES.splitlines()[0] + "\n" + genes)
    entities, triples, rejected = read(tmp_path)
    assert [entity.id for entity in entities] == ["OMIM:2", "HP:1", "HP:2"]
    assert len(triples) == 3 + 4
    assert rejected.as_dict() == {
        # The second of OMIM:1; of the gene's rows the last two, whose disease and phenotype came apart before.
        "annotation that says nothing new": 3,
        "disease without a name": 1,
        "gene without a name": 1,
    }
    assert rejected.examples["disease without a name"] == ["OMIM:1"]
    assert "phenotype.hpoa: OMIM:1 HP:1" in rejected.examples["annotation that says nothing new"]


def test_older_columns(tmp_path):
    old = "#description: x\n#DatabaseID\tDiseaseName\tQualifier\tHPO_ID\tReference\tAspect\n"
    (tmp_path / "phenotype.hpoa").write_text(old + ROWS)
    assert read(tmp_path)[0][0] == Entity("OMIM:10", "Disease", "ache")


def test_a_file_of_another_name_is_known_by_its_columns(tmp_path):
    for name, text in (("a.tsv", "#version: 1\n" + NEW + ROWS), ("b.tsv", GENES)):
        (tmp_path / name).write_text(text)
    assert [entity.type for entity in read(tmp_path / "a.tsv")[0]] == ["Disease", "Disease"]
    assert [entity.type for entity in read(tmp_path / "b.tsv")[0]] == ["Gene", "Phenotype", "Phenotype"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("phenotype.hpoa", NEW.replace("aspect", "x") + ROWS, "no column aspect"),
        ("phenotype.hpoa", "#only\n", "no line of columns"),
        ("genes_to_phenotype.txt", "10\tNAT2\n", "no line of columns"),
    ],
)
def test_bad_files(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        read(tmp_path / name)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds none of phenotype"):
        read(tmp_path)
