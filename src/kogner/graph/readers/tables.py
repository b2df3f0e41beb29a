"""Tables with quoting (CSV and TSV), read by Arrow in batches of columns; every cell is text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kogner.errors import InputError
from kogner.graph.rejections import Rejections

BLOCK = 8 << 20  # bytes that are read at a time; a row must be shorter
_HEAD = 1 << 20
_BOM = "\ufeff"


def header_of(path: Path, *, delimiter: str = ",") -> list[str]:
    """Names of the columns. Raises InputError (file) where there are none, one stands twice, or it is no text."""
    try:
        with _open(path) as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise _damaged(path, error) from error
    try:
        # The cut may stand inside a character, but not inside the first line, unless that is too long to be one.
        first = next(csv.reader(io.StringIO(head.decode("utf-8", errors="ignore")), delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"its first line is no line of a table ({error})", path=path, line=1) from error
    names = [name.strip().removeprefix(_BOM) for name in first]
    if not any(names):
        raise InputError("is empty; a first line with the names of the columns is needed", path=path, line=1)
    if b"\x00" in head:
        raise InputError("is binary or UTF-16 (it has a NUL byte); UTF-8 text is needed", path=path)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the column {', '.join(twice)} stands twice in the first line", path=path, line=1)
    return names


def batches(
    path: Path, columns: Sequence[str], rejected: Rejections, *, delimiter: str = ",", block: int = BLOCK
) -> Iterator[Any]:
    """Yield record batches with these columns, each of text, in the file's order; an empty cell is "".

    Plain or packed, by the file's ending. Rows with another number of cells are left out and counted.
    Raises InputError (file) for a column that is not there, and for a file that is damaged or not UTF-8.
    """
    import pyarrow
    import pyarrow.csv

    header = header_of(path, delimiter=delimiter)
    missing = [name for name in columns if name not in header]
    if missing:
        found = ", ".join(name[:40] for name in header[:20]) + (", ..." if len(header) > 20 else "")
        raise InputError(f"no column {', '.join(missing)}; the first line has: {found}", path=path, line=1)

    def count(row: Any) -> str:
        where = path.name if row.number is None else f"{path.name}:{row.number}"
        rejected.add("wrong number of cells", f"{where} ({row.actual_columns}, not {row.expected_columns})")
        return "skip"

    try:
        with (
            _open(path) as stream,
            pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(block_size=block, column_names=header, skip_rows=1),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=count
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pyarrow.string()),
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            ) as reader,
        ):
            yield from reader
    except pyarrow.ArrowInvalid as error:
        if str(error).startswith("Empty CSV file"):  # a header and nothing else
            return
        raise _damaged(path, error) from error
    except OSError as error:
        raise _damaged(path, error) from error


def _open(path: Path) -> Any:
    import pyarrow

    try:
        return pyarrow.input_stream(str(path), compression="detect")
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error


def _damaged(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"cannot be read ({reason}); fetch or write it again, as UTF-8", path=path)
