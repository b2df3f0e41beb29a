import json

import pytest
from click.testing import CliRunner

from kogner.artifacts import open_artifact
from kogner.commands.data import KIND, VERSION, command
from kogner.data import corpora
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.records import Entity, Triple

CORPUS = """1|t|Zincol heals
1|a|gout. Ague stays.
1\t0\t6\tZincol\tChemical\tD000042
1\t13\t17\tgout\tDisease\t-1
1\t{0}\t{1}\tAgue\tDisease\tD999999

2|t|Zincol
2|a|
2\t0\t6\tZincol\tChemical\tX:2|D000042
"""
START = len("Zincol heals gout. ")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "raw").mkdir()
    for split in ("train", "test"):
        (tmp_path / "raw" / f"{split}.txt").write_text(CORPUS.format(START, START + 4))
    return tmp_path


@pytest.fixture
def graph(tmp_path):
    store = pytest.importorskip("kogner.graph.store")
    entities = [Entity("MESH:D000042", "Chemical", "Zincol"), Entity("MONDO:1", "Disease", "Gout")]
    store.build(entities, [Triple("MESH:D000042", "treats", "MONDO:1")], tmp_path / "graph")
    return tmp_path / "graph"


def run(*arguments):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_link_writes_corpora_that_can_be_read_and_linked_again(place, graph):
    out = place / "linked"
    printed = run("link", "--graph", graph, "--data", f"cdr={place / 'raw'}", "--out", out)
    shares = printed["corpora"]["cdr"]["test"]
    assert (shares["mentions"], shares["by_id"], shares["by_name"], shares["unlinked"]) == (4, 2, 1, 1)
    assert (shares["composite"], shares["unknown_ids"]) == (1, 1)
    assert printed["all"]["mentions"] == 8 and printed["all"]["composite"] == 2
    artifact = open_artifact(out, kind=KIND, version=VERSION, verify=True)
    assert artifact.parents == {"graph": printed["graph"]}
    assert artifact.metrics["cdr"] == printed["corpora"]["cdr"]

    before, after = (corpora.load("cdr", folder, "test") for folder in (place / "raw", out / "cdr"))
    assert after.types == before.types == ("chemical", "disease")
    assert [m.entity for d in after.documents for m in d.mentions] == ["MESH:D000042", "MONDO:1", None, "MESH:D000042"]
    assert [(d.id, d.text, [m.key for m in d.mentions]) for d in after.documents] == [
        (d.id, d.text, [m.key for m in d.mentions]) for d in before.documents
    ]
    again = run("link", "--graph", graph, "--data", f"cdr={out / 'cdr'}", "--out", place / "again")
    assert again["all"] == printed["all"]
    assert (place / "again/cdr/test.jsonl").read_bytes() == (out / "cdr/test.jsonl").read_bytes()


LONG = "Zincol was given to forty two patients with gout over a period of nine weeks in a hospital by the sea."


def lines(*documents):
    return "".join(json.dumps({"id": name, "text": text, "mentions": []}) + "\n" for name, text in documents)


def test_nothing_of_a_test_split_stays_in_train_and_dev_is_made_of_train(place, graph):
    for name, split, content in (
        ("mine", "train", lines(*((str(n), f"Note {n}.") for n in range(8)), ("8", f"Again: {LONG}"), ("t1", "Gout."))),
        ("mine", "test", lines(("t1", "Other."))),
        ("theirs", "test", lines(("x", LONG))),
    ):
        (place / name).mkdir(exist_ok=True)
        (place / name / f"{split}.jsonl").write_text(content)
    out = place / "joint"
    printed = run(
        "link", "--graph", graph, "--data", f"mine={place / 'mine'}", "--apart", place / "mine",
        "--apart", place / "theirs", "--dev-share", 0.25, "--out", out,
    )  # fmt: skip
    left_out = printed["corpora"]["mine"]["train"]["left_out"]
    assert sorted(left_out.values()) == [1, 1] and any("by its id" in reason for reason in left_out)
    of_dev = printed["corpora"]["mine"]["dev"]  # of its file nothing is told twice
    assert "left_out" not in of_dev and "skipped" not in of_dev and of_dev["documents"] == 2
    train, dev = ({one.id for one in corpora.load("mine", out / "mine", split).documents} for split in ("train", "dev"))
    assert len(dev) == 2 and len(train) == 6 and train | dev == {str(n) for n in range(8)}
    assert [one.id for one in corpora.load("mine", out / "mine", "test").documents] == ["t1"]


def test_a_dev_split_needs_two_documents(place, graph):
    (place / "one").mkdir()
    (place / "one" / "train.jsonl").write_text(lines(("1", "Gout.")))
    with pytest.raises(InputError, match="needs two"):
        run("link", "--graph", graph, "--data", f"one={place / 'one'}", "--dev-share", 0.1, "--out", place / "joint")
    assert not (place / "joint").exists()


def test_link_refuses_to_replace_a_folder_of_the_user(place, graph):
    with pytest.raises(ArtifactError, match="not empty"):
        run("link", "--graph", graph, "--data", f"cdr={place / 'raw'}", "--out", place / "raw")
    assert sorted(file.name for file in (place / "raw").iterdir()) == ["test.txt", "train.txt"]


def test_a_failed_link_leaves_nothing_behind(place, graph):
    (place / "raw" / "test.txt").write_text("1|t|A\nnonsense\n")
    with pytest.raises(InputError, match=r"test\.txt:2"):
        run("link", "--graph", graph, "--data", f"cdr={place / 'raw'}", "--out", place / "linked")
    assert sorted(file.name for file in place.iterdir()) == ["graph", "raw"]


def test_a_name_cannot_lead_out_of_the_folder(place, graph):
    with pytest.raises(ConfigError, match="folder's name"):
        run("link", "--graph", graph, "--data", f"../x={place / 'raw'}", "--out", place / "linked")


def test_info_counts_what_is_there_and_what_was_met(place):
    with (place / "raw" / "train.txt").open("a") as stream:
        stream.write("2\t0\t6\tGadget\tDisease\t\n2\t0\t3\tZin\tDisease\t\n")
    printed = run("info", "--data", f"cdr={place / 'raw'}")
    train, test = printed["cdr"]["train"], printed["cdr"]["test"]
    assert (train["documents"], train["mentions"], test["mentions"]) == (2, 5, 4)
    assert train["by_type"] == {"chemical": 2, "disease": 3}
    assert train["unreachable"] == {"off word edges": 1}
    assert train["skipped"] == {"offset mismatch": 1} and test["skipped"] == {}
    with pytest.raises(InputError, match=r"train\.txt:10 \(document 2\): offset mismatch"):
        run("info", "--strict", "--data", f"cdr={place / 'raw'}")


@pytest.mark.parametrize("arguments", [["--help"], ["link", "--help"], ["info", "--help"]])
def test_help_shows_an_example(arguments):
    assert "kogner data" in CliRunner().invoke(command, arguments).output
