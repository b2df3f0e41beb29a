"""What answers cost: a table in a file, a running sum, and a limit that is never passed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kogner.errors import ConfigError
from kogner.llm.cache import Cache
from kogner.llm.request import ModelId, Reply, Request

SHIPPED = "prices.yaml"
_DATE = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens, read and written."""

    input: float
    output: float

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars for so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


FREE = Price(0.0, 0.0)


@dataclass(frozen=True)
class Prices:
    """Prices by the name a user gives a model, such as `openai:gpt-4o-mini`. date: of the table. path: its file."""

    models: Mapping[str, Price]
    date: str
    path: Path

    @classmethod
    def load(cls, path: Path | str | None = None) -> Prices:
        """Read a price file, or the shipped one. Raises ConfigError for a missing file or another form."""
        place = Path(path) if path is not None else _shipped()
        try:
            raw: Any = yaml.safe_load(place.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"price file {place} cannot be read: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"price file {place} is not valid YAML: {error}") from error
        form = "it must hold 'date:' and 'models:' with lines such as 'openai:gpt-4o-mini: [0.15, 0.60]'"
        if not isinstance(raw, dict) or not isinstance(raw.get("models"), dict) or set(raw) - {"date", "models"}:
            raise ConfigError(f"price file {place}: {form}")
        models = {}
        for name, pair in raw["models"].items():
            if not (isinstance(pair, list) and len(pair) == 2 and all(_is_price(one) for one in pair)):
                raise ConfigError(f"price file {place}: {name}: {pair!r} must be two numbers of at least 0; {form}")
            models[str(name)] = Price(*map(float, pair))
        return cls(models, str(raw.get("date", "")), place)

    def of(self, model: ModelId) -> Price | None:
        """A model's price, that of its undated name if it has none; a local model is free. None: unknown."""
        if model.provider == "local":
            return FREE
        name = str(model)
        return self.models.get(name) or self.models.get(_DATE.sub("", name))


def _shipped() -> Path:
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if (folder / SHIPPED).is_file():
            return folder / SHIPPED
    raise ConfigError(f"the shipped {SHIPPED} is missing; install KoGNER again or give a price file")


def _is_price(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


@dataclass
class Spending:
    """The running cost of one job, in dollars.

    price: None where it is unknown; then nothing is summed. max_cost: a limit for the whole job: answers that an
    earlier run of it paid for (the cache has them) count too, so that stopping and going on does not double it.
    paid: by this run. earlier: answers from the cache, at today's price. lost: at most, for requests whose answer
    never came (timed out, connection dropped): a provider may charge for them.
    Raises ConfigError for max_cost without a price, or below 0.
    """

    price: Price | None = None
    max_cost: float | None = None
    paid: float = 0.0
    earlier: float = 0.0
    lost: float = 0.0
    _reserved: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if self.max_cost is None:
            return
        if not 0 <= self.max_cost < float("inf"):
            raise ConfigError(f"max cost {self.max_cost} must be 0 or more dollars")
        if self.price is None:
            raise ConfigError(
                "max cost needs the model's price, which the price file lacks; add the model to a copy of "
                "recipes/prices.yaml and give that file"
            )

    @property
    def total(self) -> float:
        """All that counts towards max_cost."""
        return self.paid + self.earlier + self.lost

    def most(self, request: Request) -> float:
        """What one request can cost at most: a token a byte of input, and an answer of max_tokens."""
        return 0.0 if self.price is None else self.price.cost(request.most_input, request.max_tokens)

    def fits(self, request: Request, *, alone: bool = False) -> bool:
        """Whether a request stays within max_cost whatever it and those under way cost; alone: none is under way."""
        if self.max_cost is None:
            return True
        # a billionth of slack: sums of floats are not exact
        return self.total + (0 if alone else self._reserved) + self.most(request) <= self.max_cost * (1 + 1e-9)

    def reserve(self, request: Request) -> None:
        """Count the most a request can cost until `release`."""
        self._reserved += self.most(request)

    def release(self, request: Request) -> None:
        """The request is over."""
        self._reserved -= self.most(request)

    def pay(self, reply: Reply) -> None:
        """Count an answer; a cached one as paid by an earlier run."""
        if self.price is None:
            return
        cost = self.price.cost(reply.input_tokens, reply.output_tokens)
        if reply.cached:
            self.earlier += cost
        else:
            self.paid += cost

    def lose(self, request: Request) -> None:
        """Count a request that was sent and whose answer did not come."""
        self.lost += self.most(request)


@dataclass
class Estimate:
    """What a job would take. Input tokens are guessed as characters / 4; output tokens are at most max_tokens each.

    cost: at most, in dollars, for what is not in the cache, a token a byte of input; guess: the same with the guessed
    tokens. Both None where the price is unknown.
    """

    requests: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    guess: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "requests": self.requests,
            "cached": self.cached,
            "estimated_input_tokens": self.input_tokens,
            "output_tokens_at_most": self.output_tokens,
            "estimated_cost": None if self.guess is None else round(self.guess, 6),
            "cost_at_most": None if self.cost is None else round(self.cost, 6),
        }


def estimate(requests: Iterable[Request], price: Price | None, cache: Cache | None = None) -> Estimate:
    """Add up what requests would take, without asking anything. Equal requests are paid once: give each once."""
    found = Estimate()
    most = 0
    for request in requests:
        found.requests += 1
        if cache is not None and request in cache:
            found.cached += 1
            continue
        found.input_tokens += request.estimated_input
        most += request.most_input
        found.output_tokens += request.max_tokens
    if price is not None:
        found.guess = price.cost(found.input_tokens, found.output_tokens)
        found.cost = price.cost(most, found.output_tokens)
    return found
