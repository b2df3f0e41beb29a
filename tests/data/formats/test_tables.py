"""Tables as programs write them: quotes between tabs, line ends in cells, names of columns, numbers as ids."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.data.formats import tables
from kogner.data.formats.columns import Columns
from kogner.data.report import Report
from kogner.errors import InputError

CELLS = st.text(st.sampled_from('a "\t\n,'), max_size=8)


def read(path, content, columns=None):
    path.write_bytes(content.encode())
    report = Report()
    found = tables.read_delimited(path, report=report, columns=columns)
    return [(one.id, one.text) for one in found], report


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('id\ttext\n1\t"The ""gold"" standard"\n2\tno\n', ['The "gold" standard', "no"]),
        ('id\ttext\r\n1\t"two\r\nlines"\r\n2\tno', ["two\r\nlines", "no"]),
        ('"text"\t"id"\n"a\tb"\t"1"\n', ["a\tb"]),
    ],
)
def test_quoted_cells_between_tabs(tmp_path, content, texts):
    found, report = read(tmp_path / "a.tsv", content)
    assert [text for _, text in found] == texts and not report.skipped
    assert report.noted[tables.QUOTED] and not report.noted[tables.RAW]


@pytest.mark.parametrize(
    ("content", "texts", "noted"),
    [
        ('id\ttext\n1\t"Gold" standards\n2\ta "b"\n', ['"Gold" standards', 'a "b"'], 1),
        ('id\ttext\n1\t"open\n2\tb\n3\tshut"\n', ['"open', "b", 'shut"'], 1),
        ('id\ttext\n1\t"open\n2\t"too\n3\tb', ['"open', '"too', "b"], 2),
    ],
)
def test_quotes_that_are_none_of_a_table_are_kept_and_noted(tmp_path, content, texts, noted):
    found, report = read(tmp_path / "a.tsv", content)
    assert [text for _, text in found] == texts and not report.skipped
    assert report.noted == {tables.RAW: noted}


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4), every=st.booleans(), tabs=st.booleans())
def test_what_pythons_csv_writes_is_read_as_it_was(rows, every, tabs, tmp_path_factory):
    """But for a cell that ends and one that begins with a quote in rows that are rows without quotes, too."""
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter="\t" if tabs else ",", quoting=quoting, lineterminator="\n")
    writer.writerow(("id", "text", "more"))
    for number, (text, more) in enumerate(rows):
        begin = out.tell()
        writer.writerow((str(number), text, more))
        lines = out.getvalue()[begin:].removesuffix("\n").split("\n")
        if tabs and len(lines) > 1 and all(len(line.split("\t")) == 3 for line in lines):
            return
    path = tmp_path_factory.mktemp("table") / ("a.tsv" if tabs else "a.csv")
    found, report = read(path, out.getvalue())
    assert found == [(str(number), text) for number, (text, _) in enumerate(rows) if text.strip()]
    assert report.skipped.total() == sum(not text.strip() for text, _ in rows)


def test_line_ends_in_cells_stay_as_they_are(tmp_path):
    found, _ = read(tmp_path / "a.csv", 'id,text\r\n1,"a\r\nb\nc"\r\n2,d\r\n')
    assert found == [("1", "a\r\nb\nc"), ("2", "d")]


def test_of_columns_that_differ_in_case_the_very_one_is_taken(tmp_path):
    content = "Text,text,id\nA,b,1\n"
    assert read(tmp_path / "a.csv", content)[0] == [("1", "b")]
    assert read(tmp_path / "a.csv", content, Columns("Text"))[0] == [("1", "A")]
    assert read(tmp_path / "a.csv", "TEXT,id\na,1\n")[0] == [("1", "a")]
    with pytest.raises(InputError, match="has 2 columns for 'text': Text, TEXT; say which"):
        read(tmp_path / "a.csv", "Text,TEXT,id\na,b,1\n")
    with pytest.raises(InputError, match="has 2 columns for 'text': text, text; give each its own name"):
        read(tmp_path / "a.csv", "text,text,id\na,b,1\n")


def parquet(path, columns, names):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(list(map(pyarrow.array, columns)), names), path)
    return path


def test_columns_of_parquet_with_one_name(tmp_path):
    several = parquet(tmp_path / "a.parquet", [["a"], ["b"]], ["text", "text"])
    with pytest.raises(InputError, match="has 2 columns for 'text'"):
        list(tables.read_parquet(several, report=Report()))
    others = parquet(tmp_path / "b.parquet", [["x"], ["A"], ["b"], ["y"]], ["n", "Text", "text", "n"])
    assert [one.text for one in tables.read_parquet(others, report=Report())] == ["b"]


def test_whole_numbers_of_parquet_with_a_point_are_ids_without(tmp_path):
    ids = [1.0, None, float("nan"), 2.5, 36_000_000.0]
    made = parquet(tmp_path / "a.parquet", [ids, list("abcde")], ["id", "text"])
    assert [one.id for one in tables.read_parquet(made, report=Report())] == ["1", "a:2", "a:3", "2.5", "36000000"]


def test_a_row_without_an_id_has_none_of_another(tmp_path):
    found, _ = read(tmp_path / "notes.csv", "id,text\n2,a\n,b\n")
    assert found == [("2", "a"), ("notes:2", "b")]


def test_bytes_of_parquet_are_read_as_utf8(tmp_path):
    made = parquet(tmp_path / "a.parquet", [[b"7", None], ["über".encode(), b"b"]], ["id", "text"])
    report = Report()
    found = [(one.id, one.text) for one in tables.read_parquet(made, report=report)]
    assert found == [("7", "über"), ("a:2", "b")] and not report.skipped


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([b"a", b"\xff"], r"a\.parquet: column 'text' is binary, and row 2 of it is not UTF-8"),
        ([1, 2], r"a\.parquet: column 'text' is of type int64, no text"),
        ([None, ["a"]], "column 'text' is of type list<"),
    ],
)
def test_a_column_of_parquet_without_texts_is_named(texts, says, tmp_path):
    made = parquet(tmp_path / "a.parquet", [texts], ["text"])
    with pytest.raises(InputError, match=says):
        list(tables.read_parquet(made, report=Report()))
