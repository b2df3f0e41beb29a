"""Anthropic's Claude."""

from __future__ import annotations

from typing import Any

from kogner.errors import MissingExtraError
from kogner.llm.formats import PLAIN, SCHEMA, system_prompt
from kogner.llm.model import (
    LONGEST_FINISH,
    MALFORMED,
    CallError,
    Model,
    Secret,
    connection_error,
    sendable,
    status_error,
    tokens,
)
from kogner.llm.request import LENGTH, REFUSED, STOP, ModelId, Reply, Request

_FINISH = {
    "end_turn": STOP,
    "stop_sequence": STOP,
    "max_tokens": LENGTH,
    "model_context_window_exceeded": LENGTH,
    "refusal": REFUSED,
}
_READ = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class AnthropicModel(Model):
    """A model behind `/v1/messages`. It knows no seed: another seed is only another entry in the cache.

    direct: take no proxy from the environment. Raises MissingExtraError without `anthropic`.
    """

    ways = (SCHEMA, PLAIN)

    def __init__(self, model: ModelId, *, base_url: str, secret: Secret, direct: bool = False) -> None:
        try:
            import anthropic
        except ImportError as error:
            raise MissingExtraError("asking Claude", "llm") from error
        self.id = model
        self.secret = secret
        self._sdk = anthropic
        self._client = anthropic.AsyncAnthropic(
            api_key=secret.reveal(),
            base_url=base_url,
            max_retries=0,
            # a redirect would carry the key to another host
            http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not direct),
        )

    async def call(self, request: Request, *, way: str, timeout_s: float) -> Reply:
        """Ask once. Raises CallError."""
        try:
            # as for OpenAI: `messages.create` builds typed objects from both bodies
            answer = await self._client.post(
                "/v1/messages", body=self._body(request, way), cast_to=object, options={"timeout": timeout_s}
            )
        except self._sdk.APIConnectionError as error:
            timed_out = isinstance(error, self._sdk.APITimeoutError)
            raise connection_error(error, timed_out=timed_out, timeout_s=timeout_s, secret=self.secret) from None
        except self._sdk.APIStatusError as error:
            response = error.response
            raise status_error(error.status_code, response.headers, error.body, response.text, self.secret) from None
        except (self._sdk.AnthropicError, ValueError) as error:  # ValueError: the body is no JSON
            raise CallError(MALFORMED, self.secret.hide_in(str(error))) from None
        return self._reply(answer, request)

    def _body(self, request: Request, way: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.id.name,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": sendable(request.user)}],
        }
        system = sendable(system_prompt(request, way))
        if system:
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.schema is not None and way == SCHEMA:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(request.schema)}}
        return body

    def _reply(self, body: Any, request: Request) -> Reply:
        try:
            text = "".join(block["text"] for block in body["content"] if block.get("type") == "text")
            finish = body.get("stop_reason") or STOP
            if not isinstance(finish, str):
                raise TypeError("stop_reason is no text")
            finish = _FINISH.get(finish) or self.secret.hide_in_answer(finish)[:LONGEST_FINISH]
            usage = body.get("usage") or {}
            if not text and finish == STOP and not body["content"] and not usage:  # what is counted is paid for
                raise TypeError("no content")
            read = tokens(usage, _READ[0], request.system + request.user)
            read += sum(tokens(usage, name, "") for name in _READ[1:])
            return Reply(self.secret.hide_in_answer(text), finish, read, tokens(usage, "output_tokens", text))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            start = self.secret.hide_in(str(body))[:80]
            raise CallError(
                MALFORMED, f"status 200, but no message ({type(error).__name__}): {start}", status=200
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
