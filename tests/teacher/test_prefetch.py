"""Batches made ahead: in order, bounded, with their errors, and gone when the reader goes."""

import threading
import time

import pytest

from kogner.teacher.prefetch import AHEAD, prefetched


def slow_square(number: int) -> int:
    time.sleep(0.002 * (number % 3))  # so that workers overtake each other
    return number**2


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_everything_in_order(workers):
    with prefetched(lambda: slow_square, 3, 40, workers=workers) as items:
        assert list(items) == [number**2 for number in range(3, 40)]
    assert not alive()


@pytest.mark.parametrize("workers", [0, 3])
def test_nothing_to_do(workers):
    with prefetched(lambda: slow_square, 5, 5, workers=workers) as items:
        assert list(items) == []


def test_workers_wait_for_room():
    made = []

    def note(number: int) -> int:
        made.append(number)
        return number

    with prefetched(lambda: note, 0, 100, workers=2) as items:
        for taken in range(10):
            assert next(items) == taken
            time.sleep(0.01)
            assert len(made) <= taken + 1 + 2 * AHEAD
    assert len(made) < 100


def test_each_thread_has_a_worker_of_its_own():
    threads = []

    def worker():
        threads.append(threading.current_thread().name)
        return slow_square

    with prefetched(worker, 0, 30, workers=3) as items:
        list(items)
    assert len(set(threads)) == len(threads) == 3


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_error_comes_where_its_item_would(workers):
    def fail(number: int) -> int:
        if number == 4:
            raise ValueError("item 4 is bad")
        return number

    with prefetched(lambda: fail, 0, 10, workers=workers) as items:
        assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="item 4 is bad"):
            next(items)
    assert not alive()


def test_an_error_of_making_a_worker_is_raised_too():
    def worker():
        raise MemoryError("no room for a sampler")

    with prefetched(worker, 0, 10, workers=2) as items, pytest.raises(MemoryError, match="no room"):
        next(items)


def test_leaving_early_ends_the_threads():
    with pytest.raises(KeyboardInterrupt), prefetched(lambda: slow_square, 0, 10_000, workers=3) as items:
        next(items)
        raise KeyboardInterrupt
    assert not alive()
