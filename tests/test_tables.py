"""Tables made of results: what is in bold, which rows there are, what stands empty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from tabulated import markdown

    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    return tmp_path


def compared(arm, baseline, difference, p, setting="bc5cdr-5", corpus="bc5cdr", seeds=2):
    return {
        "setting": setting, "corpus": corpus, "arm": arm, "baseline": baseline, "of": "what", "difference": difference,
        "interval": [difference - 1, difference + 1], "p": p, "seeds": seeds, "unseen": 2.0,
    }  # fmt: skip


def row(arm, f1, setting="bc5cdr-5", corpus="bc5cdr"):
    mean, sd = (sum(f1) / len(f1), 0.5) if f1 else (None, None)
    return {
        "setting": setting,
        "corpus": corpus,
        "arm": arm,
        "f1": f1,
        "mean": mean,
        "sd": sd,
        "dev": 60.0,
        "rules": {},
    }


def test_bold_is_what_holds_among_all_of_a_table_whatever_its_sign(results):
    from tabulated import short

    ones = [compared("a", "b", 2, 0.001), compared("a", "c", 2, 0.03), compared("a", "d", -2, 0.004)]
    first, second = short._shown([["x"], ["y"]], [ones[:2], ones[2:]], short._exactly)
    assert first == ["x", "**+2.00 (+1.00 to +3.00)**", "**+2.00 (+1.00 to +3.00)**"]  # 3 x 0.001, 1 x 0.03
    assert second == ["y", "**-2.00 (-3.00 to -1.00)**"]  # 2 x 0.004
    ones[1]["p"] = 0.04  # alike in all but p, and 0.02 beside it
    ones.append(compared("a", "e", 2, 0.03))
    first, second = short._shown([["x"], ["y"]], [ones[:2], ones[2:]], short._exactly)
    assert [cell.startswith("**") for cell in [*first[1:], *second[1:]]] == [True, False, True, False]


def test_a_plan_of_which_a_part_is_done(results):
    from tabulated import plans

    data = {
        "seeds": 2, "places": {"a processor": 3}, "date": "2026-11-29T00:00:00", "missing": ["one", "two"],
        "plan": "recipes/experiments/few-documents.yaml",
        "rows": [row("old", [70.0, 71.0]), row("new", [72.0]), row("old", [1.0], setting="stage")],
        "comparisons": [compared("new", "old", 1.5, 0.01, seeds=1), compared("new", "old", 0.449, 0.01)],
        "groups": [compared("new", "old", 9, 0.01) | {"group": "low-resource", "settings": ["one"]}],
    }  # fmt: skip
    said = plans.arms_and_differences(data, {"old": "before", "new": "after", "none": "never run"}, "A note.")
    assert "| corpus, share of its train split | before | after |" in said
    assert "| BC5CDR, 5 % | 70.5 ± 0.5 | 72.0 (seeds: 1 of 2) |" in said
    assert "+0.45 (-0.55 to +1.45), p 0.0100" in said and "+1.50" not in said and "+9" not in said
    assert "A note. Unseen names" in said and "2 of the plan are not done yet." in said and "stage" not in said


def test_ways_of_training_in_several_settings(results):
    from tabulated import evidence

    rows = [row("plain", []), row("plain", [], "ncbi-5", "ncbi"), row("longer", []), row("first", [], "stage")]
    data = {"rows": rows, "arms": {"plain": "as ever", "longer": "longer"}, "plan": "recipes/experiments/baseline.yaml"}
    (results / "baseline.json").write_text(json.dumps(data))
    lines = evidence.baseline().splitlines()
    assert lines[0] == "| trained | BC5CDR, 5 % | NCBI-disease, 5 % |"
    assert lines[2:4] == ["| as ever | 60.0 | 60.0 |", "| longer | 60.0 |  |"]


def test_names_alone_of_a_type(results):
    from tabulated import markdown

    assert markdown.names_alone("bc5cdr") == ""
    alone = {"f1": 80.25, "by_type": {"chemical": {"f1": 85.0}}}
    corpora = {"BC5CDR": {"names_alone": alone}, "BC2GM": {"names_alone": {"f1": 25.0}}}
    (results / "suite.json").write_text(json.dumps({"with names": {"corpora": corpora}}))
    found = [markdown.names_alone(*of) for of in (("bc5cdr",), ("bc5cdr", "chemical"), ("bc2gm", "gene"))]
    assert found == ["80.2", "85.0", ""]


def plan_of(arms, comparisons=(), seeds=2):
    """A plan's summary with a setting of few documents."""
    return {
        "seeds": seeds, "places": {"a processor": 3}, "date": "2026-11-29T00:00:00", "missing": [], "arms": {},
        "rows": [row(arm, f1) for arm, f1 in arms.items()], "comparisons": list(comparisons), "groups": [],
    }  # fmt: skip


def test_readmes_table_shows_what_has_all_seeds_alone(results, monkeypatch):
    from tabulated import short

    for name in ("_longer", "_quick"):
        monkeypatch.setattr(short, name, lambda: "")
    gains = {"no-graph": 29.5, "names-alone": 20.5, "no-graph-names": 10.5}
    all_three = [compared("silver-domain-names", base, gain, 0.01) for base, gain in gains.items()]
    arms = {
        "names-alone": [50.0, 50.0], "no-graph": [40.0, 42.0], "no-graph-names": [60.0],
        "silver-domain-names": [70.0, 71.0],
    }  # fmt: skip
    file = results / "few-documents.json"

    def cells(arms):
        file.write_text(json.dumps(plan_of(arms, all_three) | {"plan": "few-documents"}))
        return [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in short.helps().splitlines()
            if line.startswith("| BC5CDR")
        ]

    (found,) = cells(arms)
    assert found[2:6] == ["50.0", "41.0 ± 0.5", "", "70.5 ± 0.5"], "one seed of two is not shown"
    assert "29.5" in found[6] and "20.5" in found[7] and "over (0)" in found[7], "nor the best of the others"
    (found,) = cells(arms | {"no-graph-names": [60.0, 60.0]})
    assert "10.5" in found[7] and "over (2)" in found[7]
    assert cells(arms | {"silver-domain-names": [70.0]}) == []
    all_three.append(compared("no-graph-names", "no-graph", 19.0, 0.01))
    (found,) = cells(arms | {"silver-domain-names": [70.0], "no-graph-names": [60.0, 60.0]})
    assert found[5] == "" and "19.0" in found[6] and "(2) over (1)" in found[6]
    assert "before today's" not in short.helps()
    by_earlier = [row(name, f1) | {"rules": {"weighing": [1]}} for name, f1 in arms.items()]
    file.write_text(json.dumps(plan_of(arms, all_three) | {"plan": "few-documents", "rows": by_earlier}))
    assert "| BC5CDR | 5 % \\* |" in short.helps() and "\\*: by rules before today's" in short.helps()


def test_readmes_table_wants_the_settings_of_its_plans(results, monkeypatch):
    from tabulated import short

    monkeypatch.setattr(short, "_ROWS", (("shares", "bc5cdr-7", short._ARMS, "7 %"),))
    (results / "shares.json").write_text(json.dumps(plan_of({}) | {"plan": "shares"}))
    with pytest.raises(KeyError, match="bc5cdr-7"):
        short.helps()


def test_names_by_their_entities_are_not_told_before_all_seeds_are_there(results):
    import tables

    few = compared("entities", "names", 1, 0.01, seeds=1)
    (results / "by-entity.json").write_text(json.dumps(plan_of({}, [few])))
    (results / "entities.json").write_text(json.dumps({"differences": {}}))
    assert tables.render("helps-by-entity-in-short") == "Not measured yet.\n"


def test_a_table_without_an_end_takes_no_text_with_it(results):
    import tables

    text = "<!-- table: suite -->\nno end\nkept\n<!-- table: link -->\nold\n<!-- end -->\n"
    assert [match[2] for match in tables.BLOCK.finditer(text)] == ["link"]


def test_answers_say_what_holds_and_what_does_not(results):
    from tabulated import answer

    def group(arm, difference, p, seeds=3):
        one = compared(arm, "no-graph", difference, p, seeds=seeds)
        return one | {"group": "few documents", "settings": ["bc5cdr-5", "bc2gm-15"]}

    groups = [group("names", 6.0, 0.001), group("some", 2.0, 0.04), group("none", 0.1, 0.8), group("once", 9, 0.001, 1)]
    parts = [compared("names", "no-graph", 4.0, 0.01), compared("names", "no-graph", 8.0, 0.01, "bc2gm-15", "bc2gm")]
    (results / "made.json").write_text(json.dumps({"seeds": 3, "groups": groups, "comparisons": parts}))
    said = [answer.gain("made", "few documents", arm, "no-graph") for arm in ("names", "some", "none")]
    assert said == [
        "**+6.0 (+5.0 to +7.0)**",
        "+2.0 (+1.0 to +3.0)",
        "+0.1 (-0.9 to +1.1; not shown)",
    ]
    assert answer._from_one("made", "few documents", "names", "no-graph", "bc2gm-15") == "4.0 of these 6.0"
    assert answer._of_corpora("made", "bc5cdr-5", "names", "no-graph") == "+4.0 (+3.0 to +5.0) on BC5CDR"
    with pytest.raises(FileNotFoundError, match="once over no-graph"):
        answer.gain("made", "few documents", "once", "no-graph")


@pytest.mark.parametrize(
    ("plan", "setting", "said"),
    [
        ("few-documents", "bc5cdr-1", "BC5CDR, 1 %"),
        ("few-documents", "no-disease", "BC5CDR, disease never annotated"),
        ("shares", "bc5cdr-100", "BC5CDR, 100 %"),
        ("shares", "no-labels", "BC5CDR, no label at all"),
        ("all-types", "no-labels-proteins", "BC5CDR, proteins, no label at all"),
    ],
)
def test_a_setting_in_words_is_of_its_plan(results, plan, setting, said):
    from kogner.experiment.plan import load
    from tabulated.evidence import setting_name

    assert setting_name(load(f"recipes/experiments/{plan}.yaml").settings, setting, "bc5cdr") == said


def test_articles_are_left_out_as_they_are_counted(results):
    import overlaps
    from kogner.data.overlap import Overlap
    from kogner.records import Document

    said = "Aspirin taken with warfarin at night may cause bleeding of the upper bowel in the old."
    tested = [
        Document("1#0", "of its own"),
        Document("2#0", "short"),
        Document("2#1", f"Note: {said}"),
        Document("3", "own"),
    ]
    assert overlaps.kept_articles(tested, Overlap([Document("9", said)])) == [True, False, True]


def test_the_quick_run_says_whether_rules_are_the_recorded_ones(results):
    import quick

    rows = [{"setting": "stage", "arm": "first"}, {"setting": "few", "arm": "names", "rules": {"thresholds": [2]}}]
    assert quick.rules({"rows": rows}) == {"names": {"thresholds": [2]}}
    assert quick.rules({"rows": [{"setting": "few", "arm": "names"}]}) == {"names": None}
