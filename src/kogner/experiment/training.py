"""One training of an experiment and its scores, in a process of its own: `python -m kogner.experiment.training`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.artifacts import MANIFEST, locked, read_manifest, write_atomic
from kogner.errors import ConfigError, KognerError
from kogner.experiment.cell import Cell
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import Experiment, load
from kogner.experiment.pseudo import pseudo_labelled, student_of
from kogner.experiment.stored import finished, has_student
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor
    from kogner.config import Recipe
    from kogner.data.corpora import Corpus
    from kogner.records import Document
    from kogner.train.splits import Split

    Reader = Callable[[Sequence[Document], Sequence[str]], Sequence[Document]]  # of documents and types


def run(cell: Cell, folders: Folders, *, device: str, revision: str) -> dict[str, Any]:
    """Train and score it, and write the scores.

    A training that was killed goes on where it was, and one that was killed while it was scored is scored. Raises
    InputError and ConfigError before any work where a corpus has no test split, or not the types to score.
    """
    from kogner.environment import place

    begun = time.monotonic()
    said = identity(cell)
    check_tests(cell)
    if cell.alone:
        found = _alone(cell)
    else:
        found = (_named if cell.base is not None else _trained)(cell, folders, device=device)
    earlier = found.pop("seconds_before", 0)  # of a training that was killed
    result: dict[str, Any] = {
        "cell": {"setting": cell.setting, "arm": cell.arm, "seed": cell.seed},
        "identity": said,
        "revision": revision,
        "place": place(device),
        **({} if cell.start is None else {"initial": read_manifest(student_of(cell.start, folders)).hash}),
        **found,
        "seconds": round(time.monotonic() - begun + earlier),
    }
    file = folders.scored(cell)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(result))
    _trained_file(cell, folders).unlink(missing_ok=True)
    return result


def _trained(cell: Cell, folders: Folders, *, device: str) -> dict[str, Any]:
    from kogner.annotate.predictor import Predictor

    recipe, student = _recipe(cell, folders), student_of(cell, folders)
    if not cell.trains:
        about: dict[str, Any] = {"steps": 0, "best_step": None, "dev": {}, "student": read_manifest(student).hash}
        return about | _tested(cell, recipe, [], _reader(Predictor.load(str(student), device=device)))
    inputs: dict[str, Any] = {"identity": identity(cell)["hash"]}
    for name, before in (("initial", cell.start), ("labeller", cell.labeller)):
        inputs |= {} if before is None else {name: read_manifest(student_of(before, folders)).hash}
    if cell.labeller is not None:  # its weights of names decide the labels too
        by = json.loads(folders.scored(cell.labeller).read_text(encoding="utf-8"))
        inputs["weights"] = [by.get(what) for what in ("name_weights", "name_losses", "entity_weights")]
    splits = splits_of(cell, (*cell.train, *cell.beside))
    if not cell.train:  # nothing is fitted there on what people annotated
        splits = [dataclasses.replace(split, dev=()) for split in splits]
    told = _trained_before(cell, folders, inputs)
    if told is None:
        told = _train(cell, folders, recipe, splits, device=device)
        kept = {"inputs": inputs, "told": told | {"seconds_before": told["seconds"]}}
        write_atomic(_trained_file(cell, folders), json.dumps(kept))  # scoring takes minutes, and may be killed
    if not cell.test:
        return told | {"test": {}, "documents": {}}
    return told | _tested(cell, recipe, splits, _reader(Predictor.load(str(student), device=device)))


def _train(cell: Cell, folders: Folders, recipe: Recipe, splits: list[Split], *, device: str) -> dict[str, Any]:
    """Write its student, and tell how that went. A training that was killed is gone on with, if it is the same."""
    from kogner.graph.store import GraphStore
    from kogner.teacher.bank import Bank
    from kogner.train.checkpoint import OtherRunError
    from kogner.train.loop import train

    experiment, out = cell.experiment, folders.student(cell)
    bank = Bank.open(str(cell.bank)) if recipe.loss.dist_weight > 0 and cell.bank is not None else None
    graph = GraphStore.open(experiment.graph) if recipe.train.kinds and experiment.graph is not None else None
    told: dict[str, Any] = {}
    if cell.labeller is not None:
        labelled, told = pseudo_labelled(cell, folders, splits, device=device)
        splits = [*splits, labelled]
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        metrics = train(recipe, splits, out, bank=bank, graph=graph, device=device)
    except OtherRunError as error:  # the plan, its data or what it starts from changed after a training was killed
        note(f"{cell.name}: what a killed training left there is removed: {error}")
        shutil.rmtree(out.with_name(out.name + ".work"))
        metrics = train(recipe, splits, out, bank=bank, graph=graph, device=device)
    dev = {name: found["f1"] for name, found in metrics["dev"].items() if name != "all" and "f1" in found}
    told |= {"steps": metrics["steps"], "best_step": metrics["best_step"], "dev": dev}
    told |= {name: metrics[name] for name in ("seconds", "seconds_before")}
    return told | {"student": read_manifest(out).hash}


def _trained_file(cell: Cell, folders: Folders) -> Path:
    """What is told of a training whose student is there and not scored yet."""
    return folders.student(cell).with_name(f"{cell.name}.trained.json")


def _trained_before(cell: Cell, folders: Folders, inputs: Mapping[str, str]) -> dict[str, Any] | None:
    """What is told of its student, where it was trained of the same inputs and is there."""
    file, student = _trained_file(cell, folders), folders.student(cell)
    if not file.is_file() or not (student / MANIFEST).is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    told: dict[str, Any] = found["told"]
    fits = found["inputs"] == inputs and told["student"] == read_manifest(student).hash
    return told if fits else None


def _named(cell: Cell, folders: Folders, *, device: str) -> dict[str, Any]:
    """The student of its base, read with names of the graph."""
    from kogner.annotate.predictor import Predictor
    from kogner.experiment.weighing import names_of, weigh_names

    assert cell.base is not None
    splits, names = splits_of(cell, cell.train), names_of(cell)
    predictor = Predictor.load(str(student_of(cell.base, folders)), device=device)
    told = weigh_names(cell, predictor, splits, names)
    return told | _tested(cell, _recipe(cell.base, folders), splits, _reader(predictor, names))


def _alone(cell: Cell) -> dict[str, Any]:
    """Names of the graph and nothing else."""
    from kogner.annotate.names import Names
    from kogner.evaluate.suite import read_names
    from kogner.graph.store import GraphStore
    from kogner.recipe import load_recipe

    names = Names(GraphStore.open(str(cell.experiment.graph)))
    recipe = load_recipe(cell.experiment.recipe, cell.overrides())
    about: dict[str, Any] = {"steps": 0, "best_step": None, "dev": {}}
    return about | _tested(cell, recipe, splits_of(cell, cell.train), partial(read_names, names=names))


def _recipe(cell: Cell, folders: Folders) -> Recipe:
    from kogner.recipe import load_recipe

    overrides = [*cell.overrides(), "train.threads=1"]
    if cell.initial is not None:
        overrides.append(f"student.initial={student_of(cell.initial, folders)}")
    return load_recipe(cell.experiment.recipe, overrides)


def splits_of(cell: Cell, names: Iterable[str]) -> list[Split]:
    """Train and dev documents of these corpora, without the types that its setting leaves out.

    Raises ConfigError where an arm's own corpus is not the plan's, or has a type annotated that is to be left out.
    """
    from kogner.train.splits import to_split, training_corpora

    splits, annotated = [], set[str]()
    for name in names:
        train, dev = training_corpora(name, Path(cell.folder(name)))
        if cell.folder(name) != cell.experiment.corpora[name]:
            of_plan = training_corpora(name, Path(cell.experiment.corpora[name]))
            for own, plan in zip((train, dev), of_plan, strict=True):
                _check_alike(cell, name, own, plan)
        annotated |= set(train.types) if name in cell.train else set()
        told = sorted(set(cell.without) & set(train.types))
        if told and name not in cell.train and not _is_silver(Path(cell.folder(name))):
            raise ConfigError(
                f"{cell.name} is to learn no {told[0]}, and {name} beside it has {told[0]} annotated; take silver "
                "text, or a corpus without"
            )
        if cell.without and name in cell.train:
            train, dev = _left(train, cell.without), None if dev is None else _left(dev, cell.without)
        splits.append(to_split(name, train, dev))
    if strange := set(cell.without) - annotated if cell.train else set():
        raise ConfigError(
            f"{cell.setting} leaves out {', '.join(sorted(strange))}, which none of its corpora has; they have "
            f"{', '.join(sorted(annotated))}"
        )
    return splits


def _is_silver(corpus: Path) -> bool:
    """Whether its labels are a graph's names, which no annotator has seen."""
    from kogner.data.silver import KIND

    return (corpus / MANIFEST).is_file() and read_manifest(corpus).kind == KIND


def _check_alike(cell: Cell, name: str, own: Corpus | None, plan: Corpus | None) -> None:
    """Raise ConfigError where a split of an arm's own corpus is not the plan's, but for what mentions are linked to."""
    ours, theirs = (
        [(one.id, one.text, sorted(mention.key for mention in one.mentions)) for one in side.documents] if side else []
        for side in (own, plan)
    )
    if ours != theirs:
        raise ConfigError(
            f"{cell.name}: {cell.folder(name)} and {cell.experiment.corpora[name]} hold other documents or mentions, "
            "or in another order; arms are compared on the same ones, so take a setting for others"
        )


def _left(corpus: Corpus, without: Collection[str]) -> Corpus:
    """A corpus as if nobody had annotated some types in it. Raises ConfigError where none is left."""
    types = tuple(kind for kind in corpus.types if kind not in without)
    if not types:
        raise ConfigError(f"{corpus.name} has no type but {', '.join(corpus.types)}, and all of these are left out")
    documents = tuple(
        dataclasses.replace(
            one,
            mentions=tuple(mention for mention in one.mentions if mention.type not in without),
            unsure=tuple(mention for mention in one.unsure if mention.type not in without),
            types=one.types - frozenset(without),
        )
        for one in corpus.documents
    )
    return dataclasses.replace(corpus, documents=documents, types=types)


def check_tests(cell: Cell) -> None:
    """Raise before hours of training what would stop its scoring: a test split that is not there, or no type of it."""
    from kogner.data import corpora

    for name in cell.test:
        corpus = corpora.load(name, cell.experiment.corpora[name], "test")
        if not _types_scored(cell, corpus):
            raise ConfigError(
                f"{cell.setting} scores {', '.join(sorted(cell.without))} alone, which the test split of {name} does "
                f"not have; it has {', '.join(corpus.types)}"
            )


def _types_scored(cell: Cell, corpus: Corpus) -> list[str]:
    return sorted(set(corpus.types) & set(cell.without) if cell.without else corpus.types)


def _reader(predictor: Predictor, names: Names | None = None) -> Reader:
    """What a student finds."""
    from kogner.annotate.predictor import Settings

    settings = Settings(token_budget=8192, threads=1)
    return lambda documents, types: list(predictor.predict(documents, labels=types, settings=settings, names=names))


def _tested(cell: Cell, recipe: Recipe, splits: Sequence[Split], read: Reader) -> dict[str, Any]:
    """Scores on the test documents, and the counts of each document for the statistics."""
    from kogner.data import corpora
    from kogner.evaluate.novelty import names, recall_by_novelty
    from kogner.evaluate.significance import document_counts
    from kogner.evaluate.spans import score, with_lost
    from kogner.train.splits import subset

    share, seed = recipe.train.train_share, recipe.train.data_seed
    of_setting = splits[: len(cell.train)]  # so that all arms are asked for the same unseen names
    known = set().union(*(names(subset(split.train, share, seed)) for split in of_setting))
    told: dict[str, Any] = {"test": {}, "documents": {}}
    for name in cell.test:
        corpus = corpora.load(name, cell.experiment.corpora[name], "test")
        types = _types_scored(cell, corpus)
        found = read(corpus.documents, types)
        lost = {kind: count for kind, count in corpus.lost.items() if kind in types}
        scores = with_lost(score(corpus.documents, found, types=types), lost).to_dict()
        novelty = recall_by_novelty(corpus.documents, found, known, types=types)
        told["test"][name] = scores | {"skipped": dict(sorted(lost.items())), **novelty}
        told["documents"][name] = document_counts(corpus.documents, found, types=types)
    return told


def _end_with(parent: int) -> None:
    """End this process where the one that started it has ended, so that the same command can go on with the cell."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def find(experiment: Experiment, name: str) -> Cell:
    """The cell of that name. Raises ConfigError where there is none."""
    for cell in experiment.cells():
        if cell.name == name:
            return cell
    raise ConfigError(f"experiment {experiment.name} has no training {name}; was its plan changed while it ran?")


def main() -> None:
    """What the runner starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan")
    parser.add_argument("cell")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parent", type=int, required=True, help="process with which this one ends")
    args = parser.parse_args()
    _end_with(args.parent)
    from kogner.environment import environment
    from kogner.progress import set_quiet

    set_quiet(True)
    try:
        folders = Folders(args.runs, args.scores)
        cell = find(load(args.plan), args.cell)
        with locked(folders.student(cell).with_name(f"{cell.name}.cell"), wait=True):
            found = finished(cell, folders)  # another run may have done it meanwhile
            if found is None or (cell.trains and not has_student(cell, found, folders)):
                run(cell, folders, device=args.device, revision=environment()["revision"])
    except KognerError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
