"""Requests that wait together go through the model together.

One thread owns the model. Whenever it is free it takes a batch: the documents of requests that ask for the same labels
in the same way, up to so many characters. Which documents come first is fair queueing by start times (Goyal et al.
1996): a request moves back by the characters that were taken of it, so a request of a thousand documents and one of a
single document share the model, and equal ones are served in the order they came. The clock that gives new requests
their place goes on by what is served, shared among those that wait (as in WF2Q+, Bennett and Zhang 1996): however many
new ones come, a request that waits gets its share.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from weakref import ref

from kogner.records import Document
from kogner.serve.limits import Limits, RequestError

OVERHEAD = 100  # characters that a document costs beside its own, in the measure of the queue
FADE = 0.9  # of what is known of the rate, kept at each batch
MOST_RETRY = 300  # seconds
RECENT = 10.0  # seconds over which it is seen how much comes
SURE = 0.8  # of the time-out: what is expected to take longer is let in only where nothing is before it


@dataclass(frozen=True)
class Question:
    """What is asked of a text: the labels and how they are decided. Works with equal ones may share a batch.

    thresholds: (label, score) of labels that have one of their own. cost: of reading the labels, in characters.
    """

    labels: tuple[str, ...]
    threshold: float | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    nested: bool = False
    multi_label: bool = False
    overlap: str = "score"
    agreement: float | None = None

    @property
    def cost(self) -> int:
        """What its labels count for in the queue, in characters."""
        return sum(map(len, self.labels))


@dataclass(eq=False)
class Work:
    """The documents of one request.

    answer: its documents with their entities, in their order; cancel it to withdraw what has not been begun.
    begun: when the first document was taken. arrived, begun: of `time.monotonic`. taken: documents that were.
    found: of those that are done. mentions: in these. tag, number: its place in the queue. left: cost of what is not
    taken; the labels count with the first document.
    """

    documents: Sequence[Document]
    question: Question
    link: bool = False
    answer: Future[list[Document]] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)
    begun: float | None = None
    taken: int = 0
    found: list[Document] = field(default_factory=list)
    mentions: int = 0
    tag: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        self.left = sum(map(cost, self.documents)) + (self.question.cost if self.documents else 0)

    def take(self) -> tuple[Document, int]:
        """The next document and its cost."""
        document = self.documents[self.taken]
        paid = cost(document) + (0 if self.taken else self.question.cost)
        self.taken += 1
        self.left -= paid
        self.tag += paid
        return document, paid

    def __lt__(self, other: Work) -> bool:
        return (self.tag, self.number) < (other.tag, other.number)


@dataclass(frozen=True)
class Batch:
    """Documents that go through the model together. parts: (work, some documents of it, in order)."""

    question: Question
    parts: Sequence[tuple[Work, Sequence[Document]]]

    @property
    def documents(self) -> list[Document]:
        """Of all its works."""
        return [document for _, documents in self.parts for document in documents]

    @property
    def cost(self) -> int:
        """In characters, as its works were charged for it."""
        begun = sum(documents[0] is work.documents[0] for work, documents in self.parts)
        return begun * self.question.cost + self.held

    @property
    def held(self) -> int:
        """Cost of its documents alone."""
        return sum(map(cost, self.documents))


def cost(document: Document) -> int:
    """What a document counts for in the queue, in characters."""
    return len(document.text) + OVERHEAD


Annotate = Callable[[Question, Sequence[tuple[Document, bool]]], list[Document]]


class Batcher:
    """A queue of works before one thread that annotates.

    annotate: the documents of a batch, each with whether it is to be linked; in their order. Called in the thread.
    report: called in the thread with each batch and the seconds it took; None where it failed for good.
    """

    def __init__(
        self, annotate: Annotate, limits: Limits, *, report: Callable[[Batch, float | None], None] | None = None
    ) -> None:
        self._annotate, self._limits, self._report = annotate, limits, report
        self._changed = threading.Condition(threading.RLock())
        self._waiting: list[Work] = []  # with documents that have not been taken
        self._open: set[Work] = set()  # those, and those whose documents are all taken but not done
        self._running = 0  # cost of the batch under way
        self._number = 0
        self._clock = 0.0  # tag of the next work that comes
        self._rate, self._full_rate = _Rate(), _Rate()  # of all batches, and of those that were at least half full
        self._arrivals = _Arrivals()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="kogner-model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def requests(self) -> int:
        """Requests that are not answered."""
        with self._changed:
            return len(self._open)

    @property
    def characters(self) -> int:
        """Cost of what waits and of what is under way."""
        with self._changed:
            return self._running + sum(work.left for work in self._waiting)

    @property
    def rate(self) -> float | None:
        """Characters a second of the last batches that succeeded, None before the first."""
        with self._changed:
            return self._rate.value

    def submit(self, work: Work) -> Future[list[Document]]:
        """Put a request in the queue.

        Its answer's exception is what annotating raised. Raises RequestError: 429 where the queue is full (too many
        requests, too many characters, or too long a wait), 413 for what the model could not do in time even alone.
        """
        with self._changed:
            if self._ended:
                raise RequestError(
                    503, "stopping", "the server is stopping; ask another one, or again later", retry_after=5
                )
            self._check_room(work)
            self._arrivals.add(work.left, time.monotonic())
            self._number += 1
            work.number, work.tag = self._number, self._clock
            self._open.add(work)
            here = ref(work)  # a cycle through its answer would keep its texts until they are collected
            work.answer.add_done_callback(lambda _: self._forget(here()))
            if work.documents:
                self._waiting.append(work)
                self._changed.notify_all()
            else:
                self._finish(work)
        return work.answer

    def end(self, *, error: Exception | None = None) -> None:
        """Take no more requests; the thread ends when all that wait are done. error: answer those with it instead."""
        with self._changed:
            self._ended = True
            given_up = list(self._open) if error is not None else []
            self._changed.notify_all()
        for work in given_up:
            if error is not None:
                self._fail(work, error)

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end; False where it has not."""
        self._thread.join(seconds)
        return not self.alive

    def _check_room(self, work: Work) -> None:
        limits, rate, full_rate = self._limits, self.rate, self._full_rate.value
        waiting, held = len(self._open), self.characters
        # What the model does before this work is done, if all that wait share it equally.
        ahead = self._running + sum(min(other.left, work.left) for other in self._waiting)
        if waiting >= limits.queue_requests:
            over = held / waiting
            said = f"{waiting} requests wait, the limit is {limits.queue_requests} (--queue-requests)"
        elif held and held + work.left > limits.queue_characters:
            over = held + work.left - limits.queue_characters
            said = f"{held:,} characters wait, the limit is {limits.queue_characters:,} (--queue-characters)"
        elif rate is not None and ahead / rate > limits.max_wait:
            over = ahead - rate * limits.max_wait
            said = f"this request would wait {ahead / rate:.0f} s, the limit is {limits.max_wait:g} s (--max-wait)"
        elif full_rate is not None and work.left / full_rate > limits.timeout:
            raise RequestError(
                413,
                "too_much",
                f"this request takes the model about {work.left / full_rate:.0f} s, the limit is {limits.timeout:g} s "
                "(--timeout); send fewer documents at a time",
            )
        elif full_rate is not None and ahead and (takes := self._takes(work, ahead, full_rate)) > SURE * limits.timeout:
            over = min(ahead, (takes - SURE * limits.timeout) * full_rate)
            said = (
                f"this request would be done in about {takes:.0f} s, and {limits.timeout:g} s is the limit "
                "(--timeout); send fewer documents at a time, or wait"
            )
        else:
            return
        seconds = 1 if rate is None else min(max(1, math.ceil(over / rate)), MOST_RETRY)
        raise RequestError(429, "busy", f"{said}; ask again in {seconds} s", retry_after=seconds)

    def _takes(self, work: Work, ahead: float, rate: float) -> float:
        """Seconds until a new work is done if others keep coming as they have lately, with whom it shares the model.

        ahead: cost of what is done before it of what waits now. Under load each that is done makes room for another,
        so that a work of many documents goes a round of the queue for each.
        """
        left = rate - self._arrivals.rate(time.monotonic())
        rounds = (self._running + work.left * (len(self._waiting) + 1)) / rate
        return min((ahead + work.left) / left if left > 0 else math.inf, rounds)

    def _forget(self, work: Work | None) -> None:
        """Take a work that is answered or withdrawn out of the queue."""
        if work is None:
            return
        with self._changed:
            self._open.discard(work)
            if work in self._waiting:
                self._waiting.remove(work)
                self._changed.notify_all()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            self._do(batch)
            with self._changed:
                self._running = 0

    def _next(self) -> Batch | None:
        """The next batch, waited for; None where the queue has ended and is empty."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._ended:
                        return None
                    self._changed.wait()
                    continue
                until = min(work.arrived for work in self._waiting) + self._limits.batch_wait
                full = sum(work.left for work in self._waiting) >= self._limits.batch_characters
                remaining = until - time.monotonic()
                if full or self._ended or remaining <= 0:
                    return self._take()
                self._changed.wait(remaining)

    def _take(self) -> Batch:
        """A batch of the works that ask the same as the one whose turn it is."""
        first, sharing = min(self._waiting), len(self._waiting)
        self._clock = max(self._clock, first.tag)
        question = first.question
        turn = [work for work in self._waiting if work.question == question]
        heapq.heapify(turn)
        parts: dict[Work, list[Document]] = {}
        held, served, now = 0, 0, time.monotonic()
        while turn:
            work = turn[0]
            if held and held + cost(work.documents[work.taken]) > self._limits.batch_characters:
                break
            document, paid = work.take()
            held += cost(document)
            served += paid
            parts.setdefault(work, []).append(document)
            work.begun = now if work.begun is None else work.begun
            if work.taken < len(work.documents):
                heapq.heapreplace(turn, work)
            else:
                heapq.heappop(turn)
                self._waiting.remove(work)
        self._running = served
        self._clock += served / sharing
        return Batch(question, tuple(parts.items()))

    def _do(self, batch: Batch) -> None:
        """Annotate a batch; where that fails, each request of it alone, so that it fails for its own reasons."""
        try:
            self._annotated(batch)
        except Exception as error:
            if len(batch.parts) > 1:
                for part in batch.parts:
                    self._do(Batch(batch.question, [part]))
                return
            if self._report is not None:
                self._report(batch, None)
            self._fail(batch.parts[0][0], error)

    def _annotated(self, batch: Batch) -> None:
        begun = time.monotonic()
        asked = [(document, work.link) for work, documents in batch.parts for document in documents]
        found = deque(self._annotate(batch.question, asked))
        seconds = time.monotonic() - begun
        with self._changed:
            self._running = 0  # before the answers are out, as who gets one may ask again at once
            self._rate.add(batch.cost, seconds)
            if batch.held >= self._limits.batch_characters / 2:
                self._full_rate.add(batch.cost, seconds)
        if self._report is not None:
            self._report(batch, seconds)
        for work, documents in batch.parts:
            done = [found.popleft() for _ in documents]
            work.found.extend(done)
            work.mentions += sum(len(document.mentions) for document in done)
            if work.mentions > self._limits.candidates:
                self._fail(work, _too_many_mentions(self._limits))
            elif len(work.found) == len(work.documents):
                self._finish(work)

    def _finish(self, work: Work) -> None:
        with self._changed:
            if not work.answer.done() and work.answer.set_running_or_notify_cancel():
                work.answer.set_result(work.found)

    def _fail(self, work: Work, error: Exception) -> None:
        with self._changed:
            if not work.answer.done() and work.answer.set_running_or_notify_cancel():
                work.answer.set_exception(error)


@dataclass
class _Rate:
    """Characters a second, of which older ones count less."""

    characters: float = 0.0
    seconds: float = 0.0

    def add(self, characters: int, seconds: float) -> None:
        self.characters = FADE * self.characters + characters
        self.seconds = FADE * self.seconds + seconds

    @property
    def value(self) -> float | None:
        return self.characters / self.seconds if self.seconds else None


@dataclass
class _Arrivals:
    """Characters a second that were let in over about the last RECENT seconds."""

    characters: float = 0.0
    until: float = 0.0

    def add(self, characters: int, now: float) -> None:
        self.characters, self.until = self.characters * self._left(now) + characters, now

    def rate(self, now: float) -> float:
        return self.characters * self._left(now) / RECENT

    def _left(self, now: float) -> float:
        return math.exp((self.until - now) / RECENT)


def _too_many_mentions(limits: Limits) -> RequestError:
    return RequestError(
        400,
        "too_many_entities",
        f"more than {limits.candidates:,} entities in a request, which is the limit (--max-candidates); raise the "
        "threshold, or send fewer documents at a time",
    )
