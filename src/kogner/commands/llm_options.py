"""Options of the commands that ask a language model, and the asker that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kogner.llm.asking import Asker
    from kogner.llm.cache import Cache
    from kogner.llm.model import Model
    from kogner.llm.prices import Prices

_POSITIVE = click.IntRange(min=1)
_OPTIONS = (
    click.option("--concurrency", type=_POSITIVE, default=64, show_default=True, help="Requests under way at once."),
    click.option("--requests-per-minute", type=_POSITIVE, help="At most.  [default: no limit]"),
    click.option("--tokens-per-minute", type=_POSITIVE, help="At most, answers included.  [default: no limit]"),
    click.option("--timeout", "timeout_s", type=float, default=120.0, show_default=True, help="Seconds for an answer."),
    click.option(
        "--max-failures",
        type=click.IntRange(min=0),
        default=100,
        show_default=True,
        help="Failures in a row that stop the run; 0: none does.",
    ),
    click.option("--max-cost", type=float, help="Dollars; stops before a request that could pass it."),
    click.option(
        "--prices",
        type=click.Path(path_type=Path),
        help="YAML file of prices.  [default: the shipped recipes/prices.yaml]",
    ),
    click.option("--allow-plain-http", is_flag=True, help="Send a key over http:// to another machine."),
)


def llm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Limits, cost and time-outs of a command that asks a model; it gets them as keywords, for `asker_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def prices_of(limits: Mapping[str, Any]) -> Prices:
    """The price table that --prices names, or the shipped one."""
    from kogner.llm.prices import Prices

    return Prices.load(limits["prices"])


def asker_of(model: Model, cache: Cache, limits: Mapping[str, Any]) -> Asker:
    """An asker with the limits of the command line. Says once where no price is known."""
    from kogner.llm.asking import Asker
    from kogner.llm.limits import Limits
    from kogner.llm.prices import Spending
    from kogner.progress import note

    prices = prices_of(limits)
    price = prices.of(model.id)
    if price is None:
        note(f"{model.id} has no price in {prices.path}, so its cost is not counted")
    return Asker(
        model,
        cache,
        limits=Limits(limits["requests_per_minute"], limits["tokens_per_minute"]),
        spending=Spending(price, limits["max_cost"]),
        timeout_s=limits["timeout_s"],
        concurrency=limits["concurrency"],
        stop_after=limits["max_failures"] or None,
    )
