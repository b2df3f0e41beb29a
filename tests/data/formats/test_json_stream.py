import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.data.formats import bioc, bioc_writer, gliner, json_stream
from kogner.data.formats.json_stream import Value, values
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=[1, 7, 1 << 20])
def piece(request, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", request.param)


def read(path, text, **options):
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return list(values(path, **options))


@settings(max_examples=150, deadline=None)
@given(found=st.lists(anything, min_size=1, max_size=4), indent=st.sampled_from([None, 1]), size=st.integers(1, 40))
def test_any_values_in_an_array_or_behind_one_another(tmp_path_factory, found, indent, size):
    path = tmp_path_factory.mktemp("values") / "file.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", size)
        assert [one.value for one in read(path, json.dumps(found, indent=indent))] == found
        objects = [{"value": one} for one in found]  # an array behind another would be one more array of elements
        behind = "\n".join(json.dumps(one, indent=indent) for one in objects)
        assert [one.value for one in read(path, behind)] == objects


def test_elements_inside_come_one_by_one_before_their_object(tmp_path, piece):
    text = '\n{"source": "x",\n "documents": [{"id": 1},\n {"id": 2}], "key": 12}\n[{"documents": []}, 3]\n'
    assert read(tmp_path / "file", text, inside=("documents",)) == [
        Value(3, {"id": 1}, element=True),
        Value(4, {"id": 2}, element=True),
        Value(2, {"source": "x", "documents": [], "key": 12}),
        Value(5, {"documents": []}, number=1),
        Value(5, 3, number=2),
    ]


def test_bytes_that_are_cut_between_pieces(tmp_path, piece):
    text = '\ufeff{"a": "𝛼é\\ud83d\\ude00\\ud800", "b": [-1.5e3, true, Infinity]}'
    (one,) = read(tmp_path / "file", text)
    assert one.value == {"a": "𝛼é😀\ud800", "b": [-1500.0, True, float("inf")]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": 2,}', ":2: is not JSON"),
        ('{"a": 1}\n\n{"a": tru', ":3: is not JSON: Expecting value"),
        ('[{"a": 1},\n]', ":2: is not JSON: a value is needed behind the comma"),
        ('[{"a": 1}\n{"a": 2}]', ":2: is not JSON: ',' is needed"),
        ('[{"a": "cut off', "Unterminated string"),
        ("{1: 2}", "a name in quotes is needed"),
        ('{"documents": [1, 2', "is not JSON: ',' is needed"),
        ("[" * 100_000, "is not JSON"),
        ("9" * 5000, "is not JSON"),
        ("", "the file is empty"),
        (" \n ", "holds nothing but blanks"),
        (b'{"a": "\xe9t\xe9"}', "not UTF-8: byte 0xe9 at byte offset 7"),
        (b'["\xc3', "not UTF-8: byte 0xc3 at byte offset 2"),
        (b'\x00{"a": 1}', "binary file"),
        (gzip.compress(b'{"a": 1}' * 99, mtime=0)[:-9], "damaged"),
    ],
)
def test_what_is_no_json_says_where(tmp_path, piece, text, message):
    with pytest.raises(InputError) as error:
        read(tmp_path / "file.json", text, inside=("documents",))
    assert message in str(error.value)


def test_damage_is_found_at_once_and_not_after_all_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", 100)
    path = tmp_path / "file"
    path.write_text('{"a": nonsense} ' + '{"a": 1} ' * 10_000)
    reads = []
    more = json_stream._Text._more
    monkeypatch.setattr(json_stream._Text, "_more", lambda text: reads.append(1) or more(text))
    with pytest.raises(InputError):
        list(values(path))
    assert len(reads) <= 2


def test_a_value_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", 100)
    monkeypatch.setattr(json_stream, "LARGEST_VALUE", 1000)
    with pytest.raises(InputError, match="more than 1,000 characters"):
        read(tmp_path / "file", '["' + "x" * 5000 + '"]')


@pytest.mark.parametrize("form", ["bioc", "gliner array", "gliner lines"])
def test_a_long_file_is_never_held(tmp_path, form, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", 1 << 14)
    path = tmp_path / "file"
    documents = (Document(str(number), f"Fever {number} and rats. " * 40) for number in range(600))
    if form == "bioc":
        bioc_writer.write_json(path, documents, report=Report())
    else:
        lines = [gliner.line_of(one, Report(), path) for one in documents]
        path.write_text("[" + ",".join(lines) + "]" if form == "gliner array" else "\n".join(lines))
        del lines
    reader = bioc.read_json if form == "bioc" else gliner.read
    tracemalloc.start()
    count = sum(1 for _ in reader(path, report=Report()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600
    assert path.stat().st_size > 5e5 and peak < 2e5, (path.stat().st_size, peak)
