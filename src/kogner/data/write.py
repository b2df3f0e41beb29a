"""Sentences about pairs of entities, written by a language model: the loop from pairs to rows.

Every answer is in the cache before it counts, so that the rows can be written in the order of the pairs once all are
there, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from kogner.data.overlap import letters
from kogner.data.pairs import Pair
from kogner.data.prompts import ANSWER, Prompt, grouped, spoken
from kogner.data.rows import Row
from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.llm.asking import Asker
    from kogner.llm.request import Failure, ModelId, Reply, Request


@dataclass(frozen=True)
class WriteSettings:
    """What is asked. per_pair: sentences about each pair. max_tokens: of an answer. temperature: of the model.

    seed: of the first sentence about a pair; each further one has the next.
    """

    per_pair: int = 1
    max_tokens: int = 400
    temperature: float | None = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_pair < 1 or self.max_tokens < 1:
            raise ConfigError("per pair and max tokens must be at least 1")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature {self.temperature} must lie between 0 and 2")


@dataclass(frozen=True)
class Task:
    """One request and what it is about. types: labels of what may be annotated."""

    id: str
    pairs: tuple[Pair, ...]
    prompt: Prompt
    request: Request
    types: tuple[str, ...]


def tasks(
    pairs: Sequence[Pair], prompts: Sequence[Prompt], types: Sequence[str], model: ModelId, settings: WriteSettings
) -> Iterator[Task]:
    """What is to be asked, in order. Pairs are dealt to the prompts in turn, so that each pair is written about once.

    With `per_pair` they are dealt again, to the next prompt each time. A pair's own id says whose turn it is, so that
    more pairs change nothing of what was asked about the others.
    """
    labels = tuple(map(spoken, types))
    for turn in range(settings.per_pair):
        for number, prompt in enumerate(prompts):
            own = (pair for pair in pairs if (_turn(pair) + turn) % len(prompts) == number)
            for group in grouped(own, prompt.pairs):
                request = request_about(group, prompt, types, model, settings, settings.seed + turn)
                yield Task(f"{prompt.name}:{group[0].id}~{request.hash[:8]}", group, prompt, request, labels)


def request_about(
    group: Sequence[Pair], prompt: Prompt, types: Iterable[str], model: ModelId, settings: WriteSettings, seed: int
) -> Request:
    """What is asked about some pairs; seed: instead of that of the settings."""
    from kogner.llm.request import Request

    system, user = prompt.fill(group, types)
    return Request(model, system, user, ANSWER, settings.max_tokens, settings.temperature, seed)


def _turn(pair: Pair) -> int:
    """A pair's place in the turn of its relation type, which begins anywhere; of an id without a number, any."""
    relation, _, number = pair.id.rpartition(":")
    plain = number if number.isascii() and number.isdigit() else ""
    return crc32((relation if plain else pair.id).encode(errors="surrogatepass")) + int(plain[:18] or 0)


async def ask(
    wanted: Iterable[Task], asker: Asker, failed: dict[str, Failure], progress: Callable[[], None] = lambda: None
) -> None:
    """Put all answers into the asker's cache. failed: gets what failed for good, by the id of its task.

    Raises what `Asker.ask` raises where no request can succeed or the money is spent.
    """
    from kogner.llm.request import Failure

    async for name, found in asker.ask_all((task.id, task.request) for task in wanted):
        if isinstance(found, Failure):
            failed[name] = found
        progress()


def row(task: Task, found: Reply | Failure) -> Row:
    """The row of a task: what was answered, or why there is no usable answer."""
    from kogner.llm.answers import NotJsonError, meant, parse_reply
    from kogner.llm.request import Failure

    request = task.request
    asked = {"template": task.prompt.hash, "temperature": request.temperature, "seed": request.seed}

    def made(
        answer: object = None,
        repaired: bool = False,
        rejected: str | None = None,
        detail: str = "",
        copied: bool = False,
    ) -> Row:
        return Row(
            task.id, task.pairs, task.types, task.prompt.label, str(request.model), request.hash, task.prompt.negative,
            answer, repaired, rejected, detail, asked=asked, copied=copied,
        )  # fmt: skip

    if isinstance(found, Failure):
        return made(rejected=found.reason, detail=found.detail)
    try:
        parsed = parse_reply(found)
    except NotJsonError as error:
        return made(rejected=error.reason, detail=error.start)
    answer = meant(parsed.value, ANSWER["required"])
    sentence = answer.get("sentence") if isinstance(answer, dict) else None
    copied = isinstance(sentence, str) and letters(sentence) in task.prompt.examples
    return made(answer, parsed.repaired, copied=copied)


def rows(
    wanted: Iterable[Task], asker: Asker, failed: Mapping[str, Failure], held: Mapping[str, Row] | None = None
) -> Iterator[Row]:
    """The rows of those tasks that were asked, in their order. held: rows that there are already, by their ids."""
    for task in wanted:
        own = None if held is None else held.get(task.id)
        if own is not None:
            yield own
            continue
        reply = asker.cache.get(task.request) if asker.cache is not None else None
        found = failed.get(task.id) if reply is None else reply
        if found is not None:
            yield row(task, found)


def types_of(pairs: Iterable[Pair]) -> list[str]:
    """The types of the ends of some pairs, the commonest first."""
    return [name for name, _ in Counter(end.type for pair in pairs for end in (pair.head, pair.tail)).most_common()]
