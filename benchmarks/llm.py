"""How fast are questions asked, next to what the server allows?

The scripted server of the tests runs in a process of its own and answers after a fixed delay; `at_once` requests under
way can make at most at_once / delay a second. Once with the class that asks, once with `kogner data write` from pairs
to rows, its start included. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

SERVER = Path(__file__).parents[1] / "tests" / "llm" / "scripted.py"


async def measure(spec: str, cache: Path, *, count: int, at_once: int) -> dict[str, Any]:
    """Ask `count` new questions, then the same from the cache."""
    from kogner.llm.asking import Asker
    from kogner.llm.cache import Cache
    from kogner.llm.providers import open_model
    from kogner.llm.request import Request

    async with open_model(spec) as model:
        with Cache(cache) as store:
            asker = Asker(model, store, concurrency=at_once)

            async def ask(name: str, count: int) -> tuple[float, float]:
                started, cpu = time.perf_counter(), time.process_time()
                pairs = ((n, Request(model.id, "system " * 100, f"{name} {n}")) for n in range(count))
                answered = [key async for key, _ in asker.ask_all(pairs)]
                assert len(answered) == count
                return time.perf_counter() - started, time.process_time() - cpu

            await ask("connections are opened", 2 * at_once)
            seconds, cpu = await ask("question", count)
            cached, _ = await ask("question", count)
    return {
        "requests_per_s": round(count / seconds, 1),
        "cpu_ms_per_request": round(1e3 * cpu / count, 2),
        "cached_per_s": round(count / cached),
    }


def write(spec: str, place: Path, *, count: int, at_once: int) -> float:
    """Rows a second of `kogner data write` about made-up pairs."""
    pairs = place / "pairs.jsonl"
    with pairs.open("w", encoding="utf-8") as stream:
        for number in range(count):
            head = {"id": f"G:{number}", "type": "Gene", "name": f"gene {number}"}
            tail = {"id": f"D:{number}", "type": "Disease", "name": f"disease {number}"}
            stream.write(
                json.dumps({"id": f"linked:{number}", "relation": "linked", "head": head, "tail": tail}) + "\n"
            )
    command = [
        sys.executable, "-m", "kogner.cli", "--quiet", "data", "write", str(pairs), "--llm", spec, "--out",
        str(place / "rows.jsonl"), "--concurrency", str(at_once),
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["written"] == count
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, nargs="+", default=[0.05, 0.5], help="seconds before each answer")
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0, help="of the slowest part, about")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.environ.pop("KOGNER_LLM_KEY", None)
    results = []
    for delay in args.delay:
        bound = args.at_once / delay
        count = int(min(bound, 250) * args.seconds)
        with (
            subprocess.Popen(
                [sys.executable, str(SERVER), "--delay", str(delay)], stdout=subprocess.PIPE, text=True
            ) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            assert server.stdout is not None
            spec = server.stdout.readline().strip()
            try:
                found = asyncio.run(measure(spec, Path(folder) / "answers.db", count=count, at_once=args.at_once))
                rows = write(spec, Path(folder), count=count, at_once=args.at_once)
            finally:
                server.kill()
        share = round(found["requests_per_s"] / bound, 3)
        results.append({"delay_s": delay, "requests": count, "bound_per_s": bound, "of_bound": share, **found})
        results[-1] |= {"rows_per_s": round(rows, 1), "rows_of_bound": round(rows / bound, 3)}
    said = {"at_once": args.at_once, "cores": os.cpu_count(), "results": results}
    if args.out:
        record.write(args.out, said)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
