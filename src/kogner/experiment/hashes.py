"""Hashes of data, and of files, made once for each state of the file: a plan asks for a corpus in all of its cells."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kogner.artifacts import file_sha256


def sha256_of(file: Path) -> str:
    """As `kogner.artifacts.file_sha256`."""
    state = file.stat()
    return _at(file, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


@cache
def _at(file: Path, *state: int) -> str:
    return file_sha256(file)


def hash_of(said: Mapping[str, Any]) -> str:
    """SHA-256 of data for JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
