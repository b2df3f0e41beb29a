"""What decides the figures of a training, told in data: two trainings of one identity have the same scores."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kogner.artifacts import read_manifest
from kogner.experiment.cell import Cell
from kogner.experiment.hashes import sha256_of
from kogner.experiment.pseudo import label_inputs, train_text

WITHOUT_EFFECT = ("threads", "save_every", "log_every")  # of a recipe's train section: on no figure
LEARNER = 2  # of `kogner.train.entity_weights`: another number where it learns in another way
THRESHOLDS = 2  # of `kogner.train.thresholds`, where dev decides; 1, the best of a grid, where an identity has none
SCANNER = 2  # of the names that are found in a text; 1, where blanks beside Greek letters counted, if absent
# Of `kogner.train.name_evidence` and `kogner.annotate.names`, where dev decides; 1, the best of a grid, where an
# identity has none; 2, where a name counted for nothing that the student gave less than NAME_FLOOR, and no name lost;
# 3, where no name lost more than 3.
WEIGHING = 4
TRUST = 2  # of `kogner.train.trust` and how many texts are read; 1, where names that no span reached counted, if absent
RULES = {"thresholds": THRESHOLDS, "scanner": SCANNER, "weighing": WEIGHING, "trust": TRUST}
OWN_FOLDERS = ("encoder", "label_encoder", "initial")  # of a student: a name does not tell what they hold
BEFORE = {"agreement": False}  # what it was before it could be said, where that is not today's default


def identity(cell: Cell, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides its figures, but for the code: recipe, data, bank, and the same of what it starts from.

    told: a stored identity from which that of files is taken (data, bank, graph, encoder) instead of the files.
    """
    from kogner.mapping import to_mapping
    from kogner.recipe import load_recipe
    from kogner.teacher.bank import origin

    experiment = cell.experiment
    if cell.alone:
        return _identity_alone(cell, told)
    if cell.base is not None:
        names = read_manifest(Path(str(experiment.graph))).hash if told is None else told.get("names")
        said: dict[str, Any] = {"base": identity(cell.base, _of(told, "base")), "names": names}
        said |= _rule("scanner", SCANNER, told)
        said |= {"untyped": sorted(cell.untyped)} if cell.untyped else {}
        if cell.texts:
            files = {name: train_text(cell, name) for name in cell.texts} if told is None else told.get("texts") or {}
            said["texts"] = {name: files.get(name) for name in cell.texts}
            said |= _rule("trust", TRUST, told)
        elif cell.train:
            said |= _rule("weighing", WEIGHING, told)
        if cell.by_entity is not None:
            # Each of a bank's entities counts here, so that a slice is another one.
            bank = read_manifest(Path(str(cell.bank))).hash if told is None else told.get("bank")
            how = {**dataclasses.asdict(cell.by_entity), "learner": LEARNER}
            said |= {"by_entity": json.loads(json.dumps(how)), "bank": bank}
        return _with_hash(said, cell)
    recipe = load_recipe(experiment.recipe, cell.overrides())
    wanted = dict.fromkeys((*cell.train, *cell.beside, *cell.test))
    if told is None:
        data = {name: {split: sha256_of(file) for split, file in files_of(cell, name).items()} for name in wanted}
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
    if cell.train and (not cell.is_stage or any("dev" in (data[name] or {}) for name in cell.train)):
        said |= _rule("thresholds", THRESHOLDS, told)
    if cell.without:
        said["without"] = sorted(cell.without)
    if cell.labeller is not None:
        said["pseudo"] = label_inputs(cell, identity(cell.labeller)) if told is None else _pseudo_as_told(cell, told)
    for name in OWN_FOLDERS:
        folder = Path(getattr(recipe.student, name) or "")
        if told is None and folder != Path() and folder.is_dir():
            said[f"files of {name}"] = _files_in(folder)
        elif told is not None and f"files of {name}" in told:
            said[f"files of {name}"] = told[f"files of {name}"]
    return _with_hash(said, cell)


def _rule(name: str, number: int, told: Mapping[str, Any] | None) -> dict[str, int]:
    """The number of a rule in an identity; earlier ones that are told may have none."""
    if told is None:
        return {name: number}
    return {name: told[name]} if name in told else {}


def rules(said: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of the rules that decided a score, by what they decide; today's are in `RULES`.

    An identity of before a rule had numbers has none, and then it is of the first, where the rule decided anything.
    """
    if "base" in said:
        weighed = "trust" if "texts" in said else "weighing" if said["base"].get("train") else None
        return rules(said["base"]) | {name: said.get(name, 1) for name in ("scanner", weighed) if name is not None}
    if "alone" in said:
        return {"scanner": said.get("scanner", 1)}
    if said.get("pseudo"):  # what decided its labels, thresholds of which it has its own
        own = rules({name: value for name, value in said.items() if name != "pseudo"} | {"initial": None})
        return {name: number for name, number in rules(said["pseudo"]["by"]).items() if name != "thresholds"} | own
    if not said.get("train"):  # nothing was fitted on what people annotated, but in what is scored as it is
        return rules(said["initial"]) if said.get("initial") else {}
    on_dev = any("dev" in (said.get("data", {}).get(name) or {}) for name in said["train"])
    return {"thresholds": said.get("thresholds", 1)} if on_dev or "thresholds" in said else {}


def by_today(numbers: Mapping[str, Sequence[int]] | None, *names: str) -> bool:
    """Whether today's rules decided what has these numbers (`rules` of a summary's row), of those that are named, or of
    all. None, of a summary of before rules had numbers: no.
    """
    return numbers is not None and all(
        number == RULES[name] for name in names or numbers for number in numbers.get(name, ())
    )


def _files_in(folder: Path) -> str:
    """One hash of all files of a folder, by name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return _hash({str(file.relative_to(folder)): sha256_of(file) for file in files})


def _identity_alone(cell: Cell, told: Mapping[str, Any] | None) -> dict[str, Any]:
    """The graph, what is scored, and the train documents whose names are known."""
    wanted = dict.fromkeys((*cell.train, *cell.test))
    names = read_manifest(Path(str(cell.experiment.graph))).hash if told is None else told.get("names")
    if told is None:
        data = {name: {split: sha256_of(file) for split, file in files_of(cell, name).items()} for name in wanted}
    else:
        data = {name: told.get("data", {}).get(name) for name in wanted}
    share = cell.experiment.settings[cell.setting].share
    said = {"alone": True, "names": names, "data": data, "train": list(cell.train), "test": list(cell.test)}
    said |= {"share": share, "seed": cell.seed, "without": sorted(cell.without)} | _rule("scanner", SCANNER, told)
    return _with_hash(said, cell)


def _with_hash(said: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """Files of its own are named: they are others than those of the plan, whatever is known of what they hold."""
    said |= {"own": cell.own} if cell.own else {}
    return said | {"hash": _hash(said)}


def files_of(cell: Cell, corpus: str) -> dict[str, Path]:
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
        said["initial"] = today(said["initial"], now["initial"], before=True)
    if said.get("pseudo") and now.get("pseudo"):
        said["pseudo"] = said["pseudo"] | {"by": today(said["pseudo"]["by"], now["pseudo"]["by"], before=True)}
    return said | {"hash": _hash(said)}
