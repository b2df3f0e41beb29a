"""Files of other programs over HTTP: what is dropped on the page, and what is exported from it."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from running import TEXTS, serving

from kogner.data.formats.registry import by_name
from kogner.data.report import Report
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
        "format": "text", "documents": [{"id": "note.txt", "text": "Fever 🤒 caused by\r\naspirin."}], "notes": []
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
    assert read["documents"] == [{"id": "7", "text": "aspirin"}, {"id": "2", "text": "no"}]


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


@pytest.mark.parametrize("span", [(5, 5), (7, 3), (0, 1000)])
def test_an_entity_that_does_not_lie_in_its_text(client, span):
    entity = {"start": span[0], "end": span[1], "type": "x"}
    answer = export(client, "csv", [{"id": "1", "text": "aspirin", "entities": [entity]}])
    assert answer.status == 400
