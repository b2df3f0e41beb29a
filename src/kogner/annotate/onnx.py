"""Students as ONNX graphs, run by ONNX Runtime or OpenVINO: no weights of torch, the same spans.

Layout of the folder (artefact kind `onnx-student`, format version 2):
  text.onnx      ids, mask (windows, tokens), window, token (words,) -> starts, ends (words, 4 * hidden) float32
  labels.onnx    ids, mask (labels, tokens) -> folded (labels, 4 * hidden), offset (labels,) float32
  student.json   architecture, types, thresholds, temperatures, as in a student
  text_encoder/  config.json and tokenizer; label_encoder/ likewise where it is separate
  entity_weights.safetensors  as in a student, where names count by their entities
A uni-encoder, which reads the labels with each text, has no labels.onnx, and this as its text graph:
  text.onnx      ids, mask (windows, tokens), window, word (words,), marks (types,), first (windows, grid) and, where
                 there is a BiLSTM, lengths (windows,) -> starts, ends, folded (windows, types, 4 * hidden), offset
`window` and `token` name the first sub-token of each word. The logit of the span of words i .. j of one window and a
label t is `folded_t . relu(starts_i + ends_j) + offset_t` (docs/decisions.md, "factorised span head").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner import encoders
from kogner.annotate.engine import A_BATCH, Hits, as_columns
from kogner.annotate.head import check_finite, search
from kogner.annotate.labels import tokenizer_state
from kogner.annotate.packing import can_pack
from kogner.artifacts import MANIFEST, file_sha256, open_artifact, read_manifest
from kogner.errors import ArtifactError, ConfigError, MissingExtraError
from kogner.student.checkpoint import StudentInfo
from kogner.student.encoder import Encoded, Prompt, collate, collate_labels, max_tokens
from kogner.student.layout import STUDENT, read_student
from kogner.student.prompt import Prompter

KIND, VERSION = "onnx-student", 2
ENGINES = ("torch", "onnx", "openvino")  # what a user may ask for; the last two run exports
TEXT, LABELS = "text.onnx", "labels.onnx"


def is_onnx(folder: Path) -> bool:
    """Whether a folder holds an ONNX export."""
    return (folder / MANIFEST).is_file() and read_manifest(folder).kind == KIND


class OnnxStudent:
    """What a predictor asks of a student, answered by an ONNX export. On the CPU, at the precision it was written in.

    encode_labels returns (labels, 4 * hidden + 1): folded vectors, and behind them the offsets; of a uni-encoder the
    prompt. engine: `onnx` or `openvino`, what runs the graphs.
    """

    training = False
    device = torch.device("cpu")

    def __init__(self, folder: Path, *, engine: str = "onnx") -> None:
        self.folder, self.engine = folder, engine
        self.config, raw = read_student(folder / STUDENT)
        self.info = StudentInfo.read(raw, file=folder / STUDENT)
        sides = ["text_encoder", "text_encoder" if self.config.label_encoder == "shared" else "label_encoder"]
        read = [_encoder_files(folder / name) for name in sides]
        (self.tokenizer, _), (self.label_tokenizer, _) = read
        self.text_limit, self._label_limit = (max_tokens(*side) for side in read)
        self.label_width = 4 * (self.config.hidden or 0) + 1
        self.prompter: Prompter | None = None
        if self.config.architecture == "uni":
            self.prompter = Prompter(self.config, self.tokenizer, limit=self.text_limit)
        else:
            self._labels = session(folder / LABELS, engine=engine)

    @classmethod
    def open(cls, path: str | Path, *, engine: str = "onnx") -> OnnxStudent:
        """An export that was written whole. Raises ArtifactError where it was not, or is damaged or of another kind."""
        open_artifact(path, kind=KIND, version=VERSION)
        return cls(Path(path), engine=engine)

    def label_hash(self) -> str:
        """Hex sha256 of all that makes label vectors: the graph, which holds its weights, and the tokenizer."""
        state = tokenizer_state(self.label_tokenizer)
        return hashlib.sha256(f"{file_sha256(self.folder / LABELS)}\n{state}".encode()).hexdigest()

    def room(self, labels: Sequence[str]) -> int:
        """Sub-tokens that one window may have where these labels are asked for, special tokens included."""
        return self.text_limit if self.prompter is None else self.prompter.room(labels)

    def encode_labels(self, labels: Sequence[str]) -> Tensor | Prompt:
        """Labels as `OnnxEngine.score` takes them. Raises InputError for one that the encoder cannot read whole."""
        if self.prompter is not None:
            return self.prompter.encode(labels)
        ids, mask = collate_labels(self.label_tokenizer, labels, limit=self._label_limit)
        folded, offset = self._labels.run(None, {"ids": ids.numpy(), "mask": mask.numpy()})
        return torch.from_numpy(np.concatenate([folded, offset[:, None]], axis=1))


def _encoder_files(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and configuration of an encoder. Raises ArtifactError where they cannot be read."""
    try:
        return encoders.tokenizer_at(folder), encoders.config_at(folder)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise ArtifactError(
            f"{folder} holds no tokenizer and configuration that this transformers can read: "
            f"{encoders.first_line(error)}; export the student again, or upgrade transformers"
        ) from error


class OnnxEngine:
    """The text graph of an ONNX export. threads: of what runs it; 0 takes as many as torch has."""

    each = A_BATCH  # as in `Engine`

    def __init__(self, student: OnnxStudent, *, threads: int = 0) -> None:
        self.student, self.pack = student, can_pack()
        self.session = session(student.folder / TEXT, engine=student.engine, threads=threads)

    def score(self, windows: Sequence[Encoded], types: Tensor | Prompt, at_least: Tensor, temperatures: Tensor) -> Hits:
        """Spans whose logit reaches the bound of their type, as columns; see `Engine.score`."""
        batch = collate(windows, pad_id=self.student.tokenizer.pad_token_id or 0)
        window, word = batch.words.nonzero().unbind(1)
        if isinstance(types, Prompt):
            assert self.student.prompter is not None
            ids, mask, marks, first = self.student.prompter.join(batch, types)
            inputs = {"ids": ids, "mask": mask, "window": window, "word": word, "marks": marks, "first": first}
            if self.student.config.rnn_layers:
                inputs["lengths"] = batch.words.sum(1)
            starts, ends, folded, offset = self._run(inputs)
        else:
            inputs = {"ids": batch.ids, "mask": batch.mask, "window": window, "token": batch.first[window, word]}
            starts, ends = self._run(inputs)
            folded, offset = types[:, :-1], types[:, -1].contiguous()
        check_finite(starts, ends, folded, offset, dtype=torch.float32)
        width = self.student.config.max_width
        index, logits = search(starts, ends, window, folded, offset, at_least, max_width=width, pack=self.pack)
        return as_columns(index, logits, window, word, temperatures)

    def _run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        found = self.session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        return [torch.from_numpy(array) for array in found]


def session(file: Path, *, engine: str = "onnx", threads: int = 0) -> Any:
    """A graph ready to run. Raises MissingExtraError without the engine, ArtifactError for a file it cannot read."""
    if engine == "openvino":
        from kogner.annotate.openvino import OpenVinoSession

        return OpenVinoSession(file, threads=threads)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("the ONNX engine", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.enable_mem_pattern = False  # it keeps a plan for every shape, and nearly every batch has its own
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds, none of them public
        reason = str(error).strip().splitlines()[0]
        raise ArtifactError(f"{file} cannot be run by ONNX Runtime: {reason}; export the student again") from error


def engine_for(engine: str | None, path: str | Path, *, device: str) -> str:
    """One of ENGINES, for what is at `path`; None takes `torch`, and `onnx` for an ONNX export.

    Raises ConfigError for an engine that is not known, or cannot run what is there, or not on that device.
    """
    if engine is not None and engine not in ENGINES:
        raise ConfigError(f"engine {engine!r} is not known; use one of {', '.join(ENGINES)}")
    found = is_onnx(Path(path))
    if engine in ("onnx", "openvino") and not found:
        raise ConfigError(
            f"{path} is no ONNX export, which the engine {engine} runs; make one: kogner export --to onnx {path} OUT"
        )
    if engine == "torch" and found:
        raise ConfigError(f"{path} is an ONNX export, which the engine torch cannot run; take the student it came from")
    if found and not device.startswith("cpu"):
        raise ConfigError(f"{path} is an ONNX export, which runs on the CPU here; take --device cpu")
    return engine or ("onnx" if found else "torch")
