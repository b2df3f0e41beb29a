"""Hashes of files, each made once for each state of the file: a plan asks for a corpus in all of its cells."""

from functools import cache
from pathlib import Path

from kogner.artifacts import file_sha256


def sha256_of(file: Path) -> str:
    """As `kogner.artifacts.file_sha256`."""
    state = file.stat()
    return _at(file, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


@cache
def _at(file: Path, *state: int) -> str:
    return file_sha256(file)
