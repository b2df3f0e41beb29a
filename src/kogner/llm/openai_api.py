"""OpenAI, and every server that speaks its chat completions: vLLM, Ollama, llama.cpp and others."""

from __future__ import annotations

from typing import Any

from kogner.errors import MissingExtraError
from kogner.llm.formats import OBJECT, PLAIN, SCHEMA, system_prompt
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

_FINISH = {"stop": STOP, "length": LENGTH, "content_filter": REFUSED}
NO_KEY = "none"


class OpenAIModel(Model):
    """A model behind `/chat/completions`. Its own retries are off: ours keep to the limits and count.

    direct: take no proxy from the environment. Raises MissingExtraError without `openai`.
    """

    ways = (SCHEMA, OBJECT, PLAIN)

    def __init__(self, model: ModelId, *, base_url: str, secret: Secret, direct: bool = False) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("asking a language model", "llm") from error
        self.id = model
        self.secret = secret
        self._sdk = openai
        self._client = openai.AsyncOpenAI(
            api_key=secret.reveal() or NO_KEY,
            base_url=base_url,
            max_retries=0,
            # a redirect would carry the key to another host
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not direct),
        )
        if model.provider != "openai":  # the SDK takes both from the environment, and they are nobody else's concern
            self._client.organization = self._client.project = None

    async def call(self, request: Request, *, way: str, timeout_s: float) -> Reply:
        """Ask once. Raises CallError."""
        try:
            # `chat.completions.create` builds typed objects from both bodies: 4.9 ms of CPU a call where this takes 4.1
            answer = await self._client.post(
                "/chat/completions", body=self._body(request, way), cast_to=object, options={"timeout": timeout_s}
            )
        except self._sdk.APIConnectionError as error:
            timed_out = isinstance(error, self._sdk.APITimeoutError)
            raise connection_error(error, timed_out=timed_out, timeout_s=timeout_s, secret=self.secret) from None
        except self._sdk.APIStatusError as error:
            response = error.response
            raise status_error(error.status_code, response.headers, error.body, response.text, self.secret) from None
        except (self._sdk.OpenAIError, ValueError) as error:  # ValueError: the body is no JSON
            raise CallError(MALFORMED, self.secret.hide_in(str(error))) from None
        return self._reply(answer, request)

    def _body(self, request: Request, way: str) -> dict[str, Any]:
        system = sendable(system_prompt(request, way))
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": sendable(request.user)})
        # OpenAI's newer models refuse max_tokens, other servers do not know its successor
        limit = "max_completion_tokens" if self.id.provider == "openai" else "max_tokens"
        body: dict[str, Any] = {"model": self.id.name, "messages": messages, limit: request.max_tokens}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.seed is not None:
            body["seed"] = request.seed
        if request.schema is not None and way == SCHEMA:
            schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and way == OBJECT:
            body["response_format"] = {"type": "json_object"}
        return body

    def _reply(self, body: Any, request: Request) -> Reply:
        try:
            choice = body["choices"][0]
            message = choice["message"]
            text, refusal = message.get("content"), message.get("refusal")
            finish = choice.get("finish_reason") or STOP
            usage = body.get("usage") or {}
            if not isinstance(text, str) and isinstance(refusal, str):
                text, finish = refusal, "content_filter"
            if not isinstance(text, str) and finish in ("content_filter", "length"):
                text = ""  # filtered away, or all of it was thought
            if text is None and finish == STOP and usage:
                text = ""  # counted, so paid for: another try would be paid as well
            if not isinstance(text, str) or not isinstance(finish, str):
                raise TypeError("no text in choices[0].message.content")
            finish = _FINISH.get(finish) or self.secret.hide_in_answer(finish)[:LONGEST_FINISH]
            read = tokens(usage, "prompt_tokens", request.system + request.user)
            return Reply(self.secret.hide_in_answer(text), finish, read, tokens(usage, "completion_tokens", text))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            start = self.secret.hide_in(str(body))[:80]
            raise CallError(
                MALFORMED, f"status 200, but no chat completion ({type(error).__name__}): {start}", status=200
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
