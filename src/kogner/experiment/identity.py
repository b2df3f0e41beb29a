"""What decides the figures of a training, told in data: two trainings of one identity have the same scores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from kogner.experiment.cell import Cell
from kogner.experiment.hashes import hash_of
from kogner.experiment.inputs import Files, Inputs, Recorded

WITHOUT_EFFECT = ("threads", "save_every", "log_every")  # of a recipe's train section: on no figure
LEARNER = 2  # of `kogner.train.entity_weights`: another number where it learns in another way
OWN_FOLDERS = ("encoder", "label_encoder", "initial")  # of a student: a name does not tell what they hold
BEFORE = {"agreement": False}  # what it was before it could be said, where that is not today's default


def identity(cell: Cell, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides its figures, but for the code: recipe, data, bank, rules, and the same of what it starts from.

    told: a stored identity from which that of files is taken (data, bank, graph, encoder) instead of the files.
    """
    return _identity(cell, Files(cell) if told is None else Recorded(cell, told))


def _identity(cell: Cell, inputs: Inputs) -> dict[str, Any]:
    if cell.alone:
        said = _of_names_alone(cell, inputs)
    elif cell.base is not None:
        said = _of_reading_with_names(cell, cell.base, inputs)
    else:
        said = _of_training(cell, inputs)
    # Files of its own are named: they are others than those of the plan, whatever is known of what they hold.
    said |= {"own": cell.own} if cell.own else {}
    return said | {"hash": hash_of(said)}


def _of_names_alone(cell: Cell, inputs: Inputs) -> dict[str, Any]:
    """The graph, what is scored, and the train documents whose names are known."""
    return {
        "alone": True,
        "names": inputs.graph("names"),
        "data": inputs.data(tuple(dict.fromkeys((*cell.train, *cell.test)))),
        "train": list(cell.train),
        "test": list(cell.test),
        "share": cell.experiment.settings[cell.setting].share,
        "seed": cell.seed,
        "without": sorted(cell.without),
        **inputs.rule("scanner"),
    }


def _of_reading_with_names(cell: Cell, base: Cell, inputs: Inputs) -> dict[str, Any]:
    """The student that is read with them, the graph, and what says how much a name counts."""
    said: dict[str, Any] = {
        "base": _identity(base, inputs.of(base, "base")),
        "names": inputs.graph("names"),
        **inputs.rule("scanner"),
    }
    if cell.untyped:
        said["untyped"] = sorted(cell.untyped)
    if cell.texts:
        said |= {"texts": inputs.texts(cell.texts), **inputs.rule("trust")}
    elif cell.train:
        said |= inputs.rule("weighing")
    if cell.by_entity is not None:
        how = {**dataclasses.asdict(cell.by_entity), "learner": LEARNER}
        said |= {"by_entity": json.loads(json.dumps(how)), "bank": inputs.bank()}
    return said


def _of_training(cell: Cell, inputs: Inputs) -> dict[str, Any]:
    """Recipe, data, bank, and what it starts from."""
    from kogner.mapping import to_mapping
    from kogner.recipe import load_recipe

    recipe = load_recipe(cell.experiment.recipe, cell.overrides())
    values: dict[str, Any] = json.loads(json.dumps(to_mapping(recipe)))
    for name in WITHOUT_EFFECT:
        values["train"].pop(name)
    values.pop("teacher")  # the bank says how it was made
    data = inputs.data(tuple(dict.fromkeys((*cell.train, *cell.beside, *cell.test))))
    start = cell.initial
    said: dict[str, Any] = {
        "recipe": values,
        "data": data,
        "train": list(cell.train),
        "test": list(cell.test),
        "bank": inputs.distilled() if recipe.loss.dist_weight > 0 else None,
        "graph": inputs.graph("graph") if recipe.train.kinds and cell.experiment.graph is not None else None,
        "initial": None if start is None else _identity(start, inputs.of(start, "initial")),
    }
    if cell.train and (not cell.is_stage or any("dev" in (data[name] or {}) for name in cell.train)):
        said |= inputs.rule("thresholds")
    if cell.without:
        said["without"] = sorted(cell.without)
    if cell.labeller is not None:
        said["pseudo"] = inputs.labels(_identity(cell.labeller, inputs.of(cell.labeller, "by")))
    for name in OWN_FOLDERS:
        said |= inputs.folder(f"files of {name}", getattr(recipe.student, name) or "")
    return said


def today(stored: dict[str, Any], now: dict[str, Any], *, before: bool = False) -> dict[str, Any]:
    """A stored identity as it would be told today: settings that came later were then what they are by default.

    before: it is of what another cell starts from, to which it does not matter on what that is scored.
    """
    from kogner.config import Recipe
    from kogner.mapping import to_mapping

    if "alone" in stored or "alone" in now:
        return stored if "alone" in stored and "alone" in now else {"hash": ""}
    if "base" in stored or "base" in now:
        if "base" not in stored or "base" not in now:
            return {"hash": ""}  # it was of another kind
        said = {"base": today(stored["base"], now["base"], before=before), "names": stored["names"]}
        said |= {name: value for name, value in stored.items() if name not in ("base", "names", "hash")}
        return said | {"hash": hash_of(said)}
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
        said["initial"] = today(said["initial"], now["initial"], before=True)
    if said.get("pseudo") and now.get("pseudo"):
        said["pseudo"] = said["pseudo"] | {"by": today(said["pseudo"]["by"], now["pseudo"]["by"], before=True)}
    return said | {"hash": hash_of(said)}
