"""Scores that were made of files which are others by now, or not here: what they said stays said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kogner.errors import InputError
from kogner.experiment.cell import Cell
from kogner.experiment.folders import Folders
from kogner.experiment.plan import Experiment
from kogner.experiment.stored import look


def recorded(experiment: Experiment, folders: Folders) -> list[dict[str, Any]]:
    """Scores of all trainings of a plan that are finished, whatever its corpora, bank and graph are by now.

    The plan's recipes still decide which of them are finished. Raises InputError as `check_same_files`.
    """
    found, _ = look(experiment.cells(), folders, as_recorded=True)
    check_same_files(found)
    return [one for _, one in found]


def check_same_files(results: Sequence[tuple[Cell, Mapping[str, Any]]]) -> None:
    """Raise InputError where two scores are of different files: a corpus's split, bank, graph; or of another rule.

    Such two cannot be compared.
    """
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for cell, one in results:
        for what, file in _files(cell, one["identity"]):
            known, by = first.setdefault(what, (file, cell.name))
            if known != file:
                raise InputError(f"{by} and {cell.name} differ in {' '.join(what)}; run one again with the other's")


def _files(cell: Cell, identity: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Each corpus and split with the hash of its file, bank, graph and rules, of a training and what it starts from."""
    own = cell.own.get("corpora", {})
    for name, files in (identity.get("data") or {}).items():
        for split, file in (files or {}).items():
            yield (name if split == "test" else own.get(name, name), split), file
    fitted = not cell.is_stage or "thresholds" in identity  # a stage may have no dev split
    if cell.base is None and cell.train and fitted and not cell.alone:
        yield ("the rule", "that fits thresholds"), str(identity.get("thresholds", 1))
    if cell.base is not None and cell.train and not cell.texts:
        yield ("the rule", "that weighs names"), str(identity.get("weighing", 1))
    if cell.base is not None and cell.texts:
        yield ("the rule", "that weighs names by texts"), str(identity.get("trust", 1))
    if cell.base is not None:  # names alone, which no student reads, may be of another one
        yield ("the rule", f"that finds names in {cell.setting}"), str(identity.get("scanner", 1))
    pseudo = identity.get("pseudo") or {}
    for name, file in ((identity.get("texts") or {}) | (pseudo.get("texts") or {})).items():
        yield (name, "train"), file
    for name, file in (pseudo.get("apart") or {}).items():
        corpus, _, split = name.rpartition(" ")
        yield (corpus, split), file
    for what in ("names", "graph"):
        if identity.get(what):
            yield ("the graph", what), identity[what]
    if identity.get("bank"):  # where names count by their entities a slice is another bank, elsewhere it is the same
        yield ("the bank", f"{cell.bank}{' of names' if 'by_entity' in identity else ''}"), str(identity["bank"])
    labeller = pseudo.get("by")
    for after, before in (
        (cell.base, identity.get("base")),
        (cell.initial, identity.get("initial")),
        (cell.labeller, labeller),
    ):
        if after is not None and before:
            yield from _files(after, before)
