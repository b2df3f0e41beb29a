"""BioC there and back: passages however they lie, blanks, scores; what is lost is counted, what is missing named."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kogner.data.formats import bioc, bioc_writer
from kogner.data.formats.registry import FORMATS
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention, Passage

BOTH = pytest.mark.parametrize("name", ["bioc-xml", "bioc-json"])
TITLE = (("type", "title"),)
TEXT = "Alpha beta gamma delta"


def there_and_back(name, document, folder):
    """The document as it is read again, and the report of its writing; reading has nothing to say."""
    written, read = Report(), Report()
    FORMATS[name].write(folder / "f", [document], report=written)
    (back,) = FORMATS[name].read(folder / "f", report=read)
    assert not read.skipped and not read.repaired and not read.noted, read.to_dict()
    assert not written.skipped and not written.repaired
    return back, written


def mentions(*places, text=TEXT):
    return tuple(Mention(start, end, "x", text[start:end]) for start, end in places)


SENTENCES = {
    "bioc-json": json.dumps({"infons": {"licence": "CC0"}, "documents": [{
        "id": "7", "infons": {"journal": "J", "year": 2020, "none": None}, "passages": [
            {"offset": 0, "infons": {"type": "title", "section": "A"}, "sentences": [
                {"offset": 0, "text": "Fever.", "infons": {"section": "B"}, "annotations": [
                    {"infons": {"type": "D", "class": "E", "valid": True, "score": "high", "MESH": "D1"},
                     "text": "Fever", "locations": [{"offset": 0, "length": 5}]}]},
                {"offset": 7, "text": "Pain.", "relations": [{}]}]},
            {"offset": 13, "text": "Cold.", "sentences": [{"offset": 13, "infons": {"n": "1"}, "text": "Cold."}]}]}]}),
    "bioc-xml": """<collection><infon key="licence">CC0</infon><document><id>7</id><infon key="journal">J</infon>
<infon key="year">2020</infon><infon key="none"/><passage><infon key="type">title</infon><infon key="section">A</infon>
<offset>0</offset><sentence><infon key="section">B</infon><offset>0</offset><text>Fever.</text><annotation>
<infon key="type">D</infon><infon key="class">E</infon><infon key="valid">True</infon><infon key="score">high</infon>
<infon key="MESH">D1</infon><location offset="0" length="5"/><text>Fever</text></annotation></sentence>
<sentence><offset>7</offset><text>Pain.</text><relation/></sentence></passage>
<passage><offset>13</offset><text>Cold.</text><sentence><infon key="n">1</infon><offset>13</offset><text>Cold.</text>
</sentence></passage></document></collection>""",
}  # fmt: skip


@BOTH
def test_sentences_have_the_infons_of_their_passage_and_others_are_counted(name, tmp_path):
    (tmp_path / "f").write_text(SENTENCES[name])
    report = Report()
    (document,) = FORMATS[name].read(tmp_path / "f", report=report)
    assert document.text == "Fever. Pain. Cold." and not report.skipped
    assert [dict(one.infons) for one in document.passages] == [
        {"type": "title", "section": "B"}, {"type": "title", "section": "A"}, {},
    ]  # fmt: skip
    assert [(m.text, m.type, m.ids, m.score) for m in document.mentions] == [("Fever", "D", ("MESH:D1",), None)]
    assert report.noted == {
        "infon 'licence' of a collection not kept": 1, "infon 'journal' of a document not kept": 1,
        "infon 'year' of a document not kept": 1, "infon 'n' of a sentence not kept": 1,
        "infon 'class' of an annotation not kept": 1, "infon 'valid' of an annotation not kept": 1,
        "infon 'score' of an annotation not kept": 1, bioc.RELATIONS: 1,
    }  # fmt: skip


@BOTH
@pytest.mark.parametrize("score", [0.9007199254740993, 1 / 3, 1.0, 5e-324])
def test_scores_stay_as_they_are(name, score, tmp_path):
    back, _ = there_and_back(name, Document("7", "Fever.", (Mention(0, 5, "x", "Fever", score=score),)), tmp_path)
    assert back.mentions[0].score == score


@BOTH
@pytest.mark.parametrize(
    ("passages", "kept", "noted"),
    [
        ((Passage(11, 16), Passage(0, 10, TITLE)), [(0, 10), (11, 16), (16, 22)], {bioc_writer.GAP: 1}),
        ((Passage(0, 22, TITLE), Passage(6, 10)), [(0, 22)], {bioc_writer.OVERLAPS: 1}),
        ((Passage(0, 5), Passage(0, 22, TITLE)), [(0, 22)], {bioc_writer.OVERLAPS: 1}),
        ((Passage(0, 12), Passage(6, 16), Passage(17, 22)), [(0, 12), (12, 17), (17, 22)],
         {bioc_writer.OVERLAPS: 1, bioc_writer.GAP: 1, bioc_writer.ACROSS: 1}),
    ],
)  # fmt: skip
def test_passages_that_overlap_or_are_out_of_order_move_no_mention(name, passages, kept, noted, tmp_path):
    own = mentions((0, 5), (6, 10), (11, 16), (17, 22))
    back, report = there_and_back(name, Document("7", TEXT, own, passages=passages), tmp_path)
    assert (back.text, back.mentions) == (TEXT, own) and report.noted == noted
    assert [(one.start, one.end) for one in back.passages] == kept


BLANKS = "Title\nAbstract here.\n"


@BOTH
@pytest.mark.parametrize(
    ("text", "passages"),
    [
        (BLANKS, (Passage(0, 5, TITLE), Passage(6, 20))),
        (" \t" + BLANKS + "\u2003", (Passage(2, 7, TITLE), Passage(8, 22))),
        ("a   b\n\n\nc d\n\ne", (Passage(0, 1), Passage(4, 5), Passage(8, 9), Passage(10, 11), Passage(13, 14))),
    ],
)
def test_blanks_around_passages_stay_as_they_are(name, text, passages, tmp_path):
    back, report = there_and_back(name, Document("7", text, passages=passages), tmp_path)
    assert (back.text, back.passages) == (text, passages) and not report.noted


@BOTH
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text("ab \n\t", min_size=1, max_size=12),
    places=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4),
    own=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12)), max_size=3),
)
def test_no_text_and_no_mention_changes_wherever_passages_lie(name, text, places, own, tmp_path):
    size = len(text)
    passages = tuple(Passage(min(a, b, size), min(max(a, b), size)) for a, b in places)
    spans = {(start, end) for start, end in own if start < end <= size and text[start:end].strip()}
    found = tuple(Mention(start, end, "x", text[start:end]) for start, end in sorted(spans))
    back, _ = there_and_back(name, Document("7", text, found, passages=passages), tmp_path)
    assert (back.text, back.mentions) == (text, found)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"id": "7"}, r":2 \(document 7\): is no BioC: it has no 'passages'"),
        ({"id": 7, "passages": None}, r":2 \(document 7\): .* has no 'passages'"),
        ({"passages": "x"}, r":2: is no BioC: 'passages' must be a list of objects"),
        ({"id": "7", "passages": [1]}, "'passages' must be a list of objects"),
        ({"id": "7", "passages": [{"offset": "x"}]}, "'offset' must be a whole number, not 'x'"),
        ({"id": "7", "passages": [{"offset": None}]}, "'offset' must be a whole number, not NoneType"),
        ({"id": "7", "passages": [{"infons": ["a"]}]}, "'infons' must be an object"),
        ({"id": "7", "passages": [{"annotations": [{"locations": [{"offset": 1}]}]}]}, "a location has no 'length'"),
        (7, ":2: a document must be an object, not int"),
    ],
)
def test_an_error_names_the_line_the_document_and_what_is_missing(document, says, tmp_path):
    (tmp_path / "f.json").write_text('{"documents": [\n' + json.dumps(document) + "]}")
    with pytest.raises(InputError, match=says):
        list(bioc.read_json(tmp_path / "f.json", report=Report()))


def test_an_infons_key_that_xml_cannot_hold_is_counted(tmp_path):
    document = Document("7", "Fever.", passages=(Passage(0, 6, (("a\x00b", "c"),)),))
    back, report = there_and_back("bioc-xml", document, tmp_path)
    assert back.passages[0].infons == (("a b", "c"),) and report.noted == {bioc_writer.NO_XML: 1}
