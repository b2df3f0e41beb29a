"""Label vectors that are kept: between calls in memory, between runs in a file.

A label's vector depends on nothing but the label and the weights that read it, so that each is made once. The file is
safetensors: `vectors` (labels, width) float32, and in its metadata the labels as JSON and the hash of the weights they
were made from. It is replaced in one step: readers see the old file or the new one. Of two processes that write at
the same time, the later one may drop what the other added in between; it is then made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from kogner.artifacts import write_atomic
from kogner.errors import ArtifactError
from kogner.progress import note
from kogner.student.model import Student

KIND, VERSION = "kogner-label-vectors", 1
LIMIT = 4096  # labels that are kept; the longest unused go first
_CHUNK = 64  # labels that are encoded at a time


class LabelCache:
    """Vectors of the labels asked for last.

    encode: labels to vectors (labels, width). weights: the hash of what makes them, see `label_hash`; asked only where
    there is a file. path: a file, or a folder in which each checkpoint has a file of its own; None keeps nothing on
    disk. limit: labels kept, in memory and in the file; one request may hold more for its own time.
    Whoever changes the weights calls `forget`.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], Tensor],
        *,
        width: int,
        weights: Callable[[], str],
        path: str | Path | None = None,
        limit: int = LIMIT,
    ) -> None:
        self.vectors: OrderedDict[str, Tensor] = OrderedDict()
        self.path = None if path is None else Path(path)
        self._folder = path is not None and (Path(path).is_dir() or str(path).endswith(("/", os.sep)))
        self._encode, self._width, self._weights, self._limit = encode, width, weights, limit
        self._writable = True
        self._opened: tuple[Path, str] | None = None  # the file, and the hash of the weights it belongs to
        self._lock = threading.Lock()  # threads may share a model

    def take(self, labels: Sequence[str], *, on_disk: bool = True) -> Tensor:
        """Vectors of the labels, (labels, width) float32 on the CPU, from memory, the file, or the encoder.

        on_disk: False while the weights are being trained, when no file can belong to them.
        Raises ArtifactError where the file is damaged, something else, or belongs to another checkpoint.
        """
        with self._lock:
            return self._take(labels, on_disk=on_disk)

    def _take(self, labels: Sequence[str], *, on_disk: bool) -> Tensor:
        if on_disk and self.path is not None and self._opened is None:
            self._open()
        new = [label for label in labels if label not in self.vectors]
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            for label, vector in zip(chunk, self._encode(chunk).float(), strict=True):
                self.vectors[label] = vector.to(
                    "cpu", copy=True
                )  # a row alone, or it would hold the whole chunk in memory
        for label in labels:
            self.vectors.move_to_end(label)
        result = torch.stack([self.vectors[label] for label in labels])
        while len(self.vectors) > self._limit:
            self.vectors.popitem(last=False)
        if new and on_disk and self._writable and self._opened is not None:
            self._save()
        return result

    def forget(self) -> None:
        """Drop what was made of weights that have changed; the file is opened anew when it is next needed."""
        with self._lock:
            self.vectors.clear()
            self._opened = None

    def _open(self) -> None:
        assert self.path is not None
        weights = self._weights()
        file = self.path / f"{weights[:16]}.safetensors" if self._folder else self.path
        if file.exists():
            found = read_labels(file, weights=weights, width=self._width)
            self.vectors = OrderedDict((found | self.vectors).items())
        self._opened = file, weights

    def _save(self) -> None:
        """Add what memory holds to the file. A file that cannot be written is a note: it is a cache."""
        assert self._opened is not None
        file, weights = self._opened
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = read_labels(file, weights=weights, width=self._width) if file.exists() else {}
            merged = OrderedDict(kept)
            for label, vector in self.vectors.items():
                merged[label] = vector
                merged.move_to_end(label)
            labels = list(merged)[-self._limit :]
            tensors = {"vectors": torch.stack([merged[label] for label in labels])}
            about = {"kind": KIND, "version": str(VERSION), "weights": weights, "labels": json.dumps(labels)}
            write_atomic(file, save(tensors, metadata=about))
        except OSError as error:
            note(f"label vectors are not kept on disk: {file} cannot be written ({error.strerror or error})")
            self._writable = False


def read_labels(file: Path, *, weights: str, width: int) -> dict[str, Tensor]:
    """Label vectors of a file, each (width,) float32, the longest unused first.

    weights: hash of the weights that they must come from.
    Raises ArtifactError where the file is damaged, no label cache, of a newer version, or of another checkpoint.
    """
    mend = "remove it, or name another file with --label-cache"
    data = file.read_bytes()  # at once: safe_open opens a file twice, and another process may replace it in between
    try:
        vectors = load(data).get("vectors")
        length = int.from_bytes(data[:8], "little")
        about = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except SafetensorError as error:
        raise ArtifactError(f"label cache {file} is damaged or cut off ({error}); {mend}") from error
    if about.get("kind") != KIND or vectors is None:
        raise ArtifactError(f"{file} is no label cache of KoGNER; name another file with --label-cache")
    if about.get("version") != str(VERSION):
        raise ArtifactError(
            f"label cache {file} has version {about.get('version')}, this KoGNER reads {VERSION}; upgrade, or {mend}"
        )
    if about.get("weights") != weights:
        raise ArtifactError(
            f"label cache {file} belongs to another checkpoint (weights {about.get('weights', '')[:12]}, here "
            f"{weights[:12]}); {mend}, or name a folder, where each checkpoint has a file of its own"
        )
    try:
        labels = json.loads(about.get("labels", ""))
    except ValueError as error:
        raise ArtifactError(f"label cache {file} is damaged (its labels are not JSON); {mend}") from error
    if (
        not isinstance(labels, list)
        or vectors.dtype != torch.float32
        or vectors.shape != (len(labels), width)
        or not torch.isfinite(vectors).all()
    ):
        raise ArtifactError(f"label cache {file} is damaged (its labels and vectors do not fit); {mend}")
    return {str(label): vector.clone() for label, vector in zip(labels, vectors, strict=True)}


def label_hash(student: Student) -> str:
    """Hex sha256 of all that makes label vectors: label encoder, its tokenizer, type head, mean pooling."""
    encoder = student.text_encoder if student.label_encoder is None else student.label_encoder
    digest = hashlib.sha256(b"mean pooling")
    digest.update(tokenizer_state(student.label_tokenizer).encode())
    for part in (encoder, student.type_head):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"\n{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def tokenizer_state(tokenizer: object) -> str:
    """A tokenizer as text, without what a call leaves behind in it (padding, truncation)."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return json.dumps(tokenizer.get_vocab(), sort_keys=True)  # type: ignore[attr-defined]
    state = json.loads(backend.to_str())
    return json.dumps({name: value for name, value in state.items() if name not in ("padding", "truncation")})
