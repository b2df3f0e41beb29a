"""How a server is asked for JSON: by schema, by "any object", or by words alone, whichever it takes."""

from __future__ import annotations

from collections.abc import Sequence

from kogner.llm.request import Request

SCHEMA, OBJECT, PLAIN = "schema", "object", "plain"


class Formats:
    """What a server takes, learnt from its answers and kept for the run, for each schema by itself.

    A refusal (400 or 422) makes us try the next way with the same request; the way is kept only if it works, so that a
    request which is bad for another reason changes nothing for those after it.
    """

    def __init__(self, ways: Sequence[str]) -> None:
        self.ways = tuple(ways)
        self._proven: dict[str, str] = {}

    def of(self, request: Request) -> str:
        """The way to ask this request first."""
        if request.schema is None:
            return PLAIN
        return self._proven.get(request.schema_text, self.ways[0])

    def after(self, request: Request, way: str) -> str | None:
        """The way to try once the server refused `way`; None where the refusal must have another cause."""
        if request.schema is None or self._proven.get(request.schema_text) == way or way == self.ways[-1]:
            return None
        return self.ways[self.ways.index(way) + 1]

    def works(self, request: Request, way: str) -> None:
        """The server answered a request that was asked this way."""
        if request.schema is not None and len(self._proven) < 10_000:
            self._proven.setdefault(request.schema_text, way)


def system_prompt(request: Request, way: str) -> str:
    """The system prompt; with the schema in words where the server does not enforce it."""
    if request.schema is None or way == SCHEMA:
        return request.system
    words = f"Answer with one JSON object that follows this JSON schema:\n{request.schema_text}"
    return f"{request.system}\n\n{words}" if request.system else words
