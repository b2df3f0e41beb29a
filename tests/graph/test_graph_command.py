"""`kogner graph` as a user runs it: the last line is JSON, errors exit with 2, a kill leaves nothing half done."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from kogner.artifacts import open_artifact
from kogner.cli import main
from kogner.graph.store import GraphStore

NODES = "id\ttype\tname\tsynonyms\txrefs\tdescription\nA:1\tDrug\tPain[ol]\tsore\\stop\tB:1\tkills pain\n"
EDGES = "head\trelation\ttail\nA:1\tinteracts\tA:1\nA:1\tinteracts\tA:9\n"


def run(capsys, *arguments):
    """Exit code, stdout lines, stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stopped.value.code, captured.out.splitlines(), captured.err


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "nodes.tsv").write_text(NODES, encoding="utf-8")
    (tmp_path / "edges.tsv").write_text(EDGES, encoding="utf-8")
    return tmp_path


def test_build_says_what_it_built(tables, capsys):
    code, lines, err = run(
        capsys, "graph", "build", "--nodes", tables / "nodes.tsv", "--edges", tables / "edges.tsv",
        "--out", tables / "g", "--json",
    )  # fmt: skip
    assert code == 0 and len(lines) == 1
    result = json.loads(lines[0])
    assert result["hash"] == GraphStore.open(tables / "g").artifact.hash
    assert result["seconds"] >= 0
    assert {key: result[key] for key in ("entities", "triples", "rejected", "self_loops")} == {
        "entities": 1,
        "triples": 1,
        "rejected": {"triple with an unknown end": 1},
        "self_loops": 1,
    }
    assert "1 x triple with an unknown end (first: A:9)" in err


def test_questions(store_path, capsys):
    code, lines, _ = run(capsys, "graph", "info", store_path)
    result = json.loads(lines[-1])
    assert code == 0 and len(lines) > 1
    assert result["types"] == {"Disease": 2, "Phenotype": 2, "Chemical": 1, "Gene": 1}
    assert result["relations"] == {"is_a": 2, "associated_with": 1, "has_phenotype": 1, "treats": 1}

    code, lines, _ = run(capsys, "graph", "find", "sorestop", "--graph", store_path)
    assert json.loads(lines[-1])["matches"] == [
        {"id": "X:1", "type": "Chemical", "name": "Painaway", "tier": "casefold", "preferred": False, "xrefs": ["Y:10"]}
    ]
    code, lines, err = run(capsys, "graph", "find", "nothing", "--graph", store_path, "--json")
    assert (code, json.loads(lines[-1])["found"]) == (0, 0) and "no entity" in err

    code, lines, _ = run(capsys, "graph", "show", "OMIM:7", "--graph", store_path, "--json")
    result = json.loads(lines[-1])
    assert code == 0 and len(lines) == 1 and result["id"] == "X:2"
    assert [(group["relation"], group["direction"], group["entities"][0]["id"]) for group in result["neighbours"]] == [
        ("has_phenotype", "out", "X:5"),
        ("is_a", "out", "X:3"),
        ("associated_with", "in", "X:4"),
        ("treats", "in", "X:1"),
    ]


OBO = "ontology: x\n\n[Term]\nid: HP:1\nname: Ache\nxref: MSH:D9\n\n[Term]\nid: HP:2\nname: Thumb ache\nis_a: HP:1\n"
HPOA = "database_id\tdisease_name\tqualifier\thpo_id\taspect\nOMIM:10\tsore thumb\t\tHP:2\tP\n"


def test_build_from_a_folder_and_from_named_sources(tmp_path, capsys):
    (tmp_path / "in" / "hpo").mkdir(parents=True)
    (tmp_path / "in" / "hp.obo").write_text(OBO)
    (tmp_path / "in" / "hpo" / "phenotype.hpoa").write_text(HPOA)
    (tmp_path / "in" / "nodes.csv").write_text('id,type,name\nMESH:D9,Disease,"Ache, any"\n')
    code, lines, err = run(capsys, "graph", "build", tmp_path / "in", "--out", tmp_path / "g")
    result = json.loads(lines[-1])
    assert (code, result["entities"], result["triples"]) == (0, 3, 2)
    assert (result["merged"], result["apart"], result["remarks"]) == ({"xref": 1}, {}, {})
    assert "made one: 1 x xref" in err
    code, lines, _ = run(capsys, "graph", "show", "MESH:D9", "--graph", tmp_path / "g")
    assert json.loads(lines[-1])["merged"] == [
        {"id": "MESH:D9", "rule": "xref", "why": "HP:1 names MESH:D9", "source": "tsv=nodes.csv"}
    ]
    assert any("made one with MESH:D9" in line for line in lines)

    named = [f"--source={name}={tmp_path / 'in' / path}" for name, path in
             (("tsv", "nodes.csv"), ("ontology", "hp.obo"), ("hpoa", "hpo"))]  # fmt: skip
    code, lines, _ = run(capsys, "graph", "build", *named, "--out", tmp_path / "g2", "--json")
    assert code == 0 and json.loads(lines[0])["entities"] == 3
    _, lines, _ = run(capsys, "graph", "show", "HP:1", "--graph", tmp_path / "g2", "--json")
    assert json.loads(lines[0])["id"] == "MESH:D9"
    assert GraphStore.open(tmp_path / "g2").artifact.recipe == {
        "sources": ["tsv=nodes.csv", "ontology=hp.obo", "hpoa=hpo"]
    }


def test_synonyms_and_types_as_a_user_wants_them(tmp_path, capsys):
    (tmp_path / "x.obo").write_text('ontology: x\n\n[Term]\nid: ZZ:1\nname: Ache\nsynonym: "pain" BROAD []\n')
    build = ["graph", "build", f"--source=ontology={tmp_path / 'x.obo'}", "--json", "--out", tmp_path / "g"]
    _, lines, _ = run(capsys, *build)
    assert json.loads(lines[0])["rejected"] == {"broad synonym": 1}
    code, _, err = run(capsys, "graph", "build", "--nodes", tmp_path / "x.tsv", "--type", "Feeling", "--out", "g")
    assert code == 2 and "--type and --all-synonyms are for ontologies" in err
    _, lines, _ = run(capsys, *build, "--all-synonyms", "--type", "Feeling")
    entity = GraphStore.open(tmp_path / "g").entity(0)
    assert (json.loads(lines[0])["rejected"], entity.type, entity.synonyms) == ({}, "Feeling", ("pain",))


def test_an_edge_table_of_no_rows(tables, capsys):
    (tables / "edges.tsv").write_text("head\trelation\ttail\n")
    code, lines, _ = run(
        capsys,
        "graph",
        "build",
        "--nodes",
        tables / "nodes.tsv",
        "--edges",
        tables / "edges.tsv",
        "--out",
        tables / "g",
    )
    assert code == 0 and json.loads(lines[-1])["triples"] == 0


def test_a_source_that_holds_nothing_is_said(tables, capsys):
    empty = tables / "drkg.tsv"
    empty.write_text("")
    both = [f"--source=tsv={tables / 'nodes.tsv'}", f"--source=drkg={empty}"]
    code, lines, err = run(capsys, "graph", "build", *both, "--out", tables / "g")
    assert code == 0 and json.loads(lines[-1])["remarks"] == {"source without entities and triples": 1}
    assert f"kept: 1 x source without entities and triples (first: {empty})" in err
    code, _, err = run(capsys, "graph", "build", both[1], "--out", tables / "h")
    assert code == 2 and f"a graph needs at least one entity, and none was read from {empty}" in err
    empty.write_text("id\ttype\tname\nA 1\tDrug\tone\n")
    code, _, err = run(capsys, "graph", "build", "--nodes", empty, "--out", tables / "h")
    assert code == 2 and f"none was read from {empty} (left out: 1 x id with blanks" in err


def test_what_a_folder_holds_beside_its_sources_is_said(tables, capsys):
    (tables / "drkg.tar.gz").write_bytes(b"")
    code, lines, err = run(capsys, "graph", "build", tables, "--out", tables / "g")
    assert code == 0 and json.loads(lines[-1])["rejected"]["file that no reader takes"] == 1
    assert "left out: 1 x file that no reader takes (first: drkg.tar.gz (unpack it first))" in err


def test_fetch_lists_and_explains(capsys):
    code, lines, _ = run(capsys, "graph", "fetch")
    names = [one["name"] for one in json.loads(lines[-1])["sources"]]
    assert code == 0 and {"mesh", "mondo", "hpo", "hetionet", "primekg", "drkg"} <= set(names)
    code, lines, _ = run(capsys, "graph", "fetch", "hetionet")
    assert code == 0 and any("hetionet-v1.0-edges.sif.gz  https://" in line for line in lines)
    assert json.loads(lines[-1])["reader"] == "hetionet"
    code, _, err = run(capsys, "graph", "fetch", "nothing")
    assert code == 2 and "no source 'nothing'; the sources: mesh" in err


def test_brackets_in_names_are_not_markup(tables, capsys):
    run(capsys, "graph", "build", "--nodes", tables / "nodes.tsv", "--out", tables / "g")
    for question in ("find", "show"):
        _, lines, _ = run(
            capsys, "graph", question, "Pain[ol]" if question == "find" else "A:1", "--graph", tables / "g"
        )
        assert any("Pain[ol]" in line for line in lines[:-1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "--out", "{tmp}/g"], "--from-packages"),
        (["build", "--nodes", "{tmp}/nodes.tsv", "--from-packages", "--out", "{tmp}/g"], "give one of --nodes"),
        (["build", "--nodes", "{tmp}/none.tsv", "--out", "{tmp}/g"], "does not exist"),
        (["build", "--nodes", "{tmp}/edges.tsv", "--out", "{tmp}/g"], "no column named id, type, name"),
        (["build", "--nodes", "{tmp}/nodes.tsv", "--out", "{tmp}/nodes.tsv"], "is a file"),
        (["build", "--nodes", "{tmp}/nodes.tsv", "--out", "{tmp}/nodes.tsv/g"], "cannot be written"),
        (["build", "--source", "mesh", "--out", "{tmp}/g"], "needs a path"),
        (["build", "--source", "=x", "--out", "{tmp}/g"], "must look like NAME=PATH"),
        (["build", "--source", "wheel=x", "--out", "{tmp}/g"], "there is no reader 'wheel'"),
        (["build", "{tmp}/none", "--out", "{tmp}/g"], "is no folder"),
        (["info", "{tmp}/none"], "does not exist"),
        (["find", "x", "--graph", "{tmp}"], "not a KoGNER artefact"),
        (["find", "x", "--graph", "{store}", "--type", "disease"], "its types: Chemical, Disease, Gene"),
        (["show", "NO:1", "--graph", "{store}"], "kogner graph find 'NO:1'"),
    ],
)
def test_errors_exit_with_2(tables, store_path, capsys, arguments, says):
    filled = [argument.format(tmp=tables, store=store_path) for argument in arguments]
    code, lines, err = run(capsys, "graph", *filled)
    assert (code, lines) == (2, [])
    assert says in err


@pytest.mark.parametrize("name", ["build", "fetch", "info", "find", "show"])
def test_help_has_an_example(capsys, name):
    code, lines, _ = run(capsys, "graph", name, "--help")
    assert code == 0
    assert any(line.strip() == "Example:" for line in lines)


def test_kill_at_any_moment(tmp_path):
    """kill -9 at ten random moments of a build: the store is whole or absent, and the next run gives the same hash."""
    dice = random.Random(7)
    with (tmp_path / "nodes.tsv").open("w") as nodes, (tmp_path / "edges.tsv").open("w") as edges:
        nodes.write("id\ttype\tname\tsynonyms\txrefs\tdescription\n")
        edges.write("head\trelation\ttail\n")
        for row in range(20_000):
            nodes.write(f"E:{row}\tT{row % 5}\tthing {row}, kind {row % 7}\tit {row}|that {row}\tX:{row}\ttext {row}\n")
            edges.write(f"E:{row}\tr{row % 3}\tE:{dice.randrange(20_000)}\n")
    command = [sys.executable, "-m", "kogner.cli", "graph", "build", "--json"]
    command += ["--nodes", str(tmp_path / "nodes.tsv"), "--edges", str(tmp_path / "edges.tsv"), "--out"]

    def whole(out):
        return json.loads(subprocess.run([*command, str(out)], check=True, capture_output=True).stdout)["hash"]

    started = time.monotonic()
    wanted = whole(tmp_path / "reference")
    seconds = time.monotonic() - started
    killed = tries = 0
    while killed < 10:
        tries += 1
        assert tries < 30, "builds end before they are killed"
        out = tmp_path / "graphs" / str(tries % 2)
        process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=seconds * dice.random())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        if out.exists():
            assert open_artifact(out, kind="graph", version=1, verify=True).hash == wanted
    for place in ("0", "1"):
        assert whole(tmp_path / "graphs" / place) == wanted
    assert sorted(path.name for path in (tmp_path / "graphs").iterdir()) == ["0", "1"]
