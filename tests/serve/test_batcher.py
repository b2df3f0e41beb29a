"""The queue before the model: what goes together, who comes first, and what a failure does."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import CancelledError, Future, wait

import pytest
from queueing import ASKED, OTHER, Model, held, noting_model, queue_before, work  # noqa: F401 - fixtures

from kogner.records import Document, Mention
from kogner.serve.batcher import OVERHEAD, Batch, Batcher, Question, Work, cost
from kogner.serve.limits import Limits, RequestError


def test_what_waits_together_goes_together_and_comes_back_apart(queue, model):
    batcher = queue()
    held(batcher, model)
    answers = [batcher.submit(work(f"{n}a", f"{n}b")) for n in range(5)]
    model.free.set()
    for number, answer in enumerate(answers):
        assert [one.id for one in answer.result(5)] == [f"{number}a", f"{number}b"]
        assert all(one.text.endswith("!") for one in answer.result())
    assert model.documents[0] == ["first"]
    assert sorted(model.documents[1]) == sorted(f"{n}{letter}" for n in range(5) for letter in "ab")


def test_an_idle_model_waits_for_others_a_little(queue, model):
    batcher = queue(batch_wait=0.3)
    answers = [batcher.submit(work(f"{number}")) for number in range(4)]
    wait(answers, 5)
    assert model.documents == [["0", "1", "2", "3"]]


def test_a_full_batch_does_not_wait(queue, model):
    batcher = queue(batch_wait=30, batch_characters=4 * (10 + OVERHEAD))
    answers = [batcher.submit(work(f"{number}")) for number in range(8)]
    assert len(wait(answers, 5).done) == 8
    assert max(map(len, model.documents)) == 4


def test_other_labels_go_alone(queue, model):
    batcher = queue()
    held(batcher, model)
    answers = [batcher.submit(work(str(n), question=(ASKED, OTHER)[n % 2])) for n in range(6)]
    model.free.set()
    wait(answers, 5)
    assert model.batches[1:] == [(ASKED, ["0", "2", "4"]), (OTHER, ["1", "3", "5"])]


def test_a_batch_is_bounded_by_characters_but_a_long_document_goes(queue, model):
    batcher = queue(batch_characters=2 * (10 + OVERHEAD))
    held(batcher, model)
    answers = [batcher.submit(work(str(n))) for n in range(4)]
    answers.append(batcher.submit(work("long", size=10_000)))
    model.free.set()
    wait(answers, 5)
    assert model.documents[1:] == [["0", "1"], ["2", "3"], ["long"]]


def test_a_request_of_many_documents_does_not_starve_small_ones(queue, model):
    batcher = queue(batch_characters=5 * (10 + OVERHEAD))
    held(batcher, model)
    many = batcher.submit(work(*(f"m{number}" for number in range(50))))
    small = [batcher.submit(work(f"s{number}")) for number in range(3)]
    model.free.set()
    wait([many, *small], 5)
    order = [one for ids in model.documents[1:] for one in ids]
    assert {"s0", "s1", "s2"} <= set(order[:5]), order
    assert [one for one in order if one[0] == "m"] == [f"m{number}" for number in range(50)]
    assert [one.id for one in many.result()] == [f"m{number}" for number in range(50)]


class Stream:
    """A model to which a single document comes at each batch, so that some always wait."""

    def __init__(self, waiting: int, question: Question = ASKED):
        self.batcher: Batcher | None = None
        self.question, self.number, self.batches = question, 0, []
        self.first = deque(work(f"before {number}", question=question) for number in range(waiting))

    def __call__(self, question, asked):
        self.batches.append([document.id for document, _ in asked])
        if len(self.batches) < 200:
            while self.first:
                self.batcher.submit(self.first.popleft())
            for _ in asked:
                self.number += 1
                self.batcher.submit(work(f"single {self.number}", question=self.question))
        return [document for document, _ in asked]


@pytest.mark.parametrize("question", [ASKED, OTHER])
def test_a_stream_of_single_documents_does_not_starve_a_request_of_several(question):
    """However many come after it: each of its documents waits for about one of each that waits beside it."""
    model = Stream(waiting=4, question=question)
    batcher = Batcher(model, Limits(batch_wait=0, batch_characters=10 + OVERHEAD, max_wait=1e6, timeout=1e6))
    model.batcher = batcher
    several = work("a", "b", "c")
    model.first.append(several)
    batcher.submit(work("first"))
    batcher.start()
    assert [document.id for document in several.answer.result(20)] == ["a", "b", "c"]
    batcher.end()
    assert batcher.join(20)
    place = {ids[0]: number for number, ids in enumerate(model.batches)}
    assert place["c"] < min(30, len(model.batches) - 1), "it is done while others still come"


def test_one_that_comes_later_does_not_pass_those_that_waited(queue, model):
    batcher = queue(batch_characters=2 * (10 + OVERHEAD))
    held(batcher, model)
    answers = [batcher.submit(work(f"{number}", question=(ASKED, OTHER)[number % 2])) for number in range(8)]
    model.free.set()
    wait(answers, 5)
    begun = [ids[0] for ids in model.documents[1:]]
    assert begun == ["0", "1", "4", "5"]


def test_a_failure_takes_nothing_along(queue, model):
    batcher = queue()
    held(batcher, model)
    good, bad, other = (batcher.submit(work(name, text=name)) for name in ("good", "poison", "other"))
    model.free.set()
    assert good.result(5)[0].id == "good" and other.result(5)[0].id == "other"
    with pytest.raises(ValueError, match="poison"):
        bad.result(5)
    assert batcher.requests == 0 and batcher.alive


def test_a_request_that_failed_is_not_gone_on_with(queue, model):
    batcher = queue(batch_characters=10 + OVERHEAD)
    documents = [Document("0", "poison"), *(Document(str(number), "x" * 10) for number in range(1, 9))]
    with pytest.raises(ValueError, match="poison"):
        batcher.submit(Work(documents, ASKED)).result(5)
    batcher.submit(work("next")).result(5)
    assert model.documents == [["0"], ["next"]]


def test_a_withdrawn_request_leaves_the_queue(queue, model):
    batcher = queue(batch_characters=2 * (10 + OVERHEAD))
    held(batcher, model)
    gone = batcher.submit(work(*(f"g{number}" for number in range(10))))
    stays = batcher.submit(work("stays"))
    waiting = batcher.characters
    assert gone.cancel()
    assert waiting - batcher.characters == 10 * (10 + OVERHEAD) + len("disease")
    assert batcher.requests == 2
    model.free.set()
    assert stays.result(5)[0].id == "stays"
    assert model.documents == [["first"], ["stays"]]


def test_a_request_withdrawn_under_way_is_not_gone_on_with(queue, model):
    batcher = queue(batch_characters=10 + OVERHEAD, batch_wait=0)
    model.free.clear()
    gone = batcher.submit(work("a", "b", "c"))
    assert model.entered.wait(5)
    assert gone.cancel()
    model.free.set()
    batcher.submit(work("next")).result(5)
    assert model.documents == [["a"], ["next"]]


def test_labels_cost_too():
    many = Question(tuple(f"label {number:04}" for number in range(100)))
    asked = work("a", "b", question=many)
    assert asked.left == 2 * (10 + OVERHEAD) + 100 * 10
    assert [asked.take()[1], asked.take()[1]] == [10 + OVERHEAD + 1000, 10 + OVERHEAD]
    assert asked.left == 0
    batch = Batch(many, [(asked, asked.documents), (asked, asked.documents[1:])])
    assert batch.cost == 3 * (10 + OVERHEAD) + 1000


def test_entities_of_a_request_are_bounded_over_its_batches():
    mentions = tuple(Mention(at, at + 1, "x") for at in range(4))
    batches = []

    def model(question, asked):
        batches.append(asked)
        return [Document(document.id, document.text, mentions) for document, _ in asked]

    batcher = Batcher(model, Limits(batch_wait=0, batch_characters=10 + OVERHEAD, candidates=10))
    batcher.start()
    assert len(batcher.submit(work("a", "b")).result(10)) == 2
    with pytest.raises(RequestError, match=r"more than 10 entities in a request.*--max-candidates"):
        batcher.submit(work("a", "b", "c", "d", "e")).result(10)
    batcher.end()
    assert batcher.join(10)
    assert len(batches) == 2 + 3, "and what is left of it is not done"


def test_what_fails_does_not_hold_the_next(queue, model):
    batcher = queue()
    for _ in range(3):
        with pytest.raises(ValueError, match="poison"):
            batcher.submit(work("bad", text="poison")).result(5)
    assert batcher.submit(work("good")).result(5)


def test_an_end_finishes_what_waits(queue, model):
    batcher = queue()
    held(batcher, model)
    answers = [batcher.submit(work(str(number))) for number in range(5)]
    batcher.end()
    with pytest.raises(RequestError, match="stopping"):
        batcher.submit(work("late"))
    model.free.set()
    assert [answer.result(5)[0].id for answer in answers] == list("01234")
    assert batcher.join(5)


def test_an_end_with_an_error_answers_all_at_once(queue, model):
    batcher = queue()
    running = held(batcher, model)
    waiting = batcher.submit(work("w"))
    batcher.end(error=RequestError(503, "stopping", "over"))
    for answer in (running, waiting):
        with pytest.raises(RequestError, match="over"):
            answer.result(1)
    model.free.set()
    assert batcher.join(5)


def test_no_documents_are_no_work(queue, model):
    batcher = queue()
    assert batcher.submit(Work([], ASKED)).result(1) == []
    assert batcher.requests == 0


def test_many_threads_and_withdrawals_lose_nothing(queue, model):
    batcher = queue(batch_wait=0, batch_characters=500, queue_requests=10_000, max_wait=1e6, timeout=1e6)
    answers: list[tuple[list[str], Future]] = []
    lock = threading.Lock()

    def client(name: int) -> None:
        for number in range(60):
            ids = [f"{name}-{number}-{part}" for part in range(number % 4)]
            answer = batcher.submit(work(*ids, question=(ASKED, OTHER)[number % 2]))
            if number % 5 == 0:
                answer.cancel()
            with lock:
                answers.append((ids, answer))

    threads = [threading.Thread(target=client, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = 0
    for ids, answer in answers:
        try:
            assert [one.id for one in answer.result(10)] == ids
            done += 1
        except CancelledError:
            pass
    assert done >= 8 * 48
    assert batcher.requests == batcher.characters - batcher._running == 0


def test_cost_counts_empty_texts():
    assert cost(Document("d", "")) == OVERHEAD
