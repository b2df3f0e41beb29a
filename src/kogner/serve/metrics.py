"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CHARACTERS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


class Metrics:
    """Counters of one server, in a registry of their own. Labels of requests are routes, never what a client wrote."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series beside each counter, which nobody asks for
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("kogner_requests", "Requests.", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "kogner_request_seconds",
            "From a request's head to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "kogner_queue_seconds", "From a request's body to its first batch.", buckets=_SECONDS, registry=registry
        )
        self.rejections = Counter("kogner_rejections", "Requests that were not done.", ["reason"], registry=registry)
        self.documents = Counter("kogner_documents", "Documents annotated.", registry=registry)
        self.failed_documents = Counter(
            "kogner_failed_documents", "Documents that could not be annotated.", registry=registry
        )
        self.characters = Counter("kogner_characters", "Characters of these.", registry=registry)
        self.entities = Counter("kogner_entities", "Entities found in these.", registry=registry)
        self.batch_requests = Histogram(
            "kogner_batch_requests", "Requests in a batch.", buckets=_SIZES, registry=registry
        )
        self.batch_documents = Histogram(
            "kogner_batch_documents", "Documents in a batch.", buckets=_SIZES, registry=registry
        )
        self.batch_characters = Histogram(
            "kogner_batch_characters", "Characters in a batch.", buckets=_CHARACTERS, registry=registry
        )
        self.batch_seconds = Histogram(
            "kogner_batch_seconds", "Time the model took for a batch.", buckets=_SECONDS, registry=registry
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A number that is asked for when it is read."""
        Gauge(name, about, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)
