"""Tables with quoting (CSV and TSV) and Parquet files, read by Arrow in batches of columns; every cell is text."""

from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kogner.errors import InputError
from kogner.graph.readers.opening import DAMAGE, packing_of
from kogner.graph.rejections import Rejections

BLOCK = 8 << 20  # bytes that are read at a time; a row must be shorter
ROWS = 65_536  # rows of Parquet that are read at a time
_HEAD = 1 << 20
_OPEN = "line inside a quote that is not closed"
_ODD = "cell that seems to hold lines of the table: is a quote before it not closed?"
_BOM = "\ufeff"


def header_of(path: Path, *, delimiter: str = ",") -> list[str]:
    """Names of the columns. Raises InputError (file) where there are none, one stands twice, or it is no table."""
    if packing_of(path) == "parquet":
        with _parquet(path) as file:
            return list(file.schema_arrow.names)
    try:
        with _open(path) as stream:
            head = stream.read(_HEAD)
    except (OSError, *DAMAGE) as error:
        raise _damaged(path, error) from error
    try:
        # The cut may stand inside a character, but not inside the first line, unless that is too long to be one.
        start = head.decode("utf-8", errors="ignore").removeprefix(_BOM)
        first = next(csv.reader(io.StringIO(start), delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"its first line is no line of a table ({error})", path=path, line=1) from error
    names = [name.strip() for name in first]
    if not any(names):
        raise InputError("is empty; a first line with the names of the columns is needed", path=path, line=1)
    if b"\x00" in head:
        raise InputError("is binary or UTF-16 (it has a NUL byte); UTF-8 text is needed", path=path)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the column {', '.join(twice)} stands twice in the first line", path=path, line=1)
    return names


def batches(
    path: Path,
    columns: Sequence[str],
    rejected: Rejections,
    *,
    delimiter: str = ",",
    block: int = BLOCK,
    names: Sequence[str] | None = None,
    quoted: bool = True,
) -> Iterator[Any]:
    """Yield record batches with these columns, each of text, in the file's order; an empty cell is "".

    Plain or packed, or Parquet, where lists are joined by bars. names: of the columns, where the file has no first
    line for them. quoted: whether a cell may stand in double quotes. Rows with another number of cells are left out
    and counted, with the lines that an open quote drew into them; cells of these columns that look as if one had are
    kept and remarked. Raises InputError (file) for a column that is not there, and for a file that is damaged or not
    UTF-8.
    """
    import pyarrow
    import pyarrow.csv

    header = header_of(path, delimiter=delimiter) if names is None else list(names)
    missing = [name for name in columns if name not in header]
    if missing:
        found = ", ".join(name[:40] for name in header[:20]) + (", ..." if len(header) > 20 else "")
        other = next((mark for mark in ";\t,|" if len(header) == 1 and mark != delimiter and mark in header[0]), None)
        hint = "" if other is None else f"; cells seem to stand between {other!r}, where {delimiter!r} is needed"
        raise InputError(f"no column {', '.join(missing)}; the first line has: {found}{hint}", path=path, line=1)
    if packing_of(path) == "parquet":
        yield from _parquet_batches(path, columns, rejected)
        return

    def count(row: Any) -> str:
        where = path.name if row.number is None else f"{path.name} row {row.number}"  # blank lines are no rows
        rejected.add("wrong number of cells", f"{where} ({row.actual_columns}, not {row.expected_columns})")
        if inside := row.text.count("\n"):
            rejected.add_many(_OPEN, inside, [where])
        return "skip"

    try:
        with (
            _open(path) as stream,
            pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(
                    block_size=block,
                    column_names=header,
                    skip_rows=1 if names is None else 0,
                    use_threads=False,  # with several, rows have no numbers; a stream is no slower so
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if quoted else False,
                    newlines_in_values=quoted,
                    invalid_row_handler=count,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pyarrow.string()),
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            ) as reader,
        ):
            for batch in reader:
                if quoted:
                    _look_for_open_quotes(batch, len(header), delimiter, path, rejected)
                yield batch
    except pyarrow.ArrowInvalid as error:
        if str(error).startswith("Empty CSV file"):  # a header and nothing else
            return
        if "straddling" in str(error):
            raise InputError(
                f"a row is longer than {block >> 20} MB; most likely a quote is not closed, or the file is no table of "
                f"cells with {delimiter!r} between them",
                path=path,
            ) from error
        raise _damaged(path, error) from error
    except (OSError, *DAMAGE) as error:
        raise _damaged(path, error) from error


def _look_for_open_quotes(batch: Any, width: int, delimiter: str, path: Path, rejected: Rejections) -> None:
    """Remark cells that seem to hold lines of the table, drawn in by a quote that is closed in a later line only.

    A description may hold line ends, delimiters and quotes too, so such rows are kept. Remarked are cells with as many
    delimiters as a row, and either a quote (the one that should have closed another cell) or a whole line that is as
    wide.
    """
    import pyarrow.compute as pc

    for column in batch.columns:
        for row in pc.indices_nonzero(pc.match_substring(column, "\n")).to_pylist():
            cell = column[row].as_py()
            whole = any(line.count(delimiter) == width - 1 for line in cell.split("\n")[1:-1])
            if cell.count(delimiter) >= width - 1 and (whole or '"' in cell):
                rejected.remark(_ODD, where=f"{path.name}: {cell[:40]!r}")


def _open(path: Path) -> Any:
    import pyarrow

    packing = packing_of(path)
    if packing == "xz":  # the one that Arrow does not unpack
        return lzma.open(path)
    if packing == "gzip":
        return pyarrow.input_stream(str(path), compression="gzip")
    return pyarrow.input_stream(str(path), compression=None if path.suffix in (".gz", ".xz") else "detect")


def _parquet(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise _damaged(path, error) from error


def _parquet_batches(path: Path, columns: Sequence[str], rejected: Rejections) -> Iterator[Any]:
    import pyarrow
    import pyarrow.compute as pc

    def text(column: Any) -> Any:
        if pyarrow.types.is_list(column.type) or pyarrow.types.is_large_list(column.type):
            whole = column.cast(pyarrow.list_(pyarrow.string())).to_pylist()
            for item in (item for items in whole for item in items or () if item and "|" in item):
                rejected.remark("list item with a bar, read as several", where=f"{path.name}: {item[:40]}")
            return pyarrow.array(["|".join(filter(None, items or ())) for items in whole], pyarrow.string())
        return pc.fill_null(column.cast(pyarrow.string()), "")

    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=ROWS, columns=list(columns)):
                yield pyarrow.RecordBatch.from_arrays([text(batch[name]) for name in columns], names=list(columns))
        except (OSError, pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"cannot be read ({reason}); fetch or write it again, as UTF-8", path=path)
