"""Tables with quotes: cells over several lines are kept, lines that an open quote swallows are counted."""

from __future__ import annotations

import pytest

from kogner.errors import InputError
from kogner.graph.readers.tables import batches
from kogner.graph.rejections import Rejections

HEAD = "id,name,note\n"


def read(path, text, **options):
    path.write_text(HEAD + text)
    rejected = Rejections()
    rows = [row for batch in batches(path, ("id", "name", "note"), rejected, **options) for row in batch.to_pylist()]
    return [(row["id"], row["name"], row["note"]) for row in rows], rejected


def test_a_cell_may_hold_line_ends_delimiters_and_quotes(tmp_path):
    rows, rejected = read(tmp_path / "t.csv", '1,one,"two lines,\nhere"\n2,"so ""called""",b\n')
    assert rows == [("1", "one", "two lines,\nhere"), ("2", 'so "called"', "b")]
    assert not rejected.as_dict()


@pytest.mark.parametrize(
    "text",
    [
        '1,"open,a\n2,"quoted",b\n3,three,c\n',  # the next line's quote closes it
        '1,"open,a\n2,two,b\n2,5" pipe,b\n3,three,c\n',  # a whole line in between
        '1,one,"Also called ""A"",\nused in x, y and z."\n3,three,c\n',  # a description that looks like it
    ],
)
def test_cells_that_seem_to_hold_lines_are_kept_and_remarked(tmp_path, text):
    rows, rejected = read(tmp_path / "t.csv", text)
    assert [row[0] for row in rows] == ["1", "3"]
    (remark,) = rejected.remark_lines()
    assert "is a quote before it not closed? (first: t.csv: " in remark
    assert not rejected.as_dict()


def test_lines_in_a_row_that_an_open_quote_made_too_long_are_counted(tmp_path):
    rows, rejected = read(tmp_path / "t.csv", '1,"open,a\n2,two,b\n0,zero,"note"\n3,three,c\n')
    assert rows == [("3", "three", "c")]
    assert rejected.as_dict() == {"line inside a quote that is not closed": 2, "wrong number of cells": 1}


def test_a_quote_that_is_open_to_the_end_is_an_error(tmp_path):
    with pytest.raises(InputError, match="a quote is not closed"):
        read(tmp_path / "t.csv", '1,"open,a\n' + "2,two,b\n" * 400, block=1024)


def test_a_bar_inside_a_list_item_of_parquet_is_said(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"id": ["1"], "names": [["a", "b|c"]]}), tmp_path / "t.parquet")
    rejected = Rejections()
    (batch,) = batches(tmp_path / "t.parquet", ("id", "names"), rejected)
    assert batch.to_pylist() == [{"id": "1", "names": "a|b|c"}]
    assert rejected.remark_lines() == ["1 x list item with a bar, read as several (first: t.parquet: b|c)"]


def test_a_byte_order_mark_before_a_quoted_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('\ufeff"id","name","note"\n"1","one","a"\n\n"2","two"\n', encoding="utf-8")
    rejected = Rejections()
    rows = [row for batch in batches(path, ("id", "name"), rejected) for row in batch.to_pylist()]
    assert [(row["id"], row["name"]) for row in rows] == [("1", "one")]
    assert rejected.lines() == ["1 x wrong number of cells (first: t.csv row 3 (2, not 3))"]


def test_a_plain_file_may_be_called_gz(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_text("a,b\n1,2\n")
    assert [batch.to_pylist() for batch in batches(path, ["a", "b"], Rejections())] == [[{"a": "1", "b": "2"}]]


def test_another_separator_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1;2\n")
    with pytest.raises(InputError, match="cells seem to stand between ';', where ',' is needed"):
        list(batches(path, ["a", "b"], Rejections()))
