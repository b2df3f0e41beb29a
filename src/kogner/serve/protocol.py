"""uvicorn's HTTP protocol, with patience that ends.

uvicorn bounds the time between requests only. A client that sends a byte now and then, or does not read its answer,
would hold a connection for good. So: the head of a request, and what of a body nobody reads any more, must come in
within a time, and a client must go on reading. The body that is read has its time in `kogner.serve.requests`, which can
answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from kogner.serve.lifecycle import Lifecycle
from kogner.serve.limits import Limits

LATE = 1.0  # seconds that a connection has, once the server stops, to bring a request that is on its way
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def bounded(limits: Limits, lifecycle: Lifecycle) -> type[H11Protocol]:
    """A protocol class for uvicorn's `http` with these limits."""
    return type("Bounded", (_Bounded,), {"limits": limits, "lifecycle": lifecycle})


class _Bounded(H11Protocol):
    limits: Limits
    lifecycle: Lifecycle

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._reading: asyncio.TimerHandle | None = None  # while a request comes in
        self._writing: asyncio.TimerHandle | None = None  # while an answer cannot go out
        self._stage: object = None  # of h11: what the timer of reading is for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # or an answer that fits into the buffer is no answer that waits
        self._watch(h11.IDLE, LATE if self.lifecycle.stopping else self.limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop(self._reading)
        self._drop(self._writing)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.lifecycle.stopping and self.cycle is not None:
            self.cycle.keep_alive = False
        state = self.conn.their_state
        if state is h11.IDLE:
            if self.conn.trailing_data[0]:
                self._watch(h11.IDLE, self.limits.header_s)
        elif state is h11.SEND_BODY:
            self._watch(h11.SEND_BODY, self.limits.body_s + 1)
        else:
            self._drop(self._reading)
            self._reading = self._stage = None

    def shutdown(self) -> None:
        """At the end of the server: let a request that is on its way come in and be answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return
        self._unset_keepalive_if_required()
        self._drop(self._reading)
        self._reading = self.loop.call_later(LATE, self._too_slow)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._drop(self._writing)
        self._writing = self.loop.call_later(self.limits.body_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drop(self._writing)
        self._writing = None

    def _watch(self, stage: object, seconds: float) -> None:
        """Set the timer once a stage."""
        if self._stage is not stage:
            self._drop(self._reading)
            self._stage, self._reading = stage, self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            return
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun and self.conn.our_state is h11.IDLE:
            self.transport.write(_TIMED_OUT)
        self.transport.close()

    @staticmethod
    def _drop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
