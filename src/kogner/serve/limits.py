"""What a server takes of one request and of all of them together, and what it says where that is passed."""

from __future__ import annotations

from dataclasses import dataclass

from kogner.errors import ConfigError, KognerError

DOCUMENT_CHARACTERS = 1000  # of a document's id


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Of one request: body_bytes; documents; characters of a document; labels; label_characters of each; timeout seconds
    from its body to its answer; header_s and body_s seconds for its head and its body to come in.
    Of all that wait: queue_requests, queue_characters; max_wait seconds after which a request would not be begun, by
    the rate that was measured; held_bytes of the bodies that are being read or waited for; connections.
    Of one batch: batch_characters, more only where one document has more; batch_wait seconds that the first of a batch
    waits for others where the model is idle; candidates, spans that may reach their thresholds, and
    entities of a request.
    """

    body_bytes: int = 8 << 20
    documents: int = 256
    characters: int = 100_000
    labels: int = 200
    label_characters: int = 200
    timeout: float = 60.0
    header_s: float = 10.0
    body_s: float = 30.0
    queue_requests: int = 512
    queue_characters: int = 2_000_000
    max_wait: float = 5.0
    held_bytes: int = 128 << 20
    connections: int = 1000
    batch_characters: int = 12_000
    batch_wait: float = 0.004
    candidates: int = 100_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0 and not (name == "batch_wait" and value == 0):
                raise ConfigError(f"the limit {name}={value} must be above 0")
        if self.held_bytes < self.body_bytes:
            raise ConfigError(f"--held-bytes {self.held_bytes} must hold one body, --max-body {self.body_bytes}")
        if self.queue_characters < self.characters:
            raise ConfigError(
                f"--queue-characters {self.queue_characters} must hold one document, --max-characters {self.characters}"
            )


class RequestError(KognerError):
    """A request that is not done.

    status: of HTTP. reason: a word for programs and metrics; the message is for people. retry_after: whole seconds
    after which it is worth a new try. where: the place in the request.
    """

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after: int | None = None, where: str | None = None
    ) -> None:
        self.status, self.reason, self.retry_after, self.where = status, reason, retry_after, where
        super().__init__(message)
