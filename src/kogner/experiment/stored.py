"""Scores of a training that are there, and whether they still are what it would give."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kogner.artifacts import MANIFEST, read_manifest
from kogner.errors import ArtifactError, KognerError
from kogner.experiment.cell import Cell
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity, today

OTHER_INPUTS = "of another recipe, data, bank, graph or rule than the plan has now"
ABSENT = "of data, a bank or a graph that are not here"
OTHER_START = "of a student that started from another one than is there now"
OTHER_LABELS = "of a student that learnt from labels by another one, or by other weights, than are there now"


def finished(cell: Cell, folders: Folders, *, as_recorded: bool = False) -> dict[str, Any] | None:
    """Its scores, if they are there and of the same recipe, data, bank, and student that it starts from.

    as_recorded: data, bank and graph may be others by now, or not be there; see `kogner.experiment.recorded`.
    Raises ArtifactError for a file that holds no scores.
    """
    return _standing(cell, _stored(folders.scored(cell)), folders, as_recorded=as_recorded)[0]


def look(
    cells: Iterable[Cell],
    folders: Folders,
    *,
    as_recorded: bool = False,
    done: Mapping[str, dict[str, Any]] | None = None,
) -> tuple[list[tuple[Cell, dict[str, Any]]], dict[str, list[str]]]:
    """Cells with scores that count, and names of those with scores that do not, by reason.

    done: scores that are known to count, by the name of their cell; files of the others may then be absent, and absent
    files be the reason.
    """
    found: list[tuple[Cell, dict[str, Any]]] = []
    aside: dict[str, list[str]] = {}
    for cell in cells:
        scores = None if done is None else done.get(cell.name)
        reason: str | None = None
        if scores is None and (stored := _stored(folders.scored(cell))) is not None:
            try:
                scores, reason = _standing(cell, stored, folders, as_recorded=as_recorded)
            except KognerError:
                if done is None:
                    raise
                reason = ABSENT
        if scores is not None:
            found.append((cell, scores))
        elif reason is not None:
            aside.setdefault(reason, []).append(cell.name)
    return found, aside


def has_student(cell: Cell, found: Mapping[str, Any], folders: Folders) -> bool:
    """Whether the student that its scores are of is there."""
    folder = folders.student(cell)
    if not (folder / MANIFEST).is_file():
        return False
    return found.get("student") in (None, read_manifest(folder).hash)  # earlier scores do not name it


def _standing(
    cell: Cell, found: dict[str, Any] | None, folders: Folders, *, as_recorded: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """The scores of its file where they count, else why they do not; neither where there are none."""
    if found is None:
        return None, None
    now = identity(cell, found["identity"] if as_recorded else None)
    if today(found["identity"], now)["hash"] != now["hash"]:
        return None, OTHER_INPUTS
    for said, after in (("initial", cell.start), ("labeller", cell.labeller)):
        before = None if after is None else _stored(folders.scored(after))
        if after is None or before is None:
            continue
        student = before.get("student" if after.base is None else "initial")
        if None not in (found.get(said), student) and found[said] != student:  # earlier scores do not name it
            return None, OTHER_START if said == "initial" else OTHER_LABELS
        if said == "labeller" and any(found.get(name, value) != value for name, value in _weighed_by(before)):
            return None, OTHER_LABELS
    return found, None


def _weighed_by(labeller: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """How much names counted for a student that made labels, as what learnt from them tells it."""
    yield "labeller_weights", labeller.get("name_weights", {})
    yield "labeller_losses", labeller.get("name_losses", {})
    yield "labeller_scales", {name: of["scale"] for name, of in labeller.get("entity_weights", {}).items()}


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


def in_short(aside: Mapping[str, Collection[str]]) -> str:
    """Scores that do not count, in a line for each reason."""
    return "\n".join(
        f"{len(names)} scores are there that do not count, {reason}: {', '.join(sorted(names)[:5])}"
        f"{', ...' if len(names) > 5 else ''}"
        for reason, names in aside.items()
    )
