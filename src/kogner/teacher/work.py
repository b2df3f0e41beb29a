"""The work folder of a long build: finished shards and checkpoints that a killed run leaves and the next one takes up.

Each part of the teacher has a folder in it with a key, a hash of everything that decides the part's outcome. A folder
with another key is emptied, never mixed. Checkpoints are safetensors files with their state as JSON: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from kogner.artifacts import write_atomic
from kogner.errors import ArtifactError, KognerError
from kogner.progress import note

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
_BLOCK = 65_536  # rows that are looked at together
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


def save_array(path: Path, array: Array) -> None:
    """Write an array as .npy in one step, without a second copy of it in memory."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())  # its presence says that it is whole
    temporary.replace(path)


def open_array(path: Path) -> Array:
    """A saved array, memory-mapped and read-only."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


class RowsOnDisk:
    """A float16 array (rows, width) whose rows are written in any order, some at a time, and which survives a kill.

    Rows go through the file, not through a mapping: written pages then count as the kernel's cache and not as memory of
    the process, and a full disk is an error instead of a crash. `done` is what the last finished `write` said, 0 at the
    start. `finish` gives the file its name. Raises ArtifactError where the disk is full.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self._file = path.with_name(f"{path.name}.part")
        self._progress = path.with_name(f"{path.name}.done")
        self.done = int(self._progress.read_text(encoding="ascii")) if self._progress.is_file() else 0
        self._stream: BinaryIO | None = None

    def __enter__(self) -> RowsOnDisk:
        if not self.done or not self._file.is_file():
            self.done = 0
            np.lib.format.open_memmap(self._file, "w+", dtype=np.float16, shape=self.shape)
        self._stream = self._file.open("r+b")
        np.lib.format.read_magic(self._stream)
        np.lib.format.read_array_header_1_0(self._stream)
        self._offset = self._stream.tell()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, rows: Array, vectors: Array, numbers: Array, *, done: int) -> None:
        """Write vectors[numbers[i]] into row rows[i], then remember `done`."""
        assert self._stream is not None
        width = self.shape[1] * 2
        lines = np.ascontiguousarray(vectors, dtype=np.float16).view(np.uint8).reshape(len(vectors), width)
        try:
            for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
                self._stream.seek(self._offset + row * width)
                self._stream.write(lines[number].data)
            self._stream.flush()
            os.fsync(self._stream.fileno())  # before the progress, or a power cut could leave rows that are not there
        except OSError as error:
            raise ArtifactError(f"{self._file} cannot be written: {error.strerror or error}") from error
        write_atomic(self._progress, str(done))
        self.done = done

    def finish(self) -> None:
        """Give the file its name; it is whole from here on."""
        self._file.replace(self.path)
        self._progress.unlink(missing_ok=True)


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
        self._stopwatch = Stopwatch(path.parent)  # what a kill leaves says how long was worked

    def due(self) -> bool:
        """Whether enough time went by since the last one."""
        return time.monotonic() - self._last >= self.every_s

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write tensors (moved to the CPU) and JSON state in one step, replacing the checkpoint before."""
        from safetensors.torch import save_file

        temporary = self.path.with_name(f".{self.path.name}.tmp")
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, temporary, metadata={"state": json.dumps(state)})
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(self.path)
        self._stopwatch.minutes()
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the checkpoint, None where there is none."""
        if not self.path.is_file():
            return None
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
            return tensors, json.loads(stored.metadata()["state"])


def check_loss(loss: float, step: int, part: str, section: str) -> None:
    """Raise KognerError where a part's training diverged. step: counted from 0. section: of the recipe."""
    if not math.isfinite(loss):
        raise KognerError(
            f"{part}: the loss is {loss} by training step {step + 1:,}; lower {section}.learning_rate. "
            "Nothing was written"
        )


def finish(
    folder: Path, vectors: Tensor, metrics: dict[str, Any], stopwatch: Stopwatch, *, part: str, section: str
) -> Trained:
    """Write metrics, then vectors (their presence says that the part is finished), and drop the checkpoint.

    vectors: (entities, width), of any float type; float16 is written. part, section: what it is called, and where its
    settings stand in a recipe. Raises KognerError where a number is not finite in float16; nothing is written then.
    """
    half = vectors.half().cpu().numpy()
    bad = sum(
        int((~np.isfinite(half[start : start + _BLOCK])).any(axis=1).sum()) for start in range(0, len(half), _BLOCK)
    )
    if bad:
        raise KognerError(
            f"{part}: the vectors of {bad:,} of {len(half):,} entities hold a number that is not finite, or above "
            f"65,504, the largest of float16; lower {section}.learning_rate. Nothing was written"
        )
    metrics["minutes"] = stopwatch.minutes()
    write_atomic(folder / METRICS, json.dumps(metrics))
    save_array(folder / VECTORS, half)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return finished(folder)


def finished(folder: Path) -> Trained:
    """A part that `finish` wrote."""
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return Trained(vectors=open_array(folder / VECTORS), metrics=metrics)
