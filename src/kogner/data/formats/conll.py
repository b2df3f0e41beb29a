"""CoNLL: one token and its tag per line, a blank line between sentences; IOB, IOB2 or IOBES, tab or blanks.

A document here is one sentence, its text the tokens joined by one blank. In some copies (JNLPBA train) the blank lines
have drifted into mid-sentence and cut entities; such a file is read as one stream of tokens and split again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kogner.data.formats.files import lines, stem
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention

DOCUMENT = "-DOCSTART-"
DRIFTED = "entity across a blank line"
STRAY = "I or E without B"
DRIFT_SHARE = 0.01  # of the blank lines; JNLPBA train has 12 %, all other corpora seen 0

SENTENCE_ENDS = (".", "?", "!")

_TAG = re.compile(r"O|([BIESLUM])-(\S.*)")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    part: str  # B, I, E, S or O
    type: str
    line: int
    document: int  # 0 before the first line that begins one


def read(path: Path, *, report: Report, split_again: bool | None = None) -> Iterator[Document]:
    """Yield the sentences of a CoNLL file: first column the token, last column the tag. Ids are `<file stem>:<number>`.

    Where several `-DOCSTART-` lines tell documents apart an id is `<file stem>:<document>#<number>`, the number that of
    the sentence in the file; `kogner.evaluate.significance` draws such sentences together.
    split_again: ignore the blank lines and split the whole stream of tokens into sentences; None (default) does so
    where more than 1 % of the blank lines cut an entity.
    The file is read twice: which kind of IOB it has, and how many blank lines cut, is known at its end only.
    Raises InputError for a line without a tag, or with one that is none of IOB, IOB2 and IOBES.
    """
    plain, drifted, documents = _looked_over(path)
    blocks: Iterator[list[_Token]] = _blocks(path, report)
    if drifted if split_again is None else split_again:
        blocks = _split_again(_stream(blocks, plain=plain, path=path, report=report))
    number = 0
    for number, block in enumerate(blocks, start=1):
        of = f"{block[0].document}#" if documents > 1 else ""
        yield _document(f"{stem(path)}:{of}{number}", block, plain=plain, path=path, report=report)
    if not number:
        raise InputError("holds no tokens", path=path)


def _looked_over(path: Path) -> tuple[bool, bool, int]:
    """Whether it is IOB1, where an entity starts with I unless it follows another of its type at once; whether too many
    blank lines cut an entity; how many documents begin."""
    parts: set[str] = set()
    starts = False
    blocks = cut = 0
    last: _Token | None = None
    with suppress(InputError):  # raised again at its place, behind the sentences that come before it
        for block in _blocks(path, Report()):
            blocks += 1
            cut += last is not None and _goes_on(last, block[0])
            last = block[-1]
            parts.update(token.part for token in block)
            starts = starts or any(
                token.part == "B" and (index == 0 or block[index - 1].type != token.type)
                for index, token in enumerate(block)
            )
    plain = "I" in parts and not parts & {"E", "S"} and not starts
    return plain, not plain and cut > DRIFT_SHARE * blocks, 0 if last is None else last.document


def _blocks(path: Path, report: Report) -> Iterator[list[_Token]]:
    """Tokens between blank lines."""
    document = 0
    block: list[_Token] = []
    for number, line in lines(path):
        begins = line.startswith(DOCUMENT)
        document += begins
        if begins or not line.strip():
            if block:
                yield block
            block = []
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        tag = _TAG.fullmatch(columns[-1].strip())
        if len(columns) < 2 or tag is None:
            raise InputError(
                "a line needs a token and a tag (O, B-type, I-type, E-type, S-type) separated by tab or blank, "
                f"found {line[:60]!r}",
                path=path, line=number,
            )  # fmt: skip
        token = columns[0].strip()
        if not token:
            report.skip("empty token", f"tag {columns[-1]}", path=path, line=number)
            continue
        part = {"L": "E", "U": "S", "M": "I"}.get(tag[1], tag[1]) if tag[1] else "O"
        block.append(_Token(token, part, tag[2].strip() if tag[2] else "", number, document))
    if block:
        yield block


def _goes_on(before: _Token, after: _Token) -> bool:
    """Whether an entity that is open at `before` goes on at `after`."""
    return (
        before.document == after.document and before.part in "BI" and after.part in "IE" and before.type == after.type
    )


def _document(name: str, tokens: Sequence[_Token], *, plain: bool, path: Path, report: Report) -> Document:
    starts: list[int] = []
    position = 0
    for token in tokens:
        starts.append(position)
        position += len(token.text) + 1
    text = " ".join(token.text for token in tokens)
    mentions: list[Mention] = []
    for first, last in _entities(tokens, document=name, plain=plain, path=path, report=report):
        start, end = starts[first], starts[last] + len(tokens[last].text)
        mentions.append(Mention(start, end, tokens[first].type, text[start:end]))
    return Document(name, text, tuple(mentions))


def _entities(
    tokens: Sequence[_Token], *, document: str, plain: bool, path: Path, report: Report
) -> list[tuple[int, int]]:
    """(first, last) token of each entity. An I or E that continues nothing starts one, as it may in plain IOB."""
    found: list[tuple[int, int]] = []
    for index, token in enumerate(tokens):
        if token.part == "O":
            continue
        if token.part in "IE" and index and _goes_on(tokens[index - 1], token):
            found[-1] = (found[-1][0], index)
            continue
        if token.part in "IE" and not plain:
            detail = f"'{token.text}' {token.part}-{token.type} starts an entity"
            report.repair(STRAY, detail, path=path, line=token.line, document=document)
        found.append((index, index))
    return found


def _stream(blocks: Iterable[Sequence[_Token]], *, plain: bool, path: Path, report: Report) -> Iterator[_Token]:
    """All tokens, with the entities counted that go on behind a blank line."""
    last: _Token | None = None
    for block in blocks:
        first = block[0]
        if not plain and last is not None and _goes_on(last, first):
            report.repair(DRIFTED, f"goes on with '{first.text}'; sentences split again", path=path, line=first.line)
        last = block[-1]
        yield from block


def _split_again(tokens: Iterable[_Token]) -> Iterator[list[_Token]]:
    """Sentences of the stream of tokens, ended by a document's end, or by `.`, `?` or `!` unless an entity goes on.

    Where JNLPBA's sentences are intact (test), 3,789 of 3,791 such tokens end one.
    """
    sentence: list[_Token] = []
    for token in tokens:
        other = sentence and sentence[-1].document != token.document
        if other or (sentence and sentence[-1].text in SENTENCE_ENDS and not _goes_on(sentence[-1], token)):
            yield sentence
            sentence = []
        sentence.append(token)
    if sentence:
        yield sentence
