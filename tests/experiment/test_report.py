"""What experiments say: arms paired by seed, means of groups, the page and its first sentence."""

import json

import pytest
from tests.experiment.conftest import changed

from kogner.cli import main
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.experiment.report import opening, page
from kogner.experiment.rules import RULES, by_today, rules
from kogner.experiment.summary import summarise


def counted(setting, arm, seed, right):
    """Scores of a cell of whose ten documents, of two mentions each, so many mentions are found and no false ones."""
    documents = [(2, 2, 2) if 2 * n < right else (2, 0, 0) for n in range(10)]
    test = {"mine": {"f1": 100.0 * 2 * right / (20 + right), "unseen": {"recall": 5.0 * right}}}
    return {
        "cell": {"setting": setting, "arm": arm, "seed": seed}, "test": test, "documents": {"mine": documents},
        "dev": {"mine": 50.0}, "seconds": 60, "revision": "abc", "identity": {},
    }  # fmt: skip


def test_means_pair_seeds_by_their_numbers(plan, tmp_path):
    settings = {name: {"train": ["mine"], "test": ["mine"]} for name in ("half", "other")}
    experiment = load(changed(plan, settings=settings, seeds=3, groups={"both": ["half", "other"]}))

    def scored(setting, arm, seed, correct):
        counts, recall = [(10, 10, correct)] * 4, {"unseen": {"recall": 0.0}, "f1": 10.0 * correct}
        cell = {"setting": setting, "arm": arm, "seed": seed}
        return {
            "cell": cell,
            "documents": {"mine": counts},
            "test": {"mine": recall},
            "dev": {},
            "seconds": 1,
            "revision": "x",
            "identity": {},
        }

    of_seed = {0: 4, 1: 8, 2: 6}  # half is better by as much as other is worse, seed by seed
    results = [scored(name, "no-graph", seed, 5) for name in settings for seed in of_seed]
    results += [scored("half", "mse", seed, 5 + of_seed[seed] - 6) for seed in (0, 1, 2)]
    results += [scored("other", "mse", seed, 5 - of_seed[seed] + 6) for seed in (1, 2)]
    (group,) = summarise(experiment, results)["groups"]
    assert group["seeds"] == 2 and group["difference"] == pytest.approx(-5.0)
    assert group["interval"] == pytest.approx([-5.0, -5.0]), "seeds 1 and 2 say the same, together"


def test_groups_average_over_settings_and_count_shared_seeds_alone(plan):
    settings = {name: {"train": ["mine"], "test": ["mine"], "share": 0.5} for name in ("half", "other")}
    arms = {"no-graph": {}, "mse": {}}
    groups = {"both": ["half", "other"]}
    compare = [["mse", "no-graph", "vectors"]]
    experiment = load(changed(plan, settings=settings, arms=arms, groups=groups, compare=compare, stages={}, seeds=2))
    found = [counted("half", "no-graph", seed, 4) for seed in (0, 1)] + [counted("half", "mse", 0, 8)]
    found += [counted("other", arm, seed, right) for arm, right in (("no-graph", 4), ("mse", 4)) for seed in (0, 1)]
    summary = summarise(experiment, found)
    half, other = summary["comparisons"]
    assert (half["seeds"], half["of"], other["seeds"]) == (1, "vectors", 2)
    assert half["difference"] == round(160 / 28 * 10 - 80 / 24 * 10, 2) and other["difference"] == 0
    (group,) = summary["groups"]
    assert group["difference"] == pytest.approx(half["difference"] / 2, abs=0.01) and group["seeds"] == 1
    assert group["unseen"] == pytest.approx(10.0) and group["settings"] == ["half", "other"]
    low, high = group["interval"]
    assert low < group["difference"] < high and high <= half["interval"][1] / 2 + 0.01


def test_mentions_that_a_reader_lost_count_in_differences_too(plan):
    arms, compare = {"no-graph": {}, "mse": {}}, [["mse", "no-graph"]]
    experiment = load(changed(plan, arms=arms, compare=compare, stages={}))
    found = [counted("half", "no-graph", 0, 4), counted("half", "mse", 0, 8)]
    for one in found:
        one["test"]["mine"]["skipped"] = {"gene": 6, "disease": 10}
    (told,) = summarise(experiment, found)["comparisons"]
    assert told["difference"] == round(160 / 44 * 10 - 80 / 40 * 10, 2)


def test_pairs_of_two_machines_and_scores_by_earlier_rules_are_marked(plan):
    arms, compare, groups = {"no-graph": {}, "mse": {}}, [["mse", "no-graph"]], {"both": ["half"]}
    experiment = load(changed(plan, arms=arms, compare=compare, groups=groups, stages={}, seeds=2))
    found = [counted("half", arm, seed, 4) | {"place": "one"} for arm in arms for seed in (0, 1)]
    alike = summarise(experiment, found) | {"experiment": "tiny"}
    found[-1]["place"] = "another"
    differ = summarise(experiment, found) | {"experiment": "tiny"}
    assert [one.get("other_places") for of in (alike, differ) for one in (*of["comparisons"], *of["groups"])] == [
        None, None, True, True,
    ]  # fmt: skip
    assert "†" in opening([differ]) and "†: between trainings on different machines" in opening([differ])
    for row in alike["rows"]:
        del row["rules"]
    assert "\\*" in opening([alike]), "a summary of before rules had numbers"
    for row in alike["rows"]:
        row["rules"] = {name: [number] for name, number in RULES.items()}
    assert "†" not in opening([alike]) and "\\*" not in opening([alike])


def test_a_setting_without_test_shows_its_scores_on_dev(plan, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    changed(plan, settings={"half": {"train": ["mine"], "share": 0.5}})
    experiment = load(plan)
    for cell in experiment.cells():
        if cell.arm == "mse":
            file = Folders(tmp_path).scored(cell)
            file.parent.mkdir(parents=True, exist_ok=True)
            found = counted(cell.setting, cell.arm, cell.seed, 8) | {"test": {}, "documents": {}, "place": "a machine"}
            file.write_text(json.dumps(found | {"identity": identity(cell)}))
    out = tmp_path / "tiny.json"
    for arguments in (
        ["show", str(plan), "--runs", str(tmp_path), "--out", str(out)],
        ["report", str(out), "--out", str(tmp_path / "results.md")],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["experiment", *arguments])
        assert stopped.value.code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["pictures"] == []
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["f1"], row["mean"], row["dev"], row["seeds"]) == ([], None, 50.0, [0])
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| half | mine | mse |  |  | 50.0 | 1 | 1.0 | a machine |" in page and "1 on a machine" in page
    assert "![" not in page and not (tmp_path / "results-tiny.png").exists()


def test_show_and_report_tell_what_is_finished(plan, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    changed(plan, groups={"all": ["half"]}, about="A try.")
    experiment = load(plan)
    for cell in experiment.cells():
        if not cell.is_stage and cell.arm != "staged":
            right = 8 if cell.arm == "mse" else 4
            file = Folders(tmp_path).scored(cell)
            file.parent.mkdir(parents=True, exist_ok=True)
            found = counted(cell.setting, cell.arm, cell.seed, right)
            file.write_text(json.dumps(found | {"identity": identity(cell)}))
    out = tmp_path / "tiny.json"
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "show", str(plan), "--runs", str(tmp_path), "--out", str(out)])
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["missing"] == ["stage-first-0", "half-staged-0"]
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "report", str(out), "--out", str(tmp_path / "docs" / "results.md")])
    assert stopped.value.code == 0
    page = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "A try. 2 trainings are not done yet." in page
    (mean,) = [line for line in page.splitlines() if line.startswith("| mse (`mse` over `no-graph`) | half | +")]
    assert mean.endswith(" | 1 | nothing yet, of one seed |")
    assert page.count("a paired bootstrap over test documents") == 1
    assert said["places"] == {"not recorded": 2}
    assert "Trainings: 2 on not recorded; at revisions abc." in page
    assert "| half | mine | no-graph | 33.33 | 20.0 | 50.0 | 1 | 1.0 | not recorded |" in page
    assert (tmp_path / "docs" / "results-tiny.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["plans"]["tiny"]
    assert told["settings"]["half"]["mine"]["no-graph"] == {"f1": [33.33]} and told["groups"][0]["arm"] == "mse"
    for none in ("[]", json.dumps({key: [] for key in ("groups", "comparisons", "rows", "arms", "places")})):
        out.write_text(none)
        with pytest.raises(SystemExit) as stopped:
            main(["experiment", "report", str(out), "--out", str(tmp_path / "results.md")])
        assert stopped.value.code == 2 and "is no summary of an experiment" in capsys.readouterr().err


def test_the_page_opens_with_what_was_better_worse_or_neither():
    def group(arm, difference, p, seeds=3, **more):
        own = {"group": "little", "settings": ["half"], "arm": arm, "baseline": "no-graph", "difference": difference}
        return own | {"p": p, "seeds": seeds, "interval": [0, 0], "unseen": 0.0} | more

    once = group("lucky", 9.0, 0.001, seeds=1)
    groups = [group("names", 8.75, 0.0002, of="names"), group("mse", -0.01, 0.9), group("noise", -3.0, 0.009), once]
    groups.append(group("names", 0.7, 0.008, of="names", group="all"))
    groups.append(group("some", 0.6, 0.04))  # would do by itself, but not among six
    groups.append(group("names", 0.3, 0.8, of="names", group="rare"))  # is not what the page opens with
    quick, tiny = {"groups": [], "experiment": "quick"}, {"groups": groups, "experiment": "tiny"}
    assert opening([quick, quick | {"groups": [once]}]) == ""
    assert opening([quick, tiny]).splitlines() == [
        "**Names (`names` over `no-graph`): +8.8 F1 (+0.0 to +0.0) with little, +0.7 F1 (+0.0 to +0.0) with all.**",
        "",
        "Of `tiny`; the others below: [quick](#quick).",
        "",
        "- Better:",
        "  - names (`names` over `no-graph`) +8.8 F1 with little, +0.7 F1 with all",
        "- Worse:",
        "  - noise (`noise` over `no-graph`) -3.0 F1 with little",
        "- A difference at p < 0.05 by itself, but not after the correction over all of them:",
        "  - some (`some` over `no-graph`) +0.6 F1 with little",
        "- No difference is shown:",
        "  - mse (`mse` over `no-graph`) +0.0 F1 with little",
        "  - names (`names` over `no-graph`) +0.3 F1 with rare",
    ]
    undecided = [group("mse", -0.01, 0.9), group("mse", 0.2, 0.8, group="all")]
    said = "-0.0 F1 (+0.0 to +0.0) with little, +0.2 F1 (+0.0 to +0.0) with all"
    assert opening([{"groups": undecided, "experiment": "tiny"}]).startswith(
        f"**Mse (`mse` over `no-graph`): {said}.**"
    )


def test_types_have_a_column_where_there_are_several(plan):
    experiment = load(changed(plan, arms={"no-graph": {}}, compare=[], stages={}, seeds=2))
    found = [counted("half", "no-graph", seed, 4) for seed in (0, 1)]
    for one, f1 in zip(found, (40.0, 50.0), strict=True):
        one["test"]["mine"]["by_type"] = {"gene": {"f1": f1}, "disease": {"f1": 20.0}}
    summary = summarise(experiment, found)
    assert summary["rows"][0]["by_type"] == {"gene": 45.0, "disease": 20.0}
    about = {"experiment": "tiny", "date": "2026-11-30", "revision": "abc", "arms": {}, "plan": "p", "example": "e"}
    told = page([summary | about | {"comparisons": []}], ["tiny.png"])
    assert "| setting | corpus | arm | F1 | by type | unseen |" in told
    assert "| half | mine | no-graph | 33.33 ± 0.00 | gene 45.0, disease 20.0 | 20.0 | 50.0 | 2 |" in told
    for row in summary["rows"]:
        del row["by_type"]  # of a summary from before
        del row["rules"]
    told = page([summary | about | {"comparisons": []}], ["tiny.png"])
    assert "| 33.33 ± 0.00 \\* | 20.0 |" in told, "of before rules had numbers"
    assert "by type" not in page([summary | about | {"comparisons": []}], ["tiny.png"])


def test_a_student_that_only_labels_texts_is_missing_where_it_is_said_to_be(plan, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    arms = {"no-graph": {}, "reader": {"initials": {"texts": "half/no-graph"}}}
    arms["taught"] = {"pseudo": {"by": "reader", "texts": ["mine"]}, "only": ["texts"], "set": ["loss.dist_weight=0"]}
    settings = {"half": {"train": ["mine"], "test": ["mine"], "share": 0.5}, "texts": {}}
    changed(plan, settings=settings, arms=arms, stages={}, compare=[])
    experiment = load(plan)
    assert {cell.name for cell in experiment.cells()} >= {"half-no-graph-0", "texts-taught-0"}
    found = [counted("half", "no-graph", 0, 4)]
    about = {"experiment": "tiny", "date": "2026-11-30", "revision": "abc", "arms": {}, "plan": str(plan)}
    out = tmp_path / "tiny.json"
    for missing, said in (([], None), (["texts-taught-0"], "1 trainings are not done yet.")):
        out.write_text(json.dumps(summarise(experiment, found) | about | {"missing": missing}))
        with pytest.raises(SystemExit) as stopped:
            main(["experiment", "report", str(out), "--out", str(tmp_path / "results.md")])
        assert stopped.value.code == 0
        told = (tmp_path / "results.md").read_text(encoding="utf-8")
        assert "not done yet" not in told if said is None else said in told
    capsys.readouterr()


def test_rules_count_where_they_decided_something():
    fitted = {"train": ["mine"], "data": {"mine": {"train": "a", "dev": "b"}}}
    assert rules(fitted) == {"thresholds": 1} and rules(fitted | {"thresholds": 2}) == {"thresholds": 2}
    silver = {"train": ["silver"], "data": {"silver": {"train": "a"}}}
    assert rules(silver) == {}, "no dev split"
    nothing = {"train": [], "initial": silver}
    assert rules(nothing) == {} and by_today({}), "no annotated document, and today's default"
    assert rules({"train": [], "initial": fitted}) == {"thresholds": 1}, "scored as it is"
    read = {"scanner": 2, "names": "g"}
    assert rules({"train": [], "initial": fitted, "pseudo": {"by": fitted}}) == {}, (
        "trained again, thresholds by default"
    )
    assert rules({"train": [], "pseudo": {"by": read | {"base": fitted}}}) == {"scanner": 2, "weighing": 1}
    assert rules(fitted | {"pseudo": {"by": read | {"base": nothing}}}) == {"thresholds": 1, "scanner": 2}
    assert rules(read | {"base": nothing}) == {"scanner": 2}
    assert rules(read | {"base": nothing, "texts": {"mine": "a"}}) == {"scanner": 2, "trust": 1}
    assert rules(read | {"base": fitted}) == {"thresholds": 1, "scanner": 2, "weighing": 1}
    assert not by_today(None)
