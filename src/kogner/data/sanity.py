"""The paper's check of a written sentence (arXiv 2503.15737, section on BMG): are both entities really there?

Both entity texts are read from `kge`, sentence and entity texts are cut into words in the same way, and of each of the
two entities the first place counts where the sentence's words are the entity's. What stands there gets the type of the
`ner` entry of the same number, and the graph id of the `kge` entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kogner.text import words

PAIR = 2
NOT_FOUND, STRUCTURE = "entity not in the sentence", "unexpected structure"  # an IndexError in the paper's words
MISSING_KEYS = "missing keys"  # a TypeError


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row is left out; detail: the full text, what was looked for and what was found."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sane:
    """A sentence with both entities, and how many words it has.

    spans: half-open character spans of it, with type and graph id.
    """

    sentence: str
    spans: tuple[tuple[int, int, str, str], ...]
    words: int


def check(answer: Any, kge: Sequence[tuple[str, str]]) -> Sane | Rejected:
    """Check an answer, `{"sentence", "ner": [{"mention", "type"}]}`, against (name, graph id) of its entities.

    The paper has two; all are looked at where a sentence was to hold more.
    """
    if not isinstance(answer, dict):
        return Rejected(MISSING_KEYS, f"the answer is {type(answer).__name__}, not an object: {str(answer)[:200]}")
    sentence, ner = answer.get("sentence"), answer.get("ner")
    if not isinstance(sentence, str) or not isinstance(ner, list):
        return Rejected(MISSING_KEYS, f"sentence and ner are needed; the answer has {', '.join(map(str, answer))}")
    spans = words(sentence)
    tokens = [sentence[start:end] for start, end in spans]
    found = []
    for number in range(max(PAIR, len(kge))):
        if number >= len(kge) or number >= len(ner):
            return Rejected(STRUCTURE, f"entry {number + 1} of {len(ner)} in ner and {len(kge)} in kge: {sentence!r}")
        entry = ner[number]
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            return Rejected(MISSING_KEYS, f"ner {number + 1} has no type: {str(entry)[:200]}")
        name, identifier = kge[number]
        searched = words_of(name)
        at = first_place(tokens, searched)
        if at is None:
            return Rejected(NOT_FOUND, not_found(sentence, name))
        found.append((spans[at][0], spans[at + len(searched) - 1][1], entry["type"], identifier))
    return Sane(sentence, tuple(found), len(tokens))


@lru_cache(100_000)
def words_of(name: str) -> list[str]:
    """The words of a name, to be read only."""
    return [name[start:end] for start, end in words(name)]


def first_place(tokens: list[str], searched: list[str], begin: int = 0) -> int | None:
    """Where some words first stand in a row, from `begin` on; None where they do not.

    >>> first_place(["a", "b", "a", "c"], ["a", "c"])
    2
    """
    size = len(searched)
    last = len(tokens) - size
    while searched and begin <= last:
        try:
            at = tokens.index(searched[0], begin, last + 1)
        except ValueError:
            return None
        if tokens[at : at + size] == searched:
            return at
        begin = at + 1
    return None


def not_found(sentence: str, name: str) -> str:
    """The full text, what was looked for in it and which of its words are there."""
    there = {sentence[start:end].casefold() for start, end in words(sentence)}
    searched = words_of(name)
    return f"{sentence!r}: searched {searched}, found {[word for word in searched if word.casefold() in there]}"
