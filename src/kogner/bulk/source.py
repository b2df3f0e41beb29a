"""An input of a job, and how it is known again: by its place, or by its name and content where it was moved."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kogner.artifacts import file_sha256
from kogner.errors import InputError

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Input:
    """A file (or BRAT folder) of documents. modified: its time in ns. digest: sha256 of its content."""

    number: int
    path: str
    bytes: int
    modified: int
    digest: str

    @classmethod
    def of(cls, number: int, path: Path) -> Input:
        """The input that a file is now. Raises InputError where it cannot be read."""
        try:
            size, modified = _state(path)
            return cls(number, str(path.absolute()), size, modified, _digest(path))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error

    @property
    def folder(self) -> str:
        """Name of the folder of its shards."""
        return f"{self.number:05d}-{_UNSAFE.sub('_', Path(self.path).name)[:80]}"

    def is_as_it_was(self, path: Path) -> bool:
        """Whether a file still has its size and time, so that its content need not be read."""
        try:
            return _state(path) == (self.bytes, self.modified)
        except OSError:
            return False


def _files(path: Path) -> Iterator[Path]:
    return iter(sorted(file for file in path.iterdir() if file.is_file())) if path.is_dir() else iter((path,))


def _state(path: Path) -> tuple[int, int]:
    found = [file.stat() for file in _files(path)]
    return sum(one.st_size for one in found), max((one.st_mtime_ns for one in found), default=0)


def _digest(path: Path) -> str:
    if not path.is_dir():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file_sha256(file)} {file.name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
