"""Folders of many files that are written again: which files in them are ours, and may be replaced or removed.

A list beside them (`.kogner.json`) says what was written, by name and sha256. A file is ours while it is as we wrote.
Ours go when a new run has no document for them; others never do, so that nobody loses what he annotated by hand.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kogner.artifacts import file_sha256, left_behind, locked, write_atomic
from kogner.data.report import Report
from kogner.errors import ArtifactError

LIST = ".kogner.json"
REMOVED = "file of an earlier run removed, since its document is not among these"
CHANGED = "file of an earlier run that was changed since, left in the folder"
FOREIGN = "file of others left in the folder"


@contextmanager
def replacing(path: Path, *, report: Report) -> Iterator[Path]:
    """A folder to write files to; at the end they take the place of those that were written to `path` before.

    Where the writing fails `path` stays as it was. Raises ArtifactError where a file of another hand, or one that was
    changed since, has the name of a new one; nothing is written then.
    """
    if path.exists() and not path.is_dir():
        raise ArtifactError(f"{path} is a file; a folder is needed here")
    with locked(path):
        for left in left_behind(path, "building"):
            shutil.rmtree(left, ignore_errors=True)
        building = path.parent / f".{path.name}.{os.getpid()}.building"
        building.mkdir()
        try:
            yield building
            _replace(path, building, report)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _replace(path: Path, building: Path, report: Report) -> None:
    new = {file.name: file_sha256(file) for file in building.iterdir()}
    before = _written(path)
    there = {file.name: file for file in path.iterdir() if file.is_file()} if path.is_dir() else {}
    ours = {name for name, file in there.items() if name in before and file_sha256(file) in before[name]}
    taken = sorted(name for name in new.keys() & there.keys() - ours if file_sha256(there[name]) != new[name])
    if taken:
        raise ArtifactError(
            f"{path} has {len(taken)} files that KoGNER did not write, or that were changed since, and would be "
            f"overwritten, such as {taken[0]}; give another folder, or move them away"
        )
    endings = {Path(name).suffix for name in (*new, *before)}
    path.mkdir(parents=True, exist_ok=True)
    # Both, so that a run that is killed here leaves nothing that the next one takes for another's.
    _note(
        path,
        {name: before.get(name, frozenset()) | {new[name]} if name in new else before[name] for name in before | new},
    )
    for name in sorted(new):
        (building / name).replace(path / name)
    for name in sorted(there.keys() - new.keys() - {LIST}):
        if name in ours:
            there[name].unlink()
            report.note(REMOVED)
        elif name in before:
            report.note(CHANGED)
        elif Path(name).suffix in endings:
            report.note(FOREIGN)
    _note(path, {name: frozenset({digest}) for name, digest in new.items()})


def _written(path: Path) -> dict[str, frozenset[str]]:
    """Names of files that were written to a folder, with the sha256 that they may have; a damaged list is none."""
    try:
        raw = json.loads((path / LIST).read_text(encoding="utf-8"))["files"]
        return {name: frozenset(map(str, digests)) for name, digests in raw.items() if name == Path(name).name != LIST}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _note(path: Path, files: Mapping[str, frozenset[str]]) -> None:
    raw = {"files": {name: sorted(digests) for name, digests in sorted(files.items())}}
    write_atomic(path / LIST, json.dumps(raw, indent=1, ensure_ascii=False) + "\n")
