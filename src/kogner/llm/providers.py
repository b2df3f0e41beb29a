"""From what a user writes after --llm to a model that can be asked."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from kogner.errors import ConfigError, ModelError
from kogner.llm.model import Model, Secret
from kogner.llm.request import ModelId

FORMS = "openai:MODEL, anthropic:MODEL, http://HOST:PORT/v1:MODEL, local or local:FILE.gguf"
_HOSTED = {
    "openai": ("OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "anthropic": ("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
}
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "http": "KOGNER_LLM_KEY"}


@dataclass(frozen=True)
class Spec:
    """What --llm says. provider: openai, anthropic, http or local. name: the model's, or its file's path if local.

    base_url: where it is asked; OPENAI_BASE_URL and ANTHROPIC_BASE_URL are heeded. Empty for a local model.
    """

    provider: str
    name: str
    base_url: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def parse_spec(text: str) -> Spec:
    """Read what a user writes after --llm. Raises ConfigError that names the forms there are.

    >>> parse_spec("http://localhost:11434/v1:llama3:8b")
    Spec(provider='http', name='llama3:8b', base_url='http://localhost:11434/v1')
    """
    provider, _, name = text.partition(":")
    if provider == "local":
        return Spec("local", name)
    if provider in _HOSTED and name:
        variable, usual = _HOSTED[provider]
        return Spec(provider, name, _checked(os.environ.get(variable) or usual, variable))
    if provider in ("http", "https"):
        head, slash, tail = name.removeprefix("//").partition("/")
        path, _, model = tail.partition(":")
        if "?" in model or "#" in model:
            raise ConfigError(f"--llm {_shown(text)!r} has a query behind the model; a key belongs in KOGNER_LLM_KEY")
        if not name.startswith("//") or not slash or not model:
            raise ConfigError(
                f"--llm {_shown(text)!r} lacks a path or a model; write it like http://localhost:8000/v1:my-model"
            )
        return Spec("http", model, _checked(f"{provider}://{head}/{path}", "--llm"))
    raise ConfigError(f"--llm {_shown(text)!r} is not one of {FORMS}")


def model_id(text: str) -> ModelId:
    """The identity that requests carry, without a key and without starting anything: enough for a dry run.

    Raises ConfigError, MissingExtraError for `local` without its packages, InputError for a file that is not there.
    """
    spec = parse_spec(text)
    if spec.provider == "local":
        from kogner.llm.local import find_file, local_id

        return local_id(find_file(spec.name))
    return ModelId(spec.provider, spec.name, spec.base_url)


def open_model(text: str, *, allow_plain_http: bool = False, threads: int = 0) -> Model:
    """Open the model that a user wrote after --llm; close it (`async with`) in the loop that asks it.

    Keys come from OPENAI_API_KEY, ANTHROPIC_API_KEY or, for a server by its address, KOGNER_LLM_KEY, which may be
    absent. allow_plain_http: send a key over http:// to another machine. threads: of a local model; 0 = all cores but
    one.

    Raises ConfigError for another form, ModelError for a missing key, one that would travel in the open, or a local
    model that does not start; MissingExtraError for a missing package.
    """
    spec = parse_spec(text)
    if spec.provider == "local":
        from kogner.llm.local import LocalModel

        return LocalModel(spec.name, threads=threads)
    secret = _key(spec)
    if secret and spec.base_url.startswith("http://") and not spec.is_loopback and not allow_plain_http:
        raise ModelError(
            f"{KEYS[spec.provider]} would be sent unencrypted to {spec.base_url}; use https://, unset the key, or "
            "allow it explicitly (--allow-plain-http)"
        )
    model = ModelId(spec.provider, spec.name, spec.base_url)
    if spec.provider == "anthropic":
        from kogner.llm.anthropic_api import AnthropicModel

        return AnthropicModel(model, base_url=spec.base_url, secret=secret, direct=spec.is_loopback)
    from kogner.llm.openai_api import OpenAIModel

    return OpenAIModel(model, base_url=spec.base_url, secret=secret, direct=spec.is_loopback)


def _key(spec: Spec) -> Secret:
    variable = KEYS[spec.provider]
    value = os.environ.get(variable, "").strip()
    if not value and spec.provider != "http":
        raise ModelError(f"{spec.provider}:{spec.name} needs a key in the environment variable {variable}")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ModelError(f"{variable} holds characters that no key has (spaces or non-ASCII); set it again")
    return Secret(value)


def _checked(url: str, where: str) -> str:
    """A base URL without its last slash. A password or key within it would end up in files: refused."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError(f"{where}: {_shown(url)!r} is not an address like https://host:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{where}: the address of {parts.hostname} must not hold a user, password or query; "
            "give the key in KOGNER_LLM_KEY"
        )
    return url.rstrip("/")


def _shown(text: str) -> str:
    """What a message may show of an address: no part before an @, no query."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
