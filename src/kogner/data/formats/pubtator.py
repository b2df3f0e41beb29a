"""PubTator: `id|t|title`, `id|a|abstract`, then one tab-separated line per mention, and a blank line.

Offsets count code points of title + one blank + abstract. In some files (NLM-Chem) each block is one passage of a
longer article that repeats the article's id and starts its offsets anew; such blocks become documents `<id>#<k>`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kogner.artifacts import write_lines
from kogner.data.formats.duplicates import repeated_ids, unique
from kogner.data.formats.files import lines
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention, Passage

TITLE, ABSTRACT = "title", "abstract"
REPAIR_WITHIN = 5
LONGEST = 2_000  # letters of a mention that is looked for
SHOWN = 200  # characters of a text in a message
OFFSET_REPAIRED = "offset repaired"
OTHER_SIGNS = "text differs from its offsets in signs only"
OFFSET_MISMATCH = "offset mismatch"

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_SEPARATORS = re.compile(r"[|+,;]")
_TAXON = re.compile(r"\(tax:\d+\)", re.IGNORECASE)
_OFFSET = re.compile(r"\d{1,18}")
_MESH = re.compile(r"[CD]\d{6,}")
_NO_ID = {"", "-", "-1"}
_NO_LINE, _NO_NAME = re.compile(r"[\t\r\n\x00\ud800-\udfff]"), re.compile(r"[\t\r\n\x00\ud800-\udfff|]")
OTHER_IDS = "mention whose ids will be read otherwise (no prefix, one in small letters, or a separator inside)"
PASSAGE, INFON = "passage not kept", "infons of a passage not kept"
BLANKS = "characters that the format cannot hold written as blanks"


@dataclass
class _Block:
    """One blank-line block before its offsets are checked. lines: where its title `t` and abstract `a` stand."""

    id: str
    line: int
    title: str = ""
    abstract: str = ""
    lines: dict[str, int] = field(default_factory=dict)
    mentions: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return f"{self.title} {self.abstract}" if self.abstract else self.title


def read(path: Path, *, report: Report, vocabularies: Mapping[str, str] | None = None) -> Iterator[Document]:
    """Yield the documents of a PubTator file. Types and texts are the file's own; ids become `PREFIX:LOCAL`.

    vocabularies: for each type the prefix of an id that has none, e.g. {"Gene": "NCBIGene"}; an id without prefix of
    the form of a MeSH id is MESH in any case.
    Raises InputError for a line that is none of PubTator's and for a second title or abstract in a block; mentions
    whose text does not fit their offsets are repaired or skipped and counted in `report`.
    The file is read twice: whether ids come again, and whether blocks are passages, is known at its end only.
    """
    passages, repeated = _looked_over(path)
    documents = _documents(path, report, vocabularies or {})
    if not passages:
        yield from unique(documents, path=path, report=report, repeated=repeated)
        return
    counts: Counter[str] = Counter()
    for _, document in documents:
        counts[document.id] += 1
        report.note("passage of a longer article")
        yield replace(document, id=f"{document.id}#{counts[document.id]}")


def write(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents, all or nothing; reading gives the same offsets and types.

    Of a document of two passages with one blank or line end between them the first is the title and the second the
    abstract; of several also where the first is called a title and all others parts of the abstract. Any other is a
    title without an abstract. What that does not hold of passages is noted.
    Line breaks, tabs and what is no text become blanks, one for one, and so does `|` in ids and types, which is noted.
    A mention's id column has its ids, or the entity it is linked to.
    """
    write_lines(path, (line for document in documents for line in lines_of(document, report)))


def lines_of(document: Document, report: Report) -> Iterator[str]:
    """The lines of a document, the blank one behind it too."""

    def plain(text: str, pattern: re.Pattern[str]) -> str:
        changed = pattern.sub(" ", text)
        if changed != text:
            report.note(BLANKS)
        return changed

    name = plain(document.id, _NO_NAME).strip() or "-"
    text = plain(document.text, _NO_LINE)
    title = _title(document)
    _note_passages(document, title, report)
    yield f"{name}|t|{text[:title]}"
    yield f"{name}|a|{text[title + 1 :]}"
    for mention in document.mentions:
        ids = written_ids(mention, report) or "-1"
        inside = text[mention.start : mention.end]
        kind = plain(mention.type, _NO_NAME)
        yield "\t".join((name, str(mention.start), str(mention.end), inside, kind, plain(ids, _NO_LINE)))
    yield ""


def written_ids(mention: Mention, report: Report) -> str:
    """The ids of a mention in one column, '' for none; the report notes those that will be read otherwise."""
    ids = mention.ids or (() if mention.entity is None else (mention.entity,))
    column = "|".join(ids)
    if identifiers(column) != tuple(dict.fromkeys(ids)):
        report.note(OTHER_IDS)
    return column


def _title(document: Document) -> int:
    """Where the title ends; the end of the text where there is no abstract."""
    whole = len(document.text)
    if len(document.passages) < 2:
        return whole
    first, second, *more = document.passages
    kinds = [dict(one.infons).get("type") for one in document.passages]
    if more and kinds != [TITLE, *[ABSTRACT] * (len(kinds) - 1)]:
        return whole
    apart = second.start == first.end + 1 and document.text[first.end].isspace()
    end = document.passages[-1].end
    return first.end if first.start == 0 and apart and end == whole > second.start else whole


def _note_passages(document: Document, title: int, report: Report) -> None:
    """Count what title and abstract do not hold of a document's passages."""
    passages = document.passages
    kinds: tuple[str, ...]
    if title < len(document.text):
        kinds, lost = (TITLE, ABSTRACT), len(passages) - 2
    else:
        whole = len(passages) == 1 and (passages[0].start, passages[0].end) == (0, title)
        kinds, lost = ((TITLE,), 0) if whole else ((), len(passages))
    infons = sum(bool(set(one.infons) - {("type", kind)}) for one, kind in zip(passages, kinds, strict=False))
    for reason, count in ((PASSAGE, lost), (INFON, infons)):
        if count:
            report.note(reason, count)


def _looked_over(path: Path) -> tuple[bool, Container[str]]:
    """Whether the blocks of a file are passages of longer articles, and the ids that come again."""
    blocks = adjacent = 0

    def names() -> Iterator[str]:
        nonlocal blocks, adjacent
        before = name = None
        with suppress(InputError):  # raised again at its place, behind the documents that come before it
            for _, line in lines(path):
                if not line.strip():
                    name = None
                elif (text_line := _TEXT_LINE.match(line)) and text_line[1] != name:
                    name = text_line[1]
                    blocks += 1
                    adjacent += name == before
                    before = name
                    yield name

    repeated = repeated_ids(names())
    return adjacent > blocks / 2, repeated


def _documents(path: Path, report: Report, vocabularies: Mapping[str, str]) -> Iterator[tuple[int, Document]]:
    line = 0
    for block in _blocks(path, report):
        line = block.line
        yield line, _document(block, path, report, vocabularies)
    if not line:
        raise InputError("holds no PubTator document (a line such as '123|t|Title')", path=path)


def _blocks(path: Path, report: Report) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in lines(path):
        if not line.strip():
            if block is not None:
                yield block
            block = None
            continue
        text_line = _TEXT_LINE.fullmatch(line)
        if text_line:
            identifier, part, text = text_line.groups()
            if block is None or block.id != identifier:
                if block is not None:
                    yield block
                block = _Block(identifier, number)
            if part in block.lines:
                raise InputError(
                    f"a second '{identifier}|{part}|' line, the first is line {block.lines[part]}; join the two, "
                    "or put a blank line between two documents of one id",
                    path=path, line=number, document=identifier,
                )  # fmt: skip
            block.lines[part] = number
            if part == "t":
                block.title = text
            else:
                block.abstract = text
            continue
        columns = line.split("\t")
        if block is None or columns[0] != block.id:
            raise InputError(
                f"expected 'ID|t|title', 'ID|a|abstract' or a tab-separated annotation of document "
                f"{block.id if block else '(none yet)'}, found {line[:60]!r}",
                path=path, line=number,
            )  # fmt: skip
        if len(columns) >= 5 and _OFFSET.fullmatch(columns[1].strip()) and _OFFSET.fullmatch(columns[2].strip()):
            block.mentions.append((number, columns))
        elif len(columns) >= 3 and not columns[1].strip().lstrip("-").isdecimal():
            report.note(f"relation line {columns[1].strip()} not kept")
        else:
            raise InputError(
                f"an annotation needs id, start, end, text and type separated by tabs, found {line[:60]!r}",
                path=path, line=number, document=block.id,
            )  # fmt: skip
    if block is not None:
        yield block


def _document(block: _Block, path: Path, report: Report, vocabularies: Mapping[str, str]) -> Document:
    mentions: list[Mention] = []
    whole = block.text
    for number, columns in block.mentions:
        start, end, stated, kind = int(columns[1].strip()), int(columns[2].strip()), columns[3], columns[4].strip()
        span: tuple[int, int] | None = (start, end)
        if start >= end or end - start != len(stated) or whole[start:end] != stated:
            span = nearest(whole, stated, start)
            # Offsets that hold the whole text would else be copied and read at each line.
            there = whole[start : min(end, start + 2 * len(stated) + SHOWN)]
            where = f"'{_short(stated)}' is not at [{start}, {end}), there is '{_short(there)}'"
            place: dict[str, Any] = {"path": path, "line": number, "document": block.id}
            if span is not None:
                report.repair(OFFSET_REPAIRED, f"{where}; taken at [{span[0]}, {span[1]})", **place)
            elif there and start + len(there) >= min(end, len(whole)) and _letters(there) == _letters(stated):
                span = (start, start + len(there))
                report.repair(OTHER_SIGNS, f"{where}; offsets kept", **place)
            else:
                report.skip(OFFSET_MISMATCH, where, mention=kind, **place)
        if span is not None:
            ids = identifiers(columns[5] if len(columns) > 5 else "", vocabulary=vocabularies.get(kind))
            mentions.append(Mention(*span, kind, whole[span[0] : span[1]], ids))
    parts: tuple[Passage, ...] = ()
    if block.title and block.abstract:
        at = len(block.title)
        parts = (Passage(0, at, (("type", TITLE),)), Passage(at + 1, len(block.text), (("type", ABSTRACT),)))
    return Document(block.id, block.text, tuple(mentions), passages=parts)


def nearest(text: str, stated: str, start: int) -> tuple[int, int] | None:
    """Where `stated` begins within 5 characters of `start`, the nearest if several; None if nowhere.

    Case and blanks need not agree: what the annotators saw was sometimes tidied before or after.
    """
    visible = "".join(stated.split())
    if not visible or len(visible) > LONGEST or start > len(text) + REPAIR_WITHIN:
        return None
    pattern = re.compile(r"\s*".join(map(re.escape, visible)), re.IGNORECASE)
    begin = max(0, start - REPAIR_WITHIN)
    found = [match.span() for at in range(begin, start + REPAIR_WITHIN + 1) if (match := pattern.match(text, at))]
    return min(found, key=lambda span: abs(span[0] - start), default=None)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def identifiers(raw: str, *, vocabulary: str | None = None) -> tuple[str, ...]:
    """The ids of one column as `PREFIX:LOCAL`, in order, each once: several for a composite, () for `-1` or nothing.

    >>> identifiers("D014786|D006311")
    ('MESH:D014786', 'MESH:D006311')
    >>> identifiers("672(Tax:9606),675", vocabulary="NCBIGene")
    ('NCBIGene:672', 'NCBIGene:675')
    """
    found: dict[str, None] = {}
    for part in _pieces(raw):
        prefix, colon, local = part.partition(":")
        if colon:
            found[f"{prefix.strip().upper() if prefix.islower() else prefix.strip()}:{local.strip()}"] = None
        elif _MESH.fullmatch(part):
            found[f"MESH:{part}"] = None
        else:
            found[f"{vocabulary}:{part}" if vocabulary else part] = None
    return tuple(found)


def _pieces(raw: str) -> Iterable[str]:
    parts = (part.strip() for part in _SEPARATORS.split(_TAXON.sub("", raw)))
    return (part for part in parts if part not in _NO_ID)
