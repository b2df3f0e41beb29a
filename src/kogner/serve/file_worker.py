"""The process that reads and writes files for a server: a request after the other on its standard input.

A request is a line of JSON with the length of the body that follows it; so is an answer. Memory is bounded where the
system can do that, and the time of a request too, should the server that would end it be gone.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from typing import Any

from kogner.errors import KognerError
from kogner.serve import files
from kogner.serve.limits import Limits, RequestError
from kogner.serve.log import failure
from kogner.serve.parsing import MalformedError, parse
from kogner.serve.schemas import ExportRequest, ReadAnswer

SAID, DETAILS = 2000, 20  # characters of a message and how many details, which may quote what a client sent
BASE, PER_BYTE = 1 << 30, 32  # bytes of memory: at least, and for each that a body may have
LATER = 10  # seconds after the server's own time-out


def main() -> None:
    """Answer requests until the input ends."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what is printed is no answer
    limits = Limits(**json.loads(asked.readline()))
    _bound_memory(memory(limits))
    answers.write(b"ready\n")
    answers.flush()
    while line := asked.readline():
        request = json.loads(line)
        body = asked.read(request["bytes"])
        _bound_time(int(limits.timeout) + LATER)
        said, data = _answered(request, body, limits)
        _bound_time(0)
        answers.write(json.dumps(said | {"bytes": len(data)}).encode() + b"\n" + data)
        answers.flush()
        del body, data


def memory(limits: Limits) -> int:
    """Bytes that the process may have."""
    return BASE + PER_BYTE * limits.body_bytes


def _answered(request: dict[str, Any], body: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    try:
        if request["what"] == "read":
            read = files.read(body, request["name"], limits, first=request.get("first"))
            answer = ReadAnswer(format=read.form, documents=read.documents, notes=read.notes, next=read.next)
            return {}, answer.model_dump_json().encode()
        asked = parse(ExportRequest, body)
        data, notes = files.write(asked)
        return {"format": asked.format, "notes": notes}, data
    except MemoryError:
        return {"refused": {"status": 413, "reason": "too_much_memory", "message": files.TOO_MUCH_MEMORY}}, b""
    except RequestError as error:
        refused = {"status": error.status, "reason": error.reason, "message": _cut(str(error)), "where": error.where}
        details = error.details if isinstance(error, MalformedError) else None
        if details is not None:
            details = [(_cut(where), _cut(message)) for where, message in details[:DETAILS]]
        return {"refused": refused, "details": details}, b""
    except KognerError as error:
        return {"wrong": _cut(str(error))}, b""
    except Exception as error:
        return {"defect": failure(error)}, b""


def _cut(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()  # an answer holds no half of a surrogate pair
    return text if len(text) <= SAID else f"{text[: SAID - 4]} ..."


def _bound_memory(most: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has none, and some systems do not keep to it
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _bound_time(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
