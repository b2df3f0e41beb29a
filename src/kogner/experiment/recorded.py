"""Scores that were made of files which are others by now, or not here: what they said stays said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kogner.errors import InputError
from kogner.experiment.cell import finished
from kogner.experiment.folders import Folders
from kogner.experiment.plan import Experiment


def recorded(experiment: Experiment, folders: Folders) -> list[dict[str, Any]]:
    """Scores of all trainings of a plan that are finished, whatever its corpora, bank and graph are by now.

    The plan's recipes still decide which of them are finished. Raises InputError where two are of different files of
    one corpus, and so cannot be compared.
    """
    found = [one for cell in experiment.cells() if (one := finished(cell, folders, as_recorded=True)) is not None]
    check_same_files(found)
    return found


def check_same_files(results: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError where scores are of different files of one split of a corpus, banks, or graphs' names."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for one in results:
        cell = "-".join(str(one["cell"][name]) for name in ("setting", "arm", "seed"))
        for what, file in _files(one["identity"]):
            known, by = first.setdefault(what, (file, cell))
            if known != file:
                raise InputError(
                    f"{by} and {cell} are of different files of {' '.join(what)}; run one again with the other's"
                )


def _files(identity: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Each corpus and split with the hash of its file, of a training and what it starts from; and bank and graph."""
    for name, files in (identity.get("data") or {}).items():
        for split, file in (files or {}).items():
            yield (name, split), file
    for name, file in (identity.get("texts") or {}).items():
        yield (name, "train"), file
    if identity.get("names"):
        yield ("graph", "names"), identity["names"]
    if identity.get("bank"):
        yield ("the", "bank"), str(identity["bank"])
    for before in (identity.get("base"), identity.get("initial"), (identity.get("pseudo") or {}).get("by")):
        if before:
            yield from _files(before)
