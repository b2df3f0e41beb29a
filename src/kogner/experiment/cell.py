"""One training of an experiment and its scores, in a process of its own: `python -m kogner.experiment.cell`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from kogner.artifacts import file_sha256, read_manifest, write_atomic
from kogner.errors import KognerError
from kogner.experiment.plan import Cell, Experiment, load

SCORES = "scores"


def folder_of(cell: Cell, runs: Path) -> Path:
    """Where its student is written."""
    return runs / cell.experiment.name / cell.name


def scores_of(cell: Cell, runs: Path) -> Path:
    """The file with its identity and, once it is finished, its scores."""
    return runs / cell.experiment.name / SCORES / f"{cell.name}.json"


def identity(cell: Cell) -> dict[str, Any]:
    """What decides its figures, but for the code: recipe, data, bank, and the same of the stage it starts from."""
    from kogner.data import corpora
    from kogner.mapping import to_mapping
    from kogner.recipe import load_recipe

    experiment = cell.experiment
    recipe = load_recipe(experiment.recipe, cell.overrides())
    data = {
        name: {split: file_sha256(file) for split, file in corpora.splits(experiment.corpora[name]).items()}
        for name in dict.fromkeys((*cell.train, *cell.beside, *cell.test))
    }
    values: dict[str, Any] = json.loads(json.dumps(to_mapping(recipe)))
    values["train"].pop("threads")  # one here, and no figure depends on it
    values.pop("teacher")  # the bank says how it was made
    used = experiment.bank if recipe.loss.dist_weight > 0 else None
    graph = experiment.graph if recipe.train.kinds else None
    said = {
        "recipe": values,
        "data": data,
        "train": list(cell.train),
        "test": list(cell.test),
        "bank": None if used is None else read_manifest(Path(used)).hash,
        "graph": None if graph is None else read_manifest(Path(graph)).hash,
        "initial": None if cell.initial is None else identity(cell.initial),
    }
    return said | {"hash": _hash(said)}


def _hash(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _today(stored: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """A stored identity with what settings that came later were then: what they are by default."""
    from kogner.config import Recipe
    from kogner.mapping import to_mapping

    defaults = json.loads(json.dumps(to_mapping(Recipe())))
    sections = {name: defaults[name] | values for name, values in stored["recipe"].items() if isinstance(values, dict)}
    sections["train"].pop("threads", None)
    said = {key: stored.get(key) for key in now if key != "hash"} | {"recipe": stored["recipe"] | sections}
    if said["initial"] is not None and now["initial"] is not None:
        said["initial"] = _today(said["initial"], now["initial"])
    return said | {"hash": _hash(said)}


def finished(cell: Cell, runs: Path) -> dict[str, Any] | None:
    """Its scores, if they are there and of the same recipe, data, bank and stage."""
    file = scores_of(cell, runs)
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    now = identity(cell)
    return found if _today(found["identity"], now)["hash"] == now["hash"] else None


def run(cell: Cell, runs: Path, *, device: str, revision: str) -> dict[str, Any]:
    """Train and score it, and write the scores. A training that was killed goes on where it was."""
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.evaluate.novelty import names, recall_by_novelty
    from kogner.evaluate.significance import document_counts
    from kogner.evaluate.spans import score, with_lost
    from kogner.graph.store import GraphStore
    from kogner.recipe import load_recipe
    from kogner.teacher.bank import Bank
    from kogner.train.loop import train
    from kogner.train.splits import subset, to_split

    begun = time.monotonic()
    experiment, out = cell.experiment, folder_of(cell, runs)
    overrides = [*cell.overrides(), "train.threads=1"]
    if cell.initial is not None:
        overrides.append(f"student.initial={folder_of(cell.initial, runs)}")
    recipe = load_recipe(experiment.recipe, overrides)
    bank = Bank.open(str(experiment.bank)) if recipe.loss.dist_weight > 0 and experiment.bank is not None else None
    splits = []
    for name in (*cell.train, *cell.beside):
        path = experiment.corpora[name]
        dev = corpora.load(name, path, "dev") if "dev" in corpora.splits(path) else None
        splits.append(to_split(name, corpora.load(name, path, "train"), dev))
    said = identity(cell)
    out.parent.mkdir(parents=True, exist_ok=True)
    graph = GraphStore.open(experiment.graph) if recipe.train.kinds and experiment.graph is not None else None
    metrics = train(recipe, splits, out, bank=bank, graph=graph, device=device)
    result: dict[str, Any] = {
        "cell": {"setting": cell.setting, "arm": cell.arm, "seed": cell.seed},
        "identity": said,
        "revision": revision,
        "steps": metrics["steps"],
        "best_step": metrics["best_step"],
        "dev": {name: found["f1"] for name, found in metrics["dev"].items() if name != "all" and "f1" in found},
        "test": {},
        "documents": {},
    }
    share, seed = recipe.train.train_share, recipe.train.data_seed
    of_setting = splits[: len(cell.train)]  # so that all arms are asked for the same unseen names
    known = set().union(*(names(subset(split.train, share, seed)) for split in of_setting))
    predictor = Predictor.load(str(out), device=device) if cell.test else None
    for name in cell.test:
        corpus = corpora.load(name, experiment.corpora[name], "test")
        assert predictor is not None
        types = sorted(corpus.types)
        found = list(predictor.predict(corpus.documents, labels=types, settings=Settings(token_budget=8192, threads=1)))
        scores = with_lost(score(corpus.documents, found, types=types), corpus.lost).to_dict()
        novelty = recall_by_novelty(corpus.documents, found, known, types=types)
        result["test"][name] = scores | {"skipped": dict(sorted(corpus.lost.items())), **novelty}
        result["documents"][name] = document_counts(corpus.documents, found, types=types)
    result["seconds"] = round(time.monotonic() - begun)
    file = scores_of(cell, runs)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(result))
    return result


def find(experiment: Experiment, name: str) -> Cell:
    """The cell of that name."""
    return next(cell for cell in experiment.cells() if cell.name == name)


def main() -> None:
    """What the runner starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan")
    parser.add_argument("cell")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--revision", default="unknown")
    args = parser.parse_args()
    from kogner.progress import set_quiet

    set_quiet(True)
    try:
        run(find(load(args.plan), args.cell), args.runs, device=args.device, revision=args.revision)
    except KognerError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
