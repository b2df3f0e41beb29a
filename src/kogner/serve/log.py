"""The server's log: a JSON object a line, on standard error.

Nothing a client wrote stands in it but its `X-Request-Id`: no text, label, query or key. So of an error that was not
expected it has the kind and the places in the code, and not the message, which may hold any of these.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from typing import Any

LOGGER = logging.getLogger("kogner.serve")
FIELDS = "fields"  # of a record: what else its line has


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, event, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, FIELDS, {})
        if record.exc_info and record.exc_info[1] is not None:
            line |= failure(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def failure(error: BaseException) -> dict[str, Any]:
    """An error without its message: its kind, and where it came from, the innermost place last."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": [f"{one.filename}:{one.lineno} {one.name}" for one in frames]}


def say(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line."""
    LOGGER.log(level, event, extra={FIELDS: fields})


def set_up(*, quiet: bool = False) -> None:
    """Send the lines of the server, and of uvicorn, to standard error; with `quiet` warnings and errors only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (LOGGER.name, "uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    LOGGER.setLevel(logging.WARNING if quiet else logging.INFO)
