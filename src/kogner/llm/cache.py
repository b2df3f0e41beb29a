"""Answers on disk, one row per answer that was paid for, keyed by the hash of its request.

SQLite in WAL mode, each row committed before the answer is used: a `kill -9` loses none of them. `synchronous=NORMAL`
writes without waiting for the disk, so a power cut can take the last few; waiting cost several ms an answer.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from kogner.artifacts import locked
from kogner.errors import ArtifactError
from kogner.llm.request import Reply, Request

VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    hash BLOB PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL, finish TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, created REAL NOT NULL
)
"""


class Cache:
    """Answers by request. Failures are not kept: they are asked again.

    Several processes may read one file, but only one should pay for what it lacks: see `Cache.to_pay`.
    Raises ArtifactError where the file is no such cache, is damaged, of another version, or cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise ArtifactError(f"the cache {self.path} cannot be opened ({error}); give another file") from error
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version not in (0, VERSION) or (version == 0 and tables):
                raise ArtifactError(
                    f"{self.path} is not a cache of answers in version {VERSION}; give another file or remove it"
                )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_TABLE)
            self._connection.execute(f"PRAGMA user_version={VERSION}")
            self._connection.execute("COMMIT")
            self._last = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM answers").fetchone()[0]
        except sqlite3.Error as error:
            self._connection.close()
            raise self._broken(error) from error
        except ArtifactError:
            self._connection.close()
            raise

    @classmethod
    @contextmanager
    def to_pay(cls, path: Path | str) -> Iterator[Cache]:
        """A cache for this run alone: two at once would pay twice for one answer, each up to its own max_cost.

        Raises ArtifactError where another run has it, see `kogner.artifacts.locked`.
        """
        place = Path(path)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(place))
            except OSError as error:
                raise ArtifactError(f"the cache {place} cannot be opened ({error}); give another file") from error
            yield stack.enter_context(cls(place))

    def get(self, request: Request) -> Reply | None:
        """The answer paid for earlier, marked as cached, or None."""
        found = self.find(request)
        return None if found is None else found[0]

    def find(self, request: Request) -> tuple[Reply, bool] | None:
        """The answer, and whether it was there when the cache was opened; None if there is none."""
        try:
            row = self._connection.execute(
                "SELECT rowid, text, finish, input_tokens, output_tokens FROM answers WHERE hash = ?",
                (bytes.fromhex(request.hash),),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if row is None:
            return None
        rowid, text, finish, read, written = row
        return Reply(text, finish, read, written, cached=True), rowid <= self._last

    def put(self, request: Request, reply: Reply) -> None:
        """Keep an answer; it is committed when this returns. The first answer to a request stays."""
        text = reply.text.encode(errors="replace").decode()  # half a surrogate pair is no UTF-8
        row = (
            bytes.fromhex(request.hash), str(request.model), text, reply.finish,
            reply.input_tokens, reply.output_tokens, time.time(),
        )  # fmt: skip
        try:
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def __contains__(self, request: Request) -> bool:
        return self.get(request) is not None

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file; what was put is already in it."""
        self._connection.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _broken(self, error: sqlite3.Error) -> ArtifactError:
        return ArtifactError(
            f"the cache of answers {self.path} cannot be used ({error}); free the disk or the lock, "
            "or move the file away if it is damaged"
        )
