"""Files of other programs over HTTP: what is dropped on the page, and what is exported from it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from running import TEXTS, serving

from kogner.data.formats.registry import by_name
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.serve import file_process, file_worker, files
from kogner.serve.limits import Limits

ENTITY = {"start": 0, "end": 7, "type": "chemical", "score": 0.9, "text": "aspirin",
          "ids": [{"id": "C:1", "name": "Aspirin", "score": 0.97}]}  # fmt: skip
DOCUMENTS = [
    {"id": "1", "text": TEXTS[0], "entities": [ENTITY, {"start": 20, "end": 25, "type": "disease"}]},
    {"id": "2", "text": "no", "entities": []},
]


def post(client, data: bytes, name: str = "text"):
    return client.ask("POST", f"/v1/documents?name={name}", data, content_type="application/octet-stream")


def export(client, form: str, documents=DOCUMENTS):
    body = json.dumps({"format": form, "documents": documents}).encode()
    return client.ask("POST", "/v1/export", body, content_type="application/json")


def test_a_plain_text(client):
    answer = post(client, "Fever 🤒 caused by\r\naspirin.".encode(), "note.txt")
    assert answer.json == {
        "format": "text", "notes": [], "next": None,
        "documents": [{"id": "note.txt", "text": "Fever 🤒 caused by\r\naspirin.", "passages": []}],
    }  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "pubtator", "bioc-xml", "bioc-json"])
def test_what_is_exported_is_read_again(client, tmp_path, form):
    answer = export(client, form)
    assert answer.status == 200, answer.body
    file = tmp_path / answer.headers["content-disposition"].partition('"')[2].strip('"')
    file.write_bytes(answer.body)
    read = list(by_name(form).read(file, report=Report()))
    assert [(one.id, one.text) for one in read] == [(one["id"], one["text"]) for one in DOCUMENTS]
    assert [(one.start, one.end, one.type) for one in read[0].mentions] == [(0, 7, "chemical"), (20, 25, "disease")]
    assert "C:1" in {read[0].mentions[0].entity, *read[0].mentions[0].ids}
    assert ("score not kept" in answer.headers.get("x-not-kept", "")) == (form == "pubtator")
    again = post(client, answer.body, file.name).json
    assert again["format"] == form
    assert [one["text"] for one in again["documents"]] == [one["text"] for one in DOCUMENTS]


def test_a_table(client):
    answer = export(client, "csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert rows[0] == {"document": "1", "start": "0", "end": "7", "text": "aspirin", "type": "chemical", "score": "0.9",
                       "entity_id": "C:1", "entity_name": "Aspirin", "entity_score": "0.97"}  # fmt: skip
    assert [row["text"] for row in rows] == ["aspirin", "fever"]
    read = post(client, b"id,text\n7,aspirin\n,no\n", "notes.csv").json
    assert [(one["id"], one["text"]) for one in read["documents"]] == [("7", "aspirin"), ("notes:2", "no")]


@pytest.mark.parametrize("form", ["jsonl", "pubtator", "bioc-xml", "bioc-json"])
def test_passages_and_all_ids_come_through(client, tmp_path, form):
    text = "Two cancers. We saw breast and ovarian cancer."
    ids = [{"id": "MESH:D1", "name": "a", "score": 0.9}, {"id": "MESH:D2", "name": "b", "score": 0.9},
           {"id": "MESH:D3", "name": "c", "score": 0.6}]  # fmt: skip
    entity = {"start": 20, "end": 45, "type": "disease", "score": 0.9, "ids": ids, "together": 2}
    passages = [
        {"start": 0, "end": 12, "infons": {"type": "title"}},
        {"start": 13, "end": 46, "infons": {"type": "abstract"}},
    ]
    answer = export(client, form, [{"id": "1", "text": text, "entities": [entity], "passages": passages}])
    file = tmp_path / answer.headers["content-disposition"].partition('"')[2].strip('"')
    file.write_bytes(answer.body)
    (read,) = by_name(form).read(file, report=Report())
    assert read.mentions[0].ids == ("MESH:D1", "MESH:D2")
    assert [(one.start, one.end) for one in read.passages] == [(0, 12), (13, 46)]
    assert post(client, answer.body, file.name).json["documents"][0]["passages"] == passages


def test_passages_outside_their_text(client):
    document = {"id": "1", "text": "abc", "entities": [], "passages": [{"start": 1, "end": 9}]}
    answer = export(client, "bioc-xml", [document])
    assert answer.status == 400 and "no part of a text of 3 characters" in answer.json["error"]["message"]


def test_annotated_as_it_came_is_exported(linked):
    found = linked.annotate(text=TEXTS[0], threshold=0.02, explain=True).json["documents"]
    documents = [one | {"text": TEXTS[0]} for one in found]
    assert export(linked, "bioc-json", documents).status == 200


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (gzip.compress(b"aspirin", mtime=0), "a.txt.gz", "packed"),
        (b"PK\x03\x04...", "a.zip", "packed"),
        (b"%PDF-1.4\n", "a.pdf", "PDF"),
        (b"PAR1....", "a.parquet", "not read here"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><collection/>', "a.xml", "entities of its own"),
        (b"", "a.txt", "empty"),
        (b"\xff\xfeabc", "a.txt", "UTF-16"),
        (b"<collection><document>", "../../etc/a.xml", "a.xml"),
    ],
)
def test_what_is_not_read_is_said_without_where_it_lay(client, data, name, said):
    answer = post(client, data, name)
    assert answer.status == 400
    assert said in answer.json["error"]["message"]
    assert "/tmp" not in answer.body.decode() and "kogner-" not in answer.body.decode()


def test_a_file_of_too_many_documents(annotator):
    with serving(annotator, Limits(documents=2, characters=10)) as client:
        long = post(client, b"a" * 11)
        assert (long.status, long.reason) == (413, "too_many_characters")
        lines = [b'{"id": "%d", "text": "a"}\n' % number for number in range(3)]
        assert len(post(client, b"".join(lines[:2]), "a.jsonl").json["documents"]) == 2
        answer = post(client, b"".join(lines), "a.jsonl")
        assert (answer.status, answer.reason) == (413, "too_many_documents")


def test_a_file_in_parts(annotator):
    lines = b"".join(b'{"id": "%d", "text": "a"}\n' % number for number in range(5)) + b"[]\n"
    with serving(annotator, Limits(documents=2)) as client:
        parts = [post(client, lines, f"a.jsonl&first={first}").json for first in (0, 2)]
        assert [[one["id"] for one in part["documents"]] for part in parts] == [["0", "1"], ["2", "3"]]
        assert [part["next"] for part in parts] == [2, 4]
        wrong = post(client, lines, "a.jsonl&first=4")
        assert wrong.status == 400 and "a.jsonl:6" in wrong.json["error"]["message"]
        rest = post(client, lines[:-3], "a.jsonl&first=4").json
        assert [one["id"] for one in rest["documents"]] == ["4"] and rest["next"] is None
        assert post(client, lines[:-3], "a.jsonl&first=5").json["documents"] == []
        assert post(client, lines, "a.jsonl&first=-1").status == 422


def test_what_is_wrong_may_be_long_and_the_next_is_answered(annotator):
    with serving(annotator) as client:
        long = "k" * 1_500_000
        wrong = client.ask("POST", "/v1/export", json.dumps({"format": "csv", "documents": [], long: 1}).encode(),
                           content_type="application/json")  # fmt: skip
        assert wrong.status == 422 and len(wrong.body) < 10_000
        block = f"{'1' * 1_500_000}|t|a\n"
        wrong = post(client, (block + block).encode(), "a.pubtator")
        assert wrong.status in (400, 413) and len(wrong.body) < 10_000
        assert post(client, b"abc", "a.txt").status == 200


def test_a_defect_in_between_leaves_no_answer_behind(annotator, monkeypatch):
    async def defect(*_):
        raise RuntimeError("defect")

    with serving(annotator) as client:
        assert post(client, b"abc", "a.txt").status == 200
        with monkeypatch.context() as patch:
            patch.setattr(file_process, "_exchange", defect)
            assert post(client, b"def", "a.txt").status == 500
        assert client.service.files._process is None
        assert post(client, b"ghi", "a.txt").json["documents"][0]["text"] == "ghi"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"id": "1", "text": "a\\ud800"}\n', "a.jsonl"),
        (b'{"id": "\\ud800", "text": "a"}\n', "a.jsonl"),
        (b'{"documents": [{"id": "1", "passages": [{"offset": 0, "text": "\\ud800"}]}]}', "a.json"),
    ],
)
def test_half_a_surrogate_pair_is_no_text(data, name):
    with pytest.raises(InputError):
        files.read(data, name, Limits())


INFON = '{{"documents": [{{"id": "1", "passages": [{{"offset": 0, "text": "a", "infons": {{{}}}}}]}}]}}'


@pytest.mark.parametrize(
    ("data", "name", "status"),
    [
        (r'{"text": "a", "\ud800": 1}', "a.jsonl", 200),  # it is in a note
        (r'{"text": "a", "passages": [{"start": 0, "end": 1, "infons": {"a": "\ud800"}}]}', "a.jsonl", 400),
        (r'{"id": "\ud800", "text": "a", "types": "b"}', "a.jsonl", 400),  # it is in the message
        (f'{{"text": "a", "mentions": [{{"start": 0, "end": 1, "type": "x", "score": {10**400}}}]}}', "a.jsonl", 400),
        (INFON.format(r'"type": "\ud800"'), "a.json", 400),
        (INFON.format(r'"\ud800": "x"'), "a.json", 400),
        (INFON.format('"x": "y"')[:-5] + r'"annotations": [{"infons": {"type": "t", "\ud800": "x"}, '
         '"locations": [{"offset": 0, "length": 1}], "text": "a"}]}]}]}', "a.json", 400),
    ],
)  # fmt: skip
def test_half_a_pair_anywhere_in_a_file_is_no_defect(client, data, name, status):
    answer = post(client, data.encode(), name)
    assert answer.status == status, answer.body
    answer.body.decode()


def test_names_and_ids_that_are_long():
    read = files.read(b"abc", "\u4e2d" * 100 + ".txt", Limits())
    assert read.form == "text" and read.documents[0].id.endswith("\u4e2d.txt")
    line = json.dumps({"id": "i" * 2000, "text": "a"}).encode()
    read = files.read(line, "a.jsonl", Limits())
    assert read.documents[0].id == "i" * 1000 and read.notes == ["1 x ids of more than 1,000 characters cut"]


def test_attributes_that_grow_are_refused():
    data = (
        b'<!DOCTYPE collection [<!ATTLIST p x CDATA "y">]><collection><document><id>1</id><p/></document></collection>'
    )
    with pytest.raises(InputError, match="or attributes"):
        files.read(data, "a.xml", Limits())
    assert files.read(b"An <!ENTITY is no harm in a plain text", "a.txt", Limits()).form == "text"


def fakes(monkeypatch, code: str) -> None:
    """Have the process that reads files run something else."""
    monkeypatch.setattr(file_process, "_RUN", code)


READY = (
    "import os, sys, time; path = {path!r}; sys.stdin.readline(); print('ready', flush=True); sys.stdin.readline(); "
)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (READY + "time.sleep(600)", 503, "timeout"),
        (READY + "os._exit(1)", 413, "too_much_memory"),
        ("pass", 500, "internal_error"),
    ],
)
def test_a_process_that_hangs_or_ends_is_replaced(annotator, monkeypatch, code, status, reason):
    with serving(annotator, Limits(timeout=0.5)) as client:
        with monkeypatch.context() as patch:
            fakes(patch, code)
            answer = post(client, b"abc", "a.txt")
            assert (answer.status, answer.reason) == (status, reason)
            assert client.service.files.open == 0 and client.service.files._process is None
        client.service.files._limits = Limits()
        assert post(client, b"abc", "a.txt").status == 200


def test_no_more_than_some_wait_for_files_and_an_end_answers_them(annotator, monkeypatch):
    fakes(monkeypatch, READY + "time.sleep(600)")
    with serving(annotator) as client, ThreadPoolExecutor(file_process.MOST_OPEN) as pool:
        waiting = [pool.submit(post, client, b"abc") for _ in range(file_process.MOST_OPEN)]
        until = time.monotonic() + 20
        while client.service.open_requests < file_process.MOST_OPEN:
            assert time.monotonic() < until
            time.sleep(0.01)
        refused = post(client, b"abc")
        assert (refused.status, refused.reason, refused.headers["retry-after"]) == (429, "busy", "1")
        assert client.get("/healthz").status == 200
        client.server._grace = 0.1
        client.server.should_exit = True
        assert {(one.result(20).status, one.result().reason) for one in waiting} == {(503, "stopping")}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded there")
def test_memory_of_the_process_is_bounded(monkeypatch):
    """Its answer where memory ends; the bound itself is set before a request is read."""

    def greedy(*_, **__):
        raise MemoryError

    monkeypatch.setattr(files, "read", greedy)
    said, data = file_worker._answered({"what": "read", "name": "a"}, b"", Limits())
    assert said["refused"]["status"] == 413 and data == b""
    code = "from kogner.serve import file_worker as one; one._bound_memory(1 << 28); bytearray(1 << 29)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


@pytest.mark.parametrize("span", [(5, 5), (7, 3), (0, 1000)])
def test_an_entity_that_does_not_lie_in_its_text(client, span):
    entity = {"start": span[0], "end": span[1], "type": "x"}
    answer = export(client, "csv", [{"id": "1", "text": "aspirin", "entities": [entity]}])
    assert answer.status == 400
