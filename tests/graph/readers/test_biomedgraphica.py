"""BioMedGraphica's files, with the oddities of its release, written small."""

from __future__ import annotations

import csv
import gzip
import json

import pytest

from kogner.errors import InputError
from kogner.graph import store
from kogner.graph.readers import biomedgraphica as bmg
from kogner.graph.readers.tables import batches, header_of
from kogner.graph.rejections import Rejections

DISEASE = [
    "BioMedGraphica_ID", "SNOMEDCT_ID", "UMLS_Name", "MeSH_Name", "ICD11_ID", "ICD11_Title", "ICD10_ID", "DO_ID",
    "DO_Name", "UMLS_ID", "MeSH_ID", "OMIM_ID", "MONDO_ID", "MONDO_Name", "SNOMEDCT_Name",
]  # fmt: skip


def write(file, rows, header):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        writer.writerows(rows)


def entities(folder, kind, header, rows):
    write(folder / "Entity" / kind / f"BioMedGraphica_{kind}.csv", rows, header)


def edges(folder, name, rows, header=("BioMedGraphica_ID", "From_ID", "To_ID", "Source", "Type")):
    named = [{"From_ID": head, "To_ID": tail, "Type": name} for head, tail in rows]
    write(folder / "Relation" / name / f"BioMedGraphica_{name.replace('-', '_')}.csv", named, header)


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "BioMedGraphica"
    entities(folder, "Disease", DISEASE, [
        {"BioMedGraphica_ID": "BMG_DS000001", "UMLS_Name": "Abetalipoproteinemia;ABL disease",
         "SNOMEDCT_Name": "ABL | Bassen; K.", "SNOMEDCT_ID": "83123000;190787008",
         "UMLS_ID": "C0000744", "OMIM_ID": "MTHU014871;200100",
         "ICD10_ID": "E10.0",
         "MONDO_ID": "MONDO:0008692"},
        {"BioMedGraphica_ID": "BMG_DS000002", "ICD11_ID": "XY9Q"},
        {"BioMedGraphica_ID": "BMG_DS000003"},
        {"BioMedGraphica_ID": "", "UMLS_Name": "no id"},
        {"BioMedGraphica_ID": "BMG_DS 004", "UMLS_Name": "blanks"},
        {"BioMedGraphica_ID": "BMG_DG000009", "UMLS_Name": "a drug"},
    ])  # fmt: skip
    write(
        folder / "Entity/Disease/BioMedGraphica_Disease_Description_Combined.csv",
        [{"BioMedGraphica_ID": "BMG_DS000001", "Description": 'MONDO: Fat is\nnot "absorbed".'}],
        ["BioMedGraphica_ID", "Description"],
    )
    entities(folder, "Protein", ["BioMedGraphica_ID", "Uniprot_ID", "NCBI_Gene_ID", "HGNC_Symbol", "UniProt_Name"], [
        {"BioMedGraphica_ID": "BMG_PT000001", "Uniprot_ID": "P01308", "NCBI_Gene_ID": "3630.0", "HGNC_Symbol": "INS"},
    ])  # fmt: skip
    entities(folder, "Exposure", ["BioMedGraphica_ID", "MeSH_ID", "CAS_RN", "Exposure_Name"], [
        {"BioMedGraphica_ID": "BMG_EP0002", "MeSH_ID": "D005557", "CAS_RN": "50-00-0", "Exposure_Name": "Salt; sea"},
    ])  # fmt: skip
    entities(folder, "Pathway", ["BioMedGraphica_ID", "PO_ID", "PO_Name", "KEGG_Name", "KEGG_ID"], [
        {"BioMedGraphica_ID": "BMG_PW0840", "PO_ID": "PW:0000002", "PO_Name": "", "KEGG_Name": "Glycolysis;EMP"},
    ])  # fmt: skip
    edges(folder, "Pathway-Exposure", [("BMG_EP0002", "BMG_PW0840")])  # backwards, as released
    edges(folder, "Exposure-Pathway", [("BMG_EP0002", "BMG_PW0840")])
    edges(folder, "Disease-Disease", [("BMG_DS000001", "BMG_DS000002"), ("BMG_DS000001", "BMG_DS000002")])
    edges(folder, "Protein-Disease", [("BMG_PT000001", "BMG_DS000001"), ("BMG_PT000001", "BMG_DS999999")],
          ("From_ID", "To_ID", "Source", "Type", "BioMedGraphica_ID"))  # fmt: skip
    (folder / "Relation" / "Microbiota-Phenotype(unfinished)").mkdir()
    return folder


def test_relations_in_both_directions_are_said(release, capsys):
    assert sum(len(table.heads) for table in bmg.read_triples(release, rejected=Rejections())) == 6
    assert "kept as two relations, with their mirror each: Pathway-Exposure\n" in capsys.readouterr().err


def test_descriptions_and_folders_that_are_not_taken_are_counted(release):
    rows = [
        ("BMG_DS000002", "first"), ("BMG_DS000002", "second"), ("BMG_DS000003", " "), ("", "no id"),
        ("BMG_DS 004", "blanks"), ("BMG_DG000009", "of a drug"), ("BMG_DS777777", "of nothing"),
    ]  # fmt: skip
    columns = ["BioMedGraphica_ID", "Description"]
    file = release / "Entity/Disease/BioMedGraphica_Disease_Description_Combined.csv"
    write(file, [dict(zip(columns, row, strict=True)) for row in rows], columns)
    (release / "Entity" / "Enzyme").mkdir()
    (release / "Entity" / "Gene").mkdir()
    rejected = Rejections()
    found = {one.id: one for one in bmg.read_entities(release, rejected=rejected)}
    assert found["BMG_DS000002"].description == "first" and not found["BMG_DS000003"].description
    assert rejected.as_dict() == {
        "description of an entity that is not there": 1,
        "empty description": 1,
        "empty id": 2,  # one is an entity's
        "entity folder of an unknown type": 1,
        "entity folder without its file": 1,
        "id of another entity type": 2,
        "id with blanks": 2,
        "second description": 1,
    }


def built(folder, out):
    rejected = Rejections()
    artifact = store.build(
        bmg.read_entities(folder, rejected=rejected),
        bmg.read_triples(folder, rejected=rejected),
        out,
        rejected=rejected,
    )
    return store.GraphStore.open(out), artifact.metrics


def test_the_release_with_its_oddities(release, tmp_path):
    graph, metrics = built(release, tmp_path / "graph")
    assert graph.types == ("Disease", "Exposure", "Pathway", "Protein")
    ids = graph.all_ids()
    by_id = {name: graph.entity(row) for row, name in enumerate(ids)}
    disease = by_id["BMG_DS000001"]
    assert (disease.name, disease.synonyms) == ("Abetalipoproteinemia", ("ABL disease", "ABL", "Bassen; K."))
    assert disease.xrefs == (
        "UMLS:C0000744", "MONDO:0008692", "OMIM:MTHU014871", "OMIM:200100", "SCTID:83123000", "SCTID:190787008",
        "ICD10:E10.0",
    )  # fmt: skip
    assert disease.description == 'MONDO: Fat is\nnot "absorbed".'
    assert by_id["BMG_PT000001"].xrefs == ("UNIPROT:P01308",)
    assert by_id["BMG_DS000002"].name == "ICD11:XY9Q"
    assert by_id["BMG_DS000003"].name == "BMG_DS000003"
    assert by_id["BMG_EP0002"].name == "Salt; sea"
    assert (by_id["BMG_PW0840"].name, by_id["BMG_PW0840"].synonyms) == ("Glycolysis", ("EMP",))
    named = {(ids[h], graph.relations[r], ids[t]) for h, r, t in graph.triples.tolist()}
    assert named == {
        ("BMG_PW0840", "Pathway-Exposure", "BMG_EP0002"),
        ("BMG_EP0002", "Exposure-Pathway", "BMG_PW0840"),
        ("BMG_DS000001", "Disease-Disease", "BMG_DS000002"),
        ("BMG_PT000001", "Protein-Disease", "BMG_DS000001"),
    }
    assert metrics["rejected"] == {
        "empty id": 1,
        "id of another entity type": 1,
        "id with blanks": 1,
        "relation folder without its file": 1,
        "repeated triple": 1,
        "triple with an unknown end": 1,
    }


def test_the_merged_files_are_read_for_what_has_no_own(release, tmp_path):
    whole, _ = built(release, tmp_path / "whole")
    for kind in ("Disease", "Exposure"):
        for file in (release / "Entity" / kind).iterdir():
            file.unlink()
    rows = [{"BioMedGraphica_ID": name, "Type": whole.types[whole.type_codes[row]]}
            for row, name in enumerate(whole.all_ids())]  # fmt: skip
    write(release / "Entity/BioMedGraphica_Entity.csv", rows, ["BioMedGraphica_ID", "Type"])
    (release / "Relation/Protein-Disease/BioMedGraphica_Protein_Disease.csv").unlink()
    write(
        release / "Relation/BioMedGraphica_Relation.csv",
        [{"From_ID": "BMG_PT000001", "To_ID": "BMG_DS000001", "Type": "Protein-Disease"},
         {"From_ID": "BMG_EP0002", "To_ID": "BMG_PW0840", "Type": "Pathway-Exposure"}],
        ["BioMedGraphica_ID", "From_ID", "To_ID", "Source", "Type"],
    )  # fmt: skip
    merged, metrics = built(release, tmp_path / "merged")
    assert sorted(merged.all_ids()) == sorted(whole.all_ids())
    assert merged.n_triples == whole.n_triples
    assert merged.entity(merged.resolve("BMG_DS000001")[0]).name == "BMG_DS000001"
    assert metrics["rejected"]["repeated triple"] == 1  # not those of the merged file that were read before


def test_what_the_merged_files_have_more_is_counted(release, tmp_path):
    """Per-type files that were cut: the merged file's entities and edges of their types show it."""
    columns = ["BioMedGraphica_ID", "Type"]
    rows = [("BMG_DS000001", "Disease"), ("BMG_DS000008", "Disease"), ("BMG_DS000008", "Disease"),
            ("BMG_PT000009", "Protein"), ("BMG_MC000001", "Microbiota"), ("BMG_MC000002", " "),
            ("", "Disease"), ("BMG_DG000009", "Disease")]  # fmt: skip
    write(release / "Entity/BioMedGraphica_Entity.csv", [dict(zip(columns, row, strict=True)) for row in rows], columns)
    edges = [("BMG_DS000001", "BMG_DS000002", "Disease-Disease")] * 5
    edges += [("BMG_PT000001", "BMG_DS000001", kind) for kind in ("Protein-Disease", "", " ", "Microbiota-Disease")]
    columns = ["From_ID", "To_ID", "Type"]
    file = release / "Relation/BioMedGraphica_Relation.csv"
    write(file, [dict(zip(columns, row, strict=True)) for row in edges], columns)
    rejected = Rejections()
    found = [entity.id for entity in bmg.read_entities(release, rejected=rejected)]
    assert "BMG_MC000001" in found and "BMG_DS000008" not in found
    (alone,) = (reason for reason in rejected.counts if reason.startswith("id of the merged file alone"))
    assert (rejected.counts[alone], rejected.counts["empty type"]) == (2, 1)
    assert (rejected.counts["empty id"], rejected.counts["id of another entity type"]) == (2, 2)  # of each file
    assert rejected.examples[alone] == ["Disease BMG_DS000008", "Protein BMG_PT000009"]
    relations = {kind for table in bmg.read_triples(release, rejected=rejected) for kind in table.relations.to_pylist()}
    assert "Microbiota-Disease" in relations and not relations & {"", " "}
    assert rejected.counts["empty relation"] == 2
    assert rejected.examples["empty relation"] == ["BioMedGraphica_Relation.csv: BMG_PT000001 BMG_DS000001"]
    ((remark, count),) = rejected.remarks.items()
    assert (count, rejected.examples[remark]) == (3, ["Disease-Disease: 5, not 2"])


def test_a_folder_that_is_something_else(tmp_path):
    with pytest.raises(InputError, match="is not BioMedGraphica's folder: it needs Entity and Relation"):
        list(bmg.read_entities(tmp_path, rejected=Rejections()))
    (tmp_path / "Entity").mkdir()
    (tmp_path / "Relation").mkdir()
    with pytest.raises(
        InputError, match=r"holds no entity file; BioMedGraphica has Promoter/BioMedGraphica_Promoter.csv"
    ):
        list(bmg.read_entities(tmp_path, rejected=Rejections()))
    with pytest.raises(InputError, match="holds no relation file"):
        list(bmg.read_triples(tmp_path, rejected=Rejections()))


def test_a_missing_column_is_named(release):
    entities(release, "Disease", ["id", "UMLS_Name"], [])
    with pytest.raises(
        InputError, match=r"BioMedGraphica_Disease.csv.*no column BioMedGraphica_ID; the first line has: id"
    ):
        list(bmg.read_entities(release, rejected=Rejections()))


def read(path, columns=("a", "b")):
    rejected = Rejections()
    rows = [row for batch in batches(path, columns, rejected, block=4096) for row in batch.to_pylist()]
    return rows, rejected


def test_tables_keep_text_as_it_is(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbfb,a,c\r\nNA,0012,x\r\n"two\nlines","say ""hi""",\r\n,null,\r\n')
    assert header_of(file) == ["b", "a", "c"]
    assert read(file)[0] == [{"a": "0012", "b": "NA"}, {"a": 'say "hi"', "b": "two\nlines"}, {"a": "null", "b": ""}]
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    assert read(packed)[0] == read(file)[0]


def test_broken_rows_are_counted(tmp_path):
    file = tmp_path / "t.csv"
    lines = ["a,b", *("1,2" if number % 10 else "1,2,3" for number in range(2000))]
    file.write_text("\n".join(lines) + "\n")
    rows, rejected = read(file)
    assert len(rows) == 1800
    assert rejected.counts == {"wrong number of cells": 200}
    assert json.dumps(rejected.examples).count("(3, not 2)") == 3


def test_a_table_without_rows_is_empty(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n")
    assert read(file)[0] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,a\n1,2\n", "the column a stands twice"),
        (b"a,b\n\xff\xfe1,2\n", "cannot be read .*UTF8"),
        (b"a\x00,b\n", "binary or UTF-16"),
        (b"a,c\n1,2\n", "no column b; the first line has: a, c"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(file)


def test_a_truncated_archive_is_an_error(tmp_path):
    file = tmp_path / "t.csv.gz"
    content = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 10007) for n in range(20_000)), mtime=0)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "t.csv")
