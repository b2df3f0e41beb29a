"""A student made ready for inference: windows in, spans above their bounds out."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

from kogner.annotate import unpadded
from kogner.annotate.head import InferenceHead
from kogner.annotate.packing import can_pack, prepared
from kogner.errors import ConfigError
from kogner.hardware import bf16_is_fast
from kogner.student.encoder import Encoded, Prompt
from kogner.student.model import Student

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CHOICES = ("auto", *PRECISIONS)  # what a user may ask for

A_BATCH, A_GPU_BATCH = 100, 4096  # sub-tokens

_ASKING = threading.Lock()
_ASKED: list[int] = []  # numbers of threads that calls under way asked for
_BEFORE: list[int] = []  # the number from before the first of them

Hits = tuple[list[int], list[int], list[int], list[int], list[float]]


def resolved(precision: str, device: str) -> str:
    """A key of PRECISIONS for what a user asked for: `auto` is bf16 where the device is fast at it, else fp32.

    Raises ConfigError for fp16 on a processor, which has no arithmetic for it.
    """
    if precision == "auto":
        return "bf16" if bf16_is_fast(device) else "fp32"
    if precision == "fp16" and device == "cpu":
        raise ConfigError("precision fp16 needs a GPU (--device cuda); on a processor take fp32, bf16 or auto")
    return precision


class Engine:
    """The student as its weights are now: later changes of them are not seen (a `Predictor` then makes a new one).

    precision: of all weights and inner vectors, a key of PRECISIONS; fp16 is for a GPU. On a CPU the linear layers are
    packed where that pays (`kogner.annotate.packing`).
    compile: have torch's compiler write the text encoder instead, which takes about half a minute at the first batch.
    Raises ConfigError where that needs a C++ compiler and there is none.
    each: what a batch costs beside its sub-tokens, as `batching.batches` takes it.
    """

    each: int | None

    def __init__(self, student: Student, *, precision: str = "fp32", compile: bool = False) -> None:
        dtype = PRECISIONS[precision]
        on_cpu = student.device.type == "cpu"
        if compile:
            check_compiler(student.device.type)
        pack = on_cpu and can_pack(dtype)
        self.student = student
        self.reader = cast(
            Student, prepared(student, dtype=dtype, pack=pack and not compile, skip=("span_head", "label_encoder"))
        )
        if compile:  # with freezing the compiler lays weights out for oneDNN itself
            model = self.reader.text_encoder.model
            self.reader.text_encoder.model = torch.compile(  # type: ignore[assignment]
                model, dynamic=True, options={"freezing": True} if on_cpu else None
            )
        if unpadded.fits(self.reader.text_encoder) and unpadded.register():
            self.reader.text_encoder = unpadded.UnpaddedEncoder(self.reader.text_encoder)
            self.each = None
        else:
            self.each = A_BATCH if on_cpu else A_GPU_BATCH
        self.head = InferenceHead(student.span_head, dtype=dtype, pack=pack)

    def score(self, windows: Sequence[Encoded], types: Tensor | Prompt, at_least: Tensor, temperatures: Tensor) -> Hits:
        """Spans whose logit reaches the bound of their type, as columns.

        windows: at least one. types: what `Student.encode_labels` returned. at_least: (types,) logits. temperatures:
        (types,), what a logit is divided by before it becomes a score (Guo et al. 2017, section 4.2).
        Columns: window, first word, words beyond the first, type, score in [0, 1]; ordered by the first three.
        """
        batch = self.student.collate(windows).to(self.student.device)
        words, vectors = self.reader.read(batch, types)
        window, word = batch.words.nonzero().unbind(1)
        index, logits = self.head.hits(words[batch.words], window, vectors, at_least)
        return as_columns(index, logits, window, word, temperatures)


def as_columns(index: Tensor, logits: Tensor, window: Tensor, word: Tensor, temperatures: Tensor) -> Hits:
    """What `Engine.score` returns, of the index (hits, 3) and logits (hits,) that `InferenceHead.hits` returns.

    window, word: (words,), the window that each word stands in and its number there.
    """
    at = index[:, 0]
    columns = torch.stack([window[at], word[at], index[:, 1], index[:, 2]]).tolist()
    # In single precision without a temperature, as GLiNER: types that both reach 1 tie there too, and the first of them
    # is taken. With one, in double precision: what is 1 in single precision is told apart again.
    heats = temperatures[index[:, 2]]
    scores = torch.sigmoid(logits).double()
    return (*columns, torch.where(heats == 1, scores, torch.sigmoid(logits.double() / heats)).tolist())


def check_compiler(device: str) -> None:
    """Raise ConfigError where torch.compile could not compile: it writes C++ for a processor, Triton for a GPU."""
    if device == "cpu":
        wanted = os.environ.get("CXX")
        if not any(shutil.which(name) for name in ([wanted] if wanted else ["g++", "clang++", "c++", "cl"])):
            named = f"{wanted} (from CXX)" if wanted else "g++, clang++ or cl"
            raise ConfigError(f"--compile needs a C++ compiler, and there is no {named} here; install one, or leave it")
        return
    from importlib.util import find_spec

    if find_spec("triton") is None:
        raise ConfigError("--compile needs Triton on a GPU; install it (pip install triton), or leave it")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run torch with so many CPU threads, and with those it had before afterwards; 0 changes nothing.

    The number is torch's, for the whole process. Where Python's threads ask for several at a time the last one counts,
    and the number from before the first comes back behind the last.
    """
    if not count:
        yield
        return
    with _ASKING:
        if not _ASKED:
            _BEFORE[:] = [torch.get_num_threads()]
        _ASKED.append(count)
        _set_threads(count)
    try:
        yield
    finally:
        with _ASKING:
            _ASKED.remove(count)
            _set_threads(_ASKED[-1] if _ASKED else _BEFORE[0])


def _set_threads(count: int) -> None:
    if count != torch.get_num_threads():
        torch.set_num_threads(count)
