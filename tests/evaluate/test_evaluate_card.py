"""Model cards: where their sections stand, and test scores that `kogner evaluate --card` writes into them."""

import json

import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.cli import cli
from kogner.errors import ConfigError
from kogner.graph.store import build
from kogner.records import Entity
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.train.card import (
    AVERAGE,
    CALIBRATION,
    MARK,
    SCORES,
    TEST,
    TEST_WITH_NAMES,
    add_section,
    columns_of,
    rows_of,
    said_of,
)

PUBTATOR = "1|t|Aspirin and fever\n1|a|Morphine caused pain.\n1\t0\t7\tAspirin\tChemical\tD001241\n\n"
CARD = """---
library_name: kogner
---
# Mine

What it is.

## Scores

| corpus (dev) | F1 |
|---|---|
| made | 50.00 |

## Data

- made

## Mine

more
"""


@pytest.fixture
def model(tiny_student, tmp_path):
    folder = tmp_path / "student"
    with artifacts.writing(folder, kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(tiny_student, StudentInfo(), place)
        (place / "README.md").write_text(CARD)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "test.PubTator.txt").write_text(PUBTATOR)
    (tmp_path / "made" / "train.PubTator.txt").write_text(PUBTATOR.replace("1|", "2|").replace("1\t0", "2\t0"))
    return folder


def run(*arguments):
    done = CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    return json.loads(done.stdout.splitlines()[-1])


def titles(card):
    return [line.removeprefix("## ") for line in card.read_text().splitlines() if line.startswith("## ")]


def test_test_scores_come_first_and_all_else_stays(model, tmp_path):
    (model / "notes.yaml").write_text("of my own")
    before = artifacts.open_artifact(model, kind=checkpoint.KIND, version=checkpoint.VERSION)
    (one,) = run("--model", model, "--data", f"made={tmp_path}/made", "--card").values()
    after = artifacts.open_artifact(model, kind=checkpoint.KIND, version=checkpoint.VERSION, verify=True)
    assert after.parents["scored"] == before.hash != after.hash
    assert (model / "notes.yaml").read_text() == "of my own"
    assert {name: of for name, of in after.files.items() if name not in ("README.md", "notes.yaml")} == {
        name: of for name, of in before.files.items() if name != "README.md"
    }
    card = model / "README.md"
    assert titles(card) == [TEST, SCORES, "Data", "Mine"] and rows_of(card, TEST) == {"made"}
    low, high = one["interval"]
    row = f"| made | {one['precision']:.2f} | {one['recall']:.2f} | {one['f1']:.2f} | {low:.1f} to {high:.1f} | 1 |"
    assert row in card.read_text() and f"# Mine\n\nWhat it is.\n\n## Test\n{MARK}\n" in card.read_text()
    (one,) = run(
        "--model", model, "--data", f"other={tmp_path}/made", "--train", f"x={tmp_path}/made", "--card"
    ).values()
    assert titles(card).count(TEST) == 1 and rows_of(card, TEST) == {"other"}
    assert f"| {one['unseen']['recall']:.2f} |" in card.read_text()
    assert "Left out are" in card.read_text() and "was not looked for" not in card.read_text()
    again = artifacts.read_manifest(model)
    assert again.parents["scored"] == before.hash != again.hash, "what it was before its first scores"


@pytest.mark.parametrize("more", [["--split", "train"], ["--sentences", "1"], ["--threshold", "0.2"], ["--nested"]])
def test_what_does_not_belong_into_a_card(model, tmp_path, more):
    with pytest.raises(ConfigError, match=f"leave out {more[0]}"):
        run("--model", model, "--data", f"made={tmp_path}/made", "--card", *more)
    with pytest.raises(ConfigError, match="is none"):
        run("--model", tmp_path, "--data", f"made={tmp_path}/made", "--card")
    assert (model / "README.md").read_text() == CARD


FOREIGN = """---
licence: mit
tags:
## no title
---
# Theirs

## Test

Run pytest.

```pip install x``` installs it.

```sh
# first
## no title
run
```

<!--
## none here
-->

## Scores

| theirs | F1 |
|:---|---:|
| all | 1 |

## Test

~~~
```
## none either
~~~

# Citation

Them, 2024.
"""


def test_sections_have_their_order_and_those_of_others_stay(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(FOREIGN)
    add_section(card, SCORES, "none yet")
    assert card.read_text() == f"{FOREIGN}\n## Scores\n{MARK}\n\nnone yet\n"
    add_section(card, TEST_WITH_NAMES, "with")
    add_section(card, TEST, "alone")
    add_section(card, AVERAGE, "one")
    add_section(card, AVERAGE, "two")
    table = "| a | b |\n|---|---|\n| x | 1 |\n| y | 2 |\n\n| c |\n| :--- |\n| z |"
    add_section(card, CALIBRATION, table, without=[SCORES])
    add_section(card, TEST, "again", instead=True)
    ours = [(TEST, "again"), (TEST_WITH_NAMES, "with"), (CALIBRATION, table), (AVERAGE, "one\n\ntwo")]
    assert card.read_text() == FOREIGN + "".join(f"\n## {title}\n{MARK}\n\n{said}\n" for title, said in ours)
    assert rows_of(card, CALIBRATION) == {"x", "y", "z"} and columns_of(card, CALIBRATION) == {"a", "b", "c"}
    assert rows_of(card, SCORES) == rows_of(card, TEST) == set()


def test_a_card_of_kogner_needs_no_marks(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("---\nlibrary_name: kogner\n---\n# Mine\n\n## Scores\n\nold\n\n## Use\n\nso\n\n## Data\n\n- one\n")
    add_section(card, CALIBRATION, "new", without=[SCORES])
    assert [line for line in card.read_text().splitlines() if line.startswith("#")] == [
        "# Mine", "## Calibration", "## Data", "## Use"
    ]  # fmt: skip
    assert "old" not in card.read_text()


def test_what_a_card_calls_another_student(tmp_path, monkeypatch):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs" / "first")
    assert said_of("../first") == said_of(".") == "first"
    assert said_of("owner/name@main") == "owner/name@main"


def test_a_link_to_a_student_stays_one(model, tmp_path):
    (tmp_path / "latest").symlink_to(model, target_is_directory=True)
    run("--model", tmp_path / "latest", "--data", f"made={tmp_path}/made", "--card")
    assert (tmp_path / "latest").is_symlink() and titles(model / "README.md")[0] == TEST


def test_the_graph_whose_names_counted_is_named(model, tmp_path):
    build((Entity("C:1", "Chemical", "Aspirin"),), (), tmp_path / "graph")
    call = ["--model", model, "--data", f"made={tmp_path}/made", "--card"]
    run(*call)
    run(*call, "--graph", tmp_path / "graph")
    card = model / "README.md"
    assert titles(card)[:2] == [TEST, TEST_WITH_NAMES]
    assert f"Names of the graph {artifacts.read_manifest(tmp_path / 'graph').hash[:12]}" in card.read_text()
