"""Writing CoNLL: a word and its tag (IOB2) per line with a tab between, a blank line behind each sentence.

Words are KoGNER's own, each document begins with `-DOCSTART-`. The format holds neither texts nor ids, and one layer of
mentions that begin and end with words: of nested ones the outermost is written.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

from kogner.artifacts import write_lines
from kogner.data.formats.gliner import NO_IDS, NO_NAME, OFF_WORDS
from kogner.data.report import Report
from kogner.records import Document
from kogner.text import sentences, words

START = "-DOCSTART-\tO"
OVERLAPS = "mention inside or across another"
NO_TAG = "mention whose type cannot be a tag"
REWRITTEN = "text rewritten as words of a sentence a block"
NO_WORDS = "document without a word"

REPLACED = "character that no line of text holds, replaced"

_NO_LINE = re.compile(r"[\t\r\n\x00\ud800-\udfff]")


def write(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents, all or nothing; a mention that tags cannot hold is counted and left out."""
    write_lines(path, (line for one in documents for line in _lines(one, report, path)))


def _lines(document: Document, report: Report, path: Path) -> Iterator[str]:
    text, spans = document.text, words(document.text)
    if not spans:
        report.skip(NO_WORDS, "its text is empty", path=path, line=None, document=document.id)
        return
    tags = _tags(document, spans, report, path)
    report.note(NO_NAME)
    report.note(REWRITTEN)
    if identified := sum(bool(one.ids) or one.entity is not None for one in document.mentions):
        report.note(NO_IDS, identified)
    ends = {bisect_left(spans, (end, 0)) for _, end in sentences(text)}  # of words
    yield START
    yield ""
    for number, (start, end) in enumerate(spans, start=1):
        word, strange = _NO_LINE.subn("\ufffd", text[start:end])
        if strange:
            report.note(REPLACED, strange)
        yield f"{word}\t{tags[number - 1]}"
        inside = number < len(spans) and tags[number].startswith("I-")
        if (number in ends or number == len(spans)) and not inside:
            yield ""


def _tags(document: Document, spans: list[tuple[int, int]], report: Report, path: Path) -> list[str]:
    """The tag of each word."""
    tags = ["O"] * len(spans)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    for mention in sorted(document.mentions, key=lambda one: (one.start, -one.end)):
        first, behind = bisect_left(starts, mention.start), bisect_right(ends, mention.end)
        at_edges = first < behind and starts[first] == mention.start and ends[behind - 1] == mention.end
        reason = ""
        if not at_edges:
            reason = OFF_WORDS
        elif not mention.type or mention.type != mention.type.strip() or _NO_LINE.search(mention.type):
            reason = NO_TAG
        elif any(tag != "O" for tag in tags[first:behind]):
            reason = OVERLAPS
        if reason:
            detail = f"{document.text[mention.start : mention.end]!r} at {mention.start}"
            report.skip(reason, detail, path=path, line=None, document=document.id, mention=mention.type)
            continue
        tags[first:behind] = [f"B-{mention.type}", *[f"I-{mention.type}"] * (behind - first - 1)]
    return tags
