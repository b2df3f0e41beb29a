"""A writer that is killed: imports once, then forks a process for each line it reads, which asks everything."""

from __future__ import annotations

import asyncio
import os
import sys

from kogner.llm.asking import Asker
from kogner.llm.cache import Cache
from kogner.llm.providers import model_id, open_model
from kogner.llm.request import Reply, Request
from kogner.llm.retries import Retries


def requests(spec: str, count: int) -> list[Request]:
    return [Request(model_id(spec), "system", f"{number:04}") for number in range(count)]


async def write(spec: str, path: str, count: int, at_once: int) -> int:
    found = 0
    with Cache(path) as cache:
        async with open_model(spec) as model:
            asker = Asker(model, cache, retries=Retries(first_s=0.01, longest_s=0.02), concurrency=at_once)
            async for _, reply in asker.ask_all(enumerate(requests(spec, count))):
                found += isinstance(reply, Reply)
    return found


def main() -> None:
    spec, path, count, at_once = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import openai  # noqa: F401 - before the forks, as it takes a second

    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if asyncio.run(write(spec, path, count, at_once)) == count else 1)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
