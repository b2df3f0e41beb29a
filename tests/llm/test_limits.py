import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.errors import ConfigError, ModelError
from kogner.llm import limits as module
from kogner.llm.limits import MINUTE_S, Limits


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def drive(work, clock):
    """Run with a sleep that moves the clock instead of waiting."""

    async def sleep(seconds):
        clock.now += seconds
        await real(0)

    real = asyncio.sleep
    asyncio.sleep = module.asyncio.sleep = sleep
    try:
        return asyncio.run(work())
    finally:
        asyncio.sleep = module.asyncio.sleep = real


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40),
    st.one_of(st.none(), st.integers(1, 8)),
    st.one_of(st.none(), st.integers(50, 120)),
)
def test_no_minute_holds_more_than_allowed(sizes, requests, tokens):
    clock, sent = Clock(), []

    async def one(limits, size):
        permit = await limits.acquire(size)
        sent.append((permit.at, size))
        used = size // 2
        limits.settle(permit, used)
        sent[-1] = (permit.at, used)

    async def work():
        limits = Limits(requests, tokens, clock=clock)
        await asyncio.gather(*(one(limits, size) for size in sizes))

    drive(work, clock)
    assert len(sent) == len(sizes)
    for start, _ in sent:
        window = [size for at, size in sent if start <= at < start + MINUTE_S - 1e-6]
        assert requests is None or len(window) <= requests
        assert tokens is None or sum(window) <= tokens


def test_the_rate_is_used_and_the_first_come_first():
    clock, order = Clock(), []

    async def work():
        limits = Limits(requests_per_minute=10, clock=clock)

        async def one(number):
            await limits.acquire(1)
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(25)))

    drive(work, clock)
    assert order == list(range(25)) and 120 <= clock.now < 121


def test_a_pause_holds_everybody_and_a_check_ends_the_wait():
    clock = Clock()

    async def work():
        limits = Limits(clock=clock)
        limits.pause(30)
        limits.pause(5)
        await limits.acquire(1)
        assert 30 <= clock.now < 31
        limits.pause(1000)

        def check():
            if clock.now > 40:
                raise ModelError("stopped")

        with pytest.raises(ModelError):
            await limits.acquire(1, check=check)
        assert clock.now < 42

    drive(work, clock)


def test_what_can_never_pass():
    assert not Limits(tokens_per_minute=100).admits(101)
    assert Limits(tokens_per_minute=100).admits(100) and Limits().admits(10**9)
    for wrong in ({"requests_per_minute": 0}, {"tokens_per_minute": -1}):
        with pytest.raises(ConfigError, match="at least 1"):
            Limits(**wrong)
