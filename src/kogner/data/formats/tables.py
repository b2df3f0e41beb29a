"""Tables with a column of texts: CSV, TSV and Parquet, read row by row or in batches."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kogner.data.formats.columns import Columns
from kogner.data.formats.files import lines, stem, without_packing
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document

EMPTY = "row without text"
BROKEN = "row with another number of cells"
QUOTED = "row between tabs with cells in quotes, read without the quotes"
RAW = "row between tabs with a cell that begins with a quote, which is kept"
ROWS = 1024  # of Parquet at a time
LONGEST_QUOTED = 1 << 24  # characters of a row between tabs in which an open quote may end
WHOLE = 1 << 53  # below it a number with a point holds each whole one

Line = tuple[int, str]


def read_delimited(path: Path, *, report: Report, columns: Columns | None = None) -> Iterator[Document]:
    """Yield a document for each row of a CSV or TSV file whose first line names its columns.

    Without `columns` texts stand in `text` and ids in `id`; where there is none an id is `<file>:<row>`. Line ends in
    quoted cells stay as they are. Rows without a text are counted and left out. Raises InputError for a file without
    the columns, and for what is no table of UTF-8.
    """
    columns = columns or Columns()
    csv.field_size_limit(1 << 30)
    numbered = lines(path, ends=True)
    rows = _tabbed(numbered, report) if _has_tabs(path) else _separated(numbered, path)
    _, names = next(rows, (1, []))
    header = [name.strip() for name in names]
    text, own = columns.places(header, path)
    _note_others(header, text, own, report)
    for number, (line, row) in enumerate(rows, 1):
        if not row:
            continue
        if len(row) != len(header):
            report.skip(BROKEN, f"{len(row)}, not {len(header)}", path=path, line=line)
        elif not row[text].strip():
            report.skip(EMPTY, f"row {number}", path=path, line=line)
        else:
            yield Document((row[own] if own is not None else "") or f"{stem(path)}:{number}", row[text])


def read_parquet(path: Path, *, report: Report, columns: Columns | None = None) -> Iterator[Document]:
    """As `read_delimited`, of a Parquet file. Ids that became numbers with a point, as pandas makes them of whole ones
    where some are missing, lose it. Bytes are read as UTF-8, as some programs write texts. Raises InputError for texts
    of another type."""
    import pyarrow
    import pyarrow.parquet

    columns = columns or Columns()

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            text, own = columns.places(names, path)
            _note_others(names, text, own, report)
            column, id_column = names[text], names[own] if own is not None else None
            wanted = [column] if id_column is None else [column, id_column]
            kind = file.schema_arrow.field(text).type
            number = 0
            for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
                ids = batch[id_column].to_pylist() if id_column is not None else [None] * len(batch)
                for cell, name in zip(batch[column].to_pylist(), ids, strict=True):
                    number += 1
                    found = _decoded(cell, column, number, path)
                    if found is not None and not isinstance(found, str):
                        raise InputError(f"column '{column}' is of type {kind}, no text; cast it to one", path=path)
                    if found is None or not found.strip():
                        report.skip(EMPTY, f"row {number}", path=path, line=None)
                    else:
                        own_id = _id(_decoded(name, id_column or "", number, path))
                        yield Document(own_id or f"{stem(path)}:{number}", found)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", path=path) from error


def _decoded(cell: Any, column: str, row: int, path: Path) -> Any:
    """A cell, bytes as a text. Raises InputError for those that are none."""
    if not isinstance(cell, bytes):
        return cell
    try:
        return cell.decode()
    except UnicodeDecodeError:
        raise InputError(f"column '{column}' is binary, and row {row} of it is not UTF-8", path=path) from None


def _id(cell: Any) -> str:
    """An id of Parquet as a text, empty where there is none."""
    if isinstance(cell, float):
        if cell != cell:
            return ""
        return str(int(cell)) if cell.is_integer() and abs(cell) < WHOLE else str(cell)
    return "" if cell is None else str(cell)


def _has_tabs(path: Path) -> bool:
    return without_packing(path.name).lower().endswith((".tsv", ".tab"))


def _separated(numbered: Iterator[Line], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with commas between their cells, and the number of the line that each ends in.

    A comma separates cells, and an open quote would take all that follows into one: `strict` says where it began.
    """
    rows = csv.reader((line for _, line in numbered), strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise InputError(f"is no table ({error})", path=path, line=rows.line_num) from error


def _tabbed(numbered: Iterator[Line], report: Report) -> Iterator[tuple[int, list[str]]]:
    """Rows with tabs between their cells, and the number of the line that each ends in. The first one is the header.

    Some programs quote such cells as in CSV, others write a quote like any other character. A row with a cell that
    begins with a quote is read as quoted where that gives the header's number of cells, else as it stands.
    """
    waiting: deque[Line] = deque()  # lines that were looked at in search of the end of a quote
    width: int | None = None
    while (first := waiting.popleft() if waiting else next(numbered, None)) is not None:
        number, row = first[0], _cells(first[1])
        if any(cell.startswith('"') for cell in row):
            found = _quoted(first, waiting, numbered, width)
            if found is None:
                report.note(RAW)
            else:
                number, row = found
                report.note(QUOTED)
        if width is None:
            width = len(row)
        yield number, row


def _cells(line: str) -> list[str]:
    line = line.removesuffix("\n").removesuffix("\r")
    return line.split("\t") if line else []


def _quoted(
    first: Line, waiting: deque[Line], numbered: Iterator[Line], width: int | None
) -> tuple[int, list[str]] | None:
    """The row that begins here, read as quoted, and the number of its last line; None where it is not.

    waiting: lines behind the first, of which those of the row are taken.
    """
    taken = [first]

    def following() -> Iterator[str]:
        yield first[1]
        held = len(first[1])
        for place in range(LONGEST_QUOTED):
            if place == len(waiting):
                more = next(numbered, None) if held < LONGEST_QUOTED else None
                if more is None:
                    return
                waiting.append(more)
            taken.append(waiting[place])
            held += len(waiting[place][1])
            yield waiting[place][1]

    try:
        row = next(csv.reader(following(), delimiter="\t", strict=True))
    except csv.Error:
        return None
    alone = [len(_cells(line)) for _, line in taken]
    if width is not None and len(row) != width and alone[0] == width:
        return None
    if width is not None and width > 1 and len(taken) > 1 and set(alone) == {width}:
        return None  # rows of which one begins with a quote and another ends with one
    for _ in taken[1:]:
        waiting.popleft()
    return taken[-1][0], row


def _note_others(header: list[str], text: int, own: int | None, report: Report) -> None:
    for number, name in enumerate(header):
        if number not in (text, own):
            report.note(f"column '{name}' not kept")
