"""The work folder of a long build: finished shards and checkpoints that a killed run leaves and the next one takes up.

Each part of the teacher has a folder in it with a key, a hash of everything that decides the part's outcome. A folder
with another key is emptied, never mixed. Checkpoints are safetensors files with their state as JSON: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner.artifacts import write_atomic
from kogner.progress import note

if TYPE_CHECKING:
    from torch import Tensor

KEY = "key.txt"
VECTORS, METRICS, CHECKPOINT = "vectors.npy", "metrics.json", "checkpoint.safetensors"


def hash_of(*parts: Any) -> str:
    """Hex sha256 of plain data (anything JSON can hold), for keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def part_folder(work: Path, name: str, key: str) -> Path:
    """The folder of one part. What another key left in it is removed, and that is said."""
    folder = work / name
    stored = folder / KEY
    if folder.is_dir() and not (stored.is_file() and stored.read_text(encoding="utf-8") == key):
        if any(folder.iterdir()):
            note(f"{folder} was left by a run on other input or settings; starting this part anew")
        shutil.rmtree(folder)
    if not folder.is_dir():
        folder.mkdir(parents=True)
        write_atomic(stored, key)
    return folder


def save_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write an array as .npy in one step, without a second copy of it in memory."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    temporary.replace(path)


def open_array(path: Path) -> np.ndarray[Any, Any]:
    """A saved array, memory-mapped and read-only."""
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


@dataclass(frozen=True)
class Trained:
    """A finished part. vectors: (entities, width) float16, memory-mapped from the part's folder."""

    vectors: np.ndarray[Any, Any]
    metrics: dict[str, Any]


class Stopwatch:
    """Seconds spent on a part, kept in its folder, so that the time of interrupted runs counts too."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "seconds.txt"
        self._before = float(self._file.read_text(encoding="ascii")) if self._file.is_file() else 0.0
        self._started = time.monotonic()

    def minutes(self) -> float:
        """Minutes up to now, over all runs; also writes them down."""
        seconds = self._before + time.monotonic() - self._started
        write_atomic(self._file, f"{seconds:.1f}")
        return round(seconds / 60, 2)


class Checkpoints:
    """The newest checkpoint of a training loop, written about every `every_s` seconds.

    When it is written does not change the result: all randomness of a step comes from (seed, step).
    """

    every_s = 60.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether enough time went by since the last one."""
        return time.monotonic() - self._last >= self.every_s

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write tensors (moved to the CPU) and JSON state in one step, replacing the checkpoint before."""
        from safetensors.torch import save_file

        temporary = self.path.with_name(f".{self.path.name}.tmp")
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, temporary, metadata={"state": json.dumps(state)})
        temporary.replace(self.path)
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the checkpoint, None where there is none."""
        if not self.path.is_file():
            return None
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
            return tensors, json.loads(stored.metadata()["state"])


def finish(folder: Path, vectors: Tensor, metrics: dict[str, Any], stopwatch: Stopwatch) -> Trained:
    """Write metrics, then vectors (their presence says that the part is finished), and drop the checkpoint."""
    metrics["minutes"] = stopwatch.minutes()
    write_atomic(folder / METRICS, json.dumps(metrics))
    save_array(folder / VECTORS, vectors.half().cpu().numpy())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return finished(folder)


def finished(folder: Path) -> Trained:
    """A part that `finish` wrote."""
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return Trained(vectors=open_array(folder / VECTORS), metrics=metrics)
