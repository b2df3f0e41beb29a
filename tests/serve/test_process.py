"""`kogner serve` as a process: its start, its log, and an end under load."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from running import LABELS, TEXTS, Client

from kogner.cli import cli


@contextmanager
def process(model, *options: str, **environment: str):
    """A server in a process of its own, ended at the end if it has not ended before."""
    command = [sys.executable, "-m", "kogner.cli", "serve", "--model", str(model), "--port", "0", "--threads", "1"]
    running = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    try:
        assert running.stdout is not None and running.stderr is not None
        line = running.stdout.readline()
        found = re.fullmatch(r"KoGNER serves at http://([\d.]+):(\d+)\n", line)
        assert found, line + running.stderr.read()
        yield running, Client(found[1], int(found[2]))
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def log_of(running) -> list[dict]:
    _, errors = running.communicate(timeout=20)
    return [json.loads(line) for line in errors.splitlines()]


def test_start_log_and_end(model):
    with process(model) as (running, client):
        assert client.get("/readyz").status == 200, "the address is said once it is ready"
        assert client.annotate(text="aspirin and a secret text").status == 200
        client.annotate(raw=b'{"text": "secret", ')
        client.get("/secret?secret=1", authorization="Bearer secret-key-of-mine")
        running.send_signal(signal.SIGTERM)
        log = log_of(running)
        assert running.returncode == 0
    assert [line["event"] for line in log] == ["ready", *["request"] * 4, "stopping", "stopped"]
    asked = log[2]
    assert (asked["path"], asked["status"], asked["documents"], asked["characters"]) == ("/v1/annotate", 200, 1, 25)
    assert {"time", "level", "ms", "queue_ms", "request_id", "client", "entities", "labels"} <= asked.keys()
    assert [line["status"] for line in log[1:5]] == [200, 200, 400, 404]
    assert log[3]["reason"] == "malformed_json"
    assert "secret" not in json.dumps(log) and "aspirin" not in json.dumps(log)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_under_load_loses_nothing(model, number):
    """Each request that a client could send whole is answered; what is not connected any more was never taken."""
    answers: list[int] = []
    lost: list[str] = []
    refused = threading.Event()
    texts = [text * 20 for text in TEXTS]

    def ask(client, name: int) -> None:
        turn = 0
        while not refused.is_set():
            turn += 1
            body = json.dumps({"text": texts[(name + turn) % 4], "labels": LABELS}).encode()
            connection = http.client.HTTPConnection(client.host, client.port, timeout=30)
            try:
                connection.connect()
            except OSError:
                refused.set()
                return
            try:
                connection.request("POST", "/v1/annotate", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                document = json.loads(answer.read())
                assert answer.status == 200, document
                answers.append(answer.status)
            except Exception as error:
                lost.append(repr(error))
            finally:
                connection.close()

    with process(model, "--batch-characters", "4000", "--max-wait", "300") as (running, client):
        clients = [threading.Thread(target=ask, args=(client, name)) for name in range(24)]
        for one in clients:
            one.start()
        while len(answers) < 60:
            time.sleep(0.01)
        before = len(answers)
        running.send_signal(number)
        for one in clients:
            one.join(30)
        log = log_of(running)
        assert running.returncode == 0
    assert lost == []
    assert len(answers) > before, "requests that were open at the signal were answered"
    assert sum(line.get("path") == "/v1/annotate" for line in log) == len(answers)
    stopping = next(line for line in log if line["event"] == "stopping")
    assert stopping["requests"] > 0


def test_what_connects_as_the_server_stops_is_answered_or_refused(model):
    """Never cut: connections come all the time, so that some come between the last that is taken and the end."""
    asked: list[socket.socket] = []
    held: list[float] = []  # seconds until each client's last connection was refused

    def ask(client) -> None:
        while True:
            begun = time.monotonic()
            try:
                asked.append(socket.create_connection((client.host, client.port), timeout=10))
            except ConnectionRefusedError:
                held.append(time.monotonic() - begun)
                return
            asked[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            time.sleep(0.002)  # does not wait for the answer, or the server would set the pace

    with process(model) as (running, client):
        threading.Thread(target=running.stderr.read, daemon=True).start()  # a line a request would fill the pipe
        clients = [threading.Thread(target=ask, args=(client,)) for _ in range(2)]
        for one in clients:
            one.start()
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        for one in clients:
            one.join(20)
        assert running.wait(20) == 0
    answers = [answer_of(one) for one in asked]
    assert answers == ["HTTP/1.1 200 OK"] * len(asked)
    assert sys.platform != "linux" or min(held) > 0.5, "held off, and refused when its system asked again"


def answer_of(connection: socket.socket) -> str:
    """The first line of it, or how it was cut."""
    with connection:
        try:
            return connection.recv(1000).partition(b"\r\n")[0].decode()
        except OSError as error:
            return repr(error)


@pytest.mark.slow
def test_at_the_end_of_the_grace_what_waits_is_answered(model):
    text = " ".join(TEXTS * 200)
    with process(model, "--grace", "0.5", "--batch-characters", "1000") as (running, client):
        found: list = []
        documents = [{"id": str(number), "text": text} for number in range(30)]
        asking = threading.Thread(target=lambda: found.append(client.annotate(documents=documents)))
        asking.start()
        time.sleep(0.6)
        begun = time.monotonic()
        running.send_signal(signal.SIGTERM)
        asking.join(20)
        assert time.monotonic() - begun < 5
        assert (found[0].status, found[0].reason) == (503, "stopping")
        assert found[0].headers["retry-after"]
        running.wait(10)


@pytest.mark.slow
def test_while_it_stops_it_is_not_ready_and_closes_connections(model):
    documents = [{"id": str(number), "text": " ".join(TEXTS * 60)} for number in range(60)]
    with process(model, "--batch-characters", "1000") as (running, client):
        kept = http.client.HTTPConnection(client.host, client.port, timeout=10)
        kept.request("GET", "/readyz")
        assert kept.getresponse().read() and kept.sock is not None
        found: list = []
        asking = threading.Thread(target=lambda: found.append(client.annotate(documents=documents)))
        asking.start()
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        kept.request("GET", "/readyz")
        answer = kept.getresponse()
        assert (answer.status, answer.getheader("connection")) == (503, "close")
        with pytest.raises(OSError):
            socket.create_connection((client.host, client.port), timeout=2)
        asking.join(30)
        assert found[0].status == 200
        running.wait(10)
        assert running.returncode == 0


def run(*arguments: str):
    return CliRunner().invoke(cli, ["serve", *arguments])


def test_an_address_that_is_taken_is_said_at_once(model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "kogner.cli", "serve", "--model", str(model), "--port", port],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be bound" in done.stderr and "--port" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--link-to", "MESH"], "of no use without --graph"),
        (["--cors-origin", "*"], "--cors-origin"),
        (["--allowed-host", "a:1"], "--allowed-host"),
        (["--api-keys-file", "nowhere"], "cannot be read"),
        (["--max-body", "100", "--held-bytes", "10"], "must hold one body"),
        (["--host", "not a host"], "cannot be bound"),
    ],
)
def test_options_that_cannot_be_meant(model, arguments, said):
    done = run("--model", str(model), "--port", "0", *arguments)
    assert done.exception is not None and said in str(done.exception)


@pytest.mark.slow
def test_elsewhere_without_keys_is_noted(model):
    with process(model, "--host", "0.0.0.0") as (running, _):
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=20)
    assert "everyone who reaches 0.0.0.0 can ask" in errors and "--api-keys-file" in errors


@pytest.mark.slow
def test_keys_of_the_variable(model):
    with process(model, KOGNER_API_KEYS="a-key-of-the-variable") as (running, client):
        assert client.get("/v1/labels").status == 401
        assert client.get("/v1/labels", x_api_key="a-key-of-the-variable").status == 200
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=20)
        assert "a-key" not in errors
