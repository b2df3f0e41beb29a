"""Requests that are too large, too slow or too many, and clients that go away."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest
from running import LABELS, serving

from kogner.errors import ConfigError
from kogner.records import Mention
from kogner.serve import app, parsing
from kogner.serve.limits import Limits
from kogner.serve.schemas import AnnotateRequest

SMALL = Limits(body_bytes=20_000, documents=3, characters=200, labels=5, label_characters=10)


@pytest.fixture(scope="module")
def small(annotator):
    with serving(annotator, SMALL) as client:
        yield client


def opened(client, data: bytes = b"") -> socket.socket:
    """A connection over which something was sent."""
    connection = socket.create_connection((client.host, client.port), timeout=10)
    connection.sendall(data)
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """Head and body of the next answer, which has a content-length."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    length = int(re.search(rb"content-length: (\d+)", found).group(1))
    while len(found.partition(b"\r\n\r\n")[2]) < length:
        found += connection.recv(65536)
    return found


def read_all(connection: socket.socket) -> bytes:
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def head(length: int | None = None, *more: str) -> bytes:
    lines = ["POST /v1/annotate HTTP/1.1", "Host: localhost", "Content-Type: application/json", *more]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ({"labels": [str(n) for n in range(6)], "text": "a"}, "too_many_labels", r"6 labels, the limit is 5 \(--max-l"),
        ({"labels": ["x" * 11], "text": "a"}, "too_many_characters", "11 characters in a label, the limit is 10"),
        ({"labels": ["x"], "text": "a" * 201}, "too_many_characters", "201 characters in a document, the limit is 200"),
        ({"labels": ["x"], "documents": [{"id": "1", "text": "a"}] * 4}, "too_many_documents", "4 documents, the l"),
    ],
)
def test_a_limit_is_said_with_the_way_out(small, asked, reason, said):
    answer = small.annotate(asked)
    assert (answer.status, answer.reason) == (422, reason)
    assert re.search(said, answer.json["error"]["message"])
    assert re.search("; (send|ask|name)", answer.json["error"]["message"])
    assert answer.json["error"]["details"][0]["where"].split(".")[0] in asked


def test_texts_together_are_bounded(annotator):
    with serving(annotator, Limits(characters=100, queue_characters=250)) as client:
        answer = client.annotate(documents=[{"id": "1", "text": "a" * 100}] * 3)
        assert (answer.status, answer.reason) == (413, "too_many_characters")
        assert "300 characters in a request, the limit is 250" in answer.json["error"]["message"]
        assert client.annotate(documents=[{"id": "1", "text": "a" * 100}] * 2).status == 200


def test_at_the_limits_all_is_well(small):
    asked = {"labels": [str(n) * 10 for n in range(5)], "documents": [{"id": "1", "text": "a" * 200}] * 3}
    assert small.annotate(asked).status == 200


def test_ten_thousand_labels(client):
    answer = client.annotate({"labels": [f"label {n}" for n in range(10_000)], "text": "a"})
    assert (answer.status, answer.reason) == (422, "too_many_labels")
    assert "10,000 labels, the limit is 200" in answer.json["error"]["message"]


def test_a_hundred_megabytes_are_refused_by_their_head(client):
    before = psutil.Process().memory_info().rss
    connection = opened(client, head(100_000_000))
    begun = time.monotonic()
    first = answer_of(connection)
    assert time.monotonic() - begun < 2
    assert b" 413 " in first and b"100,000,000 bytes, the limit is 8,388,608" in first
    connection.close()
    assert psutil.Process().memory_info().rss - before < 20e6


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_not_held(client, chunked):
    """A client that sends all the same gets its answer, and the server does not grow by what is sent."""
    process, piece = psutil.Process(), b"x" * 1_000_000
    before = peak = process.memory_info().rss
    connection = opened(client, head(None, "Transfer-Encoding: chunked") if chunked else head(100_000_000))
    for _ in range(100):
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        peak = max(peak, process.memory_info().rss)
    if chunked:
        connection.sendall(b"0\r\n\r\n")
    assert b" 413 " in answer_of(connection)
    connection.close()
    assert peak - before < 40e6
    assert client.service.metrics is not None and client.metric("kogner_held_bytes") == 0


def test_bodies_of_all_requests_together_are_bounded(annotator):
    limits = Limits(body_bytes=400_000, held_bytes=1_000_000)
    with serving(annotator, limits) as client:
        waiting = []
        for _ in range(3):
            connection = opened(client, head(400_000) + b" " * 300_000)
            waiting.append(connection)
        until = time.monotonic() + 5
        while client.metric("kogner_held_bytes") < 900_000 and time.monotonic() < until:
            time.sleep(0.02)
        answer = client.annotate(raw=b" " * 300_000)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        for connection in waiting:
            connection.close()
        while client.metric("kogner_held_bytes") and time.monotonic() < until:
            time.sleep(0.02)
        assert client.annotate(text="no").status == 200


def test_a_head_that_does_not_end_is_cut(annotator):
    with serving(annotator, Limits(header_s=0.3)) as client:
        silent = opened(client)
        slow = opened(client, b"GET /healthz HTTP/1.1\r\nHost: loc")
        begun = time.monotonic()
        threading.Thread(target=drip, args=(slow, b"x" * 100), daemon=True).start()
        assert b" 408 " in read_all(slow)
        assert read_all(silent) == b""
        assert time.monotonic() - begun < 3
        assert client.get("/healthz").status == 200


def drip(connection: socket.socket, data: bytes) -> None:
    try:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass


def test_a_body_that_does_not_end_is_answered(annotator):
    with serving(annotator, Limits(body_s=0.4)) as client:
        slow = opened(client, head(1000))
        threading.Thread(target=drip, args=(slow, b" " * 100), daemon=True).start()
        begun = time.monotonic()
        first = answer_of(slow)
        assert b" 408 " in first and b"--body-timeout" in first
        assert read_all(slow) == b"" and time.monotonic() - begun < 5, "and the connection does not stay"
        assert client.metric("kogner_rejections_total") == 1


def test_a_client_that_does_not_read_is_cut(annotator):
    with serving(annotator, Limits(body_s=0.5)) as client:
        many = tuple(Mention(0, 1, "x" * 2000, text="a", score=0.5) for _ in range(5_000))
        client.service.batcher._annotate = lambda question, asked: [
            replace(document, mentions=many) for document, _ in asked
        ]
        body = json.dumps({"text": "a", "labels": ["x"]}).encode()
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((client.host, client.port))
        connection.sendall(head(len(body)) + body)
        assert connection.recv(10)
        assert len(open_connections(client)) == 1
        until_true(lambda: not open_connections(client), 20)
        assert client.get("/healthz").status == 200
        connection.close()


@pytest.mark.slow
def test_a_slow_but_steady_reader_gets_all_of_it(annotator):
    """It takes several times as long as the time in which something must be taken."""
    patience = 2.0
    with serving(annotator, Limits(body_s=patience)) as client:
        many = tuple(Mention(0, 1, "x" * 2000, text="a", score=0.5) for _ in range(4_000))
        client.service.batcher._annotate = lambda question, asked: [
            replace(document, mentions=many) for document, _ in asked
        ]
        body = json.dumps({"text": "a", "labels": ["x"]}).encode()
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(20)
        connection.connect((client.host, client.port))
        connection.sendall(head(len(body), "Connection: close") + body)
        found = bytearray()
        for _ in range(20):
            found += connection.recv(300_000, socket.MSG_WAITALL)
            time.sleep(patience / 7)
        while piece := connection.recv(1 << 20):
            found += piece
        length = int(re.search(rb"content-length: (\d+)", found).group(1))
        assert len(found.partition(b"\r\n\r\n")[2]) == length > 8_000_000
        connection.close()


def connections_of(client) -> list:
    return list(client.server.server_state.connections)


def test_idle_connections_shut_nobody_out(annotator):
    with serving(annotator, Limits(connections=3)) as client, ThreadPoolExecutor(3) as pool:
        idle = []
        for _ in range(3):
            idle.append(opened(client))
            until_true(lambda: len(connections_of(client)) == len(idle))
        assert client.annotate(text="aspirin").status == 200
        assert idle[0].recv(1) == b"", "the one that was idle longest made room"
        idle[2].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in answer_of(idle[2])
        for connection in idle:
            connection.close()
        until_true(lambda: not connections_of(client))
        with Gate(client.service) as gate:
            busy = [pool.submit(client.annotate, text=f"aspirin {number}") for number in range(3)]
            until_true(lambda: client.service.batcher.requests == 3)
            more = opened(client)
            first = read_all(more)
            assert b" 503 " in first and b"retry-after: 1" in first, "where none is idle the new one is told"
            gate.free.set()
        assert [one.result(20).status for one in busy] == [200] * 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"text": "a", "labels": [' + b"1," * 400_000 + b"1]}", "labels.0: Input should be a valid string"),
        (b'{"labels": ["x"], "documents": [' + b"1," * 400_000 + b"1]}", "documents.0: Input should be"),
        (b'{"text": "a", "labels": ["x"], "more": 1, "even more": 1}', r"more: .*\(and 1 more\)"),
        (
            b'{"text": "a", "labels": ["x"], ' + b",".join(b'"%x": 1' % number for number in range(5000)) + b"}",
            "5,000 things are not as the schema says",
        ),
    ],
)
def test_a_body_that_is_wrong_in_many_places_makes_no_long_list(body, said):
    with pytest.raises(parsing.MalformedError, match=said) as refused:
        parsing.parse(AnnotateRequest, body)
    assert refused.value.status == 422 and len(refused.value.details) <= 2


def test_a_large_body_is_parsed_beside_the_event_loop(client, monkeypatch):
    threads = []
    own = app.parse

    def parse(*arguments):
        threads.append(threading.current_thread())
        return own(*arguments)

    monkeypatch.setattr(app, "parse", parse)
    assert client.annotate(text="a").status == 200
    assert client.annotate(raw=b'{"text": "a", "labels": ["x"]' + b" " * app.AT_ONCE + b"}").status == 200
    assert threads[0] is not threads[1]


def test_an_answer_of_many_entities_is_whole(annotator):
    with serving(annotator) as client:
        many = tuple(Mention(0, 1, f'"{number}"', text="é", score=0.5) for number in range(2 * app.FEW_ENTITIES + 1))
        client.service.batcher._annotate = lambda question, asked: [
            replace(document, mentions=many if document.text == "é" else ()) for document, _ in asked
        ]
        documents = [{"id": '"1"', "text": "é"}, {"id": "2", "text": ""}, {"id": "3", "text": "é"}]
        found = client.annotate(documents=documents).json["documents"]
        assert [(one["id"], len(one["entities"])) for one in found] == [('"1"', len(many)), ("2", 0), ("3", len(many))]
        assert [one["type"] for one in found[2]["entities"]] == [one.type for one in many]


def open_connections(client) -> list:
    here = [one for one in psutil.Process().net_connections("tcp") if one.laddr and one.laddr.port == client.port]
    return [one for one in here if one.status == psutil.CONN_ESTABLISHED]


class Gate:
    """Holds a service's model."""

    def __init__(self, service):
        self.service, self.free, self.entered, self.seen = service, threading.Event(), threading.Event(), []
        self._own = service.batcher._annotate

    def __enter__(self):
        self.service.batcher._annotate = self
        return self

    def __exit__(self, *_):
        self.free.set()
        self.service.batcher._annotate = self._own

    def __call__(self, question, asked):
        self.seen += [document.text for document, _ in asked]
        self.entered.set()
        assert self.free.wait(20)
        return self._own(question, asked)


def until_true(condition, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_is_429_with_retry_after(annotator):
    with serving(annotator, Limits(queue_requests=4)) as client, ThreadPoolExecutor(8) as pool:
        with Gate(client.service) as gate:
            accepted = [pool.submit(client.annotate, text=f"aspirin {n}") for n in range(4)]
            until_true(lambda: client.service.batcher.requests == 4)
            refused = client.annotate(text="more")
            assert (refused.status, refused.reason) == (429, "busy")
            assert int(refused.headers["retry-after"]) >= 1
            assert "4 requests wait, the limit is 4" in refused.json["error"]["message"]
            assert client.get("/readyz").status == client.get("/metrics").status == 200, "others go on"
            assert client.metric("kogner_rejections_total") == 1
            gate.free.set()
        assert [one.result(10).status for one in accepted] == [200] * 4
        assert client.annotate(text="more").status == 200


def test_a_client_that_goes_away_is_taken_out_of_the_queue(annotator):
    with serving(annotator) as client, ThreadPoolExecutor(2) as pool, Gate(client.service) as gate:
        first = pool.submit(client.annotate, text="first")
        assert gate.entered.wait(5)
        body = json.dumps({"text": "left behind", "labels": LABELS}).encode()
        connection = opened(client, head(len(body)) + body)
        until_true(lambda: client.service.batcher.requests == 2)
        connection.close()
        until_true(lambda: client.service.batcher.requests == 1)
        gate.free.set()
        assert first.result(10).status == 200
        assert client.annotate(text="next").status == 200
        assert gate.seen == ["first", "next"]
        assert 'kogner_requests_total{path="/v1/annotate",status="499"} 1.0' in client.get("/metrics").body.decode()


def test_time_that_is_over_is_503_and_takes_it_out_of_the_queue(annotator):
    with serving(annotator, Limits(timeout=0.3)) as client, ThreadPoolExecutor(2) as pool, Gate(client.service) as gate:
        first = pool.submit(client.annotate, text="first")
        assert gate.entered.wait(5)
        late = client.annotate(text="late")
        assert (late.status, late.reason) == (503, "timeout")
        assert int(late.headers["retry-after"]) >= 1
        assert "--timeout" in late.json["error"]["message"]
        assert first.result(5).status == 503
        assert client.service.batcher.requests == 0
        gate.free.set()
        until_true(lambda: client.annotate(text="next").status == 200)
        assert "late" not in gate.seen


def test_a_defect_is_500_with_an_id_and_its_text_nowhere(annotator, caplog):
    with serving(annotator) as client:

        def broken(question, asked):
            raise RuntimeError(f"cannot read {asked[0][0].text}")

        client.service.batcher._annotate = broken
        with caplog.at_level("INFO", logger="kogner.serve"):
            answer = client.annotate(text="secret text")
        assert (answer.status, answer.reason) == (500, "internal_error")
        assert "secret" not in answer.body.decode()
        (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
        fields = record.fields
        assert fields["request_id"] == answer.json["error"]["request_id"]
        assert fields["error"] == "RuntimeError" and any("broken" in place for place in fields["at"])
        assert "secret" not in str([vars(one) for one in caplog.records])


class Slow:
    """A predictor that waits to be let go."""

    def __init__(self, predictor):
        self.info, self._predictor, self.free = predictor.info, predictor, threading.Event()

    def predict(self, *args, **more):
        assert self.free.wait(20)
        return self._predictor.predict(*args, **more)


def test_not_ready_until_the_model_has_answered(annotator):
    slow = Slow(annotator.predictor)
    with serving(replace(annotator, predictor=slow), warm=False) as client:
        assert client.get("/healthz").status == 200
        answer = client.get("/readyz")
        assert (answer.status, answer.reason) == (503, "starting")
        slow.free.set()
        until_true(lambda: client.get("/readyz").status == 200)


def test_limits_that_cannot_be_meant():
    with pytest.raises(ConfigError, match="above 0"):
        Limits(labels=0)
    with pytest.raises(ConfigError, match="must hold one body"):
        Limits(body_bytes=100, held_bytes=99)
    with pytest.raises(ConfigError, match="must hold one document"):
        Limits(characters=100, queue_characters=99)
