"""How much more or less a name counts for being that of one entity and not of another.

Annotators of a corpus mark some kinds of what a graph calls a chemical, and not others: drugs and not proteins,
diseases and not modes of inheritance. `kogner calibrate --graph --bank` learns which from annotated documents, by the
teacher's vectors, and keeps one number for each entity beside the student; to annotate needs neither bank nor teacher.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from kogner.errors import ArtifactError

FILE = "entity_weights.safetensors"
STEP = 1 / 16  # logits; what is stored is how many, from -127 to 127
LEAST = 4  # of these; what changes a logit less is left out, which is a tenth of the file
_KEYS, _STEPS = "keys", "steps"


def key(entity_id: str) -> int:
    """Four bytes that stand for an id. One of 600,000 entities is taken for another once in some 7,000 ids that the
    table does not hold, and gets its weight.
    """
    return int.from_bytes(hashlib.blake2b(entity_id.encode(), digest_size=4).digest(), "little")


def _times(steps: np.ndarray, scale: float) -> np.ndarray:
    """Steps times a scale, as they are stored: whole, within a byte, none of fewer than LEAST."""
    whole = np.clip(np.rint(steps * scale), -127, 127).astype(np.int8)
    return np.where(np.abs(whole) >= LEAST, whole, np.int8(0))


def scaled_logits(logits: np.ndarray, scale: float) -> np.ndarray:
    """Logits of a table as `EntityWeights.scaled` leaves them: (entities,) float64."""
    found: np.ndarray = _times(np.rint(logits / STEP), scale) * STEP
    return found


@dataclass(frozen=True, eq=False)
class EntityWeights:
    """of: by label in small letters its entities' keys, ascending, (entities,) uint32, and steps, (entities,) int8."""

    of: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @classmethod
    def table(cls, entity_ids: Iterable[str], logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keys and steps of entities with their logits, (entities,), as `of` has them for one label.

        Those that round to nothing are left out. Of two ids with one key the first counts.
        """
        steps = np.clip(np.rint(np.asarray(logits) / STEP), -127, 127).astype(np.int8)
        keys = np.fromiter((key(one) for one in entity_ids), np.uint32, len(steps))
        unique, first = np.unique(keys, return_index=True)
        kept = steps[first] != 0
        return unique[kept], steps[first][kept]

    def logit(self, label: str, entity_id: str) -> float:
        """What is added to the weight of a name of the label; 0 for an entity, or label, that nothing was learnt of."""
        keys, steps = self.of.get(label.lower(), (None, None))
        if keys is None or steps is None:
            return 0.0
        wanted = key(entity_id)
        at = int(np.searchsorted(keys, wanted))
        return float(steps[at]) * STEP if at < len(keys) and keys[at] == wanted else 0.0

    def most(self, label: str) -> float:
        """The largest of a label's, at least 0."""
        _, steps = self.of.get(label.lower(), (None, np.zeros(0, np.int8)))
        return max(float(steps.max()), 0.0) * STEP if len(steps) else 0.0

    def scaled(self, scales: Mapping[str, float]) -> EntityWeights:
        """The same, those of each label times what `scales` says; a label that it does not name is left out."""
        by = {label.lower(): scale for label, scale in scales.items()}
        found = {}
        for label, (keys, steps) in self.of.items():
            scale = by.get(label, 0.0)
            whole = _times(steps, scale)
            if (kept := whole != 0).any():
                found[label] = (keys[kept], whole[kept])
        return EntityWeights(found)

    def without(self, labels: Sequence[str]) -> EntityWeights:
        """Those of other labels than these, whatever their case."""
        left = {label.lower() for label in labels}
        return EntityWeights({label: table for label, table in self.of.items() if label not in left})

    def joined(self, other: EntityWeights) -> EntityWeights:
        """These, and those of `other`, which count where both have a label."""
        return EntityWeights({**self.of, **other.of})

    def save(self, folder: Path) -> None:
        """Write them beside a student; where there are none, nothing stands there afterwards."""
        if not self.of:
            (folder / FILE).unlink(missing_ok=True)
            return
        arrays: dict[str, np.ndarray] = {}
        for label, (keys, steps) in self.of.items():
            arrays |= {f"{_KEYS}.{label}": keys, f"{_STEPS}.{label}": steps}
        save_file(arrays, folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> EntityWeights:
        """Those beside a student, none where there is no such file. Raises ArtifactError for one that is damaged."""
        file = folder / FILE
        if not file.is_file():
            return cls()
        try:
            arrays = load_file(file)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{file} cannot be read ({error}); fetch or make the student again") from error
        found = {}
        for name, keys in arrays.items():
            kind, _, label = name.partition(".")
            if kind != _KEYS:
                continue
            steps = arrays.get(f"{_STEPS}.{label}")
            if steps is None or keys.dtype != np.uint32 or steps.dtype != np.int8 or keys.shape != steps.shape:
                raise ArtifactError(
                    f"{file} holds no weights of entities for {label!r}; fetch or make the student again"
                )
            if keys.ndim != 1 or (np.diff(keys.astype(np.int64)) <= 0).any():
                raise ArtifactError(f"{file}: entities of {label!r} are not in order; fetch or make the student again")
            found[label] = (keys, steps)
        return cls(found)
