"""A student made ready for inference: windows in, spans above their bounds out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from kogner.annotate.head import InferenceHead
from kogner.annotate.packing import can_pack, prepared
from kogner.student.encoder import Encoded, Prompt
from kogner.student.model import Student

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Engine:
    """The student as its weights are now: later changes of them are not seen.

    precision: of all weights and inner vectors, a key of PRECISIONS; fp16 is meant for a GPU. On a CPU the linear
    layers are packed (`kogner.annotate.packing`).
    """

    def __init__(self, student: Student, *, precision: str = "fp32") -> None:
        dtype = PRECISIONS[precision]
        pack = student.device.type == "cpu" and dtype != torch.float16 and can_pack()
        self.student = student
        self.reader = cast(Student, prepared(student, dtype=dtype, pack=pack, skip=("span_head", "label_encoder")))
        self.head = InferenceHead(student.span_head, dtype=dtype, pack=pack)

    def score(
        self, windows: Sequence[Encoded], types: Tensor | Prompt, at_least: Tensor
    ) -> tuple[list[int], list[int], list[int], list[int], list[float]]:
        """Spans whose logit reaches the bound of their type, as columns.

        windows: at least one. types: what `Student.encode_labels` returned. at_least: (types,) logits.
        Columns: window, first word, words beyond the first, type, score in [0, 1]; ordered by the first three.
        """
        batch = self.student.collate(windows).to(self.student.device)
        words, vectors = self.reader.read(batch, types)
        sentence, word = batch.words.nonzero().unbind(1)
        index, logits = self.head.hits(words[batch.words], sentence, vectors, at_least)
        rows = sentence[index[:, 0]]
        columns = torch.stack([rows, word[index[:, 0]], index[:, 1], index[:, 2]]).tolist()
        return (*columns, torch.sigmoid(logits).tolist())
