"""Entities of a table's column of texts, as a table of the same kind: pandas, polars or Arrow, whichever is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.api import DEFAULT_MODEL, FoundEntity, KoGNER
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.progress import note
from kogner.records import Document

if TYPE_CHECKING:
    import pyarrow

ROW = "row"
COLUMNS = ("start", "end", "text", "type", "score", "entity_id", "entity_score", "entity_ids")
EMPTY = "row without text"
NULLS = ("nan", "NaN", "NaT", "<NA>")  # what pandas has for a cell without a value; a Decimal without one
_KINDS = ("pandas", "polars", "pyarrow")


def annotate_frame(
    frame: Any,
    *,
    text: str = "text",
    labels: Sequence[str],
    model: KoGNER | str | Path = DEFAULT_MODEL,
    keep: Sequence[str] = (),
    report: Report | None = None,
    **settings: Any,
) -> Any:
    """A row for each entity in the column `text` of a frame, in the order of its rows and of their texts.

    frame: a pandas or polars DataFrame, or an Arrow table; the result is of the same kind. Its columns: `keep`, columns
    of the frame that each entity gets of its row, then start, end (half-open code points), text, type, score,
    entity_id, entity_score and entity_ids, a list of all that it names. With pandas, rows have the index of the row
    they were found in, so that `frame.join(found)` works;
    with the others a first column `row` counts the rows of the frame from 0.
    labels: entity types to look for. model: a student, or where one is (`KoGNER.from_pretrained`). settings: fields of
    `kogner.annotate.predictor.Settings`, such as threshold or nested. report: where rows without a text are counted;
    without it they are told on standard error.
    Raises InputError for a column that is not there or holds other things than texts, for other kinds of frames, and
    as `KoGNER.predict` does.

    >>> annotate_frame(papers, text="abstract", labels=["disease"], keep=["pmid"])  # doctest: +SKIP
    """
    kind = _kind(frame)
    names = [str(name) for name in (frame.column_names if kind == "pyarrow" else frame.columns)]
    for name in [text, *keep]:
        if names.count(name) != 1:
            said = "has no" if name not in names else "has more than one"
            raise InputError(f"the frame {said} column {name!r}; its columns: {', '.join(names)[:200]}")
    doubled = sorted(set(keep) & {*COLUMNS, *((ROW,) if kind != "pandas" else ())})
    if doubled or len(set(keep)) < len(keep):
        raise InputError(f"keep={list(keep)} has a name twice, or one that the result needs; rename it in the frame")
    counted = Report() if report is None else report
    student = model if isinstance(model, KoGNER) else KoGNER.from_pretrained(model)
    rows: list[int] = []
    entities: list[FoundEntity] = []
    texts = frame[frame.columns[names.index(text)]] if kind == "pandas" else frame[text]  # whose names may be numbers
    for document in student.annotate(_documents(texts, counted), labels=labels, **settings):
        entities += map(FoundEntity.of, document.mentions)
        rows += [int(document.id)] * len(document.mentions)
    if report is None:
        for line in counted.lines():
            note(line)
    return _as(kind, frame, rows, _table(entities), list(keep))


def _kind(frame: Any) -> str:
    """Which library a frame is of, told without importing one."""
    if type(frame).__name__ == "LazyFrame":
        raise InputError("the frame is a LazyFrame; give frame.collect()")
    kind = type(frame).__module__.partition(".")[0]
    if kind not in _KINDS or type(frame).__name__ not in ("DataFrame", "Table"):
        raise InputError(f"frame must be a pandas or polars DataFrame or an Arrow table, not {type(frame).__name__}")
    return kind


def _documents(column: Any, report: Report) -> Iterator[Document]:
    """The texts of a column; ids are the numbers of their rows."""
    values = column.to_pylist() if hasattr(column, "to_pylist") else column
    for row, value in enumerate(values):
        if isinstance(value, str) and value.strip():
            yield Document(str(row), value)
        elif isinstance(value, str) or value is None or str(value) in NULLS:
            report.skip(EMPTY, f"row {row}", path=Path("frame"), line=None)
        else:
            raise InputError(f"row {row} holds no text but {type(value).__name__}: {str(value)[:40]!r}")


def _table(entities: Sequence[FoundEntity]) -> pyarrow.Table:
    import pyarrow

    types = (pyarrow.int64(), pyarrow.int64(), pyarrow.string(), pyarrow.string(), pyarrow.float64(),
             pyarrow.string(), pyarrow.float64(), pyarrow.list_(pyarrow.string()))  # fmt: skip
    cells = [[getattr(one, name) for one in entities] for name in COLUMNS]
    return pyarrow.table(
        {name: pyarrow.array(column, kind) for name, column, kind in zip(COLUMNS, cells, types, strict=True)}
    )


def _as(kind: str, frame: Any, rows: list[int], found: pyarrow.Table, keep: list[str]) -> Any:
    if kind == "pandas":
        import pandas

        table = found.to_pandas()
        table.index = frame.index.take(rows) if rows else frame.index[:0]
        if not keep:
            return table
        kept = frame.set_axis([str(name) for name in frame.columns], axis=1)[keep]
        return pandas.concat([kept.iloc[rows], table], axis=1)
    if kind == "polars":
        import polars

        table = polars.from_arrow(found)
        numbered = polars.DataFrame({ROW: rows}, schema={ROW: polars.Int64})
        return polars.concat(
            [numbered, frame.select(keep)[rows], table] if keep else [numbered, table], how="horizontal"
        )
    import pyarrow

    place = pyarrow.array(rows, pyarrow.int64())
    columns = {ROW: place} | {name: frame.column(name).take(place) for name in keep}
    return pyarrow.table(columns | {name: found.column(name) for name in COLUMNS})
