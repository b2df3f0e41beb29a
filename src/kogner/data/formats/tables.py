"""Tables with a column of texts: CSV, TSV and Parquet, read row by row or in batches."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kogner.data.formats.columns import Columns
from kogner.data.formats.files import lines, without_packing
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document

EMPTY = "row without text"
BROKEN = "row with another number of cells"
ROWS = 1024  # of Parquet at a time


def read_delimited(path: Path, *, report: Report, columns: Columns | None = None) -> Iterator[Document]:
    """Yield a document for each row of a CSV or TSV file whose first line names its columns.

    Without `columns` texts stand in `text` and ids in `id`; where there is none an id is the row's number. Rows without
    a text are counted and left out. Raises InputError for a file without the columns, and for what is no table of
    UTF-8.
    """
    columns = columns or Columns()
    delimiter = "\t" if without_packing(path.name).lower().endswith((".tsv", ".tab")) else ","
    csv.field_size_limit(1 << 30)
    numbered = (f"{line}\n" for _, line in lines(path))
    # A quote may stand in a cell between tabs, a tab cannot.
    # A comma separates cells, and an open quote would take all that follows into one: `strict` says where it began.
    rows = (
        csv.reader(numbered, delimiter="\t", quoting=csv.QUOTE_NONE)
        if delimiter == "\t"
        else csv.reader(numbered, strict=True)
    )
    try:
        header = [name.strip() for name in next(rows, [])]
        text, own = columns.places(header, path)
        _note_others(header, text, own, report)
        for number, row in enumerate(rows, 1):
            if not row:
                continue
            if len(row) != len(header):
                report.skip(BROKEN, f"{len(row)}, not {len(header)}", path=path, line=rows.line_num)
            elif not row[text].strip():
                report.skip(EMPTY, f"row {number}", path=path, line=rows.line_num)
            else:
                yield Document(row[own] if own is not None and row[own] else str(number), row[text])
    except csv.Error as error:
        raise InputError(f"is no table ({error})", path=path, line=rows.line_num) from error


def read_parquet(path: Path, *, report: Report, columns: Columns | None = None) -> Iterator[Document]:
    """As `read_delimited`, of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    columns = columns or Columns()

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            text, own = columns.places(names, path)
            _note_others(names, text, own, report)
            wanted = [names[text], *([names[own]] if own is not None else [])]
            number = 0
            for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
                ids = batch[names[own]].to_pylist() if own is not None else [None] * len(batch)
                for found, name in zip(batch[names[text]].to_pylist(), ids, strict=True):
                    number += 1
                    if not isinstance(found, str) or not found.strip():
                        report.skip(EMPTY, f"row {number}", path=path, line=None)
                    else:
                        yield Document(str(name) if name not in (None, "") else str(number), found)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", path=path) from error


def _note_others(header: list[str], text: int, own: int | None, report: Report) -> None:
    for number, name in enumerate(header):
        if number not in (text, own):
            report.note(f"column '{name}' not kept")
