"""What the short forms of a document stand for: `renal failure (RF)`, and mentions with a bracket behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kogner.graph.abbreviations import brackets
from kogner.records import Document

_BEFORE = re.compile(r"(?:\s*[(\[]\s*)?")
_BEHIND = frozenset(")];:,")
_WORD = re.compile(r"[^\W_]+(?:[-+][^\W_]+)*")


def short_forms(document: Document) -> dict[str, str]:
    """Short form -> long form, as the text defines them; the first definition counts.

    Where the letters of a short form do not fit the words before it (`adriamycin (ADR)`), a mention that ends there is
    its long form; so is one before a bracket that begins with a shorter mention (`diethylnitrosamine (DEN: 10 mg/kg)`).
    """
    ends = {mention.end: mention for mention in sorted(document.mentions, key=lambda one: one.start, reverse=True)}
    starts = {mention.start: mention for mention in document.mentions}
    found: dict[str, str] = {}
    for bracket in brackets(document.text):
        if bracket.short in found:
            continue
        mention = ends.get(bracket.end)
        if bracket.start is not None:
            start = bracket.start
            if mention is not None and mention.start < start and not document.text[mention.start : start].strip("( "):
                start = mention.start
            found[bracket.short] = document.text[start : bracket.end]
        elif mention is not None:
            found[bracket.short] = document.text[mention.start : mention.end]
    for long in document.mentions:
        short = starts.get(long.end + len(_BEFORE.match(document.text, long.end)[0]))  # type: ignore[index]
        if short is None or short.start <= long.end or short.end - short.start >= long.end - long.start:
            continue
        if document.text[short.end : short.end + 1] in _BEHIND:
            found.setdefault(document.text[short.start : short.end], document.text[long.start : long.end])
    return found


def expanded(text: str, shorts: dict[str, str]) -> Iterable[str]:
    """The text with its short forms written out: the whole of it first, then those among its words."""
    whole = shorts.get(text)
    if whole is None and text.endswith("s"):
        whole = shorts.get(text[:-1])
    if whole is not None:
        yield whole
        return
    if any(word in shorts for word in _WORD.findall(text)):
        yield _WORD.sub(lambda match: shorts.get(match[0], match[0]), text)
