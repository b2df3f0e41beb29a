"""The model behind the server: its annotator, the queue before it, and whether it is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from kogner.annotate.annotator import Annotator
from kogner.annotate.predictor import Settings
from kogner.records import Document
from kogner.serve.batcher import Batch, Batcher, Question, Work
from kogner.serve.file_process import FileProcess
from kogner.serve.graph import GraphReader
from kogner.serve.lifecycle import Lifecycle
from kogner.serve.limits import Limits, RequestError
from kogner.serve.log import say
from kogner.serve.metrics import Metrics

WARM_UP = Document("warm-up", "Aspirin lowers the risk of colorectal cancer in carriers of BRCA1.")


class Service:
    """One model for many requests. settings: how it runs; what is asked of a text comes with each request."""

    def __init__(self, annotator: Annotator, limits: Limits, settings: Settings | None = None) -> None:
        self.annotator, self.limits = annotator, limits
        self.metrics, self.lifecycle = Metrics(), Lifecycle()
        self._settings = replace(settings or Settings(), max_candidates=limits.candidates)
        self.files = FileProcess(limits)
        self.batcher = Batcher(self._annotate, limits, report=self._count)
        self.graph = None if annotator.linker is None else GraphReader(annotator.linker.store.path)
        gauge = self.metrics.gauge
        gauge("kogner_queue_requests", "Requests that are not answered.", lambda: self.batcher.requests)
        gauge("kogner_queue_characters", "Characters that are not annotated.", lambda: self.batcher.characters)
        gauge("kogner_characters_per_second", "Of the last batches.", lambda: self.batcher.rate or 0)
        gauge("kogner_ready", "1 where requests are taken.", lambda: self.ready)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self.lifecycle.ready and not self.lifecycle.stopping and self.batcher.alive

    async def start(self) -> None:
        """Start the model's thread and have it answer once. Raises what that raises."""
        self.batcher.start()
        labels = self.annotator.predictor.info.types or ("disease",)
        work = Work([WARM_UP], Question(tuple(labels), threshold=0.9), link=self.graph is not None)
        begun = time.monotonic()
        await asyncio.wrap_future(self.batcher.submit(work))
        self.lifecycle.ready = True
        say("ready", seconds=round(time.monotonic() - begun, 3))

    async def annotate(self, work: Work, receive: Receive) -> list[Document]:
        """The documents of a work with their entities.

        receive: of the request; where its client goes away the work is withdrawn.
        Raises RequestError where the queue is full (429) or time is over (503), ClientDisconnect, and what the model
        raises.
        """
        answer = asyncio.wrap_future(self.batcher.submit(work))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((answer, gone), timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return await answer
            if gone.done():
                raise ClientDisconnect
            seconds = max(1, round(self.batcher.characters / (self.batcher.rate or 1e9)))
            raise RequestError(
                503,
                "timeout",
                f"not done within {self.limits.timeout:g} s (--timeout); send fewer documents at a time, or ask again",
                retry_after=min(seconds, 300),
            )
        finally:
            gone.cancel()
            work.answer.cancel()  # which withdraws what is not done
            if work.begun is not None:
                self.metrics.queue_seconds.observe(work.begun - work.arrived)

    @property
    def open_requests(self) -> int:
        """Requests that wait for the model or for a file."""
        return self.batcher.requests + self.files.open

    def thresholds(self, question: Question) -> dict[str, float]:
        """By label, the score from which an entity counts."""
        own, info = dict(question.thresholds), self.annotator.predictor.info
        usual = question.threshold
        return {label: own.get(label, info.threshold(label) if usual is None else usual) for label in question.labels}

    def give_up(self) -> None:
        """Answer what still waits with 503."""
        error = RequestError(
            503, "stopping", "the server stopped before this request was done; ask again", retry_after=5
        )
        self.batcher.end(error=error)
        self.files.give_up()

    def _annotate(self, question: Question, asked: Sequence[tuple[Document, bool]]) -> list[Document]:
        settings = replace(
            self._settings,
            threshold=question.threshold,
            thresholds=dict(question.thresholds),
            nested=question.nested,
            multi_label=question.multi_label,
            overlap=question.overlap,
            agreement=question.agreement,
        )
        predictor, linker = self.annotator.predictor, self.annotator.linker
        documents = [document for document, _ in asked]
        found: list[Any] = list(
            predictor.predict(documents, labels=question.labels, settings=settings, names=self.annotator.names)
        )
        wanted = [number for number, (_, link) in enumerate(asked) if link]
        if linker is not None and wanted:
            linked = linker.link_documents([found[number] for number in wanted])
            for number, document in zip(wanted, linked, strict=True):
                found[number] = document
        return found

    def _count(self, batch: Batch, seconds: float | None) -> None:
        documents = batch.documents
        if seconds is None:
            self.metrics.failed_documents.inc(len(documents))
            return
        characters = sum(len(document.text) for document in documents)
        self.metrics.batch_requests.observe(len(batch.parts))
        self.metrics.batch_documents.observe(len(documents))
        self.metrics.batch_characters.observe(characters)
        self.metrics.batch_seconds.observe(seconds)
        self.metrics.documents.inc(len(documents))
        self.metrics.characters.inc(characters)


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
