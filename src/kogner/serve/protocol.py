"""uvicorn's HTTP protocol, with patience that ends, and connections that are counted.

uvicorn bounds the time between requests only. A client that sends a byte now and then, or does not read its answer,
would hold a connection for good. So: the head of a request, and what of a body nobody reads any more, must come in
within a time, and of an answer something must be taken in each such time. The body that is read has its time in
`kogner.serve.requests`, which can answer.

Above `--connections` the one that has been idle longest makes room for a new one, so that silent ones shut nobody out;
where none is idle the new one is told so.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from kogner.serve.lifecycle import Lifecycle
from kogner.serve.limits import Limits

LATE = 1.0  # seconds that a connection has, once the server stops, to bring a request that is on its way
SEND_BUFFER = 128 << 10  # bytes of an answer that the system holds
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
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
        self._idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # or an answer that fits into the buffer is no answer that waits
        own = transport.get_extra_info("socket")
        if own is not None:  # else the system holds megabytes, and what a slow client takes shows only now and then
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if not self._find_room():
            transport.write(_BUSY)
            transport.close()
            return
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
        self._wait_for_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drop(self._writing)
        self._writing = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered or has sent its head."""
        return self.conn.their_state is h11.IDLE or (self.cycle is not None and self.cycle.response_complete)

    def _find_room(self) -> bool:
        """Whether there is room for this connection, if need be that of an idle one, which is closed."""
        if len(self.connections) <= self.limits.connections:
            return True
        there = [one for one in self.connections if isinstance(one, _Bounded) and not one.transport.is_closing()]
        if len(there) <= self.limits.connections:
            return True
        idle = [one for one in there if one._idle and one is not self]
        if not idle:
            return False
        min(idle, key=lambda one: one._idle_since).transport.close()
        return True

    def _wait_for_reader(self, left: int) -> None:
        """Cut the connection where nothing of an answer is taken within a time. left: bytes that have not been sent."""
        self._drop(self._writing)
        self._writing = self.loop.call_later(self.limits.body_s, self._has_read, left)

    def _has_read(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left < before:
            self._wait_for_reader(left)
        else:
            self.transport.abort()

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
