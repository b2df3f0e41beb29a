"""The way in and out: each request gets an id, is let in or not, and leaves one line in the log and its counts.

`Door` is the outermost layer and `Guard` the next; between them stands CORS, so that its headers are on refusals too.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kogner.errors import KognerError
from kogner.serve import keys as api_keys
from kogner.serve.keys import ApiKeys
from kogner.serve.lifecycle import Lifecycle
from kogner.serve.limits import RequestError
from kogner.serve.log import LOGGER, failure, say
from kogner.serve.metrics import Metrics
from kogner.serve.requests import where_of

OPEN = frozenset({"/healthz", "/readyz"})  # without a key and under any Host: load balancers ask by the address
GONE = 499  # as nginx has it: the client did not wait for the answer
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@?#\s]+))(?::\d*)?")
# Scripts, styles and all else from this server only; nothing that stands in a text can become code.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


class Door:
    """The outermost ASGI layer: an id for each request, headers for each answer, a line in the log, counts."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self.app, self.metrics, self.lifecycle = app, metrics, lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0
        wanted = Headers(scope=scope).get("x-request-id", "")
        own = wanted if _ID.fullmatch(wanted) else uuid.uuid4().hex
        told: dict[str, Any] = {}
        scope.setdefault("state", {}).update(request_id=own, told=told)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._finish_head(MutableHeaders(scope=message), own)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            status = GONE
        finally:
            self._record(scope, status, time.monotonic() - begun, told)

    def _finish_head(self, head: MutableHeaders, own: str) -> None:
        head["x-request-id"] = own
        for name, value in SAFE.items():
            head.setdefault(name, value)
        head.setdefault("cache-control", "no-store")
        if self.lifecycle.stopping:
            head["connection"] = "close"

    def _record(self, scope: Scope, status: int, seconds: float, told: Mapping[str, Any]) -> None:
        route = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", None)
        path = path if path else "/" if scope.get("endpoint") else "other"
        self.metrics.requests.labels(path, str(status or "cut")).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        if status >= 400:
            self.metrics.rejections.labels(told.get("reason", "client_gone" if status == GONE else "other")).inc()
        if LOGGER.isEnabledFor(logging.INFO):
            say(
                "request",
                request_id=scope["state"]["request_id"],
                method=scope["method"] if scope["method"] in METHODS else "other",
                path=path,
                status=status,
                ms=round(1000 * seconds, 1),
                client=(scope.get("client") or ("", 0))[0],
                **told,
            )


class Guard:
    """Lets requests in or not, and answers whatever the layers within raise in our form.

    hosts: names that a Host header may have; None = any. public: paths that need no key. Those of health, which
    tell nothing secret, need neither.
    """

    def __init__(
        self, app: ASGIApp, *, keys: ApiKeys, hosts: Collection[str] | None, public: Collection[str] = ()
    ) -> None:
        self.app, self.keys = app, keys
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self.public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._let_in(scope["path"], Headers(scope=scope))
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            raise
        except Exception as error:
            state = scope["state"]
            if not isinstance(error, KognerError):
                say("error", level=logging.ERROR, request_id=state["request_id"], **failure(error))
            if begun:  # nothing can be said any more: the connection is cut
                raise
            await problem(error, request_id=state["request_id"], told=state["told"])(scope, receive, send)

    def _let_in(self, path: str, headers: Headers) -> None:
        """Raise RequestError for a foreign Host header (a page may have had its name point here), or a wrong key."""
        if path in OPEN:
            return
        if self.hosts is not None:
            found = _HOST.fullmatch(headers.get("host", ""))
            host = (found.group(1) or found.group(2)).lower() if found else ""
            if host not in self.hosts:
                raise RequestError(421, "foreign_host", "this server does not answer to that Host; allow it with "
                              "--allowed-host, or ask by the address it is bound to")  # fmt: skip
        if not self.keys or path in self.public:
            return
        key = api_keys.given(headers)
        if key is None or not self.keys.allows(key):
            said = "no API key was given" if key is None else "the API key is not known"
            raise RequestError(401, "no_key", f"{said}; send Authorization: Bearer KEY")


def problem(error: Exception, *, request_id: str, told: dict[str, Any]) -> Response:
    """The answer to what was raised: a RequestError's status, 400 for other errors of the user, 500 for ours."""
    headers: dict[str, str] = {}
    details: list[dict[str, Any]] = []
    if isinstance(error, RequestError):
        status, reason, message, details = error.status, error.reason, str(error), where_of(error)
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        if status == 401:
            headers["www-authenticate"] = "Bearer"
    elif isinstance(error, KognerError):
        status, reason, message = 400, "bad_request", str(error)
    else:
        status, reason = 500, "internal_error"
        message = "something went wrong here; the server's log says where, under this request_id"
    told["reason"] = reason
    said = {"reason": reason, "message": message, "request_id": request_id, "details": details}
    body = json.dumps({"error": said}, ensure_ascii=False).encode("utf-8", errors="replace")
    return Response(body, status, headers, media_type="application/json")
