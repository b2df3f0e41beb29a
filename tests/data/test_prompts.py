"""Prompts: what is shipped is valid, what is filled in, what a bad template is told."""

from dataclasses import replace

import pytest
import yaml

from kogner.data.pairs import End, Pair
from kogner.data.prompts import grouped, kind_key, load, shipped, spoken
from kogner.errors import ConfigError


def pair(number, relation="has_phenotype"):
    head, tail = End(f"D:{number}", "Disease", f"$ache {number}"), End(f"P:{number}", "CellType", f"pain {number}")
    return Pair(f"{relation}:{number}", relation, head, tail)


@pytest.mark.parametrize("name", shipped())
def test_shipped_prompts(name):
    prompt = load(name)
    system, user = prompt.fill([pair(n) for n in range(prompt.pairs)], ["Disease", "CellType"])
    assert prompt.name == name and "JSON" in system and prompt.about
    assert "1. $ache 0 (disease)\n2. pain 0 (cell type)" in user and "cell type, disease" in user
    assert prompt.negative or "has phenotype" in user


def test_a_templates_hash_and_examples():
    negative = load("negative")
    assert negative.hash != replace(negative, user=f"{negative.user} ").hash
    assert negative.hash == replace(negative, about="", version=2).hash  # what is asked is the same
    (example,) = negative.examples
    assert example.startswith("thesamplesizewaschosen")
    assert replace(negative, system="Write {this}.").examples == frozenset()


def test_styles():
    assert {"abstract", "clinical", "methods", "several", "mixed", "negative"} <= set(shipped())
    assert load("several").pairs == 2 and load("negative").negative


def test_groups_hold_one_relation_type():
    pairs = [pair(1), pair(2), pair(3), pair(4, "is_a")]
    assert [[one.id for one in group] for group in grouped(pairs, 2)] == [
        ["has_phenotype:1", "has_phenotype:2"], ["has_phenotype:3"], ["is_a:4"]
    ]  # fmt: skip
    assert len(list(grouped(pairs, 1))) == 4


def test_an_entity_of_two_pairs_is_named_once():
    one = pair(1)
    other = Pair("x:2", "x", one.head, End("P:2", "CellType", "pain 2"))
    _, user = load("several").fill([one, other], ["Disease"])
    assert "1. $ache 1 (disease)\n2. pain 1 (cell type)\n3. pain 2 (cell type)" in user


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user": "$entity"}, r"\$entity is unknown; there are count, entities"),
        ({"user": "none"}, "must have \\$entities"),
        ({"user": "$ $entities"}, "stands alone"),
        ({"version": 0}, "at least 1"),
        ({"systen": "x"}, "systen"),
        ({"system": " "}, "must say"),
    ],
)
def test_bad_templates(tmp_path, change, says):
    raw = {"name": "mine", "version": 1, "system": "Write.", "user": "$entities"} | change
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=says):
        load(tmp_path / "a.yaml")


def test_files_that_are_no_prompt(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1")
    (tmp_path / "b.yaml").write_text("name: x")
    for source, says in [("nothing", "neither a file nor one of abstract"), (tmp_path / "a.yaml", "must be a mapping"),
                         (tmp_path / "b.yaml", "lacks version, system, user")]:  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            load(source)


def test_spoken():
    assert [spoken(name) for name in ("DNA", "cell_line", "lncRNA", "CellType")] == [
        "DNA",
        "cell line",
        "lncRNA",
        "cell type",
    ]
    assert kind_key("cell line") == kind_key("Cell-Line") != kind_key("cells")
