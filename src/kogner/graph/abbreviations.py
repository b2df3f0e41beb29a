"""Abbreviations a text defines itself, `long form (SF)`, found as Schwartz and Hearst (PSB 2003) describe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

FEW = 20
REACH = 200  # characters before a bracket that are looked through

_RUN = re.compile(r"[^\W_]+")
_SHORT = re.compile(r"\(\s*([^\W_][^()\[\];,\n]{0,14}?[^\W_+\-]?[+\-]?)\s*[);,]")
_SENTENCE_END = re.compile(r"(.*[.;:?!\n])(?:\s|\Z)", re.DOTALL)  # the last one


@dataclass(frozen=True, slots=True)
class Bracket:
    """A short form in brackets. end: where the text before it ends. start: of its long form, None where none fits."""

    short: str
    end: int
    start: int | None


def brackets(text: str) -> Iterator[Bracket]:
    """What may be short forms, in order, with the half-open [start, end) of the long form before each.

    A short form has 2 to 10 characters in at most two words, among them a capital or a digit. Its letters and digits
    are looked for from right to left in the words before the bracket, the first one at the start of a word; for n of
    them the long form has at most min(n + 5, 2n) words.
    """
    for match in _SHORT.finditer(text):
        short = match[1]
        if not 2 <= len(short) <= 10 or short.islower() or short.isdigit() or len(short.split()) > 2:
            continue
        end = match.start()
        while end and text[end - 1].isspace():
            end -= 1
        if end == 0 or not (text[end - 1].isalnum() or text[end - 1] in ")'"):
            continue
        letters = "".join(filter(str.isalnum, _lowered(short)))
        if len(letters) < 2:
            continue
        start = _start(text, end, letters)
        if start is not None:
            named = text[start:end].split()
            if len(named) > min(len(letters) + 5, 2 * len(letters)) or end - start <= len(short) or short in named:
                start = None
        yield Bracket(short, end, start)


def _start(text: str, end: int, letters: str) -> int | None:
    """Where the long form of these letters begins in text[:end]; None where they are not all found in its sentence."""
    begin = max(0, end - REACH)
    window = text[begin:end]
    sentence = _SENTENCE_END.match(window)
    least = 0 if sentence is None else sentence.end(1)
    lowered, at = _lowered(window), len(window)
    for letter in reversed(letters[1:]):
        at = lowered.rfind(letter, least, at)
        if at < 0:
            return None
    while True:
        at = lowered.rfind(letters[0], least, at)
        if at < 0:
            return None
        start = begin + at
        if start == 0 or not text[start - 1].isalnum():
            return start


def _lowered(text: str) -> str:
    """A text in small letters, each where it was; one that would become two stays as it is."""
    if text.isascii():
        return text.lower()
    return "".join([small if len(small := character.lower()) == 1 else character for character in text])


def places(text: str, shorts: Iterable[str]) -> list[tuple[int, int]]:
    """Where short forms stand as words of their own or with a plural s behind them: half-open, in order, no overlap.

    Of those that begin at one place the longest counts. The s is not part of a place.
    """
    by_start: dict[str, list[str]] = {}  # by the letters and digits they begin with, longest first
    for short in sorted(shorts, key=len, reverse=True):
        run = _RUN.match(short)
        for first in (run[0], f"{run[0]}s") if run and run[0] == short else (run[0],) if run else ():
            by_start.setdefault(first, []).append(short)
    kept: list[tuple[int, int]] = []
    for start in _starts(text, by_start):
        if kept and start < kept[-1][1]:
            continue
        for short in by_start[_RUN.match(text, start)[0]]:  # type: ignore[index]
            end = start + len(short)
            behind = end + 1 if text[end : end + 1] == "s" else end
            free = not text[end : end + 1].isalnum() or not text[behind : behind + 1].isalnum()
            if free and text.startswith(short, start):
                kept.append((start, end))
                break
    return kept


def _starts(text: str, runs: Collection[str]) -> Iterable[int]:
    """Where one of some runs of letters and digits stands by itself, in order."""
    there = set(runs).intersection(_RUN.findall(text))
    if len(there) > FEW:
        return (run.start() for run in _RUN.finditer(text) if run[0] in there)
    found: list[int] = []
    for run in there:  # some looks through the whole text cost less than one at each of its words
        start = text.find(run)
        while start >= 0:
            end = start + len(run)
            if not text[end : end + 1].isalnum() and not (start and text[start - 1].isalnum()):
                found.append(start)
            start = text.find(run, end)
    return sorted(found)
