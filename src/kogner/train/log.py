"""The training log: one JSON object a line, cut back to the resumed step so that a curve has no doubled points.

The same figures can go to TensorBoard, beside the student rather than in it: its event files carry times and host
names, and a student's folder holds nothing that differs from run to run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kogner.artifacts import write_atomic
from kogner.errors import KognerError


class TrainingLog:
    """Appends to a JSON-lines file; each line has `step`.

    path: None writes nothing. board: folder for TensorBoard, None without.
    Raises KognerError where the package tensorboard is missing.
    """

    def __init__(self, path: Path | None, *, resume_step: int, board: Path | None = None) -> None:
        self.path = path
        if path is not None:
            kept = [line for line in self.lines(path) if line["step"] <= resume_step]
            write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = _writer(board, purge_step=resume_step + 1) if board is not None else None

    def write(self, **values: Any) -> None:
        """Append one line."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(values) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if name != "step":
                    self._board.add_scalar(name, value, values["step"])
            self._board.flush()

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


def check_tensorboard() -> None:
    """Raise KognerError where the package tensorboard is missing; long work calls this before it starts."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise KognerError(
            "train.tensorboard=true needs the package tensorboard: pip install 'kogner[tensorboard]'; "
            "training_log.jsonl holds the same figures without it"
        ) from None


def _writer(folder: Path, *, purge_step: int) -> Any:
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)  # hides what a killed run wrote beyond its saved state
