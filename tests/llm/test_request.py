import dataclasses
import subprocess
import sys

import pytest

from kogner.llm.request import ModelId, Request

MODEL = ModelId("openai", "gpt-4o-mini", "https://api.openai.com/v1")
REQUEST = Request(MODEL, "system", "user", {"type": "object"}, 100, 0.0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelId("openai", "gpt-4o", MODEL.base_url)},
        {"model": ModelId("openai", "gpt-4o-mini", "https://other/v1")},
        {"model": ModelId("http", "gpt-4o-mini", MODEL.base_url)},
        {"system": "systemu", "user": "ser"},
        {"user": "other"},
        {"schema": None},
        {"schema": {"type": "array"}},
        {"max_tokens": 101},
        {"temperature": 0.1},
        {"temperature": None},
        {"seed": None},
    ],
)
def test_every_field_is_in_the_hash(change):
    assert dataclasses.replace(REQUEST, **change).hash != REQUEST.hash


def test_the_hash_stays_what_it_is():
    """A cache of today serves tomorrow's KoGNER: the value was taken when the form of the hash was fixed."""
    same = Request(MODEL, "system", "user", {"type": "object"}, 100, 0, 1)
    assert same.hash == REQUEST.hash == "6a9079d7c645d83944877d88568c6df5ffa63808132bf179fc053392d163b601"
    ordered = dataclasses.replace(REQUEST, schema={"a": 1, "b": 2})
    assert ordered.hash == dataclasses.replace(REQUEST, schema={"b": 2, "a": 1}).hash


def test_any_text_has_a_hash():
    assert dataclasses.replace(REQUEST, user="half a pair \ud800").hash


def test_estimates():
    request = Request(MODEL, "a" * 40, "b" * 41)
    assert request.estimated_input == 21  # 81 characters / 4, rounded up
    assert request.most_input == 81 + 64


def test_importing_kogner_loads_none_of_this():
    code = "import kogner, sys; print([m for m in sys.modules if m.startswith(('kogner.llm', 'openai', 'anthropic'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
