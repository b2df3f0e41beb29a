"""A language model behind HTTP: one call, one answer or one error, whatever the provider."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from kogner.llm.formats import PLAIN, SCHEMA
from kogner.llm.request import CHARACTERS_PER_TOKEN, ModelId, Reply, Request

TIMED_OUT, DISCONNECTED, MALFORMED = "timed out", "connection failed", "answer without text"
STATUS = "status"
# shorter "keys" (EMPTY, ollama) are words that answers may well hold
SHORTEST_SECRET = 16
DETAIL = 300
LONGEST_FINISH = 40


class CallError(Exception):
    """A call without an answer. kind: TIMED_OUT, DISCONNECTED, MALFORMED or STATUS (then `status` is HTTP's).

    code: the provider's own word for it. retry_after: seconds that the server asks to wait, None if it does not.
    sent: whether the provider may have had the request, so that it may charge for an answer that never came.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        code: str = "",
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        self.kind, self.detail, self.status, self.code = kind, detail, status, code
        self.retry_after, self.sent = retry_after, sent
        super().__init__(f"{status} {detail}" if status else f"{kind}: {detail}")


class Model(ABC):
    """A model that can be asked. ways: of asking for JSON, best first. concurrency: requests it serves at once.

    Bound to the event loop of its first call; close it there.
    """

    id: ModelId
    ways: tuple[str, ...] = (SCHEMA, PLAIN)
    concurrency: int | None = None

    @abstractmethod
    async def call(self, request: Request, *, way: str, timeout_s: float) -> Reply:
        """Ask once, without retry. Raises CallError."""

    async def close(self) -> None:  # noqa: B027
        """Give connections and processes back."""

    async def __aenter__(self) -> Model:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r})"


class Secret:
    """A key that no repr and no message shows."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """The key itself, for the header it is sent in."""
        return self._value

    def hide_in(self, text: str) -> str:
        """A message without the key, should a server have sent it back."""
        return text.replace(self._value, "***") if self._value else text

    def hide_in_answer(self, text: str) -> str:
        """An answer without the key; one of under 16 characters is no secret, and stays."""
        return self.hide_in(text) if len(self._value) >= SHORTEST_SECRET else text


def connection_error(error: Exception, *, timed_out: bool, timeout_s: float, secret: Secret) -> CallError:
    """The error of a call that brought no answer; `error` is the SDK's, its cause the HTTP library's."""
    cause = error.__cause__ or error
    name = type(cause).__name__
    detail = f"no answer in {timeout_s:g} s" if timed_out else secret.hide_in(f"{name}: {cause}")[:DETAIL]
    sent = name not in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError")
    return CallError(TIMED_OUT if timed_out else DISCONNECTED, detail, sent=sent)


def status_error(status: int, headers: Mapping[str, str], body: object, text: str, secret: Secret) -> CallError:
    """The error of an answer that is not 200. body: the parsed JSON, if it was any; text: as it came."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    detail, code = text, ""
    if isinstance(inner, dict):
        detail = str(inner.get("message") or inner.get("detail") or text)
        code = str(inner.get("code") or inner.get("type") or "")
    elif isinstance(inner, str):
        detail = inner
    detail = secret.hide_in(" ".join(detail.split()))[:DETAIL]  # first hide, or a cut key would stay
    return CallError(
        STATUS, detail or "no message", status=status, code=secret.hide_in(code)[:DETAIL],
        retry_after=retry_after(headers, now=time.time()),
    )  # fmt: skip


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that `retry-after-ms` or `Retry-After` (seconds or an HTTP date) asks to wait; None without either.

    now: seconds since 1970.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - now
            except (ValueError, TypeError, OverflowError):
                continue
        if seconds == seconds:  # not NaN
            return max(seconds, 0.0)
    return None


def tokens(usage: Mapping[str, Any], name: str, text: str) -> int:
    """A count of the provider's, or characters / 4 where it gave none."""
    count = usage.get(name)
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def sendable(text: str) -> str:
    """The text without lone halves of surrogate pairs, which no JSON body can hold."""
    return text.encode(errors="replace").decode()
