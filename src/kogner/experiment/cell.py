"""One training of an experiment and its scores, in a process of its own: `python -m kogner.experiment.cell`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.artifacts import MANIFEST, read_manifest, write_atomic
from kogner.errors import ArtifactError, ConfigError, KognerError
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity, today
from kogner.experiment.plan import Cell, Experiment, load
from kogner.experiment.pseudo import pseudo_labelled, student_of

if TYPE_CHECKING:
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor
    from kogner.config import Recipe
    from kogner.data.corpora import Corpus
    from kogner.records import Document
    from kogner.train.splits import Split

    Reader = Callable[[Sequence[Document], Sequence[str]], Sequence[Document]]  # of documents and types


def finished(cell: Cell, folders: Folders, *, as_recorded: bool = False) -> dict[str, Any] | None:
    """Its scores, if they are there and of the same recipe, data, bank, and student that it starts from.

    as_recorded: data, bank and graph may be others by now, or not be there; see `kogner.experiment.recorded`.
    Raises ArtifactError for a file that holds no scores.
    """
    found = _stored(folders.scored(cell))
    if found is None:
        return None
    now = identity(cell, found["identity"] if as_recorded else None)
    if today(found["identity"], now)["hash"] != now["hash"]:
        return None
    for said, after in (("initial", cell.start), ("labeller", cell.labeller)):
        before = None if after is None else _stored(folders.scored(after))
        if after is None or before is None:
            continue
        student = before.get("student" if after.base is None else "initial")
        if None not in (found.get(said), student) and found[said] != student:  # earlier scores do not name it
            return None
        weights = before.get("name_weights", {})
        scales = {name: of["scale"] for name, of in before.get("entity_weights", {}).items()}
        if said == "labeller" and found.get("labeller_weights", weights) != weights:
            return None
        if said == "labeller" and found.get("labeller_scales", scales) != scales:
            return None
    return found


def _stored(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found["identity"]["hash"], str):
            raise TypeError("its identity is no text")
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file} holds no scores of a training ({error!r}); delete it to run that again") from error
    return found


def run(cell: Cell, folders: Folders, *, device: str, revision: str) -> dict[str, Any]:
    """Train and score it, and write the scores. A training that was killed goes on where it was."""
    from kogner.environment import place

    begun = time.monotonic()
    said = identity(cell)
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
    return result


def _trained(cell: Cell, folders: Folders, *, device: str) -> dict[str, Any]:
    from kogner.annotate.predictor import Predictor
    from kogner.graph.store import GraphStore
    from kogner.teacher.bank import Bank
    from kogner.train.loop import train

    experiment, out = cell.experiment, folders.student(cell)
    recipe = _recipe(cell, folders)
    if not cell.trains:
        student = student_of(cell, folders)
        about: dict[str, Any] = {"steps": 0, "best_step": None, "dev": {}, "student": read_manifest(student).hash}
        return about | _tested(cell, recipe, [], _reader(Predictor.load(str(student), device=device)))
    bank = Bank.open(str(cell.bank)) if recipe.loss.dist_weight > 0 and cell.bank is not None else None
    graph = GraphStore.open(experiment.graph) if recipe.train.kinds and experiment.graph is not None else None
    splits = _splits(cell, (*cell.train, *cell.beside))
    if not cell.train:  # nothing is fitted there on what people annotated
        splits = [dataclasses.replace(split, dev=()) for split in splits]
    told: dict[str, Any] = {}
    if cell.labeller is not None:
        labelled, told = pseudo_labelled(cell, folders, splits, device=device)
        splits.append(labelled)
    out.parent.mkdir(parents=True, exist_ok=True)
    metrics = train(recipe, splits, out, bank=bank, graph=graph, device=device)
    dev = {name: found["f1"] for name, found in metrics["dev"].items() if name != "all" and "f1" in found}
    told |= {"steps": metrics["steps"], "best_step": metrics["best_step"], "dev": dev}
    told["seconds_before"] = metrics["seconds_before"]
    told["student"] = read_manifest(out).hash
    if not cell.test:
        return told | {"test": {}, "documents": {}}
    return told | _tested(cell, recipe, splits, _reader(Predictor.load(str(out), device=device)))


def _named(cell: Cell, folders: Folders, *, device: str) -> dict[str, Any]:
    """The student of its base, read with names of the graph."""
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor
    from kogner.experiment.weighing import weigh_names
    from kogner.graph.store import GraphStore

    assert cell.base is not None
    names = Names(GraphStore.open(str(cell.experiment.graph)))
    predictor = Predictor.load(str(student_of(cell.base, folders)), device=device)
    splits = _splits(cell, cell.train)
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
    return about | _tested(cell, recipe, _splits(cell, cell.train), partial(read_names, names=names))


def _recipe(cell: Cell, folders: Folders) -> Recipe:
    from kogner.recipe import load_recipe

    overrides = [*cell.overrides(), "train.threads=1"]
    if cell.initial is not None:
        overrides.append(f"student.initial={student_of(cell.initial, folders)}")
    return load_recipe(cell.experiment.recipe, overrides)


def _splits(cell: Cell, names: Iterable[str]) -> list[Split]:
    from kogner.train.splits import to_split, training_corpora

    splits, annotated = [], set[str]()
    for name in names:
        train, dev = training_corpora(name, Path(cell.folder(name)))
        if cell.folder(name) != cell.experiment.corpora[name]:
            _check_alike(cell, train, training_corpora(name, Path(cell.experiment.corpora[name]))[0])
        annotated |= set(train.types) if name in cell.train else set()
        if cell.without and name in cell.train:
            train, dev = _left(train, cell.without), None if dev is None else _left(dev, cell.without)
        splits.append(to_split(name, train, dev))
    if strange := set(cell.without) - annotated if cell.train else set():
        raise ConfigError(
            f"{cell.setting} leaves out {', '.join(sorted(strange))}, which none of its corpora has; they have "
            f"{', '.join(sorted(annotated))}"
        )
    return splits


def _check_alike(cell: Cell, own: Corpus, plan: Corpus) -> None:
    """Raise ConfigError where an arm's own corpus has other documents, of which a share would be another one."""
    if [one.id for one in own.documents] != [one.id for one in plan.documents]:
        raise ConfigError(
            f"{cell.name}: {own.path} and {plan.path} hold other documents, or in another order; arms are compared on "
            "the same ones, so take a setting for other documents"
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
        types = sorted(set(corpus.types) & set(cell.without) if cell.without else corpus.types)
        found = read(corpus.documents, types)
        lost = {kind: count for kind, count in corpus.lost.items() if kind in types}
        scores = with_lost(score(corpus.documents, found, types=types), lost).to_dict()
        novelty = recall_by_novelty(corpus.documents, found, known, types=types)
        told["test"][name] = scores | {"skipped": dict(sorted(lost.items())), **novelty}
        told["documents"][name] = document_counts(corpus.documents, found, types=types)
    return told


def has_student(cell: Cell, found: Mapping[str, Any], folders: Folders) -> bool:
    """Whether the student that its scores are of is there."""
    folder = folders.student(cell)
    if not (folder / MANIFEST).is_file():
        return False
    return found.get("student") in (None, read_manifest(folder).hash)  # earlier scores do not name it


def _end_with(parent: int) -> None:
    """End this process where the one that started it has ended, so that the same command can go on with the cell."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def find(experiment: Experiment, name: str) -> Cell:
    """The cell of that name."""
    return next(cell for cell in experiment.cells() if cell.name == name)


def main() -> None:
    """What the runner starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan")
    parser.add_argument("cell")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--revision", default="unknown")
    args = parser.parse_args()
    from kogner.progress import set_quiet

    set_quiet(True)
    _end_with(os.getppid())
    try:
        folders = Folders(args.runs, args.scores)
        run(find(load(args.plan), args.cell), folders, device=args.device, revision=args.revision)
    except KognerError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
