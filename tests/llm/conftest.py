"""Fixtures of the language model tests: no keys from outside, quick retries, and a way to run an asker."""

from __future__ import annotations

import asyncio

import pytest

KEY = "sk-a-very-secret-key-0123456789"
VARIABLES = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "KOGNER_LLM_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("KOGNER_LLM_KEY", KEY)
    return KEY


@pytest.fixture
def run():
    """run(spec, work, cache=..., **asker): open the model, make an Asker, return what work(asker, request) gives.

    `request(user, **fields)` makes a request to that model.
    """
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    from kogner.llm.asking import Asker
    from kogner.llm.providers import open_model
    from kogner.llm.request import Request
    from kogner.llm.retries import Retries

    def start(spec, work, *, cache=None, **settings):
        settings.setdefault("retries", Retries(first_s=0.001, longest_s=0.002))

        async def inside():
            async with open_model(spec) as model:
                asker = Asker(model, cache, seed=0, **settings)
                return await work(asker, lambda user, **fields: Request(model.id, "system", user, **fields))

        return asyncio.run(inside())

    return start


@pytest.fixture
def run_all(run):
    """run_all(spec, users, **settings): ask them all; the answers by user text and the asker's counts."""

    def start(spec, users, *, fields=None, **settings):
        async def work(asker, request):
            pairs = ((user, request(user, **(fields or {}))) for user in users)
            found = {user: one async for user, one in asker.ask_all(pairs)}
            return found, asker.to_dict()

        return run(spec, work, **settings)

    return start
