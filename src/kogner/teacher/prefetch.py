"""Items made ahead of time by worker threads, handed out in order.

What a worker makes depends on the item's number alone, so the number of workers changes no result. NumPy and torch let
go of Python's lock in their loops; that is what the threads gain from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
AHEAD = 2  # items that each worker may be ahead


@contextmanager
def prefetched(
    worker: Callable[[], Callable[[int], Item]], first: int, stop: int, *, workers: int
) -> Iterator[Iterator[Item]]:
    """Items number `first` to `stop` in order, at most AHEAD per worker waiting: `with prefetched(...) as items`.

    worker: called once per thread for the function that makes item n there, so that threads share no state. An
    exception of that function is raised where its item would have come; leaving the context, however, ends all threads.
    workers: 0 makes each item when it is asked for, in the calling thread.
    """
    if workers <= 0:
        make = worker()
        yield (make(number) for number in range(first, stop))
        return
    shelf = _Shelf[Item](first, stop, room=workers * AHEAD)
    threads = [
        threading.Thread(target=shelf.fill, args=(worker,), name=f"prefetch-{number}", daemon=True)
        for number in range(min(workers, max(stop - first, 0)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield shelf.items()
    finally:
        shelf.close()
        for thread in threads:
            thread.join()


class _Shelf(Generic[Item]):
    """What is made and not yet taken. One lock; workers wait for room, the taker for its item."""

    def __init__(self, first: int, stop: int, *, room: int) -> None:
        self._next, self._taken, self._stop, self._room = first, first, stop, room
        self._made: dict[int, Item | BaseException] = {}
        self._closed = False
        self._changed = threading.Condition()

    def fill(self, worker: Callable[[], Callable[[int], Item]]) -> None:
        """Make items until none is left."""
        make: Callable[[int], Item] | None = None
        while (number := self._claim()) is not None:
            try:
                make = make or worker()
                made: Item | BaseException = make(number)
            except BaseException as error:  # carried over to the taker, whatever it is
                made = error
            with self._changed:
                self._made[number] = made
                self._changed.notify_all()

    def _claim(self) -> int | None:
        with self._changed:
            while not self._closed and self._next < self._stop and self._next >= self._taken + self._room:
                self._changed.wait()
            if self._closed or self._next >= self._stop:
                return None
            self._next += 1
            return self._next - 1

    def items(self) -> Iterator[Item]:
        """All items in order. Raises what a worker raised at its item."""
        for number in range(self._taken, self._stop):
            with self._changed:
                while number not in self._made:
                    self._changed.wait()
                made = self._made.pop(number)
                self._taken = number + 1
                self._changed.notify_all()
            if isinstance(made, BaseException):
                raise made
            yield made

    def close(self) -> None:
        """Let the workers end after what they are at."""
        with self._changed:
            self._closed = True
            self._made.clear()
            self._changed.notify_all()
