"""What of a written sentence is about the task or its form, not about the world."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kogner.data.pairs import End
from kogner.data.prompts import kind_key
from kogner.data.written import Written

# What a model says about its task, or leaves of its form. `Of course, ...` and `Certainly, here we show ...` may begin
# a real sentence, and `an AI-assisted tool` may be used in one.
_LEAKED = re.compile(
    r"```|\$(?:entities|relations|types|count)\b|\{\s*\"|\"(?:ner|mention|sentence)\"\s*:"
    r"|^as an ai\b(?!-)|\bas an ai(?: model| assistant)?,? i\b|\bas (?:a|an ai) language model\b"
    r"|^[\W_]*(?:sure|certainly|okay|output|answer|sentence|abstract|entities)\b(?:\s*\d+)?[\s*_]*[:!]"
    r"|^(?:(?:sure|certainly|okay|absolutely|of course)\b\W*)?"
    r"here(?:'s|\u2019s| is| are) (?:a|an|the|one|your|my) (?:\w+ )*(?:sentence|example|note)"
    r"|(?:^|[.!?]\W*\s)[\W_]*(?:relations?|entities|entity types)(?:\*\*)?:"
    r"|\bthe given (?:entit|relation|types)|\bentity [12]\b",
    re.IGNORECASE,
)
# What is in every text that `_LEAKED` finds something in but at the beginning; a few `in` cost a tenth of it.
_SIGNS = (
    "```", "$", "{", '"', "as an ai", "as a language model", "the given ", "entity 1", "entity 2", "relation:",
    "relations:", "entities:", "types:", "**:",
)  # fmt: skip
_FIRST = (
    "sure", "certainly", "okay", "output", "answer", "sentence", "abstract", "entities", "here", "absolutely",
    "of course", "as an ai",
)  # fmt: skip
_NO_LETTERS = re.compile(r"[\W_]*")
_ALIKE = str.maketrans("\u0130\u0131\u017f\u212a", "iisk")  # what `re.IGNORECASE` takes for ASCII letters
_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]{1,40})[)\]]")


def leaked(sentence: str) -> str | None:
    """What of a sentence is about the task or its form, None where nothing is.

    >>> leaked("Sure, here is a sentence: IL-2 is high."), leaked("It was used as an AI-assisted tool.")
    ('Sure, here is a sentence', None)
    """
    plain = (sentence if sentence.isascii() else sentence.translate(_ALIKE)).lower()
    begin = _NO_LETTERS.match(plain)
    assert begin is not None
    if not any(map(plain.__contains__, _SIGNS)) and not plain.startswith(_FIRST, begin.end()):
        return None
    hit = _LEAKED.search(sentence)
    return None if hit is None else hit[0].strip()


def typed(written: Written, ends: Iterable[End]) -> str | None:
    """What stands behind the entities of a sentence if each is followed somewhere by its own type in brackets.

    So a prompt lists them: `IL-2 (gene)`.
    """
    found = []
    for end in ends:
        brackets = (_BRACKET.match(written.text, stop) for _, stop in written.places(end.name))
        own = next((one[0].strip() for one in brackets if one and kind_key(one[1].strip()) == kind_key(end.type)), None)
        if own is None:
            return None
        found.append(own)
    return " and ".join(found) or None
