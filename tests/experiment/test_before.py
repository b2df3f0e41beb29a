"""What would stop a plan is said before it is run: files that are not there, corpora that are not the plan's."""

import json
import shutil

import pytest
import yaml
from tests.experiment.conftest import changed

from kogner.cli import main
from kogner.errors import ConfigError, InputError
from kogner.experiment import runner, training
from kogner.experiment.folders import Folders
from kogner.experiment.plan import load
from kogner.experiment.training import find, run, splits_of


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("change", ["documents", "mentions"])
def test_a_corpus_of_an_arm_is_the_plans_but_for_links(plan, corpus, tmp_path, split, change):
    other = shutil.copytree(corpus, tmp_path / "other")
    arms = {"no-graph": {}, "other": {"corpora": {"mine": str(other)}}}
    settings = {"half": {"train": ["mine"], "test": ["mine"]}}
    cell = find(load(changed(plan, arms=arms, settings=settings, stages={}, compare=[])), "half-other-0")
    file = other / f"{split}.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    with_mentions = next(one for one in lines if one["mentions"])
    for mention in with_mentions["mentions"]:
        mention["entity"] = None
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    assert len(splits_of(cell, ["mine"])) == 1, "other links are what it is for"
    if change == "documents":
        lines.remove(with_mentions)
    else:
        with_mentions["mentions"].pop()
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    with pytest.raises(ConfigError, match="hold other documents or mentions"):
        splits_of(cell, ["mine"])


def test_a_plan_whose_corpora_are_not_here_says_what_makes_them(plan, tmp_path, capsys):
    changed(plan, corpora={"mine": str(tmp_path / "nowhere")})
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "run", str(plan), "--runs", str(tmp_path / "runs"), "--jobs", "1", "--quiet"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and f"Not here of what the plan names: {tmp_path / 'nowhere'}. What shipped" in said


def test_what_is_not_here_and_not_wanted_is_no_hint(plan, corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    untested = shutil.copytree(corpus, tmp_path / "untested", ignore=shutil.ignore_patterns("test*"))
    changed(plan, graph="untest", corpora={"mine": str(untested)})
    with pytest.raises(SystemExit):
        main(["experiment", "run", str(plan), "--runs", str(tmp_path / "runs"), "--jobs", "1", "--quiet"])
    said = capsys.readouterr().err
    assert "test split" in said and "Not here" not in said


def test_all_that_would_stop_a_plan_is_said_before_any_training(plan, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_run", lambda *args: pytest.fail("something was run"))
    untested = shutil.copytree(corpus, tmp_path / "untested", ignore=shutil.ignore_patterns("test*"))
    raw = yaml.safe_load(plan.read_text())
    settings = raw["settings"] | {"late": {"train": ["untested"], "test": ["untested"]}}
    arms = raw["arms"] | {
        "no-graph": {"set": ["loss.dist_weight=0"]},
        "named": {"names_of": "no-graph", "only": ["half"]},
    }
    corpora = raw["corpora"] | {"untested": str(untested)}
    experiment = load(changed(plan, settings=settings, arms=arms, corpora=corpora, graph=str(tmp_path / "no graph")))
    with pytest.raises(ConfigError) as stopped:
        runner.run_all(experiment, str(plan), Folders(tmp_path / "runs"), jobs=1, device="cpu")
    said = str(stopped.value).splitlines()
    assert any(line.startswith("half-named-0: ") and "no graph" in line for line in said)
    assert any(line.startswith("late-no-graph-0: ") and "test" in line for line in said)
    assert said[-1] == "Others can be run with --only SETTING or --cell NAME"
    ran = []
    monkeypatch.setattr(runner, "_run", lambda cell, *args: ran.append(cell.name) or pytest.fail("as far as wanted"))
    with pytest.raises(pytest.fail.Exception):
        runner.run_all(experiment, str(plan), Folders(tmp_path / "runs"), jobs=1, device="cpu", cells=["half-mse-0"])
    assert ran == ["half-mse-0"]


def test_what_would_stop_the_scoring_is_said_before_the_training(plan, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_trained", lambda *args, **settings: pytest.fail("it was trained"))
    untested = shutil.copytree(corpus, tmp_path / "untested", ignore=shutil.ignore_patterns("test*"))
    experiment = load(changed(plan, corpora={"mine": str(untested)}))
    with pytest.raises(InputError, match="test"):
        run(find(experiment, "half-no-graph-0"), Folders(tmp_path), device="cpu", revision="x")
    settings = {"none": {"test": ["mine"], "without": ["protien"]}}
    stages = {"first": {"train": ["mine"]}}
    arms = {"a": {"initial": "first"}}
    experiment = load(
        changed(plan, corpora={"mine": str(corpus)}, settings=settings, stages=stages, arms=arms, compare=[])
    )
    with pytest.raises(ConfigError, match=r"none scores protien alone.* mine .*it has chemical, disease"):
        run(find(experiment, "none-a-0"), Folders(tmp_path), device="cpu", revision="x")


def test_a_plan_that_changed_while_it_ran_is_said(plan):
    with pytest.raises(ConfigError, match="has no training half-gone-0"):
        find(load(plan), "half-gone-0")
