"""The training log: one JSON object a line, cut back to the resumed step so that a curve has no doubled points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kogner.artifacts import write_atomic


class TrainingLog:
    """Appends to a JSON-lines file; each line has `step`."""

    def __init__(self, path: Path, *, resume_step: int) -> None:
        self.path = path
        kept = [line for line in self.lines(path) if line["step"] <= resume_step]
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, **values: Any) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")

    @staticmethod
    def lines(path: Path) -> list[dict[str, Any]]:
        """All whole lines of a log; a last line that a kill cut short is left out."""
        if not path.is_file():
            return []
        found = []
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                found.append(json.loads(line))
        return found
