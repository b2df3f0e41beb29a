"""What every result says besides its figures: machine, versions, git revision, date, command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "kogner", "torch", "transformers", "tokenizers", "numpy", "sentencex", "gliner", "fast-gliner", "onnxruntime",
    "pykeen", "torch-geometric",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """The machine and software a figure was measured with."""
    import torch

    from kogner.hardware import bf16_is_fast

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "revision": os.environ.get("KOGNER_REVISION") or _AT_START,
        "command": _command(),
        "machine": {
            "processor": _processor(),
            "family": _family(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "bf16": bf16_is_fast("cpu"),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "python": platform.python_version(),
        },
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _command() -> str:
    """The command line, without where this machine keeps what runs."""
    script, *rest = sys.argv
    here = Path.cwd()
    rest = [one.replace(f"{here}/", "").replace(f"{here.parent}/", "../") for one in rest]
    if Path(script).name in ("kogner", "cli.py", "__main__.py"):
        return " ".join(["kogner", *rest])
    shown = Path(script).resolve()
    return " ".join(["python", str(shown.relative_to(here) if shown.is_relative_to(here) else shown.name), *rest])


def place(device: str) -> str:
    """What a training ran on, in words: the GPU or the processor, and torch."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return f"{name}, torch {torch.__version__}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _family() -> str | None:
    """Family and model, by which processors of one name differ: AMD EPYC 25/17 is Zen 4, 26/2 Zen 5."""
    family, model = _cpuinfo("cpu family"), _cpuinfo("model")
    return f"{family}/{model}" if family and model else None


def _cpuinfo(key: str) -> str | None:
    """What Linux says of the first core; None elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None


def _revision() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


_AT_START = _revision()  # of the code that runs, whatever is committed while a long benchmark does
