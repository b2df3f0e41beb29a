"""All cells of an experiment, several at a time with one thread each; what is finished is not run again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from kogner.errors import KognerError
from kogner.experiment.folders import Folders
from kogner.experiment.plan import Cell, Experiment
from kogner.experiment.stored import finished, has_student
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
    A cell starts as soon as the stage it needs is there. Raises KognerError with what a cell said that failed, once
    those under way have ended; finished ones are kept.
    """
    every = experiment.cells()
    wanted = [cell for cell in every if (not only or cell.setting in only) and (not cells or cell.name in cells)]
    waiting = [cell for cell in wanted if not cell.is_stage or cell.test or cell.name in cells]
    chosen = {cell.name for cell in waiting}
    while waiting:  # what a cell starts from may itself start from another
        for after in waiting.pop().after:
            waiting += [after] if after.name not in chosen else []
            chosen.add(after.name)
    planned = _in_order([cell for cell in every if cell.name in chosen])
    scores = {cell.name: found for cell in planned if (found := finished(cell, folders)) is not None}
    to_run, needed = set[str](), set[str]()
    for cell in reversed(planned):
        found = scores.get(cell.name)
        lacks = cell.name in needed and cell.trains and (found is None or not has_student(cell, found, folders))
        if found is None or lacks:
            to_run.add(cell.name)
        if cell.name in to_run or (cell.name in needed and not cell.trains):
            needed |= {after.name for after in cell.after}
    done: dict[str, dict[str, Any]] = {}
    for cell in planned:  # one that stands behind what is trained again is looked at again after that
        if cell.name not in to_run and all(after.name in done for after in cell.after if after.name in chosen):
            done[cell.name] = scores[cell.name]
    waiting = [cell for cell in planned if cell.name not in done]
    again = {cell.name for cell in waiting if cell.trains}
    behind = [
        cell.name
        for cell in every
        if cell.name not in chosen and folders.scored(cell).is_file() and any(one.name in again for one in cell.after)
    ]
    if behind:
        some = ", ".join(behind[:3]) + (", ..." if behind[3:] else "")
        note(
            f"{len(behind)} scores that were not asked for ({some}) are of students that started from one "
            "that is not here and is trained again: they count only if it comes out the same"
        )
    if done:
        note(f"{len(done)} of {len(planned)} trainings are finished already")
    asked = {load_recipe(cell.experiment.recipe, cell.overrides()).train.precision for cell in waiting if cell.trains}
    check_device(device)
    if "bf16" in asked:
        warn_of_bf16("bf16", device, instead="the plan asks for it, and recorded figures are of it (train.precision)")
    lock = threading.Lock()

    def start(cell: Cell) -> dict[str, Any]:
        command = [sys.executable, "-m", "kogner.experiment.cell", plan, cell.name, "--runs", str(folders.runs)]
        command += [] if folders.scores is None else ["--scores", str(folders.scores)]
        command += ["--device", device, "--parent", str(os.getpid())]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if ended.returncode:
            raise KognerError(f"{cell.name} failed: {ended.stderr.strip()[-1500:]}")
        with lock:
            found = finished(cell, folders)
        if found is None:
            raise KognerError(f"{cell.name} ended without scores that fit its recipe, data and bank; was one changed?")
        return found

    with (
        ThreadPoolExecutor(jobs) as pool,
        counting(f"trainings of {experiment.name}", len(planned), start=len(done)) as counter,
    ):
        under_way: dict[Future[dict[str, Any]], Cell] = {}
        failure: KognerError | None = None
        while waiting or under_way:
            ready = [cell for cell in waiting if all(after.name in done for after in cell.after)]
            while failure is None and ready and len(under_way) < jobs:
                cell = ready.pop(0)
                waiting.remove(cell)
                if cell.name not in to_run:
                    if (found := finished(cell, folders)) is not None:  # what it started from came out as before
                        done[cell.name] = found
                        counter.advance(note=cell.name)
                        ready = [one for one in waiting if all(after.name in done for after in one.after)]
                        continue
                    if not all(_at_hand(after, folders) for after in cell.after):
                        continue  # found stale below, when what it needs is needed
                under_way[pool.submit(start, cell)] = cell
            if not under_way:
                break
            over, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for one in over:
                cell = under_way.pop(one)
                try:
                    done[cell.name] = one.result()
                    counter.advance(note=cell.name)
                except KognerError as error:
                    failure = failure or error
                    note(str(error))
    if failure is not None:
        raise failure
    stale = [cell.name for cell in planned if finished(cell, folders) is None]
    if stale:
        note(f"{len(stale)} trainings started from a student that is another one by now, and are run again")
        return run_all(experiment, plan, folders, jobs=jobs, device=device, only=only, cells=cells)
    return done


def _at_hand(cell: Cell, folders: Folders) -> bool:
    """Whether the student is there that a cell trained or scored."""
    if not cell.trains:
        return all(_at_hand(after, folders) for after in cell.after)
    found = finished(cell, folders)
    return found is not None and has_student(cell, found, folders)


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The same cells, each behind those that have to be finished before it, else in their order."""
    left, ordered = list(cells), list[Cell]()
    while left:
        names = {cell.name for cell in left}
        ready = [cell for cell in left if not any(after.name in names for after in cell.after)]
        ordered += ready
        left = [cell for cell in left if cell not in ready]
    return ordered
