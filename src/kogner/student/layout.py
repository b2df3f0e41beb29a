"""Names of the files of a student on disk, and its configuration read without torch.

A folder is one of two kinds: a KoGNER student (`student.json`, see `checkpoint`), or a GLiNER checkpoint
(`gliner_config.json`, see `gliner`), to which KoGNER adds what GLiNER cannot hold (`kogner.json`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kogner import hub
from kogner.artifacts import MANIFEST, open_artifact
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, ConfigError
from kogner.mapping import from_mapping

KIND, VERSION = "student", 1
STUDENT = "student.json"
CARD = "README.md"
WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"
GLINER = "gliner_config.json"
SIDE = "kogner.json"
LABELS_TOKENIZER = "labels_tokenizer"


def is_gliner(folder: Path) -> bool:
    """Whether a folder holds a GLiNER checkpoint. Raises ArtifactError where it holds a KoGNER student as well."""
    found = (folder / GLINER).is_file()
    if found and (folder / STUDENT).is_file():
        raise ArtifactError(
            f"{folder} holds both a KoGNER student ({STUDENT}) and a GLiNER checkpoint ({GLINER}); remove the files of "
            "one of them"
        )
    return found


def read_config(path: str | Path) -> StudentConfig:
    """Configuration of a KoGNER student or a GLiNER checkpoint, from its folder or hub id; loads no torch, no weights.

    Raises ArtifactError where the folder is neither, or of a variant or version that is not read, KognerError where the
    hub cannot be reached.
    """
    folder = hub.fetch(path, files=hub.CONFIGURATION)
    if is_gliner(folder):
        from kogner.student import gliner_config

        return gliner_config.student_config(folder)
    if folder.is_dir() and not (folder / MANIFEST).is_file():
        raise ArtifactError(f"{folder} is neither a KoGNER student nor a GLiNER checkpoint (no {STUDENT}, no {GLINER})")
    open_artifact(folder, kind=KIND, version=VERSION)
    return read_student(folder / STUDENT)[0]


def read_student(file: Path) -> tuple[StudentConfig, dict[str, Any]]:
    """What `student.json` says: the configuration, and the fields of StudentInfo.

    Raises ArtifactError where a part is missing or of another kind, ConfigError for a setting that is not known.
    """
    return _parts(read_json(file), file)


def _parts(raw: dict[str, Any], file: Path) -> tuple[StudentConfig, dict[str, Any]]:
    return from_mapping(StudentConfig, _mapping(raw, "student", file), where=str(file)), _mapping(raw, "info", file)


def _mapping(raw: dict[str, Any], name: str, file: Path) -> dict[str, Any]:
    found = raw.get(name)
    if not isinstance(found, dict):
        raise ArtifactError(f"{file} must hold an object {name!r}, not {found!r}; fetch or make the student again")
    return found


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint. Raises ArtifactError where there is none."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{file.parent} is incomplete: {file.name} is missing") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{file} must hold a JSON object, not {type(raw).__name__}")
    return raw


def side_file(folder: Path) -> tuple[StudentConfig, dict[str, Any]] | None:
    """What `kogner.json` of an exported checkpoint says: our configuration, and the fields of StudentInfo.

    None where the folder was not written by KoGNER. Raises ArtifactError where the file cannot be read.
    """
    file = folder / SIDE
    if not file.is_file():
        return None
    raw = read_json(file)
    if raw.get("version") != VERSION:
        raise ArtifactError(f"{file} has version {raw.get('version')!r}, this KoGNER reads {VERSION}; upgrade KoGNER")
    try:
        return _parts(raw, file)
    except (ArtifactError, ConfigError) as error:
        raise ArtifactError(f"{file} cannot be read ({error}); remove it to read the checkpoint as GLiNER's") from error
