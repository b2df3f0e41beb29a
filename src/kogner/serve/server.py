"""The process around the application: its start, and an end at which no request is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from kogner.serve.listener import ON_THE_WAY, begin_no_more
from kogner.serve.log import say
from kogner.serve.protocol import bounded
from kogner.serve.service import Service

MORE = 2.0  # seconds beyond the grace, in which the requests that were given up are answered


def make(app: FastAPI, service: Service, *, grace: float, started: Callable[[], None]) -> Server:
    """A server that is to be run with a bound socket; `run` does it as a process.

    grace: seconds in which what is open is finished at the end. started: called once the model has answered.
    """
    config = uvicorn.Config(
        app,
        http=bounded(service.limits, service.lifecycle),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(grace + MORE),
        h11_max_incomplete_event_size=64 << 10,
    )
    return Server(config, service, grace=grace, started=started)


def run(server: Server, own: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is open. Raises what the model raises at its start."""
    # uvicorn raises the signal once more when it has ended, which would end the process as if it had failed.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[own])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    server.join()
    if server.failed is not None:
        raise server.failed


class Server(uvicorn.Server):
    """uvicorn, with a model that starts with it, and an end that waits for it."""

    def __init__(self, config: uvicorn.Config, service: Service, *, grace: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._grace, self._started = service, grace, started
        self.failed: Exception | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and have the model answer once."""
        await super().startup(sockets)
        self._warming = asyncio.ensure_future(self._warm_up())

    def join(self) -> None:
        """Wait a little for the model's thread, which may be at a batch that was given up."""
        self._service.batcher.join(MORE)

    async def _warm_up(self) -> None:
        try:
            await self._service.start()
            self._started()
        except Exception as error:
            self.failed, self.should_exit = error, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish what is open, end the model's thread."""
        service = self._service
        service.lifecycle.stopping = True
        open_requests = service.open_requests
        say("stopping", requests=open_requests)
        giving_up = asyncio.get_running_loop().call_later(self._grace, service.give_up)
        if all(begin_no_more(own) for own in sockets or []):
            await asyncio.sleep(ON_THE_WAY)
        self._accept_last(sockets or [])
        await super().shutdown(sockets)
        giving_up.cancel()
        service.batcher.end()
        self._warming.cancel()
        with suppress(asyncio.CancelledError):
            await self._warming
        say("stopped")

    def _accept_last(self, sockets: list[socket.socket]) -> None:
        """Take the connections that the system has accepted already; closing the socket would cut them."""
        loop, config = asyncio.get_running_loop(), self.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        self._last: list[asyncio.Task[object]] = []
        for own in sockets:
            own.setblocking(False)
            while True:
                try:
                    connection, _ = own.accept()
                except OSError:
                    break
                connection.setblocking(False)
                self._last.append(asyncio.ensure_future(loop.connect_accepted_socket(protocol, connection)))
