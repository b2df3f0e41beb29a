"""A server in a thread of this process, a client, and the tiny graph that they speak of."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kogner.annotate.annotator import Annotator
from kogner.annotate.predictor import Settings
from kogner.records import Entity, Triple
from kogner.serve import listener, server
from kogner.serve.access import LOOPBACK, Access
from kogner.serve.app import PAGE, create_app
from kogner.serve.keys import ApiKeys
from kogner.serve.limits import Limits
from kogner.serve.service import Service

TEXTS = (
    "aspirin lowered the fever of rats and morphine caused no pain",
    "headache caused by ibuprofen in rats 🤒 with fever",
    "no",
    "the il gene of rats was with pain, fever and headache",
)
LABELS = ["chemical", "disease"]
ENTITIES = (
    Entity("C:1", "Chemical", "Aspirin", ("acetylsalicylic acid",), ("MESH:D1",), "Lowers fever."),
    Entity("C:2", "Chemical", "Morphine", (), ("MESH:D2", "X:shared")),
    Entity("D:1", "Disease", "Fever", ("pyrexia",), ("MESH:D3", "X:shared")),
    Entity("D:2", "Disease", "Headache"),
    Entity("A:1", "BodyPart", "Head"),
    Entity("odd/id 1?", "BodyPart", "Odd"),
)
TRIPLES = (Triple("C:1", "treats", "D:1"), Triple("C:1", "treats", "D:2"), Triple("C:2", "causes", "D:2"),
           Triple("D:2", "located_in", "A:1"), Triple("C:1", "seen_with", "C:2"))  # fmt: skip


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return self.json["error"]["reason"]


@dataclass
class Client:
    """Speaks HTTP to a server, a connection a request."""

    host: str
    port: int
    service: Any = None
    server: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def get(self, path: str, /, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def annotate(self, asked: Any = None, /, *, raw: bytes | None = None, **fields: Any) -> Answer:
        if raw is None:
            raw = json.dumps({"labels": LABELS, **fields} if asked is None else asked).encode()
        return self.ask("POST", "/v1/annotate", raw, content_type="application/json")

    def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        lines = self.get("/metrics").body.decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in found)


@contextmanager
def serving(
    annotator: Annotator,
    limits: Limits | None = None,
    *,
    keys: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    hosts: tuple[str, ...] | None = LOOPBACK,
    page=PAGE,
    settings: Settings | None = None,
    warm: bool = True,
) -> Iterator[Client]:
    """A server in a thread. warm: wait until it is ready."""
    service = Service(annotator, limits or Limits(), settings)
    app = create_app(service, Access(ApiKeys(keys), hosts, origins), page=page)
    own, ready = listener.bind("127.0.0.1", 0), threading.Event()
    made = server.make(app, service, grace=5, started=ready.set)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [own]})
    thread.start()
    try:
        if warm:
            assert ready.wait(30), made.failed
        else:
            while not made.started:
                time.sleep(0.01)
        yield Client(*own.getsockname()[:2], service, made)
    finally:
        made.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
    assert made.failed is None
