"""Checkpoints on the model hub: only weights as safetensors, JSON and tokenizer files are ever fetched."""

from __future__ import annotations

import re
from pathlib import Path

from kogner.errors import ArtifactError, KognerError

FILES = ("*.json", "*.jsonl", "*.txt", "*.model", "*.md", "*.safetensors")
# What a pushed student replaces: files of either format, so that none of an earlier push is read in its place.
REPLACED = (
    "artifact.json", "student.json", "kogner.json", "gliner_config.json", "model*.safetensors", "pytorch_model*.bin",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "spm.model", "*_encoder/*",
    "labels_tokenizer/*", "training_log.jsonl", "entity_weights.safetensors", "maps.safetensors",
)  # fmt: skip
_NOT = ("onnx/*", "*.fp16.safetensors", "*.bf16.safetensors")
CONFIGURATION = ("*.json",)  # in folders of it too
_ID = re.compile(r"(?P<name>[A-Za-z0-9_][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def fetch(name: str | Path, *, files: tuple[str, ...] = FILES) -> Path:
    """The folder of a checkpoint: `name` itself where it exists, else a copy of what the hub has under that id.

    An id is `owner/name`, or `owner/name@revision` with a branch, a tag or a commit. A path in a folder that exists
    (`models/mine`) is never taken for one. Private checkpoints need the token that huggingface_hub takes from
    `HF_TOKEN` or `hf auth login`. files: patterns of what to fetch.
    Raises ArtifactError where `name` is neither, KognerError where the hub cannot be reached or has no such checkpoint.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ArtifactError(f"{folder} is a file; give the folder of a student")
    found = _ID.fullmatch(str(name))
    if found is None or folder.parent.is_dir():
        raise ArtifactError(
            f"{name} does not exist; a student folder is needed here, or a hub id such as owner/name or "
            "owner/name@revision"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(
                found["name"], revision=found["revision"], allow_patterns=list(files), ignore_patterns=list(_NOT)
            )
        )
    except HFValidationError as error:
        raise ArtifactError(f"{name} is no folder here, and no name that the model hub can have: {error}") from error
    except Exception as error:  # those of the HTTP library too, which huggingface_hub lets through
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise KognerError(
            f"{name} is no folder here and could not be fetched from the model hub: {reason} "
            "Check the name and the network, or give the path of a downloaded checkpoint"
        ) from error


def name_of(folder: Path) -> str:
    """What a user calls a folder: its hub id where it lies in the hub's cache, else its path."""
    cache = folder.parent.parent.name
    if folder.parent.name == "snapshots" and cache.startswith("models--"):
        return cache.removeprefix("models--").replace("--", "/", 1)
    return str(folder)
