"""Input of `kogner annotate`: one plain text, or JSON lines of `{"id", "text"}`, from a file or standard input."""

from __future__ import annotations

import json
import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from kogner.data.formats import files, jsonl
from kogner.data.formats.columns import ask_for
from kogner.data.report import Report
from kogner.errors import ConfigError, InputError
from kogner.records import Document

STDIN = "-"
IN_LINES = (".jsonl", ".jsonlines", ".ndjson")
HEAD = 1 << 16  # characters
WAITING = 256  # documents that are read ahead of the one that is worked on
PATIENCE = 0.05  # seconds without another document after which results are not held back any more


def read_texts(source: str, *, form: str | None = None, report: Report | None = None) -> Iterator[Document]:
    """Yield documents. form: `text` or `jsonl`, None = JSON lines are told by the ending .jsonl, .jsonlines or .ndjson,
    or by a first line that is an object with a text.

    A plain text is one document, kept as it is (line ends included); its id is the file's name. A byte order mark is
    not part of the text. report: gets what of the JSON is not used. Raises InputError for empty, binary or non-UTF-8
    input, for bad lines of JSON, and, where no form is given, for other JSON (an array, objects without a text or over
    several lines, a file that ends in .json), which would be annotated as prose.
    """
    report = report or Report()
    if source == STDIN:
        yield from _read_stream(sys.stdin.buffer, Path("<stdin>"), form, report)
        return
    path = Path(source)
    if form == "jsonl" or (form is None and _in_lines(path)):
        yield from _parse(files.lines(path), path, report)
    else:
        text = _decode(files.read_bytes(path), path)
        if form is None:
            _refuse_json(text, path)
        yield Document(path.name, text)


def read_documents(path: Path, form: str | None, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a file (or BRAT folder) of any format. form: its name, None = told by the content.

    What the format's reader meets goes into the report. Raises ConfigError for a format that is written only, and
    InputError as the readers do.
    """
    from kogner.data.formats.registry import by_name, of_input

    found = by_name(form) if form is not None else of_input(path)
    if (
        found.name in ("text", "jsonl") and not found.has_columns
    ):  # here only their texts are wanted: as a stream, and ids may come twice
        yield from read_texts(str(path), form=form, report=report)
        return
    if found.read is None:
        raise ConfigError(f"format {found.name} is written only")
    yield from found.read(path, report=report)


def unhurried(documents: Iterator[Document]) -> Iterator[Document | None]:
    """The same documents, and None wherever the next one is not there yet, as `Predictor.predict` takes them.

    They are read in a thread of their own. What reading raises is raised here, in its place.
    """
    read: queue.Queue[Document | BaseException | None] = queue.Queue(WAITING)

    def work() -> None:
        try:
            for document in documents:
                read.put(document)
            read.put(StopIteration())
        except BaseException as error:  # handed on to the reader
            read.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        try:
            found = read.get(timeout=PATIENCE)
        except queue.Empty:
            yield None
            found = read.get()
        if isinstance(found, StopIteration):
            return
        if isinstance(found, BaseException):
            raise found
        yield found


def _read_stream(stream: IO[bytes], path: Path, form: str | None, report: Report) -> Iterator[Document]:
    """JSON lines as they come; a plain text when it has ended."""
    begun: list[bytes] = []
    for raw in stream:
        begun.append(raw)
        if raw.strip(b"\xef\xbb\xbf \t\r\n"):
            break
    if form == "jsonl" or _looks_like_json(b"".join(begun).decode("utf-8-sig", errors="replace")):
        yield from _parse(files.lines_of(chain(begun, stream), path), path, report)
        return
    from kogner.data.formats.registry import HEAD, told

    text = _decode(b"".join(begun) + stream.read(), path)
    _refuse_json(text, path)
    form = told(text.lstrip()[:HEAD])
    if form not in (None, "text", "jsonl"):
        raise InputError(f"looks like {form}; say --from {form}, or --from text if it is none", path=path)
    yield Document("stdin", text)


def read_stdin(form: str | None, *, report: Report) -> Iterator[Document]:
    """Yield the documents of standard input. form: as of `read_documents`, None = JSON lines or a plain text.

    Another format is read from a file of its own, since readers may read twice.
    """
    if form in (None, "jsonl"):
        yield from read_texts(STDIN, form=form, report=report)
        return
    with tempfile.TemporaryDirectory(prefix="kogner-") as folder:
        file = Path(folder) / "stdin"
        with file.open("wb") as whole:
            shutil.copyfileobj(sys.stdin.buffer, whole)
        yield from read_documents(file, form, report=report)


def _parse(numbered: Iterator[tuple[int, str]], path: Path, report: Report) -> Iterator[Document]:
    any_document = False
    for _, document in jsonl.parse(numbered, path=path, report=report):
        any_document = True
        yield document
    if not any_document:
        raise InputError("holds no document", path=path)


def _decode(data: bytes, path: Path) -> str:
    if data.startswith(b"%PDF"):
        raise InputError("is a PDF; take its text out first, e.g. with: pdftotext FILE.pdf", path=path)
    if b"\x00" in data[:8192]:
        raise InputError(f"is binary (a zero byte at offset {data.index(0)}), not text", path=path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8: byte 0x{data[error.start]:02x} at byte offset {error.start}; convert it to UTF-8, "
            "e.g. with: iconv -f latin1 -t utf-8",
            path=path,
            line=line,
        ) from error
    if not text.strip():
        raise InputError("holds no text", path=path)
    return text


def _in_lines(path: Path) -> bool:
    first = next((line for _, line in files.lines(path) if line.strip()), "")
    return _ending(path) in IN_LINES or _looks_like_json(first)


def _looks_like_json(text: str) -> bool:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first.lstrip().startswith("{"):
        return False
    try:
        return "text" in json.loads(first)
    except (ValueError, RecursionError):
        return False


def _ending(path: Path) -> str:
    """The ending that says what is in a file, without that of its packing."""
    return (path.with_suffix("") if path.suffix.lower() in (".gz", ".xz", ".zst", ".bz2") else path).suffix.lower()


def _refuse_json(text: str, path: Path) -> None:
    """Raise InputError for JSON that is not one object with a text per line."""
    if not text.lstrip().startswith(("{", "[")):
        if _ending(path) != ".json":
            return
    elif keys := _keys_of_lines(text):
        raise InputError(f"is JSON lines without `text`: the first has the keys {keys}; {ask_for('jsonl')}", path=path)
    if _ending(path) != ".json":
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return
    raise InputError('is JSON, but not in lines; give one object {"id", "text"} per line (.jsonl)', path=path)


def _keys_of_lines(text: str) -> str:
    """The keys of the first line where each of the first lines is an object; empty elsewhere."""
    keys = ""
    for line in [line for line in text[:HEAD].splitlines()[:20] if line.strip()]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            break  # a text, or the last line of the head, which is cut
        if not isinstance(found, dict):
            return ""
        keys = keys or ", ".join(found)[:200]
    return keys
