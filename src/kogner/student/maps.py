"""What distillation learns beside a student: maps of span vectors and of a bank's rows into one space.

Inference of entities needs none of it. With the maps a span can be compared with every entity of the bank that taught
the student, as L_dist compared it with the one it was linked to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kogner.errors import ArtifactError
from kogner.student.distil import DistilHead, student_map

FILE = "maps.safetensors"
_SPANS, _ENTITIES = "student_map.", "teacher_map.weight"


@dataclass(frozen=True)
class Maps:
    """spans: map of span vectors. entities: (size, width) map of standardised rows; None leaves these as they are.

    mean, scale: (width,) that rows are standardised with. parts: of the bank, in the order of a row. bank: its hash.
    """

    spans: nn.Module
    entities: Tensor | None
    mean: Tensor
    scale: Tensor
    parts: tuple[str, ...]
    bank: str
    kind: str = "mlp"

    @classmethod
    def of(cls, head: DistilHead, *, bank: str) -> Maps:
        """Those of a trained head. bank: hash of what it was taught by."""
        entities = head.teacher_map.weight.detach() if isinstance(head.teacher_map, nn.Linear) else None
        return cls(head.student_map, entities, head.mean, head.scale, head.config.parts, bank, head.config.student_map)

    def save(self, folder: Path) -> None:
        """Write them beside a student."""
        found = {f"{_SPANS}{name}": tensor for name, tensor in self.spans.state_dict().items()}
        found |= {"mean": self.mean, "scale": self.scale}
        if self.entities is not None:
            found[_ENTITIES] = self.entities
        said = {"parts": json.dumps(self.parts), "bank": self.bank, "kind": self.kind}
        save_file({name: one.detach().cpu().float().contiguous() for name, one in found.items()}, folder / FILE, said)

    @classmethod
    def load(cls, folder: Path) -> Maps:
        """Those beside a student. Raises ArtifactError where there are none or they are damaged."""
        file = Path(folder) / FILE
        if not file.is_file():
            raise ArtifactError(f"{folder} has no {FILE}: it was not distilled, or written by an earlier version")
        try:
            with safe_open(file, "pt") as stored:
                said = stored.metadata() or {}
                found = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            own = {name.removeprefix(_SPANS): one for name, one in found.items() if name.startswith(_SPANS)}
            weights = [one for name, one in own.items() if name.endswith("weight")]
            hidden, size = (weights[0].shape[1], weights[-1].shape[0]) if weights else (0, 0)
            spans = student_map(said["kind"], hidden, size)
            spans.load_state_dict(own)
            parts = tuple(json.loads(said["parts"]))
            return cls(
                spans.eval(), found.get(_ENTITIES), found["mean"], found["scale"], parts, said["bank"], said["kind"]
            )
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{file} holds no maps ({error}); train the student again") from error

    def of_spans(self, vectors: np.ndarray) -> np.ndarray:
        """Span vectors, (spans, hidden), in the shared space: (spans, size) float32 of unit length."""
        with torch.inference_mode():
            return _unit(self.spans(torch.from_numpy(np.asarray(vectors, np.float32))))

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the bank's parts side by side, (entities, width), likewise: (entities, size) float32."""
        with torch.inference_mode():
            standard = (torch.from_numpy(np.asarray(rows, np.float32)) - self.mean) / self.scale
            return _unit(standard if self.entities is None else standard @ self.entities.T)


def _unit(vectors: Tensor) -> np.ndarray:
    found: np.ndarray = torch.nn.functional.normalize(vectors.float(), dim=-1).numpy()
    return found
