"""Reading inputs of any format as shards, and what their readers met."""

from __future__ import annotations

import json
import mmap
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.annotate.texts import read_documents
from kogner.bulk.shards import Cut, Shard, Unread, cut
from kogner.bulk.source import Input
from kogner.data.formats.files import is_packed, stem
from kogner.data.report import Report
from kogner.errors import InputError, KognerError
from kogner.progress import note
from kogner.records import Document

_PASSING = (".ann", ".md", ".json.lock", ".lock", ".md5", ".tmp")


POSITION_EVERY = 200  # documents after which it is looked how far a file was read


@dataclass
class InputReader:
    """Reads inputs. form: a name of `kogner.data.formats.registry` for all of them, None = told by their content.

    documents: read so far, those of shards that are done among them. bytes: of the inputs they are from. counts:
    documents of inputs that were read to their end.
    """

    form: str | None = None
    documents: int = 0
    bytes: int = 0
    reports: dict[int, Report] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)

    def shards(self, one: Input, limits: Cut, *, done: Mapping[int, int]) -> Iterator[Shard]:
        """An input's shards, without those that are done (see `cut`).

        What lies before a place that cannot be read is kept, whatever its reader fails with, and where only a line of
        JSON lines cannot be, what lies behind it too. A file of which no line can be read is none of its format.
        """
        refused: deque[InputError] = deque()
        report = self.reports[one.number] = Report(refused=refused)
        self.errors.pop(one.number, None)
        path = Path(one.path)

        def unread() -> Iterator[Unread]:
            while refused:
                error = refused.popleft()
                self.documents += 1
                yield Unread(error.document or f"{stem(path)}:{error.line}", str(error))

        def documents() -> Iterator[Document | Unread]:
            before, earlier, told, any_document = self.bytes, self.documents, 0, False
            try:
                for document in read_documents(path, self.form, report=report):
                    yield from unread()
                    any_document = True
                    self.documents += 1
                    if self.documents % POSITION_EVERY == 0:
                        told = max(told, position(path) or 0)
                        self.bytes = before + told
                    yield document
            except KognerError as error:
                self.errors[one.number] = str(error if any_document or not refused else refused[0])
            except Exception as error:  # of a reader's library; the other inputs have nothing to do with it
                self.errors[one.number] = f"{type(error).__name__}: {error}"
            else:
                if refused and _breaks_off(path):
                    self.errors[one.number] = str(refused.pop())
            if any_document:
                yield from unread()
            self.bytes = before + one.bytes
            self.counts[one.number] = self.documents - earlier

        yield from cut(documents(), limits, input=one.number, done=done)

    def said(self, one: Input) -> dict[str, Any]:
        """What the reader of an input met, as plain data: documents, skipped, repaired, noted, examples, error."""
        report = self.reports[one.number]
        there = {"documents": self.counts[one.number], "error": self.errors.get(one.number)}
        return {**report.to_dict(), "examples": report.examples, **there}


def _breaks_off(path: Path) -> bool:
    """Whether a file, whose last line cannot be read, ends within it, as one does that was not copied to its end.

    Not one that is packed: what is cut short cannot be unpacked to its end.
    """
    if is_packed(path):
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        last = content[content.rfind(b"\n") + 1 :]
    try:
        json.loads(last)
    except (ValueError, RecursionError):
        return bool(last.strip())
    return False


def position(path: Path) -> int | None:
    """How far this process has read a file that it has open, packed bytes; None where the system does not say."""
    try:
        file = os.path.realpath(path)
        for link in Path("/proc/self/fd").iterdir():
            if link.exists() and str(link.readlink()) == file:
                told = Path(f"/proc/self/fdinfo/{link.name}").read_text(encoding="ascii")
                return int(told.partition("pos:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return None


def files_of(sources: Sequence[str]) -> list[Path]:
    """The inputs that were given: files, BRAT folders (also texts alone), and the files of other folders by name.

    Raises InputError for what does not exist, and for a folder without files.
    """
    from kogner.data.formats import brat

    found: list[Path] = []
    for source in map(Path, sources):
        if not source.exists():
            raise InputError("does not exist", path=source)
        if not source.is_dir():
            found.append(source)
            continue
        there = sorted(source.iterdir())
        if brat.holds_documents(source):
            found.append(source)
            passed = [one for one in there if one.suffix not in (".txt", ".ann")]
        else:
            files = [one for one in there if one.is_file() and _is_input(one)]
            if not files:
                raise InputError("is a folder without a file to annotate", path=source)
            found += files
            passed = [one for one in there if one not in files]
        if passed:
            note(
                f"{source}: passed over are {len(passed):,} folders and files of other kinds, such as {passed[0].name}"
            )
    return found


def _is_input(file: Path) -> bool:
    return not file.name.startswith(".") and not file.name.endswith(_PASSING) and file.name != "artifact.json"
