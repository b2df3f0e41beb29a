"""Reading inputs of any format as shards, and what their readers met."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.annotate.texts import read_documents
from kogner.bulk.folder import Input
from kogner.bulk.shards import Cut, Shard, cut
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document

_PASSING = (".ann", ".md", ".json.lock", ".lock", ".md5", ".tmp")


@dataclass
class InputReader:
    """Reads inputs. form: a name of `kogner.data.formats.registry` for all of them, None = told by their content."""

    form: str | None = None
    reports: dict[int, Report] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)

    def shards(self, one: Input, limits: Cut, *, done: Container[int]) -> Iterator[Shard]:
        """An input's shards, without those that are done. What lies before a place that cannot be read is kept."""
        report = self.reports[one.number] = Report()
        self.errors.pop(one.number, None)
        path = Path(one.path)

        def documents() -> Iterator[Document]:
            try:
                yield from read_documents(path, self.form, report=report)
            except InputError as error:
                self.errors[one.number] = str(error)

        yield from cut(documents(), limits, input=one.number, done=done)

    def said(self, one: Input) -> dict[str, Any]:
        """What the reader of an input met, as plain data: skipped, repaired, noted, error."""
        return {**self.reports[one.number].to_dict(), "error": self.errors.get(one.number)}


def files_of(sources: Sequence[str]) -> list[Path]:
    """The inputs that were given: files, BRAT folders (also texts alone), and the files of other folders by name.

    Raises InputError for what does not exist, and for a folder without files.
    """
    from kogner.data.formats import brat

    found: list[Path] = []
    for source in map(Path, sources):
        if not source.exists():
            raise InputError("does not exist", path=source)
        if not source.is_dir() or brat.is_brat(source) or any(source.glob("*.txt")):
            found.append(source)
            continue
        files = sorted(file for file in source.iterdir() if file.is_file() and _is_input(file))
        if not files:
            raise InputError("is a folder without a file to annotate", path=source)
        found += files
    return found


def _is_input(file: Path) -> bool:
    return not file.name.startswith(".") and not file.name.endswith(_PASSING) and file.name != "artifact.json"
