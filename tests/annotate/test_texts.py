from __future__ import annotations

import gzip
import io
import sys
import threading
from types import SimpleNamespace

import pytest

from kogner.annotate.texts import read_texts, unhurried
from kogner.errors import InputError
from kogner.records import Document

OBJECT_PER_LINE = r'is JSON, but not in lines; give one object \{"id", "text"\} per line \(.jsonl\)'


def read(folder, name: str, content: str):
    file = folder / name
    file.write_text(content, encoding="utf-8", newline="")
    return list(read_texts(str(file)))


@pytest.mark.parametrize("content", ["[see below] aspirin", "{aspirin}", "[1] aspirin\n[2] fever", "1", '"a"'])
def test_text_that_begins_like_json_is_text(tmp_path, content):
    (document,) = read(tmp_path, "note.txt", content)
    assert (document.id, document.text) == ("note.txt", content)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
def test_one_line_of_json_is_one_document_whatever_the_name(tmp_path, name):
    (document,) = read(tmp_path, name, '{"id": "7", "text": "aspirin"}\n')
    assert (document.id, document.text) == ("7", "aspirin")


@pytest.mark.parametrize("content", ['[{"id": "1", "text": "a"}]', '\n{\n "text": "a"\n}\n', "[]"])
@pytest.mark.parametrize("name", ["a.json", "a.txt"])
def test_json_that_is_not_in_lines_is_no_prose(tmp_path, name, content):
    with pytest.raises(InputError, match=OBJECT_PER_LINE):
        read(tmp_path, name, content)


@pytest.mark.parametrize("lines", ['{"body": "a"}', '{"body": "a", "n": 1}\n\n{"body": "b"}\n'])
@pytest.mark.parametrize("name", ["a.json", "a.txt", "a", "stdin"])
def test_lines_of_json_without_a_text_are_no_prose(tmp_path, name, lines):
    with pytest.raises(InputError, match=r"JSON lines without `text`: the first has the keys body.*jsonl:TEXT"):
        read(tmp_path, name, lines)


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonlines", "a.jsonl.gz"])
def test_lines_are_told_by_their_ending(tmp_path, name):
    content = b'{"body": "a"}\n{"id": "2", "text": "fever"}\n'
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(InputError, match="has the keys body; each line must be an object"):
        list(read_texts(str(tmp_path / name)))


def test_a_format_that_is_named_is_what_is_read(tmp_path):
    (tmp_path / "a.txt").write_text('{"text": "fever"}\n', encoding="utf-8")
    for form, text in ((None, "fever"), ("jsonl", "fever"), ("text", '{"text": "fever"}\n')):
        assert [one.text for one in read_texts(str(tmp_path / "a.txt"), form=form)] == [text]


@pytest.mark.parametrize("content", ["prose", "[" * 100_000, '{"text": '])
def test_a_json_file_is_never_prose(tmp_path, content):
    with pytest.raises(InputError, match=OBJECT_PER_LINE):
        read(tmp_path, "a.json", content)


def test_a_compressed_json_file_neither(tmp_path):
    file = tmp_path / "a.json.gz"
    file.write_bytes(gzip.compress(b'{\n"text": "a"}', mtime=0))
    with pytest.raises(InputError, match=OBJECT_PER_LINE):
        list(read_texts(str(file)))


@pytest.mark.parametrize("name", ["notes.json.txt", "v1.jsonl.notes.txt"])
def test_only_the_last_ending_says_what_is_in_a_file(tmp_path, name):
    assert read(tmp_path, name, "Aspirin lowers fever.")[0].text == "Aspirin lowers fever."


class Stream(io.BytesIO):
    """Standard input that says how far it was read."""

    lines = 0

    def __next__(self):
        self.lines += 1
        return super().__next__()


def test_standard_input_is_read_as_it_comes(monkeypatch):
    stream = Stream(b"".join(b'{"id": "%d", "text": "aspirin"}\n' % number for number in range(1000)))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    documents = read_texts("-")
    assert [next(documents).id for _ in range(3)] == ["0", "1", "2"]
    assert stream.lines < 10
    assert len(list(documents)) == 997


@pytest.mark.parametrize("text", ["Aspirin\r\nlowers\nfever.", "\n\n {prose\n", "{\n"])
def test_prose_of_standard_input_is_one_document(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbf" + text.encode())))
    (document,) = read_texts("-")
    assert (document.id, document.text) == ("stdin", text)


def test_deep_brackets_are_text(tmp_path):
    text = "[" * 100_000
    assert read(tmp_path, "a.txt", text)[0].text == text


def test_unhurried_says_where_the_next_is_not_there_yet():
    given = threading.Event()

    def source():
        yield Document("a", "one")
        assert given.wait(10)
        yield Document("b", "two")
        raise InputError("broken")

    stream = unhurried(source())
    first = [next(stream), next(stream)]
    assert [None if d is None else d.id for d in first] == ["a", None]
    given.set()
    later = []
    with pytest.raises(InputError, match="broken"):
        later.extend(iter(lambda: next(stream), "never"))
    seen = []
    given.set()
    with pytest.raises(InputError, match="broken"):
        for document in unhurried(source()):
            seen.append(document)
    assert [d.id for d in seen if d is not None] == ["a", "b"]
