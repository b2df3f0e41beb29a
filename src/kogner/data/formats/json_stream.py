"""JSON files larger than memory: the values of a file one by one, and the elements of one array inside each.

The text is read in pieces, and Python's own decoder takes one value at a time off its front. The streaming parsers on
PyPI (ijson, on yajl) turn half a surrogate pair, which JSON can escape and files do hold, into a question mark.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kogner.data.formats.files import DAMAGED, LONGEST_LINE, opened
from kogner.errors import InputError

PIECE = 1 << 20  # bytes read at once
LARGEST_VALUE = LONGEST_LINE  # characters of one value, such as a document
NEAR = 16  # characters before the end of what is read: an error there may be a value cut in two
BLANKS = " \t\n\r"

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Value:
    """A value of a file. line: where it begins, from 1. element: whether it stood in the array that was asked for.

    number: of a value of the outermost array, from 1.
    """

    line: int
    value: Any
    element: bool = False
    number: int | None = None


def values(path: Path, *, inside: Collection[str] = ()) -> Iterator[Value]:
    """The values of a JSON file: the elements of an array, or values behind one another, such as an object a line.

    inside: keys; where an object has an array under one, the elements of that come one by one (`element`), and behind
    them the object itself, the array empty.
    Raises InputError, with the line, for what is no JSON, not UTF-8, damaged, empty, or longer than LARGEST_VALUE.
    """
    try:
        with opened(path) as stream:
            yield from _values(_Text(stream, path), inside)
    except DAMAGED as error:
        raise InputError(f"the compressed file is damaged ({error})", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error


def _values(text: _Text, inside: Collection[str]) -> Iterator[Value]:
    if not text.peek():
        raise InputError("holds nothing but blanks" if text.read else "the file is empty", path=text.path)
    while first := text.peek():
        if first == "[":
            for number, _ in enumerate(_elements(text), start=1):
                yield from _value(text, inside, number)
        else:
            yield from _value(text, inside)


def _value(text: _Text, inside: Collection[str], number: int | None = None) -> Iterator[Value]:
    """The next value; an object of which an array is wanted comes member by member."""
    line = text.line
    if not inside or text.peek() != "{":
        yield Value(line, text.value(), number=number)
        return
    members: dict[str, Any] = {}
    for _ in text.items("{", "}"):
        key = text.value()
        if not isinstance(key, str):
            raise text.error("a name in quotes is needed")
        text.expect(":")
        if key in inside and text.peek() == "[":
            for _ in _elements(text):
                yield Value(text.line, text.value(), element=True)
            members[key] = []
        else:
            members[key] = text.value()
    yield Value(line, members, number=number)


def _elements(text: _Text) -> Iterator[None]:
    return text.items("[", "]")


class _Text:
    """The text of a file, of which a part is held: from `_at` on it is still to be read."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.path, self.line = path, 1
        self._stream, self._decoder = stream, codecs.getincrementaldecoder("utf-8-sig")()
        self._held, self._at, self._bytes, self._ended = "", 0, 0, False

    @property
    def read(self) -> int:
        """Bytes read so far."""
        return self._bytes

    def peek(self) -> str:
        """The next character that is no blank; '' at the end."""
        while True:
            rest = self._held[self._at : self._at + 1]
            if rest and rest in BLANKS:
                found = self._at
                while found < len(self._held) and self._held[found] in BLANKS:
                    found += 1
                self._go(found)
            elif rest or not self._more():
                return rest

    def expect(self, character: str) -> None:
        """Take this character. Raises InputError where another one comes."""
        if self.peek() != character:
            raise self.error(f"{character!r} is needed")
        self._at += 1

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Once before each item of an array or object, which is to be taken then."""
        self.expect(opening)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self.expect(",")
            if self.peek() == closing:
                raise self.error("a value is needed behind the comma")

    def value(self) -> Any:
        """The next value, whole. Raises InputError for what is none."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._held) - NEAR
                if cut and self._more():
                    continue
                raise self.error(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:  # a number of too many digits; too deep
                raise self.error(str(error)) from error
            number = not isinstance(found, (str, list, dict))  # may go on: 1 is the beginning of 1.5e-7
            if not (number and end >= len(self._held) - NEAR and self._more()):
                self._go(end)
                return found

    def error(self, what: str, at: int | None = None) -> InputError:
        """The error at a place, by default the next one."""
        at = self._at if at is None else min(at, len(self._held))
        return InputError(f"is not JSON: {what}", path=self.path, line=self.line + self._held.count("\n", self._at, at))

    def _go(self, to: int) -> None:
        self.line += self._held.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Hold more of the file, at least as much again as a value already takes; False at its end."""
        if self._ended:
            return False
        left = self._held[self._at :]
        if len(left) > LARGEST_VALUE:
            raise InputError(f"a value of more than {LARGEST_VALUE:,} characters", path=self.path, line=self.line)
        added: list[str] = []
        wanted = max(PIECE, len(left))
        while wanted > 0 and not self._ended:
            raw = self._stream.read(PIECE)
            wanted -= len(raw)
            self._ended = not raw
            added.append(self._decoded(raw))
        self._held, self._at = left + "".join(added), 0
        return True

    def _decoded(self, raw: bytes) -> str:
        waiting = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            at = self._bytes - waiting + error.start
            raise InputError(
                f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte offset {at}; convert the file to UTF-8, "
                "e.g. with: iconv -f latin1 -t utf-8",
                path=self.path, line=None,
            ) from error  # fmt: skip
        if not self._bytes and raw:
            self._check(raw)
        self._bytes += len(raw)
        return text

    def _check(self, raw: bytes) -> None:
        if b"\x00" in raw[:8192]:
            raise InputError(f"is a binary file (a zero byte at offset {raw.index(0)}), not text", path=self.path)
