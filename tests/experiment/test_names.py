"""Experiments: arms that read with names of the graph, and arms whose texts another arm's student labels."""

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner
from tests.experiment.conftest import changed

from kogner.annotate.names import Names
from kogner.annotate.predictor import Predictor
from kogner.cli import cli
from kogner.data import corpora
from kogner.data.formats import jsonl
from kogner.data.overlap import BY_TEXT
from kogner.errors import ConfigError, InputError
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import load
from kogner.experiment.pseudo import ANNOTATED
from kogner.experiment.stored import finished
from kogner.experiment.summary import summarise
from kogner.experiment.training import find, run
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Mention
from kogner.train.trust import weights_of_texts


def test_names_of_the_graph_score_the_student_of_another_arm_again(plan, tmp_path):
    names = {"aspirin": "Chemical", "ibuprofen": "Chemical", "morphine": "Chemical", "fever": "Disease"}
    graph = tmp_path / "graph"
    entities = [Entity(f"X:{number}", kind, name) for number, (name, kind) in enumerate(names.items())]
    build(entities, [], graph, rejected=Rejections())
    arms = yaml.safe_load(plan.read_text())["arms"] | {"named": {"names_of": "no-graph", "only": ["half"]}}
    experiment = load(changed(plan, arms=arms, graph=str(graph), compare=[["named", "no-graph"]]))
    cells = {cell.name: cell for cell in experiment.cells()}
    assert cells["half-named-0"].after == (cells["half-no-graph-0"],)
    base = run(cells["half-no-graph-0"], Folders(tmp_path), device="cpu", revision="x")
    student = Folders(tmp_path).student(cells["half-no-graph-0"]) / "model.safetensors"
    stamp = student.stat().st_mtime_ns
    named = run(cells["half-named-0"], Folders(tmp_path), device="cpu", revision="x")
    assert student.stat().st_mtime_ns == stamp and named["name_weights"].get("chemical", 0) > 0
    assert named["test"]["mine"]["f1"] > base["test"]["mine"]["f1"]
    assert finished(cells["half-named-0"], Folders(tmp_path)) == json.loads(
        Folders(tmp_path).scored(cells["half-named-0"]).read_text()
    )
    (comparison,) = summarise(experiment, [base, named])["comparisons"]
    assert comparison["difference"] > 0


def test_names_of_the_graph_without_a_student(plan, tmp_path):
    graph = tmp_path / "graph"
    build([Entity("X:1", "Chemical", "aspirin")], [], graph, rejected=Rejections())
    settings = {"half": {"train": ["mine"], "test": ["mine"], "share": 0.5}, "none": {"test": ["mine"]}}
    settings["typed"] = {"test": ["mine"], "without": ["disease"]}
    arms = {"no-graph": {"set": ["loss.dist_weight=0"]}, "alone": {"alone": True}}
    changes = {"settings": settings, "stages": {}, "graph": str(graph), "compare": [["no-graph", "alone"]]}
    experiment, folders = load(changed(plan, arms=arms, **changes)), Folders(tmp_path)
    cells = {cell.name: cell for cell in experiment.cells()}
    assert not any(cells[f"{setting}-alone-0"].trains for setting in settings)
    done = {name: run(cells[name], folders, device="cpu", revision="x") for name in cells if name.endswith("-alone-0")}
    for name, found in done.items():
        assert not folders.student(cells[name]).exists()
        assert finished(cells[name], folders) == json.loads(folders.scored(cells[name]).read_text())
        assert finished(cells[name], folders, as_recorded=True) is not None
        assert "student" not in found and found["dev"] == {}
    scores = {name: found["test"]["mine"] for name, found in done.items()}
    assert scores["none-alone-0"]["precision"] == 100 and 0 < scores["none-alone-0"]["recall"] < 100
    assert scores["half-alone-0"]["f1"] == scores["none-alone-0"]["f1"]
    assert scores["typed-alone-0"]["f1"] == 0 and set(scores["typed-alone-0"]["by_type"]) == {"disease"}
    base = run(cells["half-no-graph-0"], folders, device="cpu", revision="x")
    (comparison,) = summarise(experiment, [base, done["half-alone-0"]])["comparisons"]
    assert comparison["seeds"] == 1
    build([Entity("X:1", "Chemical", "ibuprofen")], [], tmp_path / "other", rejected=Rejections())
    later = load(changed(plan, arms=arms, **changes | {"graph": str(tmp_path / "other")}))
    assert finished(find(later, "none-alone-0"), folders) is None, "names of another graph"
    staged = load(changed(plan, arms={"no-graph": {}, "alone": {}}, **changes | {"graph": None}))
    assert finished(find(staged, "half-alone-0"), folders) is None, "it is trained now"
    for wrong, says in (
        ({"alone": {"alone": True, "set": ["train.epochs=1"]}}, "arm alone finds names of the graph alone"),
        (arms | {"more": {"names_of": "alone"}}, "names_of of arm more is alone, which has no student"),
        (arms | {"more": {"pseudo": {"by": "alone", "texts": ["mine"]}}}, "by of arm more is alone, which has no stu"),
        (arms | {"more": {"initial": "half/alone"}}, "more cannot start from half/alone, which has no student"),
    ):
        with pytest.raises(ConfigError, match=says):
            load(changed(plan, arms=wrong, **changes | {"compare": []}))
    with pytest.raises(ConfigError, match="it needs the plan's graph"):
        load(changed(plan, arms=arms, **changes | {"graph": None}))


def test_names_of_the_graph_at_students_of_a_stage(plan, tmp_path):
    graph = tmp_path / "graph"
    build([Entity("X:1", "Chemical", "aspirin")], [], graph, rejected=Rejections())
    settings = {"none": {"test": ["mine"]}}
    arms = {"staged": {"initial": "first"}, "named": {"names_of": "staged"}}
    experiment = load(changed(plan, settings=settings, arms=arms, graph=str(graph), compare=[["named", "staged"]]))
    cells, folders = {cell.name: cell for cell in experiment.cells()}, Folders(tmp_path)
    for name in ("stage-first-0", "none-staged-0", "none-named-0"):
        run(cells[name], folders, device="cpu", revision="x")
    stage, base, named = (json.loads(folders.scored(cell).read_text()) for cell in cells.values())
    assert stage["student"] == base["initial"] == base["student"] == named["initial"]
    folders.scored(cells["none-staged-0"]).write_text(json.dumps(base | {"student": "another"}))
    assert finished(cells["none-named-0"], folders) is None, "its student was trained anew"


def test_texts_that_the_student_of_another_arm_labels_with_names_of_the_graph(plan, corpus, tmp_path):
    names = {"aspirin": "Chemical", "ibuprofen": "Chemical", "morphine": "Chemical", "fever": "Disease"}
    graph = tmp_path / "graph"
    entities = [Entity(f"X:{number}", kind, name) for number, (name, kind) in enumerate(names.items())]
    build(entities, [], graph, rejected=Rejections())
    arms = {"no-graph": {"set": ["loss.dist_weight=0"]}, "named": {"names_of": "no-graph"}}
    arms["taught"] = {"set": ["loss.dist_weight=0"], "pseudo": {"by": "named", "texts": ["mine", "more"], "ratio": 2.0}}
    settings = {"half": {"train": ["mine"], "test": ["mine"], "share": 0.5}, "none": {"test": ["mine"]}}
    long = "Ibuprofen and paracetamol were given to all the patients who had come to the ward before that day."
    more = tmp_path / "more"
    more.mkdir()
    texts = {"1": f"As said: {long}", "2": "Morphine was not given to the others."}
    jsonl.write(
        more / "train.jsonl", [Document(name, text, (), frozenset({"chemical"})) for name, text in texts.items()]
    )
    jsonl.write(more / "test.jsonl", [Document("3", long, (), frozenset({"chemical"}))])
    changes = {
        "arms": arms, "settings": settings, "stages": {}, "compare": [["taught", "no-graph"]],
        "corpora": {"mine": str(corpus), "more": str(more)},
    }  # fmt: skip
    experiment = load(changed(plan, graph=str(graph), **changes))
    cells = {cell.name: cell for cell in experiment.cells()}
    taught, folders = cells["half-taught-0"], Folders(tmp_path)
    assert taught.after == (cells["half-named-0"],) and cells["half-named-0"].after == (cells["half-no-graph-0"],)
    assert 'train.beside={"pseudo": 2.0}' in taught.overrides()
    done = {name: run(cell, folders, device="cpu", revision="x") for name, cell in cells.items()}
    labels = folders.student(taught).with_name("half-taught-0.labels")
    every = corpora.load("mine", corpus, "train").documents
    told = done["half-taught-0"]["pseudo"]
    half = max(1, round(len(every) / 2))
    assert told["left_out"] == {ANNOTATED: half, BY_TEXT: 1}
    assert told["documents"] == len(every) - half + 1 and told["spans"]["mention"] > 0
    found = corpora.load("pseudo", labels, "train").documents
    assert {one.id for one in found} < {"more:2", *(f"mine:{one.id}" for one in every)}
    stamp = (labels / "train.jsonl").stat().st_mtime_ns
    shutil.rmtree(folders.student(taught))
    again = run(taught, folders, device="cpu", revision="x")
    assert (labels / "train.jsonl").stat().st_mtime_ns == stamp and again["student"] == done["half-taught-0"]["student"]
    assert again["labeller"] == done["half-no-graph-0"]["student"]
    assert finished(taught, folders) == json.loads(folders.scored(taught).read_text())
    named = folders.scored(cells["half-named-0"])
    named.write_text(json.dumps(done["half-named-0"] | {"initial": "another"}))
    assert finished(taught, folders) is None, "what labelled its texts was trained anew"
    identities = {name: identity(cell)["hash"] for name, cell in cells.items()}
    arms["taught"]["pseudo"]["by"] = "no-graph"
    other = load(changed(plan, graph=str(graph), **changes))
    assert identity(find(other, "half-taught-0"))["hash"] != identities["half-taught-0"]
    assert finished(find(other, "half-taught-0"), folders, as_recorded=True) is None, "another arm labels now"
    jsonl.write(more / "test.jsonl", [Document("3", "Else.", (), frozenset({"chemical"}))])
    assert finished(taught, folders) is None, "what is kept apart from the texts changed"
    named.write_text(json.dumps(done["half-named-0"]))
    assert finished(taught, folders, as_recorded=True)


def test_texts_without_annotation_are_labelled_in_rounds(plan, corpus, tmp_path):
    graph = tmp_path / "graph"
    build([Entity("X:1", "Chemical", "aspirin")], [], graph, rejected=Rejections())
    one_type = tmp_path / "one"
    one_type.mkdir()
    jsonl.write(one_type / "train.jsonl", [Document("1", "Aspirin helps .", (), frozenset({"chemical"}))])
    plain = ["loss.dist_weight=0", "train.steps=3"]
    arms = {
        "start": {"initial": "first"},
        "named": {"names_of": "start"},
        "taught": {"initial": "first", "set": plain, "pseudo": {"by": "named", "texts": ["mine"], "ratio": 7.0}},
        "taught-named": {"names_of": "taught"},
        "again": {"set": plain, "pseudo": {"by": "taught-named", "texts": ["mine"]}},
    }
    changes = {
        "arms": arms, "compare": [["taught", "start"]], "settings": {"none": {"test": ["mine"]}},
        "corpora": {"mine": str(corpus), "one": str(one_type)},
        "stages": {"first": {"train": ["one"], "set": ["loss.dist_weight=0"], "shared": True}},
    }  # fmt: skip
    experiment = load(changed(plan, graph=str(graph), seeds=2, **changes))
    cells, folders = {cell.name: cell for cell in experiment.cells()}, Folders(tmp_path)
    assert list(cells) == ["stage-first-0", *(f"none-{arm}-0" for arm in arms)], "as many as can be labelled for"
    assert not any("beside" in one for one in cells["none-taught-0"].overrides())
    done = {name: run(cell, folders, device="cpu", revision="x") for name, cell in cells.items()}
    stage, taught, again = (done[name] for name in ("stage-first-0", "none-taught-0", "none-again-0"))
    assert taught["initial"] == taught["labeller"] == stage["student"] != taught["student"]
    assert taught["steps"] == 3 and taught["dev"] == {} and taught["pseudo"]["left_out"] == {}
    labels = corpora.load("pseudo", folders.student(cells["none-taught-0"]).with_name("none-taught-0.labels"), "train")
    every = corpora.load("mine", corpus, "train").documents
    assert labels.types == ("chemical",) and len(labels.documents) == len(every) == taught["pseudo"]["documents"]
    assert taught["pseudo"]["spans"]["mention"] > 0
    assert [one.mentions for one in labels.documents] != [
        tuple(m for m in one.mentions if m.type == "chemical") for one in every
    ], "what people annotated"
    arms["taught"]["pseudo"]["by"] = "start"
    alone = find(load(changed(plan, graph=str(graph), seeds=2, **changes)), "none-taught-0")
    assert finished(alone, folders) is None
    folder = folders.student(alone).with_name("none-taught-0.labels")
    before = (folder / "train.jsonl").read_bytes()
    shutil.move(folders.student(alone), tmp_path / "kept")
    shutil.copy(folders.scored(alone), tmp_path / "kept.json")
    run(alone, folders, device="cpu", revision="x")
    assert (folder / "train.jsonl").read_bytes() != before, "the same student without names"
    shutil.rmtree(folders.student(alone))
    shutil.move(tmp_path / "kept", folders.student(alone))
    shutil.copy(tmp_path / "kept.json", folders.scored(alone))
    arms["taught"]["pseudo"]["by"] = "named"
    assert done["none-taught-named-0"]["initial"] == again["labeller"] == taught["student"]
    assert "initial" not in again and finished(cells["none-again-0"], folders)
    folders.scored(cells["none-taught-named-0"]).write_text(json.dumps(done["none-taught-named-0"] | {"initial": "x"}))
    assert finished(cells["none-again-0"], folders) is None, "what labelled its texts is another by now"


def test_texts_say_how_much_a_name_counts(plan, corpus, tmp_path):
    every = corpora.load("mine", corpus, "train").documents
    kinds = {mention.text: mention.type.capitalize() for one in every for mention in one.mentions}
    graph = tmp_path / "graph"
    entities = [Entity(f"X:{number}", kind, name) for number, (name, kind) in enumerate(kinds.items())]
    build(entities, [], graph, rejected=Rejections())
    folder = tmp_path / "texts"
    folder.mkdir()
    jsonl.write(folder / "train.jsonl", [Document(one.id, one.text, (), frozenset({"chemical"})) for one in every])
    arms = {
        "start": {"initial": "first"},
        "named": {"names_of": "start"},
        "trusted": {"names_of": "start", "texts": ["texts"]},
    }
    changes = {
        "arms": arms, "compare": [["trusted", "named"]], "settings": {"none": {"test": ["mine"]}},
        "corpora": {"mine": str(corpus), "texts": str(folder)}, "seeds": 1, "graph": str(graph),
    }  # fmt: skip
    cells = {cell.name: cell for cell in load(changed(plan, **changes)).cells()}
    folders = Folders(tmp_path)
    done = {name: run(cell, folders, device="cpu", revision="x") for name, cell in cells.items()}
    assert "name_weights" not in done["none-named-0"]
    predictor = Predictor.load(str(folders.student(cells["stage-first-0"])))
    weights = weights_of_texts(
        predictor.student, predictor.info, every, predictor.info.types, names=Names(GraphStore.open(graph))
    )
    assert done["none-trusted-0"]["name_weights"] == weights and weights
    trusted = cells["none-trusted-0"]
    assert finished(trusted, folders) and finished(trusted, folders, as_recorded=True)
    file = folders.scored(trusted)
    of_today = file.read_text()
    of_before = json.loads(of_today)
    del of_before["identity"]["trust"]
    file.write_text(json.dumps(of_before))
    assert finished(trusted, folders) is None and finished(trusted, folders, as_recorded=True), "of the rule before"
    file.write_text(of_today)
    jsonl.write(folder / "train.jsonl", [Document("1", "Others.", (), frozenset({"chemical"}))])
    assert finished(trusted, folders) is None and finished(cells["none-named-0"], folders)
    assert finished(trusted, folders, as_recorded=True)
    with pytest.raises(ConfigError, match="needs names_of"):
        load(changed(plan, **changes | {"arms": {"start": {"initial": "first", "texts": ["texts"]}}, "compare": []}))


def test_texts_to_label_that_are_not_there(plan, corpus, tmp_path):
    arms = {"a": {"set": ["loss.dist_weight=0"]}}
    arms["b"] = {"set": ["loss.dist_weight=0"], "pseudo": {"by": "a", "texts": ["mine"]}}
    settings = {"whole": {"train": ["mine"], "test": ["mine"]}}
    experiment = load(changed(plan, arms=arms, settings=settings, stages={}, compare=[]))
    cells, folders = {cell.name: cell for cell in experiment.cells()}, Folders(tmp_path)
    run(cells["whole-a-0"], folders, device="cpu", revision="x")
    with pytest.raises(InputError, match=f"no text of mine is left to label for whole-b-0: .* x {ANNOTATED}"):
        run(cells["whole-b-0"], folders, device="cpu", revision="x")
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(corpora.splits(corpus)["test"], tests)
    arms["b"]["pseudo"]["texts"] = ["tests"]
    experiment = load(changed(plan, arms=arms, corpora={"mine": str(corpus), "tests": str(tests)}))
    with pytest.raises(InputError, match="tests, whose texts are to be labelled for whole-b-0, has no train split"):
        identity(find(experiment, "whole-b-0"))


@pytest.mark.slow
def test_a_round_is_run_where_scores_are_kept_and_students_are_not(plan, corpus, tmp_path):
    graph = tmp_path / "graph"
    build([Entity("X:1", "Chemical", "aspirin")], [], graph, rejected=Rejections())
    arms = {
        "start": {"initial": "first"},
        "named": {"names_of": "start"},
        "taught": {"set": ["loss.dist_weight=0"], "pseudo": {"by": "named", "texts": ["mine"]}},
        "taught-named": {"names_of": "taught"},
        "again": {"set": ["loss.dist_weight=0"], "pseudo": {"by": "taught-named", "texts": ["mine"]}},
    }
    changed(plan, graph=str(graph), arms=arms, settings={"none": {"test": ["mine"]}}, compare=[])
    runs, scores = tmp_path / "runs", tmp_path / "scores"
    call = ["--quiet", "experiment", "run", str(plan), "--scores", str(scores), "--runs", str(runs), "--jobs", "2"]
    assert CliRunner().invoke(cli, call).exit_code == 0
    kept = {file.name: file.read_text() for file in (scores / "tiny").iterdir()}
    assert len(kept) == 6
    shutil.rmtree(runs)
    assert CliRunner().invoke(cli, call).exit_code == 0 and not runs.exists(), "all is finished"
    (scores / "tiny" / "none-again-0.json").unlink()
    stage = json.loads(kept["stage-first-0.json"])
    (scores / "tiny" / "stage-first-0.json").write_text(json.dumps(stage | {"student": "0" * 64}))
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    after = {file.name: json.loads(file.read_text()) for file in (scores / "tiny").iterdir()}
    assert after.keys() == kept.keys()
    assert after["none-taught-named-0.json"]["initial"] == after["none-taught-0.json"]["student"]
    assert after["none-again-0.json"]["labeller"] == after["none-taught-0.json"]["student"]


def test_names_that_count_by_their_entities(plan, corpus, bank, tmp_path):
    """Of a corpus whose annotators mark some chemicals of the graph and not others."""
    kinds = {"aspirin": "Chemical", "ibuprofen": "Chemical", "water": "Chemical", "saline": "Chemical"}
    graph = tmp_path / "graph"
    entities = [Entity(f"X:{number}", kind, name) for number, (name, kind) in enumerate(kinds.items(), start=1)]
    build(entities, [], graph, rejected=Rejections())
    marked = {
        split: [
            Document(
                f"{split}{number}", f"{drug} was given with {other}", (Mention(0, len(drug), "chemical"),),
                frozenset({"chemical"}),
            )
            for number, (drug, other) in enumerate([("aspirin", "water"), ("ibuprofen", "saline")] * 20)
        ]
        for split in ("train", "dev", "test")
    }  # fmt: skip
    folder = tmp_path / "marked"
    folder.mkdir()
    for split, documents in marked.items():
        jsonl.write(folder / f"{split}.jsonl", documents)
    raw = yaml.safe_load(plan.read_text())
    arms = {
        "no-graph": {"set": ["loss.dist_weight=0"]},
        "named": {"names_of": "no-graph"},
        "by-entity": {"names_of": "no-graph", "by_entity": {}},
        "shuffled": {"names_of": "no-graph", "by_entity": {"control": "vocabulary", "parts": ["Z"]}},
        "taught": {"set": ["loss.dist_weight=0"], "pseudo": {"by": "by-entity", "texts": ["more"]}},
    }
    settings = {
        "all": {"train": ["marked"], "test": ["marked"], "set": ["train.steps=2"]},
        "none": {"test": ["marked"]},
    }
    more = tmp_path / "more"
    more.mkdir()
    told = "All of them had taken ibuprofen, and saline was at hand."
    jsonl.write(more / "train.jsonl", [Document("1", told, (), frozenset({"chemical"}))])
    whole = {
        "arms": arms, "graph": str(graph), "stages": {},
        "corpora": raw["corpora"] | {"marked": str(folder), "more": str(more)},
        "settings": settings, "compare": [["by-entity", "named"]],
    }  # fmt: skip
    experiment, folders = load(changed(plan, **whole)), Folders(tmp_path)
    cells = {cell.name: cell for cell in experiment.cells() if cell.seed == 0}
    assert set(cells) == {f"all-{arm}-0" for arm in arms}  # without train documents there is nothing to learn it from
    scores = {name: run(cell, folders, device="cpu", revision="x") for name, cell in cells.items()}
    told = scores["all-by-entity-0"]["entity_weights"]["chemical"]
    assert told["names"] == 80 and told["scale"] > 0 and "entity_weights" not in scores["all-named-0"]
    labelled = corpora.load("pseudo", folders.student(cells["all-taught-0"]).with_name("all-taught-0.labels"), "train")
    spans = {mention.text for document in labelled.documents for mention in document.mentions}
    assert "ibuprofen" in spans and "saline" not in spans  # which the graph has for a chemical as well
    f1 = {name: found["test"]["marked"]["f1"] for name, found in scores.items()}
    assert f1["all-by-entity-0"] > f1["all-named-0"]
    for cell in cells.values():
        assert finished(cell, folders) == json.loads(folders.scored(cell).read_text())
    assert len({identity(cell)["hash"] for cell in cells.values()}) == len(cells)
    changed(plan, **(whole | {"arms": arms | {"by-entity": {"names_of": "no-graph", "by_entity": {"parts": ["Z"]}}}}))
    assert finished(find(load(plan), "all-by-entity-0"), folders) is None


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"b": {"by_entity": {}}}, "by_entity of arm b says how much a name counts; that needs names_of"),
        ({"b": {"names_of": "no-graph", "by_entity": {"control": "none at all"}}}, "by_entity.control of arm b"),
        ({"b": {"names_of": "no-graph", "by_entity": {}, "texts": ["mine"]}}, "by_entity of arm b needs a bank"),
        ({"b": {"names_of": "no-graph", "by_entity": {"parts": ["Y"]}}}, r"may hold Z, Z' and Z'', not \['Y'\]"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be(plan, tmp_path, arms, message):
    first = {"no-graph": {"set": ["loss.dist_weight=0"]}}
    with pytest.raises(ConfigError, match=message):
        load(changed(plan, arms=first | arms, graph=str(tmp_path / "graph"), compare=[]))


def test_texts_are_asked_for_a_type_that_is_left_out_too(plan, corpus, tmp_path, monkeypatch):
    graph = tmp_path / "graph"
    build([Entity("X:1", "Disease", "fever")], [], graph, rejected=Rejections())
    arms = {"plain": {"set": ["loss.dist_weight=0"]}, "trusted": {"names_of": "plain", "texts": ["mine"]}}
    settings = {"left": {"train": ["mine"], "test": ["mine"], "without": ["disease"]}}
    changes = {"arms": arms, "settings": settings, "stages": {}, "compare": [["trusted", "plain"]]}
    cells = {cell.name: cell for cell in load(changed(plan, graph=str(graph), **changes)).cells()}
    run(cells["left-plain-0"], Folders(tmp_path), device="cpu", revision="x")
    asked = []

    def weights(student, info, documents, labels, **how):
        asked.append((info.types, tuple(labels)))
        return {"disease": 6.0}

    monkeypatch.setattr("kogner.train.trust.weights_of_texts", weights)
    done = run(cells["left-trusted-0"], Folders(tmp_path), device="cpu", revision="x")
    ((learnt, labels),) = asked
    assert "disease" not in learnt and labels == (*learnt, "disease")
    assert done["name_weights"] == {"disease": 6.0}
