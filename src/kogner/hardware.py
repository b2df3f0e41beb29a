"""What the machine can do well, and how to treat its memory."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from kogner.errors import ConfigError
from kogner.progress import note

# Parameters of mallopt(3), from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
KEPT = 512 << 20  # bytes
KERNELS, TRAINING_KERNELS = 256, 4096


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Keep freed memory in the process instead of handing it back to the kernel after every training step.

    A step frees buffers of tens of megabytes and the next one asks for them again; with glibc's defaults each of them
    is mapped and zeroed anew. Measured on a 2-core virtual machine: a TransR step took 0.23 s, with this call (and no
    bound) 0.10 s. What is kept at the end of the heap is bounded by KEPT: buffers as of a MiniLM's steps on 16
    sentences of 10 to 300 sub-tokens, 0.5 GB, took 72 ms a step without this call, 30 ms with a bound of 2 GB, as much
    with 512 and 256 MB, 48 ms with 128 MB. Real steps on 16 sentences of BC5CDR took as long with 512 MB as with 2 GB,
    0.5 s. Gaps below the end stay whatever the bound; `release_freed_memory` hands them back (there 0.4 of 1.3 GB).
    True where the C library is glibc and took it, False where nothing changed.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - only glibc has it, and only glibc knows these parameters
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, KEPT), (_M_TOP_PAD, 64 << 20))
    taken = [mallopt(name, value) == 1 for name, value in settings]
    return all(taken)


def release_freed_memory() -> bool:
    """Hand back to the kernel what was freed and kept; True where the C library is glibc and there was any.

    For the end of a piece of work that needed other buffers than the work that goes on.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return bool(trim(0))


def bound_kernels(count: int = KERNELS) -> None:
    """Have oneDNN and torch's layer above it keep the kernels of `count` shapes, where nothing else is said.

    Both keep 1,024, and nearly every batch has a number of rows of its own. Measured on an AMD EPYC (Zen 5) with
    kogner-mini, memory after 25 and after 100 requests of 4 abstracts, when what was freed had been handed back: 725 MB
    and 914 with 1,024, 698 and 715 with 256, 622 and 624 with 64; in bfloat16 789 and 1,040, 736 and 789, 642 and 643.
    With 256 requests took as long, with 64 a tenth longer in bfloat16. Training has more shapes, those of the backward
    pass too: a step on 8 sentences took 0.43 s in bfloat16 with 256, 0.38 with 4,096, for 0.1 GB more.
    Has to come before the first product; the user's own ONEDNN_PRIMITIVE_CACHE_CAPACITY and LRU_CACHE_CAPACITY count.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(count))


@cache
def onednn_outruns_mkl() -> bool:
    """Whether float32 products are about twice as fast through oneDNN as through MKL, torch's default library.

    So it is on processors of AMD with AVX-512, whose 512-bit units MKL does not use. Without AVX-512 (Zen 3) both reach
    the same, and torch's own attention is 1.3 to 1.7 times as fast as one that is made of oneDNN's products.
    """
    import torch

    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    flags = _processor()
    return "AuthenticAMD" in flags and "avx512f" in flags


@cache
def packing_pays() -> bool:
    """Whether float32 layers whose weights are laid out for oneDNN are faster than torch's own, which are MKL's on x86.

    Not where torch finds AVX2 and no AVX-512: on a Zen 3, annotating with torch's own took 0.87 of the time on
    sentences and 0.88 on texts of 384 words, although GELU is a pass of its own then. On Zen 4 packed layers are twice
    as fast; processors of Intel with AVX2 alone were not measured.
    """
    import torch

    return torch.backends.cpu.get_cpu_capability() != "AVX2"


def bf16_is_fast(device: str) -> bool:
    """Whether bfloat16 pays on this device: CUDA that supports it, or a processor with avx512_bf16 or AMX."""
    if device.startswith("cuda"):
        import torch

        return bool(torch.cuda.is_bf16_supported())
    flags = _processor()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def warn_of_bf16(precision: str, device: str, *, instead: str) -> None:
    """Say so where bf16 is asked for and the device has no arithmetic for it. instead: what the user can do."""
    if precision == "bf16" and not bf16_is_fast(device):
        what = "this processor" if device == "cpu" else device
        note(f"{what} has no arithmetic for bf16, which is much slower than fp32 there: {instead}")


def _processor() -> str:
    """What Linux says of the processors, "" elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def check_device(device: str) -> None:
    """Raise ConfigError where a device is neither the CPU nor a CUDA device that this torch can use."""
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device {device!r} is not known; use cpu, cuda or cuda:0") from None
    if wanted.type == "cpu":
        return
    if wanted.type != "cuda":
        raise ConfigError(f"device {device!r} is not supported; use cpu or cuda")
    if not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} is not available here; use cpu, or install a CUDA build of torch")
    if (wanted.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {device!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
