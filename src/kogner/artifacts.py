"""A saved folder: a graph store, a bank, a student. Written beside its place, hashed, and moved in one step.

`artifact.json` in each folder lists kind, format version, files with size and sha256, recipe, metrics, and the hashes
of the artefacts it was made from. The artefact's own hash covers the files' contents and nothing that changes from run
to run (no dates, no paths), so that the same input gives the same hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from kogner import __version__
from kogner.errors import ArtifactError
from kogner.progress import note

MANIFEST = "artifact.json"
_FIELDS = {
    "kind": str, "version": int, "hash": str, "files": dict, "recipe": dict, "metrics": dict, "parents": dict,
    "created": str,
}  # fmt: skip
_KINDS = {str: "text", int: "a whole number", dict: "an object"}


@dataclass(frozen=True)
class Artifact:
    """What the manifest of a saved folder says. `hash`: sha256 over kind, version and file contents."""

    path: Path
    kind: str
    version: int
    hash: str
    files: dict[str, dict[str, Any]]
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    created: str = ""


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader (or a kill -9) sees either the old content or the new, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """As `write_atomic`, of lines one after the other, each without its end; returns how many there were."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            for line in lines:
                stream.write(f"{line}\n")
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a path (an artefact, a work folder) for this process; the lock ends with the process, however it ends.

    The lock is the file `.<name>.lock` beside the path, removed at the end; one that a killed run left behind holds
    nobody up. The path itself need not exist and may be replaced or removed meanwhile. Of a link that which it points
    to is held, and its own name too, since a writer puts a folder in its place.
    wait: until another process lets go of it. Else raises ArtifactError naming the process that holds it: two runs
    would overwrite each other's files.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    real = Path(os.path.realpath(path))
    with ExitStack() as held:
        if path.is_symlink():
            held.enter_context(_held(Path(os.path.realpath(path.parent)) / path.name, path, wait=wait))
            try:
                held.enter_context(_held(real, path, wait=wait))
            except OSError as error:  # where it lies nothing may be written
                note(f"{real} cannot be locked ({error.strerror or error}); do not start a second run on it")
        else:
            held.enter_context(_held(real, path, wait=wait))
        yield


@contextmanager
def _held(place: Path, path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a place, which whoever asks for it is told as `path`."""
    file = place.with_name(f".{place.name}.lock")
    stream = _take(file, path, wait=wait)
    try:
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        yield
    finally:
        if os.name != "nt":  # where an open file cannot be removed, it stays
            file.unlink(missing_ok=True)  # before the lock is let go, or it could be the next holder's
        stream.close()


def _take(file: Path, path: Path, *, wait: bool) -> IO[str]:
    """The lock file, open and locked. Another holder may remove it between opening and locking: then once more."""
    while True:
        stream = file.open("a+", encoding="utf-8")
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such lock on Windows: two runs at once stay the user's own care there
            return stream
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read() or "another process"
            stream.close()
            if wait:
                time.sleep(1)
                continue
            raise ArtifactError(
                f"{path} is in use by {holder}; wait for it, stop it, or give another place to write to"
            ) from error
        except OSError as error:
            note(f"{file} cannot be locked ({error.strerror or error}); do not start a second run on {path}")
            return stream
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                return stream
        stream.close()


@contextmanager
def writing(
    path: Path,
    *,
    kind: str,
    version: int,
    recipe: Mapping[str, Any] | None = None,
    parents: Mapping[str, str] | None = None,
    metrics: dict[str, Any] | None = None,
) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success hash it, write the manifest and move it into place.

    Whatever stood at `path` is replaced if it is an artefact of the same kind, and refused otherwise: a user's folder
    is never deleted. Fill `metrics` inside the block; it is read at its end. Folders that a killed run left behind
    are removed by the next one, and an artefact that was killed between the two moves is put back first.
    Raises ArtifactError as well where another process is writing to `path`.
    """
    path = Path(path)
    with locked(path), _building(path, kind=kind) as temporary:
        yield temporary
        _seal(temporary, kind=kind, version=version, recipe=recipe, parents=parents, metrics=metrics)
        if path.exists():
            old = path.parent / f".{path.name}.{os.getpid()}.old"
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)


@contextmanager
def _building(path: Path, *, kind: str) -> Iterator[Path]:
    """A new folder beside `path`, removed at the end if it is still there; mends what killed runs left first."""
    for old in left_behind(path, "old"):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(path)
    check_replaceable(path, kind=kind)
    for stale in left_behind(path, "building"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.building"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def left_behind(path: Path, ending: str) -> list[Path]:
    """What killed processes left beside `path`, named `.<name>.<process>.<ending>`; nothing of `<name>.more`."""
    own = re.compile(rf"\.{re.escape(path.name)}\.\d+\.{ending}")
    return sorted(one for one in path.parent.iterdir() if own.fullmatch(one.name))


def check_replaceable(path: Path, *, kind: str) -> None:
    """Raise ArtifactError where `path` holds something that writing an artefact of `kind` must not replace.

    Long work calls this before it starts rather than finding out at its end.
    """
    if path.is_file():
        raise ArtifactError(f"{path} is a file; give a folder to write the {kind} to")
    if path.is_dir() and any(path.iterdir()):
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path} is not empty and not a {kind}; give another folder or remove it")
        found = read_manifest(path).kind
        if found != kind:
            raise ArtifactError(f"{path} holds a {found}, not a {kind}; give another folder or remove it")


def _seal(
    folder: Path,
    *,
    kind: str,
    version: int,
    recipe: Mapping[str, Any] | None,
    parents: Mapping[str, str] | None,
    metrics: Mapping[str, Any] | None,
) -> None:
    mask = os.umask(0)
    os.umask(mask)
    for file in folder.rglob("*"):  # some libraries write files that only their owner can read
        if file.is_file():
            file.chmod(0o666 & ~mask)
    files = {
        str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    manifest = {
        "kind": kind,
        "version": version,
        "hash": _content_hash(kind, version, files),
        "kogner": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "parents": dict(parents or {}),
        "recipe": dict(recipe or {}),
        "metrics": dict(metrics or {}),
        "files": files,
    }
    write_atomic(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _content_hash(kind: str, version: int, files: Mapping[str, Mapping[str, Any]]) -> str:
    digest = hashlib.sha256(f"{kind}/{version}".encode())
    for name in sorted(files):
        digest.update(f"\n{name} {files[name]['sha256']}".encode())
    return digest.hexdigest()


def read_manifest(path: Path) -> Artifact:
    """Read a folder's manifest. Raises ArtifactError where there is none or it cannot be parsed."""
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise ArtifactError(f"{path} is not a KoGNER artefact: it has no {MANIFEST}")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        found = {name: raw[name] for name in _FIELDS}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{file} cannot be read ({error}); make the artefact again") from error
    for name, kind in _FIELDS.items():
        if not isinstance(found[name], kind):
            raise ArtifactError(f"{file} is damaged: {name} must be {_KINDS[kind]}; make the artefact again")
    for name, entry in found["files"].items():
        if not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int) or not entry.get("sha256"):
            raise ArtifactError(f"{file} is damaged: it has no bytes and sha256 of {name}; make the artefact again")
    return Artifact(path=Path(path), **found)


def open_artifact(path: Path | str, *, kind: str, version: int, verify: bool = False) -> Artifact:
    """Check that `path` is a whole artefact of this kind and format version, and return its manifest.

    Sizes are always compared; `verify` compares contents as well.
    Raises ArtifactError with what is wrong and how to mend it.
    """
    path = Path(path)
    if not path.exists():
        raise ArtifactError(f"{path} does not exist; a {kind} folder is needed here")
    artifact = read_manifest(path)
    if artifact.kind != kind:
        raise ArtifactError(f"{path} is a {artifact.kind}, but a {kind} is needed here")
    if artifact.version != version:
        raise ArtifactError(
            f"{path} has {kind} format version {artifact.version}, this KoGNER reads {version}; "
            + ("upgrade KoGNER" if artifact.version > version else "make it again")
        )
    for name, entry in artifact.files.items():
        file = path / name
        if not file.is_file():
            raise ArtifactError(f"{path} is incomplete: {name} is missing; make it again")
        if file.stat().st_size != entry["bytes"]:
            raise ArtifactError(f"{file} has {file.stat().st_size} bytes, not {entry['bytes']}; make it again")
        if verify and file_sha256(file) != entry["sha256"]:
            raise ArtifactError(f"{file} is damaged (its sha256 differs from {MANIFEST}); make it again")
    return artifact
