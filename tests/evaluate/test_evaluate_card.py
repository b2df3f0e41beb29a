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
from kogner.train.card import AVERAGE, CALIBRATION, SCORES, TEST, TEST_WITH_NAMES, add_section, rows_of

PUBTATOR = "1|t|Aspirin and fever\n1|a|Morphine caused pain.\n1\t0\t7\tAspirin\tChemical\tD001241\n\n"
CARD = """# Mine

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
    row = f"| made | {one['precision']:.2f} | {one['recall']:.2f} | {one['f1']:.2f} | {low:.1f} to {high:.1f} | 1 | 0 |"
    assert row in card.read_text() and card.read_text().startswith("# Mine\n\nWhat it is.\n\n## Test\n")
    (one,) = run(
        "--model", model, "--data", f"other={tmp_path}/made", "--train", f"x={tmp_path}/made", "--card"
    ).values()
    assert titles(card).count(TEST) == 1 and rows_of(card, TEST) == {"other"}
    assert f"| {one['unseen']['recall']:.2f} |" in card.read_text()
    again = artifacts.read_manifest(model)
    assert again.parents["scored"] == before.hash != again.hash, "what it was before its first scores"


@pytest.mark.parametrize("more", [["--split", "train"], ["--sentences", "1"], ["--threshold", "0.2"], ["--nested"]])
def test_what_does_not_belong_into_a_card(model, tmp_path, more):
    with pytest.raises(ConfigError, match=f"leave out {more[0]}"):
        run("--model", model, "--data", f"made={tmp_path}/made", "--card", *more)
    with pytest.raises(ConfigError, match="is none"):
        run("--model", tmp_path, "--data", f"made={tmp_path}/made", "--card")
    assert (model / "README.md").read_text() == CARD


FOREIGN = """# Theirs

## Example

```sh
# first
## no title
run
```

## Example

~~~
```
## none either
~~~

## Licence

MIT
"""


def test_sections_have_their_order_and_those_of_others_stay(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(FOREIGN)
    add_section(card, SCORES, "none yet")
    assert card.read_text() == f"{FOREIGN}\n## Scores\n\nnone yet\n"
    add_section(card, TEST_WITH_NAMES, "with")
    add_section(card, TEST, "alone")
    add_section(card, AVERAGE, "one")
    add_section(card, AVERAGE, "two")
    add_section(card, CALIBRATION, "new", without=[SCORES])
    add_section(card, TEST, "again", instead=True)
    ours = [("Test", "again"), (TEST_WITH_NAMES, "with"), (CALIBRATION, "new"), (AVERAGE, "one\n\ntwo")]
    assert card.read_text() == FOREIGN + "".join(f"\n## {title}\n\n{said}\n" for title, said in ours)
    assert rows_of(card, CALIBRATION) == set()


def test_the_graph_whose_names_counted_is_named(model, tmp_path):
    build((Entity("C:1", "Chemical", "Aspirin"),), (), tmp_path / "graph")
    call = ["--model", model, "--data", f"made={tmp_path}/made", "--card"]
    run(*call)
    run(*call, "--graph", tmp_path / "graph")
    card = model / "README.md"
    assert titles(card)[:2] == [TEST, TEST_WITH_NAMES]
    assert f"Names of the graph {artifacts.read_manifest(tmp_path / 'graph').hash[:12]}" in card.read_text()
