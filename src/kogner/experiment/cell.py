"""One training of an experiment and its scores, in a process of its own: `python -m kogner.experiment.cell`."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.artifacts import MANIFEST, file_sha256, read_manifest, write_atomic
from kogner.errors import ArtifactError, ConfigError, KognerError
from kogner.experiment.folders import Folders
from kogner.experiment.plan import Cell, Experiment, load
from kogner.experiment.pseudo import label_inputs, pseudo_labelled, student_of, train_text

if TYPE_CHECKING:
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor
    from kogner.config import Recipe
    from kogner.data.corpora import Corpus
    from kogner.train.splits import Split

WITHOUT_EFFECT = ("threads", "save_every", "log_every")  # of a recipe's train section: on no figure
LEARNER = 2  # of `kogner.train.entity_weights`: another number where it learns in another way
WEIGHING = 2  # of `kogner.train.name_evidence`, where dev decides; 1, the best of a grid, where an identity has none
BEFORE = {"agreement": False}  # what it was before it could be said, where that is not today's default


def identity(cell: Cell, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides its figures, but for the code: recipe, data, bank, and the same of what it starts from.

    told: a stored identity from which that of files is taken (data, bank, graph, encoder) instead of the files.
    """
    from kogner.mapping import to_mapping
    from kogner.recipe import load_recipe
    from kogner.teacher.bank import origin

    experiment = cell.experiment
    if cell.base is not None:
        names = read_manifest(Path(str(experiment.graph))).hash if told is None else told.get("names")
        said: dict[str, Any] = {"base": identity(cell.base, _of(told, "base")), "names": names}
        if cell.texts:
            files = {name: train_text(cell, name) for name in cell.texts} if told is None else told.get("texts") or {}
            said["texts"] = {name: files.get(name) for name in cell.texts}
        elif cell.train and (rule := WEIGHING if told is None else told.get("weighing")) is not None:
            said["weighing"] = rule
        if cell.by_entity is not None:
            # Each of a bank's entities counts here, so that a slice is another one.
            bank = read_manifest(Path(str(cell.bank))).hash if told is None else told.get("bank")
            how = {**dataclasses.asdict(cell.by_entity), "learner": LEARNER}
            said |= {"by_entity": json.loads(json.dumps(how)), "bank": bank}
        return _with_hash(said, cell)
    recipe = load_recipe(experiment.recipe, cell.overrides())
    wanted = dict.fromkeys((*cell.train, *cell.beside, *cell.test))
    if told is None:
        data = {name: {split: file_sha256(file) for split, file in _files(cell, name).items()} for name in wanted}
    else:
        data = {name: told.get("data", {}).get(name) for name in wanted}
    values: dict[str, Any] = json.loads(json.dumps(to_mapping(recipe)))
    for name in WITHOUT_EFFECT:
        values["train"].pop(name)
    values.pop("teacher")  # the bank says how it was made
    used = cell.bank if recipe.loss.dist_weight > 0 else None
    graph = experiment.graph if recipe.train.kinds else None
    said = {"recipe": values, "data": data, "train": list(cell.train), "test": list(cell.test)}
    if told is None:
        said["bank"] = None if used is None else origin(read_manifest(Path(used)))
        said["graph"] = None if graph is None else read_manifest(Path(graph)).hash
    else:
        said |= {"bank": used and told.get("bank"), "graph": graph and told.get("graph")}
    said["initial"] = None if cell.initial is None else identity(cell.initial, _of(told, "initial"))
    if cell.without:
        said["without"] = sorted(cell.without)
    if cell.labeller is not None:
        said["pseudo"] = label_inputs(cell, identity(cell.labeller)) if told is None else _pseudo_as_told(cell, told)
    weights = Path(recipe.student.encoder) / "model.safetensors"
    if told is not None:
        said |= {name: told[name] for name in ("encoder",) if name in told}
    elif weights.is_file():  # of one of our own, which its name does not tell
        said["encoder"] = file_sha256(weights)
    return _with_hash(said, cell)


def _with_hash(said: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """Files of its own are named: they are others than those of the plan, whatever is known of what they hold."""
    said |= {"own": cell.own} if cell.own else {}
    return said | {"hash": _hash(said)}


def _files(cell: Cell, corpus: str) -> dict[str, Path]:
    """Files by split: what is trained on may be an arm's own, what is scored is the plan's."""
    from kogner.data import corpora

    files = corpora.splits(cell.folder(corpus))
    scored = corpora.splits(cell.experiment.corpora[corpus]) if cell.own else files
    return files | {split: file for split, file in scored.items() if split == "test"}


def _of(told: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    return None if told is None else told.get(name) or {}


def _pseudo_as_told(cell: Cell, told: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the labels of its texts: the files as they were, the rest as the plan has it."""
    assert cell.labeller is not None and cell.pseudo is not None
    before = told.get("pseudo") or {}
    texts = {name: (before.get("texts") or {}).get(name) for name in cell.pseudo.texts}
    return {**before, "by": identity(cell.labeller, before.get("by") or {}), "texts": texts}


def _hash(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _today(stored: dict[str, Any], now: dict[str, Any], *, before: bool = False) -> dict[str, Any]:
    """A stored identity as it would be told today: settings that came later were then what they are by default.

    before: it is of what another cell starts from, to which it does not matter on what that is scored.
    """
    from kogner.config import Recipe
    from kogner.mapping import to_mapping

    if "base" in stored or "base" in now:
        if "base" not in stored or "base" not in now:
            return {"hash": ""}  # it was of another kind
        said = {"base": _today(stored["base"], now["base"], before=before), "names": stored["names"]}
        said |= {name: stored[name] for name in ("texts", "weighing", "by_entity", "bank", "own") if name in stored}
        return said | {"hash": _hash(said)}
    defaults = json.loads(json.dumps(to_mapping(Recipe())))
    defaults["train"] |= BEFORE
    sections = {name: defaults[name] | values for name, values in stored["recipe"].items() if isinstance(values, dict)}
    for name in WITHOUT_EFFECT:
        sections["train"].pop(name, None)
    said = {key: stored.get(key) for key in (stored | now) if key != "hash"} | {"recipe": stored["recipe"] | sections}
    if before:
        learnt = {*now["train"], *now["recipe"]["train"]["beside"]}
        said["test"] = now["test"]
        said["data"] = {
            name: said["data"].get(name) if name in learnt else files for name, files in now["data"].items()
        }
    elif set(now["test"]) <= set(said["test"]):  # scored on more than is asked for now
        said["test"] = now["test"]
        said["data"] = {name: files for name, files in said["data"].items() if name in now["data"]}
    if said["initial"] is not None and now["initial"] is not None:
        said["initial"] = _today(said["initial"], now["initial"], before=True)
    if said.get("pseudo") and now.get("pseudo"):
        said["pseudo"] = said["pseudo"] | {"by": _today(said["pseudo"]["by"], now["pseudo"]["by"], before=True)}
    return said | {"hash": _hash(said)}


def finished(cell: Cell, folders: Folders, *, as_recorded: bool = False) -> dict[str, Any] | None:
    """Its scores, if they are there and of the same recipe, data, bank, and student that it starts from.

    as_recorded: data, bank and graph may be others by now, or not be there; see `kogner.experiment.recorded`.
    Raises ArtifactError for a file that holds no scores.
    """
    found = _stored(folders.scored(cell))
    if found is None:
        return None
    now = identity(cell, found["identity"] if as_recorded else None)
    if _today(found["identity"], now)["hash"] != now["hash"]:
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
    found = _named(cell, folders, device=device) if cell.base is not None else _trained(cell, folders, device=device)
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
        return about | _tested(cell, recipe, [], Predictor.load(str(student), device=device))
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
    return told | _tested(cell, recipe, splits, Predictor.load(str(out), device=device))


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
    return told | _tested(cell, _recipe(cell.base, folders), splits, predictor, names)


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


def _tested(
    cell: Cell, recipe: Recipe, splits: Sequence[Split], predictor: Predictor, of_graph: Names | None = None
) -> dict[str, Any]:
    """Scores on the test documents, and the counts of each document for the statistics."""
    from kogner.annotate.predictor import Settings
    from kogner.data import corpora
    from kogner.evaluate.novelty import names, recall_by_novelty
    from kogner.evaluate.significance import document_counts
    from kogner.evaluate.spans import score, with_lost
    from kogner.train.splits import subset

    share, seed = recipe.train.train_share, recipe.train.data_seed
    of_setting = splits[: len(cell.train)]  # so that all arms are asked for the same unseen names
    known = set().union(*(names(subset(split.train, share, seed)) for split in of_setting))
    told: dict[str, Any] = {"test": {}, "documents": {}}
    settings = Settings(token_budget=8192, threads=1)
    for name in cell.test:
        corpus = corpora.load(name, cell.experiment.corpora[name], "test")
        types = sorted(set(corpus.types) & set(cell.without) if cell.without else corpus.types)
        found = list(predictor.predict(corpus.documents, labels=types, settings=settings, names=of_graph))
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
