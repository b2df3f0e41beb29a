import json

import pytest

from kogner.data.formats import genia
from kogner.data.report import Report
from kogner.errors import InputError


def read(tmp_path, *rows):
    path = tmp_path / "dev.jsonlines"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return list(genia.read(path, report=Report()))


def row(name, tokens, *spans):
    return {
        "sent_id": name,
        "tokens": tokens,
        "entity_mentions": [{"start": a, "end": b, "entity_type": kind} for a, b, kind in spans],
    }


def test_nested_half_open_token_spans_become_characters(tmp_path):
    one, two = read(
        tmp_path,
        row("m:0", ["human", "IL - 2", "gene"], (0, 3, "DNA"), (1, 2, "protein")),
        row("m:1", ["nothing"]),
    )
    assert one.text == "human IL - 2 gene"
    assert [(m.text, m.type) for m in one.mentions] == [("human IL - 2 gene", "DNA"), ("IL - 2", "protein")]
    assert (two.id, two.mentions) == ("m:1", ())


def test_sentences_of_one_document_are_known_by_their_ids(tmp_path):
    rows = [{**row(name, ["a"]), "doc_id": "MEDLINE:1"} for name in ("MEDLINE:1-0", "MEDLINE:1-12", "MEDLINE:12-3")]
    assert [one.id for one in read(tmp_path, *rows)] == ["MEDLINE:1#0", "MEDLINE:1#12", "MEDLINE:12-3"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"tokens": ["a"]', ":2: each line"),
        ('{"tokens": ["a"]}', "entity_mentions"),
        ("[1]", ":2: each line"),
        (row("x", ["a"], (0, 2, "DNA")), r":2 \(document x\): entity \[0, 2\)"),
    ],
)
def test_bad_lines_are_errors(tmp_path, bad, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, row("m:0", ["a"]), bad)
