"""Shards in several processes of this machine, each with a student of its own.

A process may die at any moment (out of memory, a crash of a library, `kill -9`). Its shard is then annotated again,
document by document; one that a process died of twice is a failure and left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from kogner.bulk.folder import ShardResult
from kogner.bulk.shards import Shard
from kogner.bulk.worker import Worker, WorkPlan
from kogner.errors import KognerError
from kogner.progress import note, set_quiet

LAST_CHANCE = 2  # deaths at one document after which it is a failure
BARREN = 20  # deaths in a row with no document done between them, after which a plain sentence is tried
STARTS = 3  # processes that may die one after the other before any of them was ready
POLL_S = 1.0


@dataclass(frozen=True)
class Task:
    """A shard to annotate. careful: document by document. without: places that are failures, with the reason.

    check: a plain sentence is to be annotated before (`Worker.check`).
    """

    shard: Shard
    careful: bool = False
    without: dict[int, str] = field(default_factory=dict)
    check: bool = False


@dataclass
class _Process:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None
    ready: bool = False
    place: int | None = None  # in the shard, of the document it said it was at; None where it writes
    begun: int = 0  # documents of the task that it said it was at
    cause: str = ""  # that it was ended for
    heard: float = field(default_factory=time.monotonic)


class ProcessPool:
    """Annotates shards in `count` processes. silence: seconds without a sign of life after which one is killed.

    threads of a process: those of the plan's settings.
    """

    def __init__(self, plan: WorkPlan, folder: Path, *, count: int, silence: float = 900.0) -> None:
        self.plan, self.folder, self.count, self.silence = plan, folder, count, silence
        self._workers: list[_Process] = []
        self._again: deque[Task] = deque()
        self._deaths: Counter[tuple[tuple[int, int], int | None]] = Counter()
        self._failed_starts = self._barren = 0
        self._said_untrained = False

    def run(self, shards: Iterator[Shard]) -> Iterator[ShardResult]:
        """What became of each shard, as they are done. As many shards are read ahead as there are processes.

        Raises KognerError where a process cannot open the student, or where they die whatever they are given.
        """
        ahead: deque[Shard] = deque()
        more = True
        try:
            self._workers = [self._start() for _ in range(self.count)]
            while True:
                for worker in self._free():
                    if self._again:
                        self._give(worker, self._again.popleft())
                    elif ahead or (more and (found := next(shards, None)) is not None):
                        self._give(worker, Task(ahead.popleft() if ahead else found))  # type: ignore[arg-type]
                    else:
                        more = False
                if not (more or ahead or self._again or any(worker.task for worker in self._workers)):
                    return
                if more and len(ahead) < self.count:
                    read = next(shards, None)
                    if read is None:
                        more = False
                    else:
                        ahead.append(read)
                yield from self._listen(0.0 if more and len(ahead) < self.count else POLL_S)
        finally:
            self.close()

    def one(self, shard: Shard) -> ShardResult:
        """What became of one shard. The processes stay for the next one, until `close`. Raises as `run` does."""
        self._again.append(Task(shard))
        self._workers = self._workers or [self._start() for _ in range(self.count)]
        while True:
            for worker in self._free():
                if self._again:
                    self._give(worker, self._again.popleft())
            for result in self._listen(POLL_S):
                return result

    def _free(self) -> list[_Process]:
        return [worker for worker in self._workers if worker.ready and worker.task is None]

    def _start(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.plan, self.folder), daemon=True)
        process.start()
        theirs.close()
        return _Process(process, ours)

    def _give(self, worker: _Process, task: Task) -> None:
        worker.task, worker.place, worker.begun, worker.heard = task, None, 0, time.monotonic()
        with suppress(OSError):  # one that is dead is met as such where it is listened to
            worker.connection.send(task)

    def _listen(self, seconds: float) -> Iterator[ShardResult]:
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                kind, said = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            worker.heard = time.monotonic()
            if kind == "ready":
                if said and not self._said_untrained:
                    note(said)
                self._said_untrained = True
                worker.ready, self._failed_starts = True, 0
            elif kind == "at":
                worker.place = said
                worker.begun += 1
            elif kind == "alive" and worker.task is not None:
                worker.task, self._barren = replace(worker.task, check=False), 0
            elif kind == "failed":
                raise KognerError(said)
            else:
                worker.task, self._barren = None, 0
                yield said
        for worker in list(self._workers):
            if time.monotonic() - worker.heard > self.silence and (worker.task is not None or not worker.ready):
                worker.cause = f"took longer than {self.silence:.0f} s (--document-timeout)"
                worker.process.kill()
                self._bury(worker)

    def _bury(self, worker: _Process) -> None:
        """Start another process in the place of a dead one, and put what it was at back in the row."""
        worker.process.join(10)
        code, task = worker.process.exitcode, worker.task
        worker.connection.close()
        self._workers.remove(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise KognerError(
                    f"{STARTS} processes ended (exit code {code}) while they opened the model; is there enough memory "
                    f"for {self.count}? Give fewer with --processes"
                )
        if task is not None:
            self._again.append(self._once_more(task, worker, worker.cause or f"ended the process, exit code {code}"))
        self._workers.append(self._start())

    def _once_more(self, task: Task, worker: _Process, cause: str) -> Task:
        """A task that a process died of, or took too long for, without the document where it happened twice."""
        at = worker.place if task.careful else None
        self._deaths[task.shard.key, at] += 1
        self._barren = 0 if worker.begun > 1 else self._barren + 1
        if task.check:
            raise KognerError(
                f"{BARREN} processes were lost one after the other, with no document done between them, and one at a "
                f"plain sentence (the last one {cause}); is there enough memory? What is done is kept"
            )
        task = replace(task, check=self._barren >= BARREN)
        if at is not None and self._deaths[task.shard.key, at] >= LAST_CHANCE:
            name = task.shard.documents[at].id
            note(f"document {name} is left out: annotating it {cause}, {LAST_CHANCE} times")
            without = {**task.without, at: f"annotating it {cause}, {LAST_CHANCE} times"}
            return replace(task, careful=True, without=without)
        near = "" if worker.place is None else f" near document {task.shard.documents[worker.place].id}"
        note(f"a shard {cause}{near}, and is annotated again document by document")
        return replace(task, careful=True)

    def close(self) -> None:
        """End the processes, those at work at once."""
        for worker in self._workers:
            worker.connection.close()  # which ends it
            if worker.task is not None or not worker.ready:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []


def _work(connection: Connection, plan: WorkPlan, folder: Path) -> None:
    """A process: open the student once, then annotate and write what is sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the one that gave the work ends the others
    set_quiet(True)

    def say(kind: str, said: Any = None) -> None:
        try:
            connection.send((kind, said))
        except OSError:
            os._exit(1)  # nobody is there any more

    try:
        worker = Worker(plan, folder)
    except KognerError as error:
        say("failed", str(error))
        return
    say("ready", worker.annotator.untrained(plan.labels))
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if task.check:
                worker.check(f"{BARREN} processes were lost one after the other")
                say("alive")
            result = worker.write(
                task.shard, beat=lambda place: say("at", place), careful=task.careful, without=task.without
            )
        except KognerError as error:
            say("failed", str(error))
        except Exception as error:  # of the writing, since those of documents are failures
            say("failed", f"shard {task.shard.key} cannot be written to {folder}: {type(error).__name__}: {error}")
        else:
            say("done", result)
