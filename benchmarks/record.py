"""Result files: what `kogner.environment` says, then the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kogner.artifacts import write_atomic
from kogner.environment import environment

__all__ = ["environment", "write"]


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result file: the environment first, then the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(environment() | result, indent=2, ensure_ascii=False) + "\n")
