"""CoNLL: one token and its tag per line, a blank line between sentences; IOB, IOB2 or IOBES, tab or blanks.

A document here is one sentence, its text the tokens joined by one blank. In some copies (JNLPBA train) the blank lines
have drifted into mid-sentence and cut entities; such a file is read as one stream of tokens and split again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kogner.data.formats.files import lines, stem
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention

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


def read(path: Path, *, report: Report, split_again: bool | None = None) -> list[Document]:
    """Read a CoNLL file: first column the token, last column the tag. Document ids are `<file stem>:<number>`.

    split_again: ignore the blank lines and split the whole stream of tokens into sentences; None (default) does so
    where more than 1 % of the blank lines cut an entity.
    Raises InputError for a line without a tag, or with one that is none of IOB, IOB2 and IOBES.
    """
    blocks = _blocks(path, report)
    if not blocks:
        raise InputError("holds no tokens", path=path)
    plain = _is_plain_iob(blocks)
    borders = range(1, 1 if plain else len(blocks))
    cut = [index for index in borders if _goes_on(blocks[index - 1][-1], blocks[index][0])]
    if split_again is None:
        split_again = len(cut) > DRIFT_SHARE * len(blocks)
    if split_again:
        for index in cut:
            first = blocks[index][0]
            report.repair(DRIFTED, f"goes on with '{first.text}'; sentences split again", path=path, line=first.line)
        blocks = _split_again(blocks)
    return [
        _document(f"{stem(path)}:{number}", block, plain=plain, path=path, report=report)
        for number, block in enumerate(blocks, start=1)
    ]


def _blocks(path: Path, report: Report) -> list[list[_Token]]:
    blocks: list[list[_Token]] = []
    block: list[_Token] = []
    for number, line in lines(path):
        if not line.strip() or line.startswith("-DOCSTART-"):
            if block:
                blocks.append(block)
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
        block.append(_Token(token, part, tag[2].strip() if tag[2] else "", number))
    return [*blocks, block] if block else blocks


def _goes_on(before: _Token, after: _Token) -> bool:
    """Whether an entity that is open at `before` goes on at `after`."""
    return before.part in "BI" and after.part in "IE" and before.type == after.type


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


def _is_plain_iob(blocks: Sequence[Sequence[_Token]]) -> bool:
    """IOB1, where an entity starts with I unless it follows another of its type at once."""
    parts = {token.part for block in blocks for token in block}
    if "I" not in parts or parts & {"E", "S"}:
        return False
    return not any(
        token.part == "B" and (index == 0 or block[index - 1].type != token.type)
        for block in blocks
        for index, token in enumerate(block)
    )


def _split_again(blocks: Sequence[Sequence[_Token]]) -> list[list[_Token]]:
    """Sentences of the stream of tokens, ended by `.`, `?` or `!` unless an entity goes on there.

    Where JNLPBA's sentences are intact (test), 3,789 of 3,791 such tokens end one.
    """
    stream = [token for block in blocks for token in block]
    sentences: list[list[_Token]] = [[]]
    for token, following in zip(stream, [*stream[1:], None], strict=True):
        sentences[-1].append(token)
        if following and token.text in SENTENCE_ENDS and not _goes_on(token, following):
            sentences.append([])
    return sentences
