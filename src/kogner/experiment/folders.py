"""Where an experiment keeps what its trainings made: students, which are large, and scores, which are the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kogner.experiment.cell import Cell

SCORES = "scores"


@dataclass(frozen=True)
class Folders:
    """runs: a folder for each experiment, with its students. scores: the same for scores, in each one's own if None."""

    runs: Path
    scores: Path | None = None

    def student(self, cell: Cell) -> Path:
        """Where its student is written."""
        return self.runs / cell.experiment.name / cell.name

    def scored(self, cell: Cell) -> Path:
        """The file with its identity and scores, there once it is finished."""
        if self.scores is None:
            return self.runs / cell.experiment.name / SCORES / f"{cell.name}.json"
        return self.scores / cell.experiment.name / f"{cell.name}.json"
