"""How fast a model may be asked: requests and tokens in any minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kogner.errors import ConfigError

MINUTE_S = 60.0
POLL_S = 0.25  # tokens can be settled before the minute is over, and a run can be stopped


@dataclass
class Permit:
    """One request that was let through: when (clock, s) and with how many tokens it counts, while it counts."""

    at: float
    tokens: int
    counts: bool = False


@dataclass
class Limits:
    """Lets requests through so that no window of 60 s holds more than allowed; None is no limit.

    A request counts with its estimated input and the whole of its max_tokens, as providers count it, until `settle`
    puts the tokens it took in their place. First come, first served.
    clock: in seconds, for tests. Raises ConfigError for limits below 1.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    clock: Callable[[], float] = time.monotonic
    _permits: deque[Permit] = field(default_factory=deque, repr=False)
    _tokens: int = field(default=0, repr=False)
    _paused_until: float = field(default=0.0, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name.replace('_', ' ')} {value} must be at least 1; leave it out for no limit")

    def admits(self, tokens: int) -> bool:
        """Whether a request of so many tokens could ever be let through."""
        return self.tokens_per_minute is None or tokens <= self.tokens_per_minute

    async def acquire(self, tokens: int, *, check: Callable[[], None] = lambda: None) -> Permit:
        """Wait until a request of so many tokens may be sent. Never returns where `admits` is False.

        check: called while waiting; what it raises ends the wait.
        """
        async with self._lock:
            check()
            while (wait := self._wait(tokens)) > 0:
                await asyncio.sleep(min(wait, POLL_S))
                check()
            permit = Permit(self.clock(), tokens)
            if self.requests_per_minute is not None or self.tokens_per_minute is not None:
                permit.counts = True
                self._permits.append(permit)
                self._tokens += tokens
            return permit

    def settle(self, permit: Permit, tokens: int) -> None:
        """Count a request with the tokens it took."""
        if permit.counts:
            self._tokens += tokens - permit.tokens
            permit.tokens = tokens

    def pause(self, seconds: float) -> None:
        """Let nothing through for so long: the server said that it is too much."""
        self._paused_until = max(self._paused_until, self.clock() + seconds)

    def _wait(self, tokens: int) -> float:
        """Seconds until the request may go at the latest, 0 for now."""
        now = self.clock()
        while self._permits and self._permits[0].at <= now - MINUTE_S:
            old = self._permits.popleft()
            old.counts = False
            self._tokens -= old.tokens
        if self._paused_until > now:
            return self._paused_until - now
        full = self.requests_per_minute is not None and len(self._permits) >= self.requests_per_minute
        heavy = self.tokens_per_minute is not None and self._tokens + tokens > self.tokens_per_minute
        if not full and not heavy:
            return 0.0
        left = MINUTE_S if not self._permits else self._permits[0].at + MINUTE_S - now
        return max(left, 0.001)
