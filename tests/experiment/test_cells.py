"""Experiments that are run: what is trained anew and what is not, what started from another student, the command."""

import json
import shutil

import pytest
import yaml
from tests.experiment.conftest import changed

from kogner.cli import main
from kogner.errors import ArtifactError, InputError
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.inputs import Files
from kogner.experiment.plan import load
from kogner.experiment.recorded import check_same_files, recorded
from kogner.experiment.stored import finished, has_student
from kogner.experiment.training import find, run
from kogner.teacher.bank import Bank
from kogner.teacher.reduction import reduce_bank


def test_scores_from_before_a_setting_was_there_still_count(plan, tmp_path):
    cell = next(cell for cell in load(plan).cells() if cell.name == "half-staged-0")
    stored = identity(cell)
    for one in (stored, stored["initial"]):
        del one["recipe"]["train"]["kinds"], one["graph"]
    stored["recipe"]["train"]["seed"] = 0
    Folders(tmp_path).scored(cell).parent.mkdir(parents=True)
    Folders(tmp_path).scored(cell).write_text(json.dumps({"identity": stored}))
    assert finished(cell, Folders(tmp_path)) is not None
    stored["initial"]["recipe"]["train"]["encoder_lr"] = 1
    Folders(tmp_path).scored(cell).write_text(json.dumps({"identity": stored}))
    assert finished(cell, Folders(tmp_path)) is None


def test_command_runs_once_and_again_where_the_recipe_changed(plan, tmp_path, capsys):
    def command():
        with pytest.raises(SystemExit) as stopped:
            main(["experiment", "run", str(plan), "--runs", str(tmp_path / "runs"), "--only", "half", "--quiet",
                  "--out", str(tmp_path / "out.json")])  # fmt: skip
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert stopped.value.code == 0
        return said

    arms = {name: one for name, one in yaml.safe_load(plan.read_text())["arms"].items() if name != "no-graph"}
    changed(plan, arms=arms, compare=[["mse", "staged"]])
    said = command()
    assert [(row["arm"], len(row["f1"])) for row in said["rows"]] == [("staged", 1), ("mse", 1)]
    (comparison,) = said["comparisons"]
    assert comparison["seeds"] == 1 and 0 < comparison["p"] <= 1
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == said["rows"]
    cells = {cell.name: cell for cell in load(plan).cells()}
    stamps = {name: Folders(tmp_path / "runs").scored(cell).stat().st_mtime_ns for name, cell in cells.items()}
    first = cells["stage-first-0"]
    scores = json.loads(Folders(tmp_path / "runs").scored(first).read_text())
    assert has_student(first, scores, Folders(tmp_path / "runs"))
    assert not has_student(first, scores | {"student": "another"}, Folders(tmp_path / "runs"))
    assert command() == said
    changed(plan, arms=arms | {"mse": {"set": ["distil.control=shuffled"], "only": ["half"]}})
    cells = {cell.name: cell for cell in load(plan).cells()}
    assert finished(cells["half-mse-0"], Folders(tmp_path / "runs")) is None
    command()
    after = {name: Folders(tmp_path / "runs").scored(cell).stat().st_mtime_ns for name, cell in cells.items()}
    assert {name for name in after if after[name] != stamps[name]} == {"half-mse-0"}


def test_a_student_trained_anew_makes_what_started_from_it_stale(plan, tmp_path):
    cells = {cell.name: cell for cell in load(plan).cells()}
    folders = Folders(tmp_path)
    run(cells["stage-first-0"], folders, device="cpu", revision="x")
    run(cells["half-staged-0"], folders, device="cpu", revision="x")
    assert finished(cells["half-staged-0"], folders) is not None
    file = folders.scored(cells["stage-first-0"])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"student": "another"}))
    assert finished(cells["half-staged-0"], folders) is None


@pytest.mark.parametrize("text", ["{}", "<<<<<<< ours", '{"identity": {}}', "[]"])
def test_a_file_that_holds_no_scores_is_named(plan, tmp_path, text):
    cell = find(load(plan), "half-mse-0")
    file = Folders(tmp_path).scored(cell)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ArtifactError, match=r"half-mse-0\.json holds no scores"):
        finished(cell, Folders(tmp_path))


def test_another_encoder_in_the_same_folder_is_another_training(plan, tiny_encoder, tmp_path):
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, encoder)
    raw = yaml.safe_load(plan.read_text())
    cell = find(load(changed(plan, set=[f"student.encoder={encoder}", *raw["set"][1:]])), "half-no-graph-0")
    before = identity(cell)
    weights = encoder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    assert identity(cell)["hash"] != before["hash"]


def test_scores_kept_apart_stand_without_their_students(plan, tmp_path, capsys):
    def command(runs, *cells):
        with pytest.raises(SystemExit) as stopped:
            main(["experiment", "run", str(plan), "--runs", str(tmp_path / runs), "--scores", str(tmp_path / "kept"),
                  "--quiet", *(part for cell in cells for part in ("--cell", cell))])  # fmt: skip
        assert stopped.value.code == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    command("here", "half-no-graph-0")
    kept = tmp_path / "kept" / "tiny" / "half-no-graph-0.json"
    assert kept.is_file() and not (tmp_path / "here" / "tiny" / "scores").exists()
    stamp = kept.stat().st_mtime_ns
    said = command("elsewhere", "half-no-graph-0", "half-mse-0")
    assert kept.stat().st_mtime_ns == stamp and not (tmp_path / "elsewhere" / "tiny" / "half-no-graph-0").exists()
    assert [row["arm"] for row in said["rows"]] == ["no-graph", "mse"] and len(said["comparisons"]) == 1


def test_scores_as_recorded_stand_where_files_are_others_by_now(plan, corpus, tmp_path, capsys):
    mine = tmp_path / "mine"
    shutil.copytree(corpus, mine)
    experiment = load(changed(plan, corpora={"mine": str(mine)}))
    folders = Folders(tmp_path, tmp_path / "scores")
    cells = {cell.name: cell for cell in experiment.cells()}
    for name in ("stage-first-0", "half-no-graph-0", "half-staged-0"):
        run(cells[name], folders, device="cpu", revision="x")
    shutil.rmtree(mine)
    with pytest.raises(InputError, match="does not exist"):
        finished(cells["half-no-graph-0"], folders)
    call = ["--quiet", "experiment", "show", str(plan), "--scores", str(tmp_path / "scores"), "--as-recorded"]
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row["arm"] for row in said["rows"]} == {"no-graph", "staged"}
    changed(plan, set=[*yaml.safe_load(plan.read_text())["set"], "train.steps=3"])
    assert recorded(load(plan), folders) == [], "the recipe still counts"
    file = folders.scored(cells["half-staged-0"])
    scores = json.loads(file.read_text())
    for said in (scores["identity"], scores["identity"]["initial"]):
        said["data"]["mine"]["train"] = "0" * 64
    file.write_text(json.dumps(scores))
    with pytest.raises(InputError, match="stage-first-0 and half-staged-0 differ in mine train"):
        recorded(experiment, folders)


def test_scores_by_an_earlier_rule_stand_as_recorded_and_are_not_mixed_with_later_ones(plan, tmp_path, monkeypatch):
    experiment, folders = load(plan), Folders(tmp_path)
    cells = {cell.name: cell for cell in experiment.cells()}
    with monkeypatch.context() as before:
        before.setattr(Files, "rule", lambda self, name: {})  # as before rules had numbers
        for name in ("stage-first-0", "half-no-graph-0"):
            run(cells[name], folders, device="cpu", revision="x")
    assert finished(cells["half-no-graph-0"], folders) is None, "it would be trained again"
    assert finished(cells["stage-first-0"], folders) is None, "it has a dev split, which says what its thresholds are"
    assert len(recorded(experiment, folders)) == 2
    run(cells["half-staged-0"], folders, device="cpu", revision="x")
    with pytest.raises(InputError, match="half-no-graph-0 and half-staged-0 differ in the rule that fits thresholds"):
        recorded(experiment, folders)


def test_the_rule_for_thresholds_does_not_count_for_a_stage_without_dev(plan, corpus, tmp_path):
    silver = tmp_path / "silver"
    shutil.copytree(corpus, silver, ignore=shutil.ignore_patterns("dev*"))
    cells = {cell.name: cell for cell in load(plan).cells()}
    assert "thresholds" in identity(cells["stage-first-0"])
    raw = yaml.safe_load(plan.read_text())
    both = raw["corpora"] | {"silver": str(silver)}
    stages = {"first": raw["stages"]["first"] | {"train": ["silver"]}}
    cells = {cell.name: cell for cell in load(changed(plan, corpora=both, stages=stages)).cells()}
    assert "thresholds" not in identity(cells["stage-first-0"])
    assert "thresholds" in identity(cells["half-staged-0"])


@pytest.mark.parametrize("what", ["graph", "bank", "weighing", "trust", "scanner", "thresholds"])
def test_scores_of_other_files_or_rules_are_not_compared(plan, what):
    """Each of what decides scores besides the corpora."""
    raw = yaml.safe_load(plan.read_text())
    arms = raw["arms"] | {"named": {"names_of": "no-graph"}, "by-texts": {"names_of": "no-graph", "texts": ["mine"]}}
    del raw["settings"]["other"]
    experiment = load(changed(plan, arms=arms, graph="g", seeds=2, settings=raw["settings"]))
    said = {"weighing": 1, "scanner": 1, "names": "g", "base": {"thresholds": 1, "data": {}}}
    results = {
        "named": said, "no-graph": said["base"], "mse": {"bank": "b", "thresholds": 1},
        "by-texts": {"trust": 1, "scanner": 1, "names": "g", "texts": {"mine": "t"}, "base": said["base"]},
    }  # fmt: skip
    arm = {"bank": "mse", "thresholds": "no-graph", "trust": "by-texts"}.get(what, "named")
    key = {"graph": "names"}.get(what, what)
    cells = {cell.name: cell for cell in experiment.cells()}
    pair = [(cells[f"half-{arm}-{seed}"], {"identity": dict(results[arm])}) for seed in (0, 1)]
    check_same_files(pair)
    pair[1][1]["identity"][key] = 2
    with pytest.raises(InputError, match=f"half-{arm}-0 and half-{arm}-1 differ in the"):
        check_same_files(pair)


def test_a_setting_without_training_scores_the_stages_as_they_are(plan, tmp_path, capsys):
    stages = {"first": {"train": ["mine"], "set": ["loss.dist_weight=0"], "shared": True, "test": ["mine"]}}
    settings = yaml.safe_load(plan.read_text())["settings"] | {"none": {"test": ["mine"]}}
    arms = yaml.safe_load(plan.read_text())["arms"]
    arms["staged"]["only"] = ["none"]
    experiment = load(changed(plan, stages=stages, settings=settings, arms=arms, seeds=2))
    cells = {cell.name: cell for cell in experiment.cells()}
    assert [name for name in cells if name.startswith("none")] == ["none-staged-0"]
    stage = run(cells["stage-first-0"], Folders(tmp_path), device="cpu", revision="x")
    scored = run(cells["none-staged-0"], Folders(tmp_path), device="cpu", revision="x")
    assert scored["documents"] == stage["documents"] and scored["dev"] == {}
    assert not Folders(tmp_path).student(cells["none-staged-0"]).exists()
    stages["first"]["test"] = []  # what was scored on more still counts
    fewer = {cell.name: cell for cell in load(changed(plan, stages=stages)).cells()}
    assert finished(fewer["stage-first-0"], Folders(tmp_path)) and finished(fewer["none-staged-0"], Folders(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        main(["--quiet", "experiment", "run", str(plan), "--runs", str(tmp_path), "--only", "none"])
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(row["setting"], row["arm"]) for row in said["rows"]] == [("none", "staged")]


def test_a_slice_of_a_bank_counts_as_the_bank_and_a_reduced_one_does_not(plan, bank, tmp_path):
    whole = Bank.open(bank)
    name = "half-mse-0"
    told = identity(find(load(plan), name))["hash"]
    whole.slice(whole.ids[:9], tmp_path / "slice")
    Bank.open(tmp_path / "slice").slice(whole.ids[:5], tmp_path / "smaller")
    reduce_bank(whole, tmp_path / "reduced", size=4)
    reduce_bank(Bank.open(tmp_path / "slice"), tmp_path / "both", size=4)
    others = {
        one: identity(find(load(changed(plan, bank=str(tmp_path / one))), name))["hash"]
        for one in ("slice", "smaller", "reduced", "both")
    }
    assert others["slice"] == others["smaller"] == told
    assert len({told, others["reduced"], others["both"]}) == 3


@pytest.mark.slow
def test_one_cell_is_run_with_what_it_starts_from(plan, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--quiet", "experiment", "run", str(plan), "--runs", str(tmp_path), "--cell", "half-staged-0"])
    assert {file.stem for file in (tmp_path / "tiny" / "scores").iterdir()} == {"stage-first-0", "half-staged-0"}
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "run", str(plan), "--runs", str(tmp_path), "--cell", "half-x-0"])
    assert stopped.value.code == 2 and "has no training half-x-0" in capsys.readouterr().err


def test_what_a_failed_cell_says(plan, tmp_path, capsys):
    changed(plan, set=["student.encoder=/nowhere/at/all"])
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "run", str(plan), "--runs", str(tmp_path / "runs"), "--jobs", "1", "--quiet"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and "stage-first-0 failed: encoder" in said and "Traceback" not in said
