"""The server at twice the load it can bear: requests a second, times, how many are turned away, memory.

`kogner serve` runs in a process of its own, on loopback. First its capacity is measured: some clients ask for one
abstract after the other, each waiting for its answer. Then abstracts come at twice that rate, at random times
(Poisson), whether or not earlier ones are answered, each over a connection of its own, as from many clients that do not
know of each other; one request in some has several documents. At the end the server gets SIGTERM while its queue is
full, and must answer all it has taken.

An error is whatever is neither 200 nor 429 with Retry-After: another status, a connection that ends without an answer,
an answer that cannot be read, whose entities are not where they say, or that lacks a document. Each request is counted
as answered, refused or an error. Times are of the answers with 200, of which p99 says how long the queue
makes a request wait. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import record

LABELS = ["chemical", "disease", "gene"]
CLIENTS = 32  # that measure the capacity
SAMPLE_S = 2.0  # between two looks at the memory
SEVERAL, EACH = 5, 10  # documents of each so manieth request


@dataclass(frozen=True)
class Size:
    """Seconds of warming up, of measuring the capacity, and of the load."""

    warm: float
    capacity: float
    load: float


SIZES = {"small": Size(5, 10, 45), "medium": Size(10, 30, 180), "full": Size(20, 60, 600)}


@dataclass
class Seen:
    """What the clients saw. times: seconds of the answers with 200; several: of those with several documents among
    them; errors: by kind.
    """

    asked: int = 0
    times: list[float] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    refused: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    entities: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/kogner-mini"))
    parser.add_argument("--graph", type=Path, help="also link to this graph")
    parser.add_argument("--corpus", type=Path, help="folder of a corpus; its test texts are sent")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--threads", type=int, default=0, help="of the server; 0 = all")
    parser.add_argument("--factor", type=float, default=2.0, help="load in parts of the capacity")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    texts = texts_of(args.corpus)
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "serve", "--model", str(args.model), "--port", "0"]
    command += ["--threads", str(args.threads), *(["--graph", str(args.graph)] if args.graph else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())
        if found is None:
            sys.exit("the server did not start; what it said stands above")
        measured = asyncio.run(measure(int(found[1]), texts, SIZES[args.size], args.factor, server))
        measured["exit_code"] = server.wait(60)
    finally:
        if server.poll() is None:
            server.kill()
    measured |= {"texts": len(texts), "threads": args.threads, "labels": LABELS, "graph": args.graph is not None}
    if args.out:
        record.write(args.out, {"size": args.size, **measured})
    print(json.dumps(measured))


def texts_of(corpus: Path | None) -> list[str]:
    """Abstracts to send: of the test split of a corpus, else the example's."""
    if corpus is None or not corpus.exists():
        print("no corpus is given, or none is there: the example abstract is sent", file=sys.stderr)
        return [(Path(__file__).parents[1] / "examples" / "abstract.txt").read_text(encoding="utf-8")]
    from kogner.data import corpora

    return [document.text for document in corpora.load(corpus.name, corpus, "test").documents]


async def measure(
    port: int, texts: Sequence[str], size: Size, factor: float, server: subprocess.Popen[str]
) -> dict[str, Any]:
    """Capacity, load, end."""
    await closed_loop(port, texts, size.warm, Seen())
    first, begun = Seen(), time.monotonic()
    await closed_loop(port, texts, size.capacity, first)
    capacity = len(first.times) / (time.monotonic() - begun)
    print(f"capacity: {capacity:.1f} requests/s", file=sys.stderr, flush=True)

    memory: list[float] = []
    watching = asyncio.create_task(watch(port, memory))
    loaded, begun = Seen(), time.monotonic()
    tasks = await open_loop(port, texts, size.load, factor * capacity, loaded)
    seconds = time.monotonic() - begun
    in_time = len(loaded.times)
    watching.cancel()
    try:
        await watching
    except asyncio.CancelledError:
        pass
    except Exception as error:
        loaded.errors[f"metrics: {type(error).__name__}"] += 1
    batch = await batches(port)
    open_at_end = sum(not task.done() for task in tasks)
    server.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    for seen in (first, loaded):
        told = len(seen.times) + seen.refused + sum(seen.errors.values())
        if told < seen.asked:
            seen.errors["lost"] += seen.asked - told
    times, several = sorted(loaded.times), sorted(loaded.several)
    third = max(1, len(memory) // 3)
    return {
        "requests_per_s": round(in_time / seconds, 2),
        **{f"p{part}_ms": round(1000 * quantile(times, part / 100)) for part in (50, 95, 99)},
        **{f"several_p{part}_ms": round(1000 * quantile(several, part / 100)) for part in (50, 99)},
        "rejected_429": loaded.refused,
        "errors": sum(loaded.errors.values()) + sum(first.errors.values()),
        "kinds_of_errors": dict(loaded.errors + first.errors),
        "capacity_per_s": round(capacity, 2),
        "offered_per_s": round(len(tasks) / seconds, 2),
        "seconds": round(seconds, 1),
        "asked": loaded.asked,
        "answered": len(times),
        "answered_several": len(several),
        "entities": loaded.entities,
        "memory_begin_mb": round(memory[0] / 1e6),
        "memory_end_mb": round(memory[-1] / 1e6),
        "memory_peak_mb": round(max(memory) / 1e6),
        # Of the last two thirds, the means of their halves: whether it still grows when its caches are filled.
        "memory_growth_mb": round((mean(memory[-third:]) - mean(memory[-2 * third : -third] or memory)) / 1e6, 1),
        "documents_per_batch": round(batch, 2),
        "open_at_sigterm": open_at_end,
    }


async def closed_loop(port: int, texts: Sequence[str], seconds: float, seen: Seen) -> None:
    """Clients that ask for one text after the other."""
    end, turns = time.monotonic() + seconds, itertools.count()

    async def client() -> None:
        while time.monotonic() < end:
            await ask(port, [texts[next(turns) % len(texts)]], seen)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def open_loop(
    port: int, texts: Sequence[str], seconds: float, rate: float, seen: Seen
) -> list[asyncio.Task[None]]:
    """Requests at a rate of texts, at random times; returned at the end of these, when some may still be open."""
    draws = random.Random(0)
    tasks: list[asyncio.Task[None]] = []
    begun = due = time.monotonic()
    turns = itertools.count()
    rate /= 1 + (SEVERAL - 1) / EACH
    while (due := due + draws.expovariate(rate)) < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        count = 1 if len(tasks) % EACH else SEVERAL
        some = [texts[next(turns) % len(texts)] for _ in range(count)]
        tasks.append(asyncio.create_task(ask(port, some, seen)))
    return tasks


async def ask(port: int, texts: Sequence[str], seen: Seen) -> None:
    """One request over a connection of its own, which is counted whatever comes of it."""
    seen.asked += 1
    begun = time.monotonic()
    try:
        documents = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
        body = json.dumps({"documents": documents, "labels": LABELS}).encode()
        status, headers, answer = await exchange(port, "POST /v1/annotate", body)
        if status == 429 and headers.get("retry-after", "").isdecimal():
            seen.refused += 1
            return
        if status != 200:
            seen.errors[f"status {status}"] += 1
            return
        found = [(one["id"], one["entities"]) for one in json.loads(answer)["documents"]]
        right = [name for name, _ in found] == [one["id"] for one in documents] and all(
            text[one["start"] : one["end"]] == one["text"]
            for text, (_, entities) in zip(texts, found, strict=True)
            for one in entities
        )
    except Exception as error:
        seen.errors[type(error).__name__] += 1
        return
    if not right:
        seen.errors["entity elsewhere, or a document missing"] += 1
        return
    seen.entities += sum(len(entities) for _, entities in found)
    seen.times.append(time.monotonic() - begun)
    if len(texts) > 1:
        seen.several.append(seen.times[-1])


async def exchange(port: int, line: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Send a request and read its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
        return int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


async def watch(port: int, memory: list[float]) -> None:
    """Note the server's resident memory now and then."""
    while True:
        memory.append((await metrics(port))["process_resident_memory_bytes"])
        await asyncio.sleep(SAMPLE_S)


async def batches(port: int) -> float:
    """Documents in a batch, on average."""
    found = await metrics(port)
    return found["kogner_batch_documents_sum"] / found["kogner_batch_documents_count"]


async def metrics(port: int) -> dict[str, float]:
    """Metrics without labels."""
    _, _, text = await exchange(port, "GET /metrics")
    lines = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines if "{" not in name}


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    main()
