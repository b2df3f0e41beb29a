"""What is asked of a language model, and what comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

CHARACTERS_PER_TOKEN = 4

STOP, LENGTH, REFUSED = "stop", "length", "refused"


@dataclass(frozen=True)
class ModelId:
    """Which model, and where. provider: openai, anthropic, http or local; base_url: empty for a local model.

    A local model's name carries a fingerprint of its file, not its port, so that it is the same one tomorrow.
    """

    provider: str
    name: str
    base_url: str = ""

    def __str__(self) -> str:
        return f"{self.base_url}:{self.name}" if self.provider == "http" else f"{self.provider}:{self.name}"


@dataclass(frozen=True)
class Request:
    """One question. max_tokens: of the answer. schema: the JSON schema it should follow, None for free text.

    temperature: None leaves the model's own (some models accept no other). seed: sent where the provider has one;
    everywhere another seed is another request, which asks for a second answer to the same words.
    """

    model: ModelId
    system: str
    user: str
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float | None = 0.0
    seed: int | None = None

    @cached_property
    def hash(self) -> str:
        """Hex sha256 over every field as canonical JSON. A key is no field, so none can get in."""
        fields = {
            "model": [self.model.provider, self.model.name, self.model.base_url],
            "system": self.system,
            "user": self.user,
            "schema": self.schema,
            "max_tokens": self.max_tokens,
            "temperature": None if self.temperature is None else float(self.temperature),
            "seed": self.seed,
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def schema_text(self) -> str:
        """The schema as canonical JSON, empty without one."""
        return json.dumps(self.schema, sort_keys=True, ensure_ascii=False) if self.schema is not None else ""

    @property
    def estimated_input(self) -> int:
        """Input tokens, guessed as characters / 4."""
        characters = len(self.system) + len(self.user) + len(self.schema_text)
        return -(-characters // CHARACTERS_PER_TOKEN)

    @property
    def most_input(self) -> int:
        """Input tokens that cannot be exceeded: a token is at least a byte; 64 for what the chat's form adds."""
        return sum(len(part.encode(errors="replace")) for part in (self.system, self.user, self.schema_text)) + 64


@dataclass(frozen=True)
class Reply:
    """An answer that was paid for. finish: stop, length (cut off), refused, or the provider's own word.

    cached: it was paid for earlier. Tokens are those the provider counted, 0 where it counted none.
    """

    text: str
    finish: str
    input_tokens: int
    output_tokens: int
    cached: bool = False


@dataclass(frozen=True)
class Failure:
    """A request without an answer after its last try. status: of HTTP, None where none was received.

    reason: one of few constants, to be counted by. detail: what the server or the connection said.
    """

    reason: str
    detail: str
    status: int | None = None
