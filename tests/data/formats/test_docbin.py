"""spaCy's DocBin: files of spaCy's own hand, of our component, and those that are none."""

from __future__ import annotations

import gc
import zlib

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span, SpanGroup

from kogner.data.formats import docbin
from kogner.data.formats.registry import FORMATS, of_input
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Link, Mention, Passage
from kogner.spacy_docs import OVERLAPS, entities_of, set_entities

NLP = spacy.blank("en")


def _back(path, documents):
    report = Report()
    docbin.write(path, documents, report=report)
    return list(docbin.read(path, report=report)), report


def test_what_spacy_reads(tmp_path):
    text = "IL-2mediated fever of rats"
    mentions = (
        Mention(0, 4, "gene", "IL-2", ("NCBIGene:1", "a|b"), score=0.5),
        Mention(0, 18, "disease", "IL-2mediated fever"),
        Mention(12, 18, "symptom", " fever", entity="MESH:D5"),
    )  # fmt: skip
    given = Document(
        "x/1", text, mentions, frozenset(["gene", "rat"]), passages=(Passage(0, 26, (("type", "title"),)),)
    )
    (back,), report = _back(tmp_path / "a.spacy", [given])
    assert back == given and report.noted == {OVERLAPS: 1}
    assert of_input(tmp_path / "a.spacy").name == "docbin"
    (doc,) = DocBin().from_disk(tmp_path / "a.spacy").get_docs(NLP.vocab)
    assert doc.text == text and [(one.text, one.label_, one.kb_id_) for one in doc.ents] == [
        ("IL-2", "gene", "NCBIGene:1|a|b"), (" fever", "symptom", "MESH:D5")
    ]  # fmt: skip
    assert [(one.text, one.label_) for one in doc.spans["kogner"]] == [(one.text, one.type) for one in mentions]
    assert [(one.text, one.label_) for one in doc.spans["passages"]] == [(text, "title")]


def test_a_file_of_spacys_own(tmp_path):
    doc = NLP("Fever of  Wistar rats")
    doc.ents = [Span(doc, 0, 1, label="Disease", kb_id="D1|D2"), Span(doc, 3, 5, label="Species")]
    doc.spans["sc"] = [
        doc[0:1],
        Span(doc, 3, 4, label="Strain"),
        Span(doc, 0, 1, label="Disease"),
        Span(doc, 2, 3, label="X"),
    ]
    doc.user_data["secret"] = "x"
    other = Doc(NLP.vocab, words=["a", "b"])
    bare = Doc(NLP.vocab, words=["no", "blanks"], spaces=None)
    path = tmp_path / "own.spacy"
    path.write_bytes(DocBin(store_user_data=True, docs=[doc, other, bare]).to_bytes())
    report = Report()
    first, second, _ = docbin.read(path, report=report)
    assert (first.id, first.text, second.text) == ("own:1", doc.text, "a b ")
    assert [(one.text, one.type, one.ids) for one in first.mentions] == [
        ("Fever", "Disease", ("D1", "D2")), ("Wistar", "Strain", ()), ("Wistar rats", "Species", ()),
    ]  # fmt: skip
    assert report.skipped == {docbin.NO_LABEL: 1, docbin.EMPTY_SPAN: 1}


def test_a_file_of_our_component_keeps_exact_characters(tmp_path):
    doc = NLP("IL2mediated fever")
    found = [Mention(0, 3, "gene", "IL2", score=0.9), Mention(12, 17, "disease", "fever", score=0.8)]
    set_entities(doc, found, report=Report())
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    (back,) = docbin.read(tmp_path / "a.spacy", report=Report())
    assert list(back.mentions) == found


def test_half_a_character_is_written_as_a_sign(tmp_path):
    half = Document("\ud83d", "a \ud83d b", (Mention(0, 3, "\udc00", "a \ud83d", ("\ud800",)),))
    (back,), report = _back(tmp_path / "a.spacy", [half])
    assert back.text == "a \ufffd b" and back.mentions[0].key == (0, 3, "\ufffd") and report.noted[docbin.NO_TEXT] == 4


def _message(docs):
    return srsly.msgpack_loads(zlib.decompress(DocBin(docs=docs).to_bytes()))


def _written(path, message):
    path.write_bytes(zlib.compress(srsly.msgpack_dumps(message)))
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": b"\xff\xff\xff\x7f"}, {"lengths": b"\xff\xff\xff\xff"}, {"lengths": b"\x03"},
        {"tokens": b"1234567"}, {"tokens": b"\x01" * 800}, {"tokens": None}, {"spaces": b""}, {"strings": [1]},
        {"strings": []}, {"attrs": []}, {"attrs": [65, 65]}, {"attrs": ["x"]}, {"flags": []}, {"flags": [1]},
        {"span_groups": [b"\xc1"]}, {"span_groups": []}, {"span_groups": [[[[]]]]}, {"cats": None},
        {"user_data": [b"\x80\x04."]},
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(change, tmp_path):
    collects = gc.isenabled()
    path = _written(tmp_path / "a.spacy", _message([NLP("Fever of rats")]) | change)
    harmless = change.keys() & {"cats", "user_data"}
    try:
        found = list(docbin.read(path, report=Report()))
        assert harmless and found[0].text == "Fever of rats"
    except InputError as error:
        assert not harmless, error
    assert gc.isenabled() == collects


@pytest.mark.parametrize("place", [(0, 4), (-1, 1), (3, 1), (2**31 - 1, 2**31 - 1)])
def test_spans_outside_a_document(place, tmp_path):
    import struct

    doc = NLP("Fever of rats")
    doc.spans["x"] = [Span(doc, 0, 1, label="Disease")]
    group = {"name": "x", "attrs": {}, "spans": [struct.pack(">QQQllll", 0, 0, 0, *place, 0, 999)]}
    message = _message([doc]) | {"span_groups": [srsly.msgpack_dumps({srsly.msgpack_dumps(group): ["x"]})]}
    with pytest.raises(InputError, match="document 1 is damaged"):
        list(docbin.read(_written(tmp_path / "a.spacy", message), report=Report()))


def test_what_is_none_and_what_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"\x78\x9cno")
    with pytest.raises(InputError, match="no DocBin"):
        list(docbin.read(tmp_path / "a", report=Report()))
    FORMATS["docbin"].write(tmp_path / "b", [], report=Report())
    with pytest.raises(InputError, match="no document"):
        list(docbin.read(tmp_path / "b", report=Report()))
    (tmp_path / "c").write_bytes(zlib.compress(b"\x90" * 3_000_000))
    monkeypatch.setattr(docbin, "MOST_BYTES", 2_000_000)
    with pytest.raises(InputError, match="more than 2,000,000 bytes"):
        list(docbin.read(tmp_path / "c", report=Report()))


def test_an_entity_that_is_among_the_ids_stays_one(tmp_path):
    link = Link("D1", 0.97)
    given = [
        Mention(0, 5, "x", "Fever", ("D1",), "D1", links=(link,)), Mention(6, 8, "x", "in", ("D1",)),
        Mention(9, 15, "x", "Wistar", ("D1", "D2"), "D1"), Mention(16, 20, "x", "rats", (), "D1"),
        Mention(20, 21, "x", ".", ("D1", "D2"), "D1|D2"),
    ]  # fmt: skip
    (back,), _ = _back(tmp_path / "a.spacy", [Document("1", "Fever in Wistar rats.", tuple(given))])
    assert list(back.mentions) == given


def test_an_id_that_another_component_sets_counts_and_older_files_are_read():
    doc = NLP("Fever in rats")
    set_entities(doc, [Mention(0, 5, "x", "Fever", ("D1",), "D1")], report=Report())
    group = doc.spans["kogner"]
    (span,) = group
    span.kb_id_ = "D9"
    group.attrs["entities"] = ["D1"]
    doc.spans["kogner"] = SpanGroup(doc, name="kogner", spans=[span], attrs=dict(group.attrs))
    assert entities_of(doc.spans["kogner"])[0].entity == "D9"
    older = {key: value for key, value in group.attrs.items() if key != "entities"}
    doc.spans["kogner"] = SpanGroup(doc, name="kogner", spans=[span], attrs=older)
    assert entities_of(doc.spans["kogner"])[0].entity == "D9"
    span.kb_id_ = "D1"
    doc.spans["kogner"] = SpanGroup(doc, name="kogner", spans=[span], attrs=older)
    assert entities_of(doc.spans["kogner"])[0].entity is None
