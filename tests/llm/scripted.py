"""A real HTTP server that answers as a script says, like OpenAI's chat completions and Anthropic's messages.

Standard library only, on a free port of 127.0.0.1, in a thread with an event loop of its own. Run as a program it
answers every request with `{}` after a fixed delay and prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What to send. body: instead of a completion. drop: close the connection "before" or in the "middle" of it."""

    text: str = "{}"
    finish: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    drop: str = ""
    usage: tuple[int, int] | None = (10, 5)


@dataclass
class Seen:
    """A request as it came. number: how often this user text was asked before it. sent: its answer went out whole."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int
    at: float
    sent: bool = False

    @property
    def user(self) -> str:
        return self.body["messages"][-1]["content"]

    @property
    def form(self) -> str:
        return self.body.get("response_format", {}).get("type", "plain")


class ScriptedServer:
    """Start with `with`. seen: every request. most_at_once: requests under way at the same time, at most."""

    def __init__(self, script: Callable[[Seen], Answer] = lambda seen: Answer(), *, keep: bool = True) -> None:
        self.script, self.keep = script, keep
        self.seen: list[Seen] = []
        self.most_at_once = self._at_once = 0
        self._numbers: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spec(self) -> str:
        """What a user writes after --llm to ask this server."""
        return f"{self.root}/v1:scripted"

    def asked(self) -> Counter[str]:
        """How often each user text came."""
        return Counter(seen.user for seen in self.seen)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in headers.items()}
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                try:
                    if not await self._answer(head[0].split(" ")[1], headers, content, writer):
                        break
                finally:
                    self._at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, headers: dict[str, str], content: bytes, writer: asyncio.StreamWriter) -> bool:
        seen = Seen(path, headers, json.loads(content), 0, time.monotonic())
        if self.keep:
            seen.number = self._numbers[seen.user]
            self._numbers[seen.user] += 1
            self.seen.append(seen)
        answer = self.script(seen)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.drop == "before":
            return False
        body = answer.body if answer.body is not None else _completion(seen, answer)
        lines = [f"HTTP/1.1 {answer.status} Scripted", f"content-length: {len(body)}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        whole = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        writer.write(whole[: len(whole) - len(body) // 2] if answer.drop else whole)
        await writer.drain()
        seen.sent = not answer.drop
        return not answer.drop


def _completion(seen: Seen, answer: Answer) -> bytes:
    if answer.status != 200:
        return json.dumps({"error": {"message": answer.text, "type": "scripted", "code": answer.finish}}).encode()
    read, written = answer.usage or (0, 0)
    if seen.path.endswith("/messages"):
        finish = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}.get(answer.finish)
        usage = {"input_tokens": read, "output_tokens": written}
        body = {
            "id": "m", "type": "message", "role": "assistant", "model": seen.body["model"],
            "content": [{"type": "text", "text": answer.text}], "stop_reason": finish, "usage": usage,
        }  # fmt: skip
    else:
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        message = {"role": "assistant", "content": answer.text}
        body = {
            "id": "c", "object": "chat.completion", "created": 0, "model": seen.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}], "usage": usage,
        }  # fmt: skip
    if answer.usage is None:
        del body["usage"]
    return json.dumps(body).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    delay = parser.parse_args().delay
    with ScriptedServer(lambda seen: Answer(delay_s=delay), keep=False) as server:
        print(server.spec, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
