"""JSON in the answers of language models, which seldom is only that."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kogner.errors import MissingExtraError
from kogner.llm.request import LENGTH, REFUSED, Reply

EMPTY = "empty answer"
TRUNCATED = "answer cut off at its token limit"
DECLINED = "the model refused"
NO_JSON = "no JSON in the answer"
TOO_LONG = "answer too long to repair"
# characters; json-repair is quadratic in the worst case: 9 s for 50,000 opening braces
LONGEST_REPAIR = 16_000
_MOST = 1000
_OPENING = re.compile(r"\{|\[\s*\{?")
_FENCE = re.compile(r"```[A-Za-z0-9_-]*\s*\n?(.*?)```", re.DOTALL)


class NotJsonError(ValueError):
    """An answer that holds no usable JSON. reason: one of few constants; start: how the answer begins."""

    def __init__(self, reason: str, text: str = "") -> None:
        self.reason, self.start = reason, text[:80]
        super().__init__(f"{reason}: {self.start!r}" if self.start else reason)


@dataclass(frozen=True)
class Parsed:
    """JSON from an answer. how: whole (strict), fenced, inside (text around it) or repaired (json-repair guessed)."""

    value: Any
    how: str

    @property
    def repaired(self) -> bool:
        """Whether the JSON was broken, so that a guess may be wrong."""
        return self.how == "repaired"


def parse_reply(reply: Reply) -> Parsed:
    """The JSON of an answer. One that was cut off counts only where all of it is strict JSON; it is not repaired.

    Raises NotJsonError (reason EMPTY, TRUNCATED, DECLINED, NO_JSON or TOO_LONG).
    """
    if reply.finish == REFUSED:
        raise NotJsonError(DECLINED, reply.text)
    if reply.finish == LENGTH:
        try:
            return Parsed(_strict(reply.text), "whole")
        except ValueError:
            raise NotJsonError(TRUNCATED, reply.text) from None
    return parse_json(reply.text)


def parse_json(text: str) -> Parsed:
    """Find JSON in a text: strict first, then a fenced block, an object with text around it, then a repair.

    Several values come back as a list of them: which one was meant is for the caller to say (`meant`).
    Raises NotJsonError (EMPTY, NO_JSON or TOO_LONG), MissingExtraError where a repair is needed without `json-repair`.
    """
    text = text.rpartition("</think>")[2].strip().removeprefix("\ufeff")
    if not text:
        raise NotJsonError(EMPTY)
    try:
        return Parsed(_strict(text), "whole")
    except ValueError:
        pass
    fenced = _FENCE.findall(text)
    if fenced:
        try:
            blocks = [_strict(block) for block in fenced]
            return Parsed(blocks[0] if len(blocks) == 1 else blocks, "fenced")
        except ValueError:
            pass
    inside = _inside(text)
    if inside:
        return Parsed(inside[0] if len(inside) == 1 else inside, "inside")
    return Parsed(_repair(text), "repaired")


def meant(value: Any, required: Collection[str]) -> Any:
    """Of a list the only object that has all required keys, such as the answer behind an example; else the value.

    >>> meant([{"step": 1}, {"sentence": "a", "ner": []}], ("sentence", "ner"))
    {'sentence': 'a', 'ner': []}
    """
    if isinstance(value, list):
        objects = [one for part in value for one in (part if isinstance(part, list) else [part])]
        fitting = [one for one in objects if isinstance(one, dict) and all(key in one for key in required)]
        if len(fitting) == 1:
            return fitting[0]
    return value


def _strict(text: str) -> Any:
    """Raises ValueError for all that is not JSON: NaN, lone halves of surrogate pairs, bottomless nesting as well."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _writable(value, text)


def _writable(value: Any, text: str) -> Any:
    if "\\u" in text or "\\U" in text:
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _inside(text: str) -> list[Any]:
    """The objects and lists that stand whole in a text; none where one of them is broken, for a repair to see it."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    found: list[Any] = []
    position = 0
    for _ in range(_MOST):
        opening = _OPENING.search(text, position)
        if opening is None:
            break
        try:
            value, end = decoder.raw_decode(text, opening.start())
            _writable(value, text[opening.start() : end])
        except (ValueError, RecursionError):
            if "{" in opening.group():
                return []
            position = opening.start() + 1  # a bracket of prose
            continue
        position = end
        if _is_answer(value):
            found.append(value)
    return found


def _is_answer(value: Any) -> bool:
    """Objects and lists of anything but numbers: [1] is a citation."""
    return isinstance(value, dict) or (
        isinstance(value, list) and all(isinstance(one, (dict, list, str)) for one in value)
    )


def _repair(text: str) -> Any:
    try:
        import json_repair
    except ImportError as error:
        raise MissingExtraError("repairing the JSON of an answer", "llm") from error
    if "{" not in text:
        raise NotJsonError(NO_JSON, text)
    if len(text) > LONGEST_REPAIR:
        raise NotJsonError(TOO_LONG, text)
    try:
        value = json_repair.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise NotJsonError(NO_JSON, text) from None
    if not value or not _is_answer(value):
        raise NotJsonError(NO_JSON, text)
    return value
