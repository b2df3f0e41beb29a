"""Several processes that train one student: each takes parts of every step, and all apply the same update.

They are started by `kogner train --processes N`, `torchrun`, or `accelerate launch` (which on processors needs MPI and
starts a single process without), and told in the environment who is who. `accelerate` joins them (NCCL on GPUs, Gloo on
processors); gradients are added up here, weighted beforehand by what each part holds of the step's batch, so that N
processes give the update of one with the whole batch.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

from kogner.errors import ConfigError, KognerError
from kogner.progress import set_quiet

BUCKET = 1 << 25  # numbers that are added up at a time
PATIENCE = timedelta(hours=12)  # the others wait while the first scores dev


@dataclass(frozen=True)
class Processes:
    """Who this process is. rank: 0 is the first, which alone writes files and scores dev. count: how many there are."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: str) -> tuple[Processes, str]:
        """Meet the other processes, if this one was started as one of several. Returns this one's device as well.

        Raises KognerError where `accelerate` is missing.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls(), device
        try:
            from accelerate import PartialState
        except ImportError:
            raise KognerError(
                "training on several processes needs accelerate: pip install 'kogner[processes]'"
            ) from None
        state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
        hush()
        return cls(state.process_index, state.num_processes), str(state.device)

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            torch.distributed.barrier()

    def total(self, values: Mapping[str, float], *, device: torch.device) -> dict[str, float]:
        """Sums over the processes. All of them must give the same keys in the same order."""
        if self.count == 1:
            return dict(values)
        sums = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
        torch.distributed.all_reduce(sums)
        return dict(zip(values, sums.tolist(), strict=True))

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Let every process have the sum of all gradients; what no process has a gradient for keeps none."""
        if self.count == 1:
            return
        given = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        given = given.to(parameters[0].device)
        torch.distributed.all_reduce(given)
        used = [parameter for parameter, count in zip(parameters, given.tolist(), strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        bucket: list[torch.Tensor] = []
        for number, parameter in enumerate(used, start=1):
            bucket.append(parameter.grad)  # type: ignore[arg-type]
            if number == len(used) or sum(gradient.numel() for gradient in bucket) >= BUCKET:
                _add_up(bucket)
                bucket = []


def hush() -> None:
    """Leave notes and progress to the first process."""
    if int(os.environ.get("RANK", "0")):
        set_quiet(True)


def _add_up(gradients: Sequence[torch.Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def launch(arguments: Sequence[str], *, count: int) -> int:
    """Run `kogner` with these arguments in `count` processes of this machine; returns the exit code.

    One that fails ends the others. Raises ConfigError where it is called within such a process.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigError("--processes starts processes of its own; leave it out under accelerate launch or torchrun")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--master-addr=127.0.0.1",
        f"--master-port={port}", "-m", "kogner.cli", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode
