"""Node and edge tables: every good row arrives, every bad row is counted, every bad file is named."""

import gzip
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.errors import InputError
from kogner.graph.readers.tsv import read_entities, read_triples
from kogner.graph.rejections import Rejections
from kogner.records import Entity, Triple

HEADER = "id\ttype\tname\tsynonyms\txrefs\tdescription\n"
TEXT = HEADER + "A:1\tDrug\tone\tuno|eins\tB:1\tthe first\nA:2\tDrug\tzwölf\t\t\t\n"
WANTED = [Entity("A:1", "Drug", "one", ("uno", "eins"), ("B:1",), "the first"), Entity("A:2", "Drug", "zwölf")]


def entities(path):
    rejected = Rejections()
    return list(read_entities(path, rejected=rejected)), rejected


def write(tmp_path, data, name="nodes.tsv"):
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.rstrip("\n").encode(),
        gzip.compress(TEXT.encode(), mtime=0),
        lzma.compress(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()),
    ],
    ids=["plain", "crlf", "bom", "no last line end", "gzip", "xz bom crlf"],
)
def test_same_entities_from_every_form(tmp_path, data):
    found, rejected = entities(write(tmp_path, data))
    assert found == WANTED
    assert len(rejected) == 0


def test_columns_are_found_by_name(tmp_path):
    found, _ = entities(write(tmp_path, "extra\tname\tid\ttype\nx\tone\tA:1\tDrug\n"))
    assert found == [Entity("A:1", "Drug", "one")]


def test_triples(tmp_path):
    rejected = Rejections()
    path = write(tmp_path, "relation\ttail\thead\nis_a\tA:2\tA:1\n\tA:2\tA:1\nis_a\tA:2\n")
    assert list(read_triples(path, rejected=rejected)) == [Triple("A:1", "is_a", "A:2")]
    assert rejected.as_dict() == {"empty relation": 1, "wrong number of fields": 1}


def test_bad_rows_are_counted_with_their_lines(tmp_path):
    rows = [
        "A:1\tDrug\tone\t\t\t",
        "A:2\tDrug\tshort",
        "\tDrug\tno id\t\t\t",
        "A 3\tDrug\tblank in id\t\t\t",
        "A:1\tDrug\tagain\t\t\t",
        "A:4\t\tno type\t\t\t",
        "A:5\tDrug\t \t\t\t",
        "",
        "A:6\tDrug\tsix\t\t\t\textra",
    ]
    found, rejected = entities(write(tmp_path, HEADER + "\n".join(rows) + "\n"))
    assert [entity.id for entity in found] == ["A:1"]
    assert rejected.as_dict() == {
        "wrong number of fields": 2,
        "blank line": 1,
        "duplicate id": 1,
        "empty id": 1,
        "empty name": 1,
        "empty type": 1,
        "id with blanks": 1,
    }
    assert rejected.examples["wrong number of fields"] == ["nodes.tsv:3", "nodes.tsv:10"]
    assert rejected.lines()[0] == "2 x wrong number of fields (first: nodes.tsv:3, nodes.tsv:10)"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (HEADER.replace("\t", ",").encode(), "separated by commas"),
        (HEADER.replace("\t", ";").encode(), "separated by semicolons"),
        (b"id\ttype\tlabel\nA\tB\tC\n", "no column named name; the first line has: id, type, label; needed: id, type"),
        (b"id\ttype\tname\tid\nA\tB\tC\tD\n", "stands twice"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x7fELF\x00\x00\x00", "binary"),
        (TEXT.encode("utf-16"), "UTF-16"),
        (HEADER.encode() + b"A:1\tDrug\tna\xefve\t\t\t\n", r":2: is not UTF-8 text: byte 0xef"),
        (gzip.compress(TEXT.encode() * 50, mtime=0)[:-30], "gzip file is cut short"),
        (lzma.compress(TEXT.encode() * 50)[:-40], "xz file is cut short"),
    ],
)
def test_bad_files_are_named(tmp_path, data, says):
    path = write(tmp_path, data)
    with pytest.raises(InputError, match=says) as raised:
        entities(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_csv_with_another_delimiter_is_told_so(tmp_path, mark, word):
    says = rf"nodes\.csv:1: columns are separated by {word}; commas are needed \(or an ending \.tsv for tabs\)"
    with pytest.raises(InputError, match=says):
        entities(write(tmp_path, HEADER.replace("\t", mark), "nodes.csv"))
    with pytest.raises(InputError, match=says):
        entities(write(tmp_path, mark.join(('"id"', '"type"', '"name"')) + "\n", "nodes.csv"))
    with pytest.raises(InputError, match=says.replace("nodes", "edges")):
        list(read_triples(write(tmp_path, mark.join(("head", "relation", "tail")), "edges.csv"), rejected=Rejections()))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        entities(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        entities(tmp_path)


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="|"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=8))
def test_every_row_is_read_or_counted(tmp_path_factory, rows):
    text = "id\ttype\tname\n" + "".join("\t".join(row) + "\n" for row in rows)
    found, rejected = entities(write(tmp_path_factory.mktemp("rows"), text))
    assert len(found) + len(rejected) == len(rows)
    assert len({entity.id for entity in found}) == len(found)
