"""State of a running training, so that `kill -9` costs at most the steps since the last save.

Everything is safetensors and JSON: weights, AdamW moments, step, best dev score. What is random follows from the seed
and the step, so that no random state has to be kept. A state is written into a folder of its own and moved into place;
the one before is removed only then.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from kogner.artifacts import left_behind, write_atomic
from kogner.errors import ConfigError

STATE = "state"
FORMAT = 4  # of a work folder; since 2 no random states, since 3 labels once a step, since 4 other masks and groups


class OtherRunError(ConfigError):
    """A work folder holds the state of a run with other inputs."""


@dataclass
class Progress:
    """How far a run is.

    step: optimiser steps done. best_f1, best_step: of the best dev score so far, None before the first.
    sums, since: losses added up since the last line of the log, over how many steps. seconds: that the steps took, dev
    scores counted in, over all calls that went on with the run; without those after the last save before a kill.
    """

    step: int = 0
    best_f1: float | None = None
    best_step: int | None = None
    sums: dict[str, float] = field(default_factory=dict)
    since: int = 0
    seconds: float = 0.0

    def add(self, parts: dict[str, float]) -> None:
        """Count one step and its losses."""
        self.step += 1
        self.since += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Mean losses since the last call."""
        means = {name: round(value / self.since, 6) for name, value in self.sums.items()}
        self.sums, self.since = {}, 0
        return means


class Workspace:
    """The `<out>.work` folder of one training run: state, best weights, log."""

    def __init__(self, folder: Path, *, identity: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".*.building"):
            shutil.rmtree(stale, ignore_errors=True)
        file = folder / "run.json"
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8"))
            if found.pop("format", 1) != FORMAT:
                raise OtherRunError(
                    f"{folder} holds a run that another version of KoGNER began, and this one would go on with it "
                    "differently; finish it with that version, remove the folder, or give another --out"
                )
            changed = sorted(key for key in identity.keys() | found.keys() if identity.get(key) != found.get(key))
            if changed:
                raise OtherRunError(
                    f"{folder} holds a run with another {', '.join(changed)}; finish that run, remove the folder, "
                    "or give another --out"
                )
        else:
            write_atomic(file, json.dumps({"format": FORMAT} | identity, indent=2, ensure_ascii=False) + "\n")

    @property
    def best_file(self) -> Path:
        """Weights with the best dev score so far."""
        return self.folder / "best.safetensors"

    def save(self, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, progress: Progress) -> None:
        """Write the whole state and drop the one before."""
        building = self.folder / f".{STATE}-{progress.step}.building"
        building.mkdir()
        save_file(_tensors(model), building / "weights.safetensors")
        save_file(_optimizer_tensors(optimizer), building / "optimizer.safetensors")
        raw = {"progress": asdict(progress), "schedule": schedule.state_dict()["last_epoch"]}
        (building / "state.json").write_text(json.dumps(raw), encoding="utf-8")
        for file in building.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        building.rename(self.folder / f"{STATE}-{progress.step}")
        for old in self._states()[:-1]:
            shutil.rmtree(old, ignore_errors=True)

    def resume(self, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> Progress:
        """Load the newest state into the given objects; a fresh `Progress` where there is none."""
        states = self._states()
        if not states:
            return Progress()
        newest = states[-1]
        model.load_state_dict(load_file(newest / "weights.safetensors"))
        _load_optimizer(optimizer, load_file(newest / "optimizer.safetensors"))
        raw = json.loads((newest / "state.json").read_text(encoding="utf-8"))
        schedule.load_state_dict(schedule.state_dict() | {"last_epoch": raw["schedule"]})
        for group, rate in zip(optimizer.param_groups, schedule_rates(schedule), strict=True):
            group["lr"] = rate
        return Progress(**raw["progress"])

    def save_best(self, model: nn.Module) -> None:
        """Keep the present weights as the best."""
        temporary = self.folder / ".best.safetensors.tmp"
        save_file(_tensors(model), temporary)
        temporary.replace(self.best_file)

    def remove(self) -> None:
        """Drop the folder after the finished student has been written; at once, for a run that is killed meanwhile."""
        for left in left_behind(self.folder, "removed"):
            shutil.rmtree(left, ignore_errors=True)
        gone = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.removed")
        self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob(f"{STATE}-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def schedule_rates(schedule: LRScheduler) -> list[float]:
    """Rates the schedule asks for at its present step, one per parameter group."""
    lambdas = schedule.lr_lambdas  # type: ignore[attr-defined]
    return [
        base * function(schedule.last_epoch) for base, function in zip(schedule.base_lrs, lambdas, strict=True)
    ]  # fmt: skip


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": value.detach().cpu().contiguous()
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
