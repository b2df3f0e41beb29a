"""BRAT's standoff format (brat.nlplab.org/standoff.html): a folder of `<id>.txt` with `<id>.ann` beside it.

Text-bound annotations (T) are mentions, normalisations (N) their identifiers. Relations, events, attributes and notes
are counted, not kept. A type cannot have blanks there: they are written as `_`, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kogner.data.formats.files import check_text, read_bytes
from kogner.data.formats.ownership import replacing
from kogner.data.formats.pubtator import OFFSET_MISMATCH, OFFSET_REPAIRED, nearest
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention

IN_PIECES = "mention in several pieces, kept from the first to the last"
OTHER = "line of another kind ({}) not kept"
OTHER_FILE = "file of another kind in the folder, passed over"
BAD_LINE = "line that is none of BRAT's"
RENAMED = "document id written as another file name"
NO_ID = "empty identifier not kept"
SIGNS = "characters that the format cannot hold written as others"

LONGEST = 100  # bytes of a file name without its ending; file systems have 255 at most
_BOUND = re.compile(r"(T\S+)\t(\S+) (\d{1,18} \d{1,18}(?:;\d{1,18} \d{1,18})*)(?:\t(.*))?")
_NORMAL = re.compile(r"(N\S+)\tReference (\S+) ([^\t]+?)(?:\t.*)?")
NO_TEXT = "annotations without their text"
_HALF = re.compile(r"[\ud800-\udfff]")
_NO_TYPE, _NO_ID = re.compile(r"\s+|[\ud800-\udfff]"), re.compile(r"[\t\r\n\ud800-\udfff]")
_NO_NAME = re.compile(r"[^\w.#-]")


def is_brat(path: Path) -> bool:
    """Whether a path is a folder with annotation files."""
    return path.is_dir() and any(path.glob("*.ann"))


def holds_documents(path: Path) -> bool:
    """Whether a folder holds documents of this format: annotations, or texts and nothing else."""
    there = [one for one in path.iterdir() if not one.name.startswith(".")]
    return is_brat(path) or (bool(there) and all(one.suffix == ".txt" for one in there))


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a folder in the order of their names; a text without annotations is one without mentions.

    Raises InputError for a folder without texts, and for texts that are not UTF-8.
    """
    texts = sorted(path.glob("*.txt"))
    if not texts:
        raise InputError("holds no .txt file; BRAT is <id>.txt with <id>.ann beside it", path=path)
    for orphan in sorted(set(path.glob("*.ann")) - {file.with_suffix(".ann") for file in texts}):
        report.skip(NO_TEXT, f"{orphan.stem}.txt is not there", path=orphan, line=None)
    for other in path.iterdir():
        if other.suffix not in (".txt", ".ann") and not other.name.startswith("."):
            report.note(OTHER_FILE)
    for file in texts:
        text = _decoded(file)
        annotations = file.with_suffix(".ann")
        # A mark at the start of a text is one of its characters, which offsets count.
        lines = _decoded(annotations).removeprefix("\ufeff").split("\n") if annotations.is_file() else []
        yield Document(file.stem, text, tuple(_mentions(lines, text, annotations, report)))


def _decoded(file: Path) -> str:
    if file.stat().st_size == 0:
        return ""
    raw = read_bytes(file)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        check_text(raw, file)
        raise InputError(
            f"not UTF-8 at byte offset {error.start}; convert it, e.g. with: iconv -f latin1 -t utf-8", path=file
        ) from error


def _mentions(lines: list[str], text: str, file: Path, report: Report) -> list[Mention]:
    ids: dict[str, list[str]] = {}
    bound: list[tuple[int, re.Match[str]]] = []
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r")
        if not line.strip():
            continue
        found, normal = _BOUND.fullmatch(line), _NORMAL.fullmatch(line)
        if found:
            bound.append((number, found))
        elif normal:
            ids.setdefault(normal[2], []).append(normal[3].strip())
        elif line[0] in "REMA*#":
            report.note(OTHER.format(line[0]))
        else:
            report.skip(BAD_LINE, repr(line[:60]), path=file, line=number)
    mentions = []
    for number, found in bound:
        places = [tuple(map(int, place.split())) for place in found[3].split(";")]
        start, end = min(place[0] for place in places), max(place[1] for place in places)
        stated = found[4] or ""
        if len(places) > 1:
            report.note(IN_PIECES)
        elif stated and _one_line(text[start:end]) != stated:
            moved = nearest(text, stated, start)
            detail = f"{stated[:60]!r} is not at [{start}, {end})"
            if moved is None:
                report.skip(OFFSET_MISMATCH, detail, path=file, line=number, document=file.stem, mention=found[2])
                continue
            report.repair(OFFSET_REPAIRED, detail, path=file, line=number, document=file.stem)
            start, end = moved
        if not start < end <= len(text):
            detail = f"[{start}, {end}) of {len(text)} characters"
            report.skip(OFFSET_MISMATCH, detail, path=file, line=number, document=file.stem, mention=found[2])
            continue
        mentions.append(Mention(start, end, found[2], text[start:end], tuple(dict.fromkeys(ids.get(found[1], ())))))
    return sorted(mentions, key=lambda one: one.key)


def write(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write a folder of texts and annotations, all or nothing; reading gives the same offsets, and texts and types but
    for characters that the format cannot hold, which are counted.

    An id that is no file name becomes one, which is counted; ids of different documents never share a file. What an
    earlier run wrote into the folder, and nobody changed since, is replaced (`kogner.data.formats.ownership`).
    Raises ArtifactError where the folder has files of others with these names.
    """
    with replacing(path, report=report) as building:
        _write(building, documents, report)


def _write(path: Path, documents: Iterable[Document], report: Report) -> None:
    used: set[str] = set()
    for document in documents:
        name = _NO_NAME.sub("_", document.id).lstrip(".").encode()[:LONGEST].decode("utf-8", "ignore") or "_"
        wanted, number = name, 1
        while name.casefold() in used:  # some file systems know no case
            number += 1
            name = f"{wanted}#{number}"
        used.add(name.casefold())
        if name != document.id:
            report.note(RENAMED)
        text = _plain(document.text, _HALF, "\ufffd", report)
        (path / f"{name}.txt").write_bytes(text.encode())
        (path / f"{name}.ann").write_bytes("".join(f"{line}\n" for line in _lines(document, report)).encode())


def _lines(document: Document, report: Report) -> Iterator[str]:
    number = 0
    for bound, mention in enumerate(document.mentions, 1):
        inside = _HALF.sub("\ufffd", _one_line(document.text[mention.start : mention.end]))
        kind = _plain(mention.type, _NO_TYPE, "_", report) or "_"
        yield f"T{bound}\t{kind} {mention.start} {mention.end}\t{inside}"
        for own in mention.ids or ((mention.entity,) if mention.entity is not None else ()):
            if not own.strip():
                report.note(NO_ID)
                continue
            number += 1
            yield f"N{number}\tReference T{bound} {_plain(own, _NO_ID, ' ', report)}\t{inside}"


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n\t]", " ", text)


def _plain(text: str, pattern: re.Pattern[str], sign: str, report: Report) -> str:
    changed = pattern.sub(sign, text)
    if changed != text:
        report.note(SIGNS)
    return changed
