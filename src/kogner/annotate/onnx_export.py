"""Writing a student as ONNX graphs, and rounding the text graph to eight bits.

Graphs come from torch's tracing exporter: for a MiniLM it took 4 s where the newer one (`dynamo=True`) took 39 s, and
it needs no package beside torch. A trace can freeze what should vary, so each graph is run on other shapes than it was
traced with, a long text among them, and refused where its vectors are not the student's.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kogner.annotate.onnx import LABELS, TEXT, session
from kogner.errors import KognerError, MissingExtraError
from kogner.student.checkpoint import StudentInfo, describe
from kogner.student.encoder import Encoder, collate_labels, max_tokens, tokenise
from kogner.student.model import Student
from kogner.student.spans import SpanHead
from kogner.student.uni import UniStudent

OPSET = 17
_TOKENS, _WORDS, _TYPES = {0: "rows", 1: "tokens"}, {0: "words"}, {0: "rows", 1: "types"}
_AXES = {
    "ids": _TOKENS, "mask": _TOKENS, "marks": {0: "types"}, "first": {0: "rows", 1: "grid"}, "lengths": {0: "rows"},
    "window": _WORDS, "word": _WORDS, "token": _WORDS, "starts": _WORDS, "ends": _WORDS,
    "folded": _TYPES, "offset": _TYPES,
}  # fmt: skip
_LONG, _BESIDE = 300, 32  # words of the longest probe, and sub-tokens that it leaves to markers and types
TOLERANCE = 1e-3  # of a vector's numbers, whose size is a few units; rounding differs by 1e-6 to 1e-5


class _TextPart(nn.Module):
    def __init__(self, encoder: Encoder, head: SpanHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, ids: Tensor, mask: Tensor, window: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        words = self.encoder.tokens(ids, mask)[window, token]
        return self.head.halves(words if self.encoder.projection is None else self.encoder.projection(words))


class _TwoWays(nn.Module):
    """A BiLSTM without ONNX's lengths of sequences, which OpenVINO reads wrongly for all rows but the longest.

    Padding stands behind the words: the forward direction does not see it, and the other reads each row from its end.
    """

    def __init__(self, rnn: nn.LSTM) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in range(rnn.num_layers):
            for suffix in ("", "_reverse"):
                one = nn.LSTM(rnn.input_size if layer == 0 else 2 * rnn.hidden_size, rnn.hidden_size, batch_first=True)
                names = [name.removesuffix("_l0") for name, _ in one.named_parameters()]
                one.load_state_dict({f"{name}_l0": getattr(rnn, f"{name}_l{layer}{suffix}") for name in names})
                self.layers.append(one)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        places = torch.arange(words.shape[1]).unsqueeze(0)
        back = (lengths.unsqueeze(1) - 1 - places).clamp(min=0).unsqueeze(-1)
        for number in range(0, len(self.layers), 2):
            ahead, behind = self.layers[number], self.layers[number + 1]
            turned = behind(words.gather(1, back.expand(-1, -1, words.shape[-1])))[0]
            words = torch.cat([ahead(words)[0], turned.gather(1, back.expand(-1, -1, turned.shape[-1]))], dim=-1)
        return words


class _UniPart(nn.Module):
    """The text graph of a uni-encoder; types come out of it too."""

    def __init__(self, student: UniStudent) -> None:
        super().__init__()
        self.encoder, self.head = student.text_encoder, student.span_head
        self.type_head = student.type_head
        self.rnn = None if student.rnn is None else _TwoWays(student.rnn)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        window: Tensor,
        word: Tensor,
        marks: Tensor,
        first: Tensor,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        tokens = self.encoder.tokens(ids, mask)
        if self.encoder.projection is not None:
            tokens = self.encoder.projection(tokens)
        words = tokens.gather(1, first.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        if self.rnn is not None and lengths is not None:
            words = self.rnn(words, lengths)
        return (*self.head.halves(words[window, word]), *self.head.fold(self.type_head(tokens[:, marks])))


class _LabelPart(nn.Module):
    def __init__(self, encoder: Encoder, type_head: nn.Module, head: SpanHead) -> None:
        super().__init__()
        self.encoder, self.type_head, self.head = encoder, type_head, head

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.head.fold(self.type_head(self.encoder.pooled(ids, mask)))


def export_onnx(student: Student, info: StudentInfo, folder: Path) -> None:
    """Write a student into an existing folder, laid out as `kogner.annotate.onnx` says.

    Raises MissingExtraError without onnx and onnxruntime, KognerError where the encoder cannot be exported or its graph
    gives other vectors.
    """
    _require("onnx", "onnxruntime")
    student = student.eval()
    few = ["g", "h i"]
    many = [" ".join(["a"] * min(_LONG, student.text_limit - _BESIDE)), "d", "e f"]
    graphs: list[tuple[str, nn.Module, Any, tuple[str, ...]]]
    if isinstance(student, UniStudent):
        graphs = [(TEXT, _UniPart(student), _uni_inputs, ("starts", "ends", "folded", "offset"))]
    else:
        encoder = student.text_encoder if student.label_encoder is None else student.label_encoder
        text = _TextPart(student.text_encoder, student.span_head)
        labels = _LabelPart(encoder, student.type_head, student.span_head)
        graphs = [(TEXT, text, _text_inputs, ("starts", "ends")), (LABELS, labels, _label_inputs, ("folded", "offset"))]
    for name, part, inputs, outputs in graphs:
        file, traced, probe = folder / name, inputs(student, few), inputs(student, many)
        _trace(part, traced, file, outputs)
        _compare(part, probe, file)
    describe(student, info, folder)


def quantise(folder: Path) -> None:
    """Round the matrices of an export's text graph to 8 bits, one scale per output; what they meet is rounded as it
    comes (ONNX Runtime's dynamic quantisation). The labels' graph, which runs once per label, stays as it is.
    """
    _require("onnx", "onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rounded = folder / f"rounded-{TEXT}"
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises a preprocessing that changes nothing in these graphs
    try:
        quantize_dynamic(str(folder / TEXT), str(rounded), per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.root.setLevel(level)
    rounded.replace(folder / TEXT)


def check_drop(before: Mapping[str, float], after: Mapping[str, float], *, max_drop: float) -> None:
    """Raise KognerError where F1 (in percent, by corpus) falls by more than `max_drop`, with both figures."""
    worse = [
        f"{name} {f1:.2f} to {after[name]:.2f}" for name, f1 in before.items() if round(f1 - after[name], 4) > max_drop
    ]
    if worse:
        raise KognerError(
            f"int8 costs more than {max_drop} F1 on dev ({'; '.join(worse)}); nothing was written. Export without "
            "--int8, or allow more with --max-drop"
        )


def _text_inputs(student: Student, texts: list[str]) -> dict[str, Tensor]:
    batch = student.collate(tokenise(student.tokenizer, [text.split() for text in texts]))
    window, word = batch.words.nonzero().unbind(1)
    return {"ids": batch.ids, "mask": batch.mask, "window": window, "token": batch.first[window, word]}


def _uni_inputs(student: UniStudent, texts: list[str]) -> dict[str, Tensor]:
    batch = student.collate(tokenise(student.tokenizer, [text.split() for text in texts]))
    window, word = batch.words.nonzero().unbind(1)
    ids, mask, marks, first = student.prompter.join(batch, student.prompter.encode([text[:3] for text in texts]))
    inputs = {"ids": ids, "mask": mask, "window": window, "word": word, "marks": marks, "first": first}
    return inputs | ({"lengths": batch.words.sum(1)} if student.rnn is not None else {})


def _label_inputs(student: Student, labels: list[str]) -> dict[str, Tensor]:
    encoder = student.text_encoder if student.label_encoder is None else student.label_encoder
    limit = max_tokens(student.label_tokenizer, encoder.model.config)
    ids, mask = collate_labels(student.label_tokenizer, labels, limit=limit)
    return {"ids": ids, "mask": mask}


def _trace(part: nn.Module, inputs: Mapping[str, Tensor], file: Path, outputs: tuple[str, ...]) -> None:
    axes = {name: _AXES[name] for name in (*inputs, *outputs)}
    if "window" not in inputs:
        axes |= {name: {0: "rows"} for name in outputs}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of branches on shapes, which `_compare` is there for
            torch.onnx.export(
                part.eval(),
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the exporter raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise KognerError(f"this student's encoder cannot be written as ONNX: {reason}") from error


def _compare(part: nn.Module, inputs: Mapping[str, Tensor], file: Path) -> None:
    with torch.no_grad():
        expected = part(*inputs.values())
    found: list[Any] = session(file).run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    for ours, theirs in zip(expected, found, strict=True):
        far = float((ours - torch.from_numpy(theirs)).abs().max()) if ours.shape == theirs.shape else float("inf")
        if not far <= TOLERANCE:
            raise KognerError(
                f"this student's encoder cannot be written as ONNX: {file.name} differs from it by {far:.2g} on a "
                f"batch of another shape (limit {TOLERANCE})"
            )


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in packages):
        raise MissingExtraError("ONNX export", "onnx")
