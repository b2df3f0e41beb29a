"""Progress of long work on standard error: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)
_state = {"quiet": False}
LINE_EVERY_S = 15.0


def set_quiet(quiet: bool) -> None:
    """Turn progress and notes off (or on) for the whole process; errors are still shown."""
    _state["quiet"] = quiet


def is_quiet() -> bool:
    """Whether progress and notes are off."""
    return _state["quiet"]


def note(message: str) -> None:
    """Say one thing on standard error, unless --quiet."""
    if not _state["quiet"]:
        console.print(message, markup=False, soft_wrap=True)


class Counter:
    """Counts work done and shows rate and time left. `total` is None where the end is not known."""

    def __init__(self, title: str, total: int | None, bar: Progress | None, start: int = 0) -> None:
        self.title, self.total, self.done = title, total, start
        self._start = start
        self._bar = bar
        self._task = bar.add_task(title, total=total, rate="", note="") if bar else None
        self._started = self._said = time.monotonic()

    def expect(self, total: int) -> None:
        """Say how much there is in all, as far as one can tell by now."""
        self.total = max(total, self.done)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=self.total)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add `count` pieces of finished work; `note` is shown behind the bar, e.g. the loss."""
        self.done += count
        seconds = time.monotonic() - self._started
        per_second = (self.done - self._start) / max(seconds, 1e-9)
        rate = f"{per_second:,.0f}/s" if per_second >= 1 else f"{1 / max(per_second, 1e-9):.1f} s each"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, rate=rate, note=note)
        elif not _state["quiet"] and time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            left = ""
            if self.total:
                left = f" of {self.total:,}, {(self.total - self.done) / max(per_second, 1e-9):,.0f} s left"
            sys.stderr.write(f"{self.title}: {self.done:,}{left}, {rate} {note}\n")
            sys.stderr.flush()


@contextmanager
def counting(title: str, total: int | None = None, *, start: int = 0) -> Iterator[Counter]:
    """Show progress of a loop: `with counting("reading", n) as counter: ... counter.advance()`."""
    if _state["quiet"] or not console.is_terminal:
        yield Counter(title, total, None, start)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield Counter(title, total, bar, start)
