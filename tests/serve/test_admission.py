"""Which requests the queue before the model takes, by how much waits and how long it would take."""

from __future__ import annotations

import time

import pytest
from queueing import Model, held, noting_model, queue_before, settled, work  # noqa: F401 - two are fixtures

from kogner.serve import batcher as batcher_module
from kogner.serve.batcher import OVERHEAD, Batcher
from kogner.serve.limits import Limits, RequestError


def test_a_full_queue_says_when_to_ask_again(queue, model):
    batcher = queue(queue_requests=3)
    held(batcher, model)
    for number in range(2):
        batcher.submit(work(str(number)))
    with pytest.raises(RequestError, match="3 requests wait, the limit is 3") as refused:
        batcher.submit(work("more"))
    assert (refused.value.status, refused.value.reason, refused.value.retry_after) == (429, "busy", 1)
    assert batcher.requests == 3


def test_characters_are_bounded_and_one_request_always_fits(queue, model):
    batcher = queue(queue_characters=1000, characters=1000)
    batcher.submit(work("large", size=1000)).result(5)
    held(batcher, model)
    batcher.submit(work("a", size=500))
    with pytest.raises(RequestError, match="characters wait, the limit is 1,000"):
        batcher.submit(work("b", size=500))


def test_what_would_wait_too_long_is_turned_away_by_the_rate(queue, model):
    batcher = queue(max_wait=1, batch_wait=0)
    model.seconds = 0.2
    batcher.submit(work("a", size=900)).result(5)
    time.sleep(0.05)
    rate = batcher.rate
    assert 1000 < rate < 5100  # 1,000 characters in 0.2 s and what the machine takes beside
    model.seconds = 0
    held(batcher, model)
    size = int(rate)
    batcher.submit(work("b", size=size))
    with pytest.raises(RequestError, match="would wait") as refused:
        batcher.submit(work("c", size=size))
    assert 1 <= refused.value.retry_after <= 2
    batcher.submit(work("short", size=10))  # which shares the model with b and so is done soon


def test_what_fails_does_not_count_for_the_rate():
    seen = []

    def model(question, asked):
        if "poison" in asked[0][0].text:
            raise ValueError("poison")
        time.sleep(0.02)
        return [document for document, _ in asked]

    batcher = Batcher(
        model, Limits(batch_wait=0), report=lambda batch, seconds: seen.append((batch.held, seconds is None))
    )
    batcher.start()
    batcher.submit(work("good", size=900)).result(10)
    rate = batcher.rate
    with pytest.raises(ValueError, match="poison"):
        batcher.submit(work("bad", size=90_000, text="poison")).result(10)
    settled(batcher)
    assert batcher.rate == rate
    assert seen == [(1000, False), (90_000 + OVERHEAD, True)]
    batcher.end()
    assert batcher.join(10)


def test_what_cannot_be_done_in_time_is_refused_at_once(queue, model):
    batcher = queue(timeout=2, max_wait=1e6, batch_wait=0, batch_characters=2000)
    model.seconds = 0.2
    batcher.submit(work("short", size=10)).result(5)
    settled(batcher)
    batcher.submit(work("a", size=1900)).result(5)  # the first that fills a batch says what the model can do
    settled(batcher)
    assert batcher._full_rate.value <= 10_035
    with pytest.raises(RequestError, match=r"(?s)the limit is 2 s \(--timeout\); send fewer documents") as refused:
        batcher.submit(work("much", size=25_000))
    assert (refused.value.status, refused.value.retry_after) == (413, None)
    model.seconds = 0
    held(batcher, model)
    size = int(1.2 * batcher._full_rate.value)
    batcher.submit(work("b", size=size))
    with pytest.raises(RequestError, match="would be done in") as refused:
        batcher.submit(work("c", size=size))
    assert refused.value.status == 429 and refused.value.retry_after >= 1


def rated(queue, model, **limits) -> tuple[Batcher, float]:
    """A queue that knows what the model does, 10,000 characters a second, with nothing lately come."""
    batcher = queue(max_wait=1e6, batch_wait=0, batch_characters=10_000, **limits)
    batcher._rate.add(100_000, 10)
    batcher._full_rate.add(100_000, 10)
    held(batcher, model)
    batcher._arrivals = type(batcher._arrivals)()
    return batcher, 10_000


def test_a_request_of_many_documents_is_let_in_among_few(queue, model):
    batcher, _ = rated(queue, model, timeout=60)
    for number in range(10):
        batcher.submit(work(f"{number}", size=900))
    batcher._arrivals = type(batcher._arrivals)()  # those came long ago, and no others
    batcher.submit(work(*"abcdefghijklmnopqrst", size=9900))  # 1 s of the ten and 20 of its own


def test_a_request_that_would_go_too_many_rounds_is_refused_while_others_come(queue, model):
    batcher, rate = rated(queue, model, timeout=60)
    for number in range(100):
        batcher.submit(work(f"{number}", size=900))
    batcher._arrivals.add(int(20 * rate), time.monotonic())  # as much comes as can be done
    batcher.submit(work(*"abcd", size=900))  # 0.4 s of the model, of which it gets a hundredth: 40 s
    with pytest.raises(RequestError, match="would be done in about") as refused:
        batcher.submit(work(*"abcde", size=900))
    assert refused.value.status == 429 and 1 <= refused.value.retry_after <= 5  # what waits now takes 10 s
    batcher.submit(work("single", size=900))


def test_a_long_request_is_let_in_where_nothing_is_before_it(queue, model):
    batcher = queue(timeout=60, max_wait=1e6, batch_wait=0)
    batcher._rate.add(100_000, 10)
    batcher._full_rate.add(100_000, 10)
    batcher._arrivals.add(1_000_000, time.monotonic())
    model.free.clear()
    batcher.submit(work(*"abcdefghijkl", size=45_000))  # 54 s of 60


def test_what_came_is_forgotten():
    arrivals = batcher_module._Arrivals()
    for second in range(100):
        arrivals.add(500, 1000.0 + second)
    assert arrivals.rate(1099.5) == pytest.approx(500, rel=0.05)
    assert arrivals.rate(1099.5 + 60) < 2
