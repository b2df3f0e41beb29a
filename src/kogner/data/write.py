"""Sentences about pairs of entities, written by a language model: the loop from pairs to rows.

Every answer is in the cache before it counts, so that the rows can be written in the order of the pairs once all are
there, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """One request and what it is about."""

    id: str
    pairs: tuple[Pair, ...]
    prompt: Prompt
    request: Request


def tasks(
    pairs: Sequence[Pair], prompts: Sequence[Prompt], types: Sequence[str], model: ModelId, settings: WriteSettings
) -> Iterator[Task]:
    """What is to be asked, in order. Pairs are dealt to the prompts in turn, so that each pair is written about once.

    With `per_pair` they are dealt again, to the next prompt each time.
    """
    from kogner.llm.request import Request

    for turn in range(settings.per_pair):
        for number, prompt in enumerate(prompts):
            own = (pair for at, pair in enumerate(pairs) if (at + turn) % len(prompts) == number)
            for group in grouped(own, prompt.pairs):
                system, user = prompt.fill(group, types)
                request = Request(
                    model, system, user, ANSWER, settings.max_tokens, settings.temperature, settings.seed + turn
                )
                yield Task(f"{prompt.name}:{group[0].id}~{request.hash[:8]}", group, prompt, request)


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


def row(task: Task, found: Reply | Failure, types: Sequence[str]) -> Row:
    """The row of a task: what was answered, or why there is no usable answer."""
    from kogner.llm.answers import NotJsonError, parse_reply
    from kogner.llm.request import Failure

    def made(answer: object = None, repaired: bool = False, rejected: str | None = None, detail: str = "") -> Row:
        return Row(
            task.id, task.pairs, tuple(map(spoken, types)), task.prompt.label, str(task.request.model),
            task.request.hash, task.prompt.negative, answer, repaired, rejected, detail,
        )  # fmt: skip

    if isinstance(found, Failure):
        return made(rejected=found.reason, detail=found.detail)
    try:
        parsed = parse_reply(found)
    except NotJsonError as error:
        return made(rejected=error.reason, detail=error.start)
    return made(parsed.value, parsed.repaired)


def rows(wanted: Iterable[Task], asker: Asker, failed: dict[str, Failure], types: Sequence[str]) -> Iterator[Row]:
    """The rows of those tasks that were asked, in their order."""
    for task in wanted:
        reply = asker.cache.get(task.request) if asker.cache is not None else None
        found = failed.get(task.id) if reply is None else reply
        if found is not None:
            yield row(task, found, types)


def types_of(pairs: Iterable[Pair]) -> list[str]:
    """The types of the ends of some pairs, the commonest first."""
    return [name for name, _ in Counter(end.type for pair in pairs for end in (pair.head, pair.tail)).most_common()]
