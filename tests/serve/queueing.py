"""A model that only notes what it is asked, and queues before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from kogner.records import Document
from kogner.serve.batcher import Batcher, Question, Work
from kogner.serve.limits import Limits

ASKED, OTHER = Question(("disease",)), Question(("gene",))


class Model:
    """Stands for a model: notes each batch, waits where it is held, and fails at texts that say so."""

    def __init__(self, seconds: float = 0.0):
        self.batches: list[tuple[Question, list[str]]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.seconds = seconds

    def __call__(self, question, asked):
        self.batches.append((question, [document.id for document, _ in asked]))
        self.entered.set()
        assert self.free.wait(10)
        time.sleep(self.seconds)
        if any("poison" in document.text for document, _ in asked):
            raise ValueError("poison")
        return [Document(document.id, document.text + "!") for document, _ in asked]

    @property
    def documents(self) -> list[list[str]]:
        return [ids for _, ids in self.batches]


def work(*ids: str, question: Question = ASKED, size: int = 10, text: str = "x") -> Work:
    return Work([Document(one, (text * size)[: max(size, len(text))]) for one in ids], question)


@contextmanager
def queues(model: Model) -> Iterator[Callable[..., Batcher]]:
    """Starts queues before a model, with limits; all are ended behind it."""
    made: list[Batcher] = []

    def start(**limits) -> Batcher:
        made.append(Batcher(model, Limits(**{"batch_wait": 0.05, **limits})))
        made[-1].start()
        return made[-1]

    try:
        yield start
    finally:
        model.free.set()
        for batcher in made:
            batcher.end()
            assert batcher.join(10)


@pytest.fixture(name="model")
def noting_model() -> Model:
    return Model()


@pytest.fixture(name="queue")
def queue_before(model: Model) -> Iterator[Callable[..., Batcher]]:
    with queues(model) as start:
        yield start


def held(batcher: Batcher, model: Model) -> Future:
    """Keep the model busy with a first document, so that what is submitted next waits."""
    model.free.clear()
    answer = batcher.submit(work("first"))
    assert model.entered.wait(5)
    return answer


def settled(batcher: Batcher) -> None:
    """Wait until the batch that was answered is noted as done."""
    end = time.monotonic() + 10
    while batcher.characters:
        assert time.monotonic() < end
        time.sleep(0.001)
