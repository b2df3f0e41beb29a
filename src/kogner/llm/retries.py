"""Which errors are worth another try, which end a request, and which end the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kogner.errors import ConfigError
from kogner.llm.model import DISCONNECTED, MALFORMED, STATUS, TIMED_OUT, CallError
from kogner.llm.request import Failure

LIMITED, BUSY, REFUSED_REQUEST = "rate limited", "server error", "request refused"
TOO_LARGE = "larger than the tokens allowed per minute"
REASONS = (LIMITED, BUSY, REFUSED_REQUEST, TOO_LARGE, TIMED_OUT, DISCONNECTED, MALFORMED)

_UNASKABLE = {401: "the key was refused", 402: "the account is empty", 403: "access was refused", 404: "not found"}
_EMPTY_ACCOUNT = ("insufficient_quota", "billing_error", "billing_hard_limit_reached")
BAD_FORM = (400, 422)


@dataclass(frozen=True)
class Retries:
    """How often and how patiently. tries: of one request in all; limited_tries: the same where the answer is 429.

    The n-th pause is drawn evenly between 0 and min(longest_s, first_s * 2^n) ("full jitter"); where the server says
    how long, that long. longest_wait_s: a server that asks for more stops the run.
    """

    tries: int = 6
    limited_tries: int = 20
    first_s: float = 0.5
    longest_s: float = 60.0
    longest_wait_s: float = 600.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.limited_tries < 1:
            raise ConfigError("retries: at least 1 try is needed")


@dataclass
class Counts:
    """What became of the requests. shared: equal to one under way, paid with it. calls: over HTTP, retries included.

    Tokens are those of this run's answers; failed: by reason.
    """

    asked: int = 0
    cached: int = 0
    shared: int = 0
    answered: int = 0
    calls: int = 0
    retried: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def failure_of(error: CallError) -> Failure:
    """What a request failed with if this was its last try; its reason says which tries are counted together."""
    reason = error.kind
    if error.kind == STATUS:
        status = error.status or 0
        if status == 429:
            reason = LIMITED
        elif status in (408, 409) or status >= 500:
            reason = BUSY
        else:
            reason = REFUSED_REQUEST
    return Failure(reason, error.detail, error.status)


def hopeless(error: CallError) -> str | None:
    """Why no other request can succeed either, None where one may."""
    why = _UNASKABLE.get(error.status or 0)
    if why is None and error.code in _EMPTY_ACCOUNT:
        why = "the account is empty"
    if why is None and error.status is not None and error.status < 400:
        why = "the address leads elsewhere"
    return why
