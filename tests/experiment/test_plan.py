"""Plans of experiments: cells, what they start from, what is refused, arms with files of their own, the control."""

import json
import re
import shutil

import pytest
import yaml
from tests.experiment.conftest import changed

from kogner import artifacts
from kogner.data import corpora
from kogner.errors import ConfigError, InputError
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.experiment.recorded import recorded
from kogner.experiment.stored import finished
from kogner.experiment.summary import summarise
from kogner.experiment.training import _left, find, run, splits_of
from kogner.records import Document, Mention
from kogner.teacher.bank import Bank
from kogner.teacher.reduction import reduce_bank
from kogner.train.linked import shuffled
from kogner.train.splits import Split


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
        ({"compare": [["mse", "no-graph"], ["mse", "no-graph", "again"]]}, "compare has mse and no-graph twice"),
        (
            {
                "corpora": {"mine": "m", "other": "o"},
                "settings": {"half": {"train": ["mine"], "test": ["other"]}},
                "arms": {"a": {"beside": {"other": 1}}},
                "compare": [],
            },
            "a-0 has other beside it, which half scores and does not train on",
        ),
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


def test_an_arm_that_starts_from_another_student_in_each_setting(plan, corpus, tmp_path):
    arms = {
        "a": {"only": ["half", "other"]},
        "reader": {"initials": {"half-texts": "half/a", "other-texts": "other/a"}},
        "taught": {"pseudo": {"by": "reader", "texts": ["mine"]}, "only": ["half-texts", "other-texts"]},
        "b": {"initials": {"half": "half-texts/taught", "other": "other-texts/taught"}},
    }
    settings = {
        "half": {"train": ["mine"], "test": ["mine"], "share": 0.5},
        "other": {"train": ["mine"]},
        "half-texts": {},
        "other-texts": {},
        "more": {"train": ["mine"]},
    }
    changes = {"settings": settings, "arms": arms, "compare": [["b", "a"]], "set": ["loss.dist_weight=0"]}
    cells = {cell.name: cell for cell in load(changed(plan, stages={}, **changes)).cells()}
    started = {name: cell.initial.name for name, cell in cells.items() if cell.initial is not None}
    assert started == {
        f"{setting}{after}-{name}-0": f"{setting}{before}"
        for setting in ("half", "other")
        for after, name, before in (("-texts", "reader", "-a-0"), ("", "b", "-texts-taught-0"))
    }
    for change, says in (
        ({"only": ["half"]}, "leave out initial and only"),
        ({"initials": {"nowhere": "half/a"}}, "setting 'nowhere' is not among"),
        ({"initials": {"half": "half/nobody"}}, "'nobody'"),
        ({"initials": {"half": "more/a"}}, "is not run in this plan"),
    ):
        with pytest.raises(ConfigError, match=re.escape(says)):
            load(changed(plan, stages={}, **changes | {"arms": arms | {"b": arms["b"] | change}}))


def test_a_type_that_is_left_out_is_not_learnt_from_a_corpus_beside(plan, corpus, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    settings = {"half": {"train": ["mine"], "test": ["mine"], "without": ["disease"]}}
    arms = {"no-graph": {"beside": {"other": 1.0}}}
    both = {"mine": str(corpus), "other": str(other)}
    cell = find(load(changed(plan, settings=settings, arms=arms, corpora=both, compare=[])), "half-no-graph-0")
    with pytest.raises(ConfigError, match="to learn no disease, and other beside it has disease annotated"):
        splits_of(cell, ["mine", "other"])
    with artifacts.writing(tmp_path / "silver", kind="silver", version=1, recipe={}, metrics={}) as folder:
        shutil.copy(corpus / "train.jsonl", folder)
    both["other"] = str(tmp_path / "silver")
    cell = find(load(changed(plan, corpora=both)), "half-no-graph-0")
    mine, silver = splits_of(cell, ["mine", "other"])
    assert mine.types == ("chemical",) and silver.types == ("chemical", "disease")


def test_a_corpus_without_a_train_split_is_refused(plan, corpus, tmp_path):
    without = tmp_path / "without"
    shutil.copytree(corpus, without, ignore=shutil.ignore_patterns("train*"))
    with pytest.raises(InputError, match="has no train split"):
        splits_of(find(load(changed(plan, corpora={"mine": str(without)})), "half-no-graph-0"), ["mine"])


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


@pytest.mark.parametrize("empty", ["[]", "false", "0"])
def test_an_arm_is_a_mapping_or_nothing(plan, empty):
    raw = yaml.safe_load(plan.read_text())
    changed(plan, arms=raw["arms"] | {"more": yaml.safe_load(empty)})
    with pytest.raises(ConfigError, match="more"):
        load(plan)


def test_a_type_left_out_is_not_trained_and_alone_is_scored(plan, tmp_path):
    settings = {"half": {"train": ["mine"], "test": ["mine"], "without": ["disease"]}}
    plain = find(load(plan), "half-staged-0")
    cell = find(load(changed(plan, settings=settings)), "half-staged-0")
    assert "without" not in identity(plain) and identity(cell)["without"] == ["disease"]
    (split,) = splits_of(cell, cell.train)
    every = [*split.train, *split.dev]
    assert split.types == ("chemical",) and all(one.types == {"chemical"} for one in every)
    assert {mention.type for one in every for mention in one.mentions} == {"chemical"}
    assert split.train[0].text == splits_of(plain, plain.train)[0].train[0].text
    run(find(cell.experiment, "stage-first-0"), Folders(tmp_path), device="cpu", revision="r")  # which knows both
    found = run(cell, Folders(tmp_path), device="cpu", revision="r")
    assert set(found["test"]["mine"]["by_type"]) == {"disease"} and set(found["dev"]) == {"mine"}
    with pytest.raises(ConfigError, match="no type but"):
        _left(corpora.load("mine", load(plan).corpora["mine"], "train"), ["chemical", "disease"])


def test_the_control_gives_each_entity_the_row_of_another_of_its_type():
    text = "abcdefgh"
    kinds = {"X:1": "a", "X:2": "a", "X:3": "a", "X:4": "b", "X:5": "b", "X:6": "c"}
    mentions = tuple(Mention(n, n + 1, kind, entity=own) for n, (own, kind) in enumerate(kinds.items()))
    splits = [Split("s", [Document("1", text, mentions)], [], ("a", "b", "c"))]
    found = shuffled(sorted(kinds), splits, seed=0)
    assert sorted(found) == sorted(kinds) and [kinds[one] for one in found] == list(kinds.values())
    assert [own for own, other in zip(sorted(kinds), found, strict=True) if own == other] == ["X:6"]
    assert found == shuffled(sorted(kinds), splits, seed=0)
