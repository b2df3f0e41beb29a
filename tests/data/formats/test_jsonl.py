import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.annotate import output
from kogner.annotate.texts import read_documents
from kogner.data.formats import jsonl
from kogner.data.formats.registry import of_input
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Link, Mention, Passage

anything = st.text(max_size=30)


@st.composite
def documents(draw):
    text = draw(st.text(min_size=1, max_size=60))
    mentions = []
    for start in draw(st.lists(st.integers(0, len(text) - 1), max_size=4)):
        end = draw(st.integers(start + 1, len(text)))
        score = draw(st.none() | st.floats(0, 1))
        ids = tuple(draw(st.lists(anything, max_size=2)))
        entity = draw(st.none() | anything)
        mentions.append(Mention(start, end, draw(anything), text[start:end], ids, entity, score))
    return Document(draw(anything), text, tuple(mentions), draw(st.frozensets(anything, max_size=3)))


@settings(max_examples=200, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=4, unique_by=lambda document: document.id))
def test_writing_and_reading_loses_nothing(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("jsonl") / "train.jsonl"
    jsonl.write(path, written)
    report = Report(strict=True)
    assert list(jsonl.read(path, report=report)) == written
    assert report.noted == {}


def test_lone_surrogates_and_line_separators_survive(tmp_path):
    document = Document("a\u2028b", "x\ud800 😀\u0301\r\n\x85 end")
    jsonl.write(tmp_path / "a.jsonl", [document, Document("c", "naïve")])
    assert next(jsonl.read(tmp_path / "a.jsonl", report=Report())) == document
    assert "naïve" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def read(tmp_path, *rows, strict=False):
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    report = Report(strict=strict)
    return list(jsonl.read(path, report=report)), report


def test_only_the_text_is_needed(tmp_path):
    found, report = read(tmp_path, {"text": "One."}, "", {"id": 9, "text": "Nine.", "source": "x"})
    assert found == [Document("notes:1", "One."), Document("9", "Nine.")]
    assert report.noted == {"unknown key 'source' ignored": 1}


def test_a_mention_without_text_takes_it_from_the_document(tmp_path):
    (found,), _ = read(tmp_path, {"text": "zinc rose", "mentions": [{"start": 0, "end": 4, "type": "chemical"}]})
    assert found.mentions == (Mention(0, 4, "chemical", "zinc"),)


@pytest.mark.parametrize(("start", "end", "text"), [(0, 4, "gold"), (5, 99, None), (5, 99, "rose")])
def test_a_mention_that_does_not_fit_is_skipped_and_counted(tmp_path, start, end, text):
    row = {"id": "d", "text": "zinc rose", "mentions": [{"start": start, "end": end, "type": "t", "text": text}]}
    (found,), report = read(tmp_path, row)
    assert found.mentions == ()
    assert report.skipped == {jsonl.TEXT_DIFFERS: 1}
    with pytest.raises(InputError, match=r"notes.jsonl:1 \(document d\)"):
        read(tmp_path, row, strict=True)


MENTION = '{"start": 0, "end": 1, "type": "t"'


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", ":2: not JSON"),
        ("[]", ":2: each line must be an object"),
        ('{"id": "1"}', r":2 \(document 1\): has the keys id; each line must be an object"),
        ('{"text": 3}', ":2: each line must be an object"),
        ('{"id": "d", "text": "abc", "mentions": [{"start": 0}]}', r":2 \(document d\): a mention needs"),
        ('{"text": "abc", "mentions": [{"start": "0", "end": 1, "type": "t"}]}', "whole numbers"),
        ('{"text": "abc", "mentions": [{"start": 2, "end": 1, "type": "t"}]}', r":2 .*half-open"),
        ('{"text": "abc", "mentions": [{"start": -1, "end": 1, "type": "t"}]}', r":2 .*half-open"),
        ('{"text": "abc", "mentions": 3}', ":2 "),
        ('{"text": "abc", "types": [3]}', ":2 "),
        ('{"text": "abc", "types": "gene"}', ":2 .*types must be a list, not str"),
        ('{"text": "abc", "passages": {"start": 0}}', ":2 .*passages must be a list, not dict"),
        (f'{{"text": "abc", "mentions": [{MENTION}, "ids": "MESH:D1"}}]}}', ":2 .*ids must be a list, not str"),
        (f'{{"text": "abc", "mentions": [{MENTION}, "score": 1{"0" * 400}}}]}}', ":2 .*too large"),
        (f'{{"text": "abc", "mentions": [{MENTION}, "score": NaN}}]}}', ":2 .*score nan is no finite number"),
    ],
)
def test_bad_lines_are_named(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, {"text": "fine"}, row)


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_is_to_be_given_in_lines(tmp_path, indent):
    text = json.dumps([{"id": "1", "text": "a"}, {"id": "2", "text": "b"}], indent=indent)
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=r"a line of its own, e\.g\. with: jq"):
            list(of_input(tmp_path / name).read(tmp_path / name, report=Report()))
    with pytest.raises(InputError, match=r"give one object \{\"id\", \"text\"\} per line"):
        list(read_documents(tmp_path / "a.json", None, report=Report()))


LINKED = Mention(0, 4, "chemical", "zinc", entity="X:1", score=0.5, links=(Link("X:1", 0.75, "zinc"), Link("X:2", 0.5)))


def test_what_is_said_of_links_is_noted_and_not_kept(tmp_path):
    (tmp_path / "found.jsonl").write_text(output.to_json(Document("1", "zinc", (LINKED,)), explain=True))
    report = Report()
    (document,) = jsonl.read(tmp_path / "found.jsonl", report=report)
    assert document.mentions == (replace(LINKED, links=()),)
    assert report.noted == {jsonl.EXPLAINED.format("links"): 1, jsonl.EXPLAINED.format("entity_score"): 1}


@pytest.mark.parametrize("infons", [(("type", "title"),), ()])
def test_a_passage_alone_is_written_where_something_is_said_of_it(tmp_path, infons):
    (tmp_path / "found.jsonl").write_text(output.to_json(Document("1", "zinc", passages=(Passage(0, 4, infons),))))
    (document,) = jsonl.read(tmp_path / "found.jsonl", report=Report())
    assert document.passages == ((Passage(0, 4, infons),) if infons else ())


def test_a_file_of_blank_lines_holds_no_document(tmp_path):
    with pytest.raises(InputError, match="no document"):
        read(tmp_path, "", "")
