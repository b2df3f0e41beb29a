import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.llm.answers import (
    DECLINED,
    EMPTY,
    LONGEST_REPAIR,
    NO_JSON,
    TOO_LONG,
    TRUNCATED,
    NotJsonError,
    parse_json,
    parse_reply,
)
from kogner.llm.request import Reply

pytest.importorskip("json_repair", reason="the extra 'llm' is not installed")

VALUE = {"sentence": 'A "quoted" {word}.', "ner": [["aspirin", "Chemical"]]}
TEXT = json.dumps(VALUE)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (TEXT, "whole"),
        (f"\ufeff  {TEXT}\n", "whole"),
        (f"<think>maybe {{}} or {TEXT[:9]}</think>{TEXT}", "whole"),
        (f"Here it is:\n```json\n{TEXT}\n```\nGood luck!", "fenced"),
        (f"```\n{TEXT}```", "fenced"),
        (f"Sure [1]: {TEXT} Anything else?", "inside"),
        (TEXT.replace("]]", "],]"), "repaired"),
        (TEXT[:-1], "repaired"),
        (f"Answer: {TEXT[:-1]},", "repaired"),
    ],
)
def test_what_models_write(text, how):
    parsed = parse_json(text)
    assert (parsed.value, parsed.how, parsed.repaired) == (VALUE, how, how == "repaired")


def test_near_json_is_repaired_and_says_so():
    assert parse_json("{'a': 1, b: True,}").repaired
    assert parse_json("{'a': 1, b: True,}").value == {"a": 1, "b": True}
    assert parse_json('[{"a": 1}, {"a": 2}').value == [{"a": 1}, {"a": 2}]  # not the first of them only


def test_several_values_are_a_list():
    assert parse_json('First {"a": 1} then {"a": 2}.').value == [{"a": 1}, {"a": 2}]
    assert parse_json('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```').value == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", EMPTY),
        (" \n", EMPTY),
        ("I cannot help with that.", NO_JSON),
        ("See [1] and [2].", NO_JSON),
        ("{}}{" * 20_000, TOO_LONG),
        ('{"a":' * 3000, NO_JSON),
        ('{"a": "\\ud800"}', NO_JSON),
    ],
)
def test_what_is_no_json(text, reason):
    with pytest.raises(NotJsonError) as error:
        parse_json(text)
    assert error.value.reason == reason and len(str(error.value)) < 200


def test_numbers_that_json_has_not():
    assert parse_json("[1, 2]").value == [1, 2]
    with pytest.raises(NotJsonError):
        parse_json("NaN")


def test_half_answers_are_truncated_whatever_a_repair_gives():
    assert parse_json(TEXT[:-20]).repaired
    for text in (TEXT[:-20], f"So: {TEXT} and", ""):
        with pytest.raises(NotJsonError) as error:
            parse_reply(Reply(text, "length", 1, 1))
        assert error.value.reason == TRUNCATED
    assert parse_reply(Reply(TEXT + "  ", "length", 1, 1)).value == VALUE  # only blanks were cut off
    assert parse_reply(Reply(TEXT, "stop", 1, 1)).value == VALUE
    with pytest.raises(NotJsonError) as error:
        parse_reply(Reply("no", "refused", 1, 1))
    assert error.value.reason == DECLINED


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="{}[]\"\\:,'`abu1 \n", max_size=60))
def test_any_text_gives_json_or_a_reason(text):
    try:
        json.dumps(parse_json(text).value, ensure_ascii=False, allow_nan=False).encode()
    except NotJsonError as error:
        assert error.reason


@pytest.mark.parametrize("piece", ["[", "{", "```", '"', "<think>", '[{"a":1},'])
def test_hostile_answers_take_no_long_time(piece):
    text = piece * (LONGEST_REPAIR // len(piece))
    start = time.process_time()  # not how busy the machine is
    with contextlib.suppress(NotJsonError):
        parse_json(text)
    assert time.process_time() - start < 5
