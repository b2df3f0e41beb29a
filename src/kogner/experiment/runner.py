"""All cells of an experiment, several at a time with one thread each; what is finished is not run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from kogner.errors import ConfigError, KognerError
from kogner.experiment.cell import Cell
from kogner.experiment.folders import Folders
from kogner.experiment.identity import identity
from kogner.experiment.plan import Experiment
from kogner.experiment.stored import finished, has_student
from kogner.experiment.training import check_tests, splits_of
from kogner.hardware import check_device, warn_of_bf16
from kogner.progress import counting, note
from kogner.recipe import load_recipe


def run_all(
    experiment: Experiment,
    plan: str,
    folders: Folders,
    *,
    jobs: int,
    device: str,
    only: Sequence[str] = (),
    cells: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Run what is not finished, and return the scores of all cells that are asked for, by name.

    only: settings that are run; cells: names of cells that are run, with what they start from; all if empty.
    A cell starts as soon as the students it needs are there. One that stands behind a student which was trained again
    is run again where that came out otherwise. Raises ConfigError before any is run where one of them could not be, and
    KognerError with what a cell said that failed, once those under way have ended; finished ones are kept.
    """
    planned = _asked(experiment, only, cells)
    _check(planned)
    left = to_do(planned, folders)
    _say_what_is_left(experiment, planned, left, folders)
    check_device(device)
    asked = {load_recipe(cell.experiment.recipe, cell.overrides()).train.precision for cell in left if cell.trains}
    if "bf16" in asked:
        warn_of_bf16("bf16", device, instead="the plan asks for it, and recorded figures are of it (train.precision)")
    failure: KognerError | None = None
    under_way: dict[Future[None], Cell] = {}
    with (
        ThreadPoolExecutor(jobs) as pool,
        counting(f"trainings of {experiment.name}", len(planned), start=len(planned) - len(left)) as counter,
    ):
        while under_way or (left and failure is None):
            names, running = {cell.name for cell in left}, {cell.name for cell in under_way.values()}
            ready = [one for one in left if one.name not in running and not _stands_behind(one, names)]
            for cell in ready[: jobs - len(under_way)] if failure is None else ():
                under_way[pool.submit(_run, cell, plan, folders, device)] = cell
            for over in wait(under_way, return_when=FIRST_COMPLETED).done:
                cell = under_way.pop(over)
                try:
                    over.result()
                    counter.advance(note=cell.name)
                except KognerError as error:
                    failure = failure or error
                    note(str(error))
            before, left = names, to_do(planned, folders)
            if again := [cell.name for cell in left if cell.name not in before]:
                counter.expect(counter.done + len(left))
                note(f"{len(again)} trainings started from a student that is another one by now, and are run again")
    if failure is not None:
        raise failure
    return {cell.name: found for cell in planned if (found := finished(cell, folders)) is not None}


def to_do(planned: Sequence[Cell], folders: Folders) -> list[Cell]:
    """Cells without scores that count, and those whose students are not there and are needed for one of these.

    planned: each cell behind what it starts from, as what is returned.
    """
    left, needed = list[Cell](), set[str]()
    for cell in reversed(planned):
        found = finished(cell, folders)
        lacks = cell.name in needed and cell.trains and (found is None or not has_student(cell, found, folders))
        if found is None or lacks:
            left.append(cell)
        if found is None or lacks or (cell.name in needed and not cell.trains):
            needed |= {after.name for after in cell.after}
    return left[::-1]


def _stands_behind(cell: Cell, names: Collection[str]) -> bool:
    """Whether one of these has to be done before it, however many cells that score it again lie between."""
    return any(on.name in names or _stands_behind(on, names) for on in cell.after)


def _asked(experiment: Experiment, only: Sequence[str], cells: Sequence[str]) -> list[Cell]:
    """The cells that are asked for with all that they start from, each behind that."""
    every = experiment.cells()
    wanted = [cell for cell in every if (not only or cell.setting in only) and (not cells or cell.name in cells)]
    waiting = [cell for cell in wanted if not cell.is_stage or cell.test or cell.name in cells]
    chosen = {cell.name for cell in waiting}
    while waiting:  # what a cell starts from may itself start from another
        for after in waiting.pop().after:
            waiting += [after] if after.name not in chosen else []
            chosen.add(after.name)
    return _in_order([cell for cell in every if cell.name in chosen])


def _say_what_is_left(experiment: Experiment, planned: Sequence[Cell], left: Sequence[Cell], folders: Folders) -> None:
    """Say how much is finished, and which scores may not count any more when this is done."""
    if len(left) < len(planned):
        note(f"{len(planned) - len(left)} of {len(planned)} trainings are finished already")
    chosen, trained = {cell.name for cell in planned}, {cell.name for cell in left if cell.trains}
    behind = [
        cell.name
        for cell in experiment.cells()
        if cell.name not in chosen and folders.scored(cell).is_file() and any(on.name in trained for on in cell.after)
    ]
    if behind:
        some = ", ".join(behind[:3]) + (", ..." if behind[3:] else "")
        note(
            f"{len(behind)} scores that were not asked for ({some}) are of students that started from one "
            "that is not here and is trained again: they count only if it comes out the same"
        )


def _run(cell: Cell, plan: str, folders: Folders, device: str) -> None:
    """Train and score a cell in a process of its own. Raises KognerError with what that said where it failed."""
    command = [sys.executable, "-m", "kogner.experiment.training", plan, cell.name, "--runs", str(folders.runs)]
    command += [] if folders.scores is None else ["--scores", str(folders.scores)]
    command += ["--device", device, "--parent", str(os.getpid())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ended.returncode:
        raise KognerError(f"{cell.name} failed: {_why(ended)}")
    if finished(cell, folders) is None:
        raise KognerError(f"{cell.name} ended without scores that fit its recipe, data and bank; was one changed?")


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    """What a process that failed said, and what ended it where it said nothing."""
    said = ended.stderr.strip()[-1500:]
    if ended.returncode < 0:
        killed = f"it was killed by signal {-ended.returncode}"
        killed += " (where memory ran out, take fewer --jobs)" if ended.returncode == -signal.SIGKILL else ""
        return f"{killed}; the same command goes on with it" + (f": {said}" if said else "")
    return said or f"it ended with {ended.returncode} and said nothing"


def _check(cells: Sequence[Cell]) -> None:
    """Raise ConfigError with all that would stop one of these later on and can be seen in files, a line for each fault.

    Corpora that several have in the same way are looked at once.
    """
    faults, seen = dict[str, str](), set[str]()
    for cell in cells:
        what = json.dumps([cell.train, [*cell.beside], cell.test, cell.without, cell.own], sort_keys=True)
        try:
            identity(cell)
            if what not in seen:
                seen.add(what)
                check_tests(cell)
                splits_of(cell, (*cell.train, *cell.beside))
        except KognerError as error:
            faults.setdefault(str(error).replace(cell.name, ""), f"{cell.name}: {error}")
    if faults:
        raise ConfigError("\n".join([*faults.values(), "Others can be run with --only SETTING or --cell NAME"]))


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The same cells, each behind those that have to be finished before it, else in their order."""
    left, ordered = list(cells), list[Cell]()
    while left:
        names = {cell.name for cell in left}
        ready = [cell for cell in left if not any(after.name in names for after in cell.after)]
        ordered += ready
        left = [cell for cell in left if cell not in ready]
    return ordered
