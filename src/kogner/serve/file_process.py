"""Files are read and written in a process of their own, which can be ended: a thread cannot.

What a file costs is not known before it is read. So the process has a time (`--timeout`) and, where the system bounds
that, a memory; at the end of either it is killed, the request refused, and the next one gets a new process. It is
started with the first file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Any

from kogner.errors import InputError
from kogner.serve import files
from kogner.serve.limits import Limits, RequestError
from kogner.serve.log import say
from kogner.serve.parsing import MalformedError

MOST_OPEN = 8  # requests, the one that is done among them
START_S = 60.0  # seconds in which a process has to start
_LINE = 1 << 20  # bytes of an answer's first line
_RUN = "import sys; sys.path[:] = {path!r}; from kogner.serve.file_worker import main; main()"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # others would only take memory


class FileProcess:
    """The process and those who wait for it. Belongs to one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._ended = False
        self.open = 0  # requests that are not answered

    async def ask(self, what: str, body: bytes | bytearray, **more: str | int | None) -> tuple[dict[str, Any], bytes]:
        """What the process says about a request, and the bytes of its answer. what: `read` or `write`.

        Raises RequestError: 429 where too many wait, 503 where it takes too long or the server ends, 413 where it takes
        too much memory; and what reading or writing raises.
        """
        if self.open >= MOST_OPEN:
            raise RequestError(429, "busy", f"{self.open} files wait, which is the limit; ask again in a second",
                               retry_after=1)  # fmt: skip
        self.open += 1
        try:
            said, data = await self._in_turn({"what": what, "bytes": len(body), **more}, body)
        finally:
            self.open -= 1
        if "defect" in said:
            say("file_error", level=logging.ERROR, **said["defect"])
            raise RuntimeError("a file could not be read or written")
        if "wrong" in said:
            raise InputError(said["wrong"])
        if "refused" in said:
            refused, details = said["refused"], said.get("details")
            if details is not None:
                details = [(where, message) for where, message in details]
                raise MalformedError(refused["status"], refused["reason"], refused["message"], details)
            raise RequestError(**refused)
        return said, data

    def give_up(self) -> None:
        """Answer those who wait with 503, and begin nothing more."""
        self._ended = True
        if self._process is not None:
            _kill(self._process)

    async def end(self) -> None:
        """End the process."""
        self.give_up()
        await self._drop()

    async def _in_turn(self, asked: dict[str, Any], body: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
        until = time.monotonic() + self._limits.timeout
        try:
            await asyncio.wait_for(self._turn.acquire(), self._limits.timeout)
        except asyncio.TimeoutError:
            raise self._late() from None
        try:
            begun = time.monotonic()
            process = await self._started()
            until += time.monotonic() - begun
            return await asyncio.wait_for(_exchange(process, asked, body), max(0.0, until - time.monotonic()))
        except asyncio.TimeoutError:
            await self._drop()
            raise self._late() from None
        except (asyncio.IncompleteReadError, ConnectionError):  # it has ended
            await self._drop()
            if self._ended:
                raise _stopping() from None
            raise RequestError(413, "too_much_memory", files.TOO_MUCH_MEMORY) from None
        except BaseException:  # cancelled among them
            await self._drop()  # or its answer would be taken for that of the next request
            raise
        finally:
            self._turn.release()

    async def _started(self) -> Process:
        if self._ended:
            raise _stopping()
        if self._process is None or self._process.returncode is not None:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _RUN.format(path=sys.path),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,  # it may hold text
                limit=_LINE,
                env=os.environ | _ONE_THREAD,
                start_new_session=True,  # Ctrl-C is for the server, which finishes what is open
            )
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(vars(self._limits)).encode() + b"\n")
            if await asyncio.wait_for(process.stdout.readline(), START_S) != b"ready\n":
                await self._drop()
                if self._ended:
                    raise _stopping()
                raise RuntimeError("the process that reads files did not start")
        return self._process

    async def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            await process.wait()

    def _late(self) -> RequestError:
        return RequestError(
            503,
            "timeout",
            f"not done within {self._limits.timeout:g} s (--timeout); send a part of the file, or ask again",
            retry_after=5,
        )


async def _exchange(process: Process, asked: dict[str, Any], body: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    process.stdin.write(body)
    await process.stdin.drain()
    said: dict[str, Any] = json.loads(await process.stdout.readuntil(b"\n"))
    return said, await process.stdout.readexactly(said["bytes"])


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _stopping() -> RequestError:
    return RequestError(503, "stopping", "the server stopped before this request was done; ask again", retry_after=5)
