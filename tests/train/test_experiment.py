"""Experiments: cells of a plan, what makes them anew, arms paired by seed, the control, the command."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from kogner.cli import main
from kogner.data import corpora
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.experiment.cell import _left, _splits, find, run
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.experiment.recorded import recorded
from kogner.experiment.report import opening
from kogner.experiment.stored import finished, has_student
from kogner.experiment.summary import summarise
from kogner.records import Document, Mention
from kogner.teacher.bank import Bank
from kogner.teacher.reduction import reduce_bank
from kogner.train.linked import shuffled
from kogner.train.splits import Split


def changed(path: Path, **changes):
    raw = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_cells(plan):
    names = [cell.name for cell in load(changed(plan, seeds=2)).cells()]
    cells = [f"half-{arm}-{seed}" for seed in (0, 1) for arm in ("no-graph", "staged", "mse")]
    assert names == ["stage-first-0", "stage-first-1", *cells]
    shared = {
        "first": {"train": ["mine"], "test": ["mine"], "shared": True},
        "scored": {"train": ["mine"], "test": ["mine"]},
    }
    both = load(changed(plan, stages=shared)).cells()
    stages = {cell.name: cell.test for cell in both if cell.is_stage}
    assert stages == {"stage-first-0": ("mine",), "stage-scored-0": ("mine",), "stage-scored-1": ("mine",)}
    assert {cell.initial.name for cell in both if cell.arm == "staged"} == {"stage-first-0"}
    for name in ("quick", "low-resource"):
        assert load(name).cells()


def test_what_is_started_from(plan, corpus, tmp_path):
    stages = {
        "first": {"train": ["mine"], "shared": True},
        "longer": {"train": ["mine"], "initial": "first"},
        "after": {"train": ["mine"], "initial": "half/a"},
    }
    settings = {
        "half": {"train": ["mine"], "test": ["mine"]},
        "other": {"train": ["mine"]},
        "none": {"test": ["yours"]},
    }
    arms = {
        "a": {"initial": "longer", "only": ["half"]},
        "b": {"initial": "half/a", "only": ["other", "none"]},
        "c": {"initial": "after", "only": ["none"]},
        "d": {"initial": "first", "only": ["none"]},
        "e": {"initial": "none/d", "only": ["other"]},
    }
    changes = {"stages": stages, "settings": settings, "arms": arms, "compare": []}
    changes["corpora"] = {"mine": str(corpus), "yours": str(shutil.copytree(corpus, tmp_path / "yours"))}
    cells = load(changed(plan, seeds=2, **changes)).cells()
    starts = {cell.name: None if cell.initial is None else cell.initial.name for cell in cells}
    of_both = {"stage-longer": "stage-first-0", "stage-after": "half-a", "half-a": "stage-longer"}
    of_both |= {"other-b": "half-a", "none-b": "half-a", "none-c": "stage-after"}
    assert starts == {
        "stage-first-0": None,
        "none-d-0": "stage-first-0",
        "other-e-0": "none-d-0",
        **{
            f"{name}-{seed}": before if before.endswith("-0") else f"{before}-{seed}"
            for name, before in of_both.items()
            for seed in (0, 1)
        },
    }, "a shared stage is scored once"
    by_name, folders = {cell.name: cell for cell in cells}, Folders(tmp_path)
    order = ("stage-first-0", "stage-longer-0", "half-a-0", "none-b-0", "stage-after-0", "none-c-0")
    done = {name: run(by_name[name], folders, device="cpu", revision="x") for name in order}
    assert done["stage-longer-0"]["initial"] == done["stage-first-0"]["student"] != done["stage-longer-0"]["student"]
    assert done["none-b-0"]["student"] == done["half-a-0"]["student"] == done["stage-after-0"]["initial"]
    assert done["none-b-0"]["documents"]["yours"] == done["half-a-0"]["documents"]["mine"]
    assert done["none-c-0"]["student"] == done["stage-after-0"]["student"]
    settings["half"]["test"] = ["mine", "yours"]
    more = {cell.name: cell for cell in load(changed(plan, **changes)).cells()}
    assert [name for name in order if finished(more[name], folders) is None] == ["half-a-0"], (
        "the students are the same"
    )
    assert [name for name in order if finished(more[name], folders, as_recorded=True) is None] == ["half-a-0"]
    folders.scored(by_name["half-a-0"]).write_text(json.dumps(done["half-a-0"] | {"student": "0" * 64}))
    assert [name for name in order if finished(by_name[name], folders) is None] == ["none-b-0", "stage-after-0"]
    assert [cell.name for cell in cells if not cell.trains] == [
        "none-b-0",
        "none-c-0",
        "none-d-0",
        "none-b-1",
        "none-c-1",
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"compare": [["mse", "x"]]}, "arm 'x' is not among no-graph"),
        ({"compare": [["mse"]]}, "pairs of arms"),
        ({"groups": {"all": ["half", "x"]}}, "setting 'x' is not among half, other"),
        ({"arms": {"a": {"initial": "x"}}}, "stage 'x' is not among first"),
        ({"arms": {"a": {"initial": "x/a"}}, "compare": []}, "setting 'x' is not among half"),
        ({"arms": {"a": {"initial": "stage/first"}}, "compare": []}, "setting 'stage' is not among half"),
        (
            {
                "stages": {
                    "first": {"train": ["mine"], "shared": True},
                    "after": {"train": ["mine"], "initial": "none/d"},
                },
                "settings": {"half": {"train": ["mine"]}, "none": {"test": ["mine"]}},
                "arms": {"d": {"initial": "first", "only": ["none"]}, "x": {"initial": "after", "only": ["half"]}},
                "compare": [],
                "seeds": 2,
            },
            "half-x-1 needs stage-after-1, which is not run",
        ),
        (
            {"settings": {"half": {"train": ["mine"]}, "none": {"test": ["mine"]}}}
            | {"arms": {"a": {"only": ["half"]}, "b": {"initial": "half/a", "only": ["none"]}}, "compare": []},
            "none-b-0 goes back to half-a-0, which learns more of the annotation of mine than none has",
        ),
        (
            {"settings": {"all": {"train": ["mine"]}, "few": {"train": ["mine"], "share": 0.5}}}
            | {"arms": {"a": {"only": ["all"]}, "b": {"initial": "all/a", "only": ["few"]}}, "compare": []},
            "few-b-0 goes back to all-a-0, which",
        ),
        (
            {"corpora": {"mine": "here", "also": "here"}, "stages": {}, "compare": []}
            | {"settings": {"all": {"train": ["also"]}, "none": {"test": ["mine"]}}}
            | {"arms": {"a": {"only": ["all"]}, "b": {"initial": "all/a", "only": ["none"]}}},
            "none-b-0 goes back to all-a-0, which learns more of the annotation of also",
        ),
        (
            {"settings": {"all": {"train": ["other"]}, "none": {"test": ["mine"]}}}
            | {"corpora": {"mine": "here", "other": "there"}, "stages": {}, "compare": []}
            | {"arms": {"a": {"only": ["all"], "beside": {"mine": 1}}, "b": {"initial": "all/a", "only": ["none"]}}},
            "none-b-0 goes back to all-a-0, which learns more of the annotation of mine",
        ),
        (
            {"settings": {"all": {"train": ["mine"]}, "part": {"train": ["mine"], "without": ["chemical"]}}}
            | {"arms": {"a": {"only": ["all"]}, "b": {"initial": "all/a", "only": ["part"]}}, "compare": []},
            "part-b-0 goes back to all-a-0, which",
        ),
        ({"arms": {"a": {"initial": "half/x"}}, "compare": []}, "arm 'x' is not among a"),
        ({"stages": {"first": {"train": ["mine"], "initial": "x"}}}, "stage 'x' is not among first"),
        (
            {"arms": {"a": {}, "n": {"names_of": "a"}, "b": {"initial": "half/n"}}, "compare": [], "graph": "g"},
            "scores the students of a again; take half/a",
        ),
        ({"arms": {"a": {"only": ["half"]}, "b": {"initial": "other/a"}}, "compare": []}, "that is not run"),
        (
            {"stages": {"first": {"train": ["mine"], "initial": "half/staged"}}},
            ": stage/first, which starts from half/staged, which starts from stage/first: ",
        ),
        ({"arms": {"a": {"only": ["x"]}}}, "setting 'x'"),
        ({"arms": {"a": {"beside": {"x": 1}}}}, "corpus 'x' is not among mine"),
        ({"arms": {"a": {"names_of": "x"}}, "compare": []}, "arm 'x' is not among a"),
        ({"arms": {"a": {}, "b": {"names_of": "a"}}, "compare": []}, "a graph is needed"),
        ({"arms": {"a": {}, "b": {"names_of": "a", "set": ["train.steps=1"]}}, "compare": [], "graph": "g"}, "no set"),
        ({"arms": {"a": {"only": ["half"]}, "b": {"names_of": "a"}}, "compare": [], "graph": "g"}, "that a is not"),
        ({"settings": {"a": {"train": ["x"]}}}, "corpus 'x' is not among mine"),
        ({"seeds": 0}, "seeds must be"),
        ({"sed": 0}, "sed"),
        ({"arms": None}, "must not be empty"),
        ({"arms": {"a": {"pseudo": {"by": "x", "texts": ["mine"]}}}, "compare": []}, "arm 'x' is not among a"),
        ({"arms": {"a": {}, "b": {"pseudo": {"by": "a", "texts": ["x"]}}}, "compare": []}, "corpus 'x'"),
        ({"arms": {"a": {}, "b": {"pseudo": {"by": "a", "texts": []}}}, "compare": []}, "needs texts"),
        (
            {"arms": {"a": {}, "b": {"pseudo": {"by": "a", "texts": ["mine"], "ratio": 0}}}, "compare": []},
            "ratio above",
        ),
        (
            {"arms": {"a": {"pseudo": {"by": "a", "texts": ["mine"]}}}, "compare": []},
            "half/a, whose texts are labelled by half/a: ",
        ),
        (
            {
                "arms": {
                    name: {"pseudo": {"by": by, "texts": ["mine"]}} for name, by in zip("abc", "bcb", strict=True)
                },
                "compare": [],
            },
            ": half/b, whose texts are labelled by half/c, whose texts are labelled by half/b: ",
        ),
        (
            {"arms": {"a": {"only": ["half"]}, "b": {"pseudo": {"by": "a", "texts": ["mine"]}}}, "compare": []},
            "that a is",
        ),
        (
            {
                "arms": {"a": {"pseudo": {"by": "n", "texts": ["mine"]}}, "n": {"names_of": "zzz"}},
                "compare": [],
                "graph": "g",
            },
            "arm 'zzz' is not among",
        ),
        (
            {
                "arms": {"a": {}, "b": {"set": ["train.beside={}"], "pseudo": {"by": "a", "texts": ["mine"]}}},
                "compare": [],
            },
            "would replace beside or pseudo",
        ),
        (
            {
                "settings": {"none": {"test": ["mine"], "share": 0.5}},
                "arms": {"a": {"initial": "first"}},
                "compare": [],
            },
            "none has a share",
        ),
        (
            {
                "settings": {"half": {"train": ["mine"]}, "none": {"test": ["mine"]}},
                "arms": {
                    "a": {"only": ["half"]},
                    "b": {"pseudo": {"by": "a", "texts": ["mine"]}, "only": ["none"]},
                },
                "compare": [],
            },
            "b cannot be run in none: a, which",
        ),
        (
            {
                "settings": {"none": {"test": ["mine"]}},
                "arms": {
                    "a": {"initial": "first"},
                    "b": {"pseudo": {"by": "a", "texts": ["mine"]}, "beside": {"mine": 1.0}},
                },
                "compare": [],
            },
            "would learn from the annotation of mine",
        ),
        (
            {
                "settings": {"none": {"test": ["mine"]}},
                "arms": {"a": {"initial": "first"}, "b": {"pseudo": {"by": "a", "texts": ["mine"]}}},
                "compare": [],
            },
            "none-b-0 distils",
        ),
    ],
)
def test_bad_plans(plan, changes, says):
    with pytest.raises(ConfigError, match=says):
        load(changed(plan, **changes))


def test_arms_of_a_seed_differ_in_what_the_arm_says_alone(plan):
    cells = {cell.name: identity(cell) for cell in load(plan).cells()}
    one, two = cells["half-no-graph-0"], cells["half-mse-0"]
    assert one["recipe"].pop("loss") != two["recipe"].pop("loss") and one["recipe"] == two["recipe"]
    assert one["bank"] is None and two["bank"] and one["data"] == two["data"]
    assert cells["half-staged-0"]["initial"]["hash"] == cells["stage-first-0"]["hash"]


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"stage": {"train": ["mine"]}, "half": {}, "other": {}}}, "no setting can be called 'stage'"),
        ({"settings": {"half": {"train": ["mine"], "share": 0.0}}}, "share 0.0 of half"),
        (
            {"settings": {"half": {"train": ["mine"]}, "half-b": {"train": ["mine"]}}, "compare": [],
             "arms": {"b-c": {}, "c": {}}},
            "two trainings would be called half-b-c-0",
        ),
        ({"settings": {}, "arms": {"no-graph": {}}}, "nothing is run"),
        ({"settings": {"none": {"test": ["mine"]}}, "arms": {"a": {}}, "compare": []}, "nothing is run"),
        ({"name": "../evil"}, "'../evil' is no name"),
        ({"set": ["train.seed=5"]}, "'train.seed=5' is set by the plan itself"),
        ({"compare": [["mse", "mse"]]}, "needs two arms, not mse twice"),
        ({"set": ["train.nope=3"]}, "stage-first-0: .*nope"),
        ({"bank": None}, "half-mse-0 distils .*names no bank"),
        (
            {"arms": {"a": {"bank": "x", "set": ["loss.dist_weight=0"]}}, "compare": []},
            "half-a-0 has a bank of its own and does not distil",
        ),
        ({"arms": {"a": {"corpora": {"yours": "x"}}}, "compare": []}, "corpus 'yours' is not among mine"),
        (
            {"corpora": {"mine": "x", "yours": "y"}, "arms": {"a": {"corpora": {"yours": "x"}}}, "compare": []},
            "arm a trains on no corpus 'yours' of its own",
        ),
        (
            {"arms": {"a": {"corpora": {"mine": "x"}}, "b": {"names_of": "a"}}, "compare": [], "graph": "g"},
            "arm b scores students of a, which has corpora of its own",
        ),
    ],
)  # fmt: skip
def test_plans_that_cannot_work_are_refused(plan, changes, message):
    with pytest.raises(ConfigError, match=message):
        load(changed(plan, **changes))


def test_a_corpus_without_a_train_split_is_refused(plan, corpus, tmp_path):
    without = tmp_path / "without"
    shutil.copytree(corpus, without, ignore=shutil.ignore_patterns("train*"))
    with pytest.raises(InputError, match="has no train split"):
        _splits(find(load(changed(plan, corpora={"mine": str(without)})), "half-no-graph-0"), ["mine"])


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


def counted(setting, arm, seed, right):
    """Scores of a cell of whose ten documents, of two mentions each, so many mentions are found and no false ones."""
    documents = [(2, 2, 2) if 2 * n < right else (2, 0, 0) for n in range(10)]
    test = {"mine": {"f1": 100.0 * 2 * right / (20 + right), "unseen": {"recall": 5.0 * right}}}
    return {
        "cell": {"setting": setting, "arm": arm, "seed": seed}, "test": test, "documents": {"mine": documents},
        "dev": {"mine": 50.0}, "seconds": 60, "revision": "abc",
    }  # fmt: skip


def test_an_arm_with_a_bank_of_its_own(plan, bank, tmp_path):
    reduce_bank(Bank.open(bank), tmp_path / "narrow", size=4)
    arms = yaml.safe_load(plan.read_text())["arms"] | {"narrow": {"bank": str(tmp_path / "narrow"), "only": ["half"]}}
    experiment = load(changed(plan, bank=None, arms=arms | {"mse": {"bank": str(bank), "only": ["half"]}}, compare=[]))
    cells, folders = {cell.name: cell for cell in experiment.cells()}, Folders(tmp_path)
    done = {name: run(cells[name], folders, device="cpu", revision="x") for name in ("half-mse-0", "half-narrow-0")}
    banks = {name: one["identity"]["bank"] for name, one in done.items()}
    assert banks == {
        "half-mse-0": Bank.open(bank).artifact.hash,
        "half-narrow-0": Bank.open(tmp_path / "narrow").artifact.hash,
    }
    assert done["half-mse-0"]["student"] != done["half-narrow-0"]["student"]
    assert len(recorded(experiment, folders)) == 2, "they are not taken for one bank that was made anew"
    same = load(changed(plan, bank=str(bank), arms=arms | {"narrow": {"only": ["half"]}}))
    assert recorded(same, folders) == [], "whose bank it was is known, wherever it is by now"


def test_an_arm_with_corpora_of_its_own(plan, corpus, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    for split in ("train", "test"):
        file = other / f"{split}.jsonl"
        file.write_text(re.sub(r'"X:(\d+)"', lambda match: f'"X:{21 - int(match[1])}"', file.read_text()))
    arms = yaml.safe_load(plan.read_text())["arms"] | {"other": {"corpora": {"mine": str(other)}, "only": ["half"]}}
    experiment = load(changed(plan, arms=arms, compare=[["other", "mse"]]))
    cells, folders = {cell.name: cell for cell in experiment.cells()}, Folders(tmp_path)
    ours, theirs = (identity(cells[name])["data"]["mine"] for name in ("half-other-0", "half-mse-0"))
    assert {split for split in ours if ours[split] != theirs[split]} == {"train"}
    done = [run(cells[name], folders, device="cpu", revision="x") for name in ("half-other-0", "half-mse-0")]
    assert done[0]["student"] != done[1]["student"]
    (comparison,) = summarise(experiment, recorded(experiment, folders))["comparisons"]
    assert comparison["arm"] == "other"
    train = other / "train.jsonl"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(ConfigError, match=r"half-other-0: .* hold other documents"):
        run(cells["half-other-0"], folders, device="cpu", revision="x")


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
        }

    of_seed = {0: 4, 1: 8, 2: 6}  # half is better by as much as other is worse, seed by seed
    results = [scored(name, "no-graph", seed, 5) for name in settings for seed in of_seed]
    results += [scored("half", "mse", seed, 5 + of_seed[seed] - 6) for seed in (0, 1, 2)]
    results += [scored("other", "mse", seed, 5 - of_seed[seed] + 6) for seed in (1, 2)]
    (group,) = summarise(experiment, results)["groups"]
    assert group["seeds"] == 2 and group["difference"] == pytest.approx(-5.0)
    assert group["interval"] == pytest.approx([-5.0, -5.0]), "seeds 1 and 2 say the same, together"


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


def test_a_type_left_out_is_not_trained_and_alone_is_scored(plan, tmp_path):
    settings = {"half": {"train": ["mine"], "test": ["mine"], "without": ["disease"]}}
    plain = find(load(plan), "half-staged-0")
    cell = find(load(changed(plan, settings=settings)), "half-staged-0")
    assert "without" not in identity(plain) and identity(cell)["without"] == ["disease"]
    (split,) = _splits(cell, cell.train)
    every = [*split.train, *split.dev]
    assert split.types == ("chemical",) and all(one.types == {"chemical"} for one in every)
    assert {mention.type for one in every for mention in one.mentions} == {"chemical"}
    assert split.train[0].text == _splits(plain, plain.train)[0].train[0].text
    run(find(cell.experiment, "stage-first-0"), Folders(tmp_path), device="cpu", revision="r")  # which knows both
    found = run(cell, Folders(tmp_path), device="cpu", revision="r")
    assert set(found["test"]["mine"]["by_type"]) == {"disease"} and set(found["dev"]) == {"mine"}
    with pytest.raises(ConfigError, match="no type but"):
        _left(corpora.load("mine", load(plan).corpora["mine"], "train"), ["chemical", "disease"])


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
    assert "A try. Of its trainings 2 are not done yet." in page
    assert "`mse` over `no-graph`, in half, seeds" in page and "of one seed, which shows nothing yet" in page
    assert said["places"] == {"not recorded": 2}
    assert "Trainings: 2 on not recorded; at revisions abc." in page
    assert "| half | mine | no-graph | 33.33 | 20.0 | 50.0 | 1 | 1.0 | not recorded |" in page
    assert (tmp_path / "docs" / "results-tiny.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["plans"]["tiny"]
    assert told["settings"]["half"]["mine"]["no-graph"] == {"f1": [33.33]} and told["groups"][0]["arm"] == "mse"
    out.write_text("[]")
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "report", str(out), "--out", str(tmp_path / "results.md")])
    assert stopped.value.code == 2 and "is no summary of an experiment" in capsys.readouterr().err


def test_the_page_opens_with_what_was_better_worse_or_neither():
    def group(arm, difference, p, seeds=3, **more):
        own = {"group": "little", "settings": ["half"], "arm": arm, "baseline": "no-graph", "difference": difference}
        return own | {"p": p, "seeds": seeds, "interval": [0, 0], "unseen": 0.0} | more

    once = group("lucky", 9.0, 0.001, seeds=1)
    groups = [group("names", 8.75, 0.0002, of="names"), group("mse", -0.01, 0.9), group("noise", -3.0, 0.01), once]
    groups.append(group("names", 0.7, 0.012, of="names", group="all"))
    groups.append(group("some", 0.6, 0.04))  # would do by itself, but not among five
    assert opening([{"groups": []}, {"groups": [once]}]) == ""
    assert opening([{"groups": []}, {"groups": groups}]).splitlines() == [
        "**Names (`names` over `no-graph`): +8.8 F1 (+0.0 to +0.0) with little, +0.7 F1 (+0.0 to +0.0) with all.**",
        "",
        "- Better:",
        "  - names (`names` over `no-graph`) +8.8 F1 with little, +0.7 F1 with all",
        "- Worse:",
        "  - noise (`noise` over `no-graph`) -3.0 F1 with little",
        "- A difference at p < 0.05 by itself, but not after the correction over all of them:",
        "  - some (`some` over `no-graph`) +0.6 F1 with little",
        "- No difference is shown:",
        "  - mse (`mse` over `no-graph`) +0.0 F1 with little",
    ]


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


def test_a_plan_whose_corpora_are_not_here_says_what_makes_them(plan, tmp_path, capsys):
    changed(plan, corpora={"mine": str(tmp_path / "nowhere")})
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "run", str(plan), "--runs", str(tmp_path / "runs"), "--jobs", "1", "--quiet"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and f"Not here of what the plan names: {tmp_path / 'nowhere'}. What shipped" in said


def test_the_control_gives_each_entity_the_row_of_another_of_its_type():
    text = "abcdefgh"
    kinds = {"X:1": "a", "X:2": "a", "X:3": "a", "X:4": "b", "X:5": "b", "X:6": "c"}
    mentions = tuple(Mention(n, n + 1, kind, entity=own) for n, (own, kind) in enumerate(kinds.items()))
    splits = [Split("s", [Document("1", text, mentions)], [], ("a", "b", "c"))]
    found = shuffled(sorted(kinds), splits, seed=0)
    assert sorted(found) == sorted(kinds) and [kinds[one] for one in found] == list(kinds.values())
    assert [own for own, other in zip(sorted(kinds), found, strict=True) if own == other] == ["X:6"]
    assert found == shuffled(sorted(kinds), splits, seed=0)
