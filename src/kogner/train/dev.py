"""Scores on dev documents, while a student trains and of the finished one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner.evaluate.spans import score
from kogner.hardware import release_freed_memory
from kogner.student.checkpoint import StudentInfo
from kogner.student.model import Student
from kogner.train.agreement import best_agreement
from kogner.train.thresholds import Fitted, fit_to, found_at, scored_dev

if TYPE_CHECKING:
    from kogner.train.loop import Run
    from kogner.train.splits import Split


def dev_scores(run: Run) -> dict[str, float]:
    """Mean F1 in percent over the corpora that have dev documents, scored by the first process and known to all.

    dev_f1: at thresholds and temperatures that were fitted to these documents, as they are to all of dev at the end;
    by it the best step is chosen. dev_f1_unfitted: at one threshold for all types. To four digits, as they are logged,
    compared and saved.
    """
    found = {"dev_f1": 0.0, "dev_f1_unfitted": 0.0}
    if run.processes.first:
        found = sampled_scores(run.trainee.student, run.dev, run.types)
        release_freed_memory()
    found = run.processes.total(found, device=run.trainee.student.device)
    return {name: round(value, 4) for name, value in found.items()}


def sampled_scores(student: Student, splits: Sequence[Split], types: Sequence[str]) -> dict[str, float]:
    """`dev_f1` and `dev_f1_unfitted` from one pass of the student over the dev documents of all splits."""
    dev = scored_dev(student, splits, types)
    fitted = fit_to(dev, types)
    infos = {"dev_f1": fitted.info(), "dev_f1_unfitted": StudentInfo()}
    means = {}
    for name, info in infos.items():
        found = found_at(dev, splits, types, info)
        scores = [score(split.dev, found[split.name], types=split.types) for split in splits if split.dev]
        means[name] = float(np.mean([100 * one.f1 for one in scores]))
    return means


def fitted_scores(
    student: Student, splits: Sequence[Split], types: Sequence[str], *, agreement: bool = False
) -> tuple[Fitted, dict[str, dict[str, Any]]]:
    """What dev decides of a finished student, and with it the exact span scores of each corpus that has dev documents,
    for its own types; from one pass of the student. agreement: fit that too."""
    dev = scored_dev(student, splits, types, agreement=agreement)
    fitted = fit_to(dev, types)
    if agreement:
        fitted = replace(fitted, agreement=best_agreement(dev, splits, types, fitted.info()))
    found = found_at(dev, splits, types, fitted.info())
    with_dev = (split for split in splits if split.dev)
    return fitted, {s.name: score(s.dev, found[s.name], types=s.types).to_dict() for s in with_dev}
