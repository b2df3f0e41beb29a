"""Documents through every format and back: the same text, mentions and ids; and what is none of a format."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kogner.cli import cli
from kogner.data.formats import bioc, bioc_writer, brat, gliner, jsonl, ownership, pubmed, pubtator, tables
from kogner.data.formats.registry import FORMATS, by_name, of_input, of_output
from kogner.data.report import Report
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.records import Document, Mention, Passage
from kogner.text import words

LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40)


@st.composite
def documents(draw):
    """Texts with mentions of one kind of blank, so that no format has to change them."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(LETTERS.filter(lambda text: text.strip()))
        mentions = set()
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, len(text) - 1))
            end = draw(st.integers(start + 1, len(text)))
            kind = draw(st.sampled_from(["disease", "cell", "Ω"]))
            ids = draw(st.sampled_from([(), ("MESH:D1",), ("MESH:D1", "OMIM:2")]))
            if text[start:end].strip():
                mentions.add(Mention(start, end, kind, text[start:end], ids))
        unlike = {one.key: one for one in mentions}
        found.append(Document(f"d{number}", text, tuple(sorted(unlike.values(), key=lambda one: one.key))))
    return found


@pytest.mark.parametrize("name", ["jsonl", "pubtator", "bioc-xml", "bioc-json", "brat"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(docs=documents())
def test_there_and_back(name, docs, tmp_path_factory):
    _there_and_back(name, docs, tmp_path_factory)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(docs=documents())
def test_there_and_back_through_spacys_tokens(docs, tmp_path_factory):
    _there_and_back("docbin", docs, tmp_path_factory)


def _there_and_back(name, docs, tmp_path_factory):
    place = tmp_path_factory.mktemp("back") / ("folder" if name == "brat" else "file")
    report = Report()
    FORMATS[name].write(place, docs, report=report)
    back = list(FORMATS[name].read(place, report=report))
    assert not report.skipped and not report.repaired, report.to_dict()
    assert [one.id for one in back] == [one.id for one in docs]
    assert [one.text for one in back] == [one.text for one in docs]
    for ours, theirs in zip(docs, back, strict=True):
        assert [(m.key, m.ids) for m in theirs.mentions] == [(m.key, m.ids) for m in ours.mentions]


TITLED = Document(
    "7", "A title. The abstract of rats.", (Mention(2, 7, "x", "title"), Mention(25, 29, "species", "rats")),
    passages=(Passage(0, 8, (("type", "title"),)), Passage(9, 30, (("type", "abstract"), ("section", "R&D <1>")))),
)  # fmt: skip


@pytest.mark.parametrize("name", ["bioc-xml", "bioc-json", "jsonl", "docbin"])
def test_passages_and_their_infons_are_kept(name, tmp_path):
    FORMATS[name].write(tmp_path / "f", [TITLED], report=Report())
    (back,) = FORMATS[name].read(tmp_path / "f", report=Report())
    assert back.passages == TITLED.passages and back.text == TITLED.text


def test_a_title_and_an_abstract_are_pubtators(tmp_path):
    FORMATS["pubtator"].write(tmp_path / "f", [TITLED], report=Report())
    assert (tmp_path / "f").read_text().startswith("7|t|A title.\n7|a|The abstract of rats.\n7\t2\t7\ttitle\tx\t-1\n")
    (back,) = FORMATS["pubtator"].read(tmp_path / "f", report=Report())
    assert back.text == TITLED.text and [m.key for m in back.mentions] == [m.key for m in TITLED.mentions]


XML = """<?xml version="1.0"?><collection><source>x</source><document><id>1</id>
<passage><infon key="type">title</infon><offset>0</offset><text>Fever &amp; pain</text>
<annotation id="a"><infon key="type">Disease</infon><infon key="MESH">D005334</infon><location offset="0" length="5"/>
<text>Fever</text></annotation></passage>
<passage><offset>13</offset><sentence><offset>13</offset><text>Rats ran.</text>
<annotation id="b"><infon key="type">Species</infon><infon key="NCBI Taxonomy">10116</infon>
<location offset="13" length="4"/><text>Rats</text></annotation></sentence>
<sentence><offset>23</offset><text>They died of rage.</text>
<annotation id="c"><infon key="type">Disease</infon><location offset="36" length="2"/><location offset="39" length="1"/>
<text>rage</text></annotation>
<annotation id="d"><infon key="type">Disease</infon><location offset="26" length="4"/><text>died</text></annotation>
<annotation id="e"><infon key="type">Disease</infon><location offset="23" length="4"/><text>gone</text></annotation>
<annotation id="f"><location offset="23" length="4"/><text>They</text></annotation></sentence>
<relation id="r"/></passage></document></collection>"""


def test_bioc_of_another_hand(tmp_path):
    """Sentences, pieces, identifiers by vocabulary, an offset that misses by some characters, and what is left out."""
    path = tmp_path / "f.xml.gz"
    path.write_bytes(gzip.compress(XML.encode()))
    assert of_input(path).name == "bioc-xml"
    report = Report()
    (document,) = bioc.read_xml(path, report=report)
    assert document.text == "Fever & pain Rats ran. They died of rage."
    found = [(m.text, m.type, m.ids) for m in document.mentions]
    assert found == [
        ("Fever", "Disease", ("MESH:D005334",)), ("Rats", "Species", ("NCBITaxon:10116",)), ("died", "Disease", ()),
        ("rage", "Disease", ()),
    ]  # fmt: skip
    assert report.skipped == {bioc.OFFSET_MISMATCH: 1, bioc.NO_TYPE: 1}
    assert report.repaired == {bioc.OFFSET_REPAIRED: 1} and report.noted == {bioc.IN_PIECES: 1, bioc.RELATIONS: 1}


def test_passages_whose_offsets_cannot_be(tmp_path):
    raw = {"documents": [{"id": 1, "passages": [
        {"offset": 0, "text": "Fever", "annotations": []},
        {"offset": 3, "text": "Pain", "annotations": [
            {"infons": {"type": "D"}, "locations": [{"offset": 3, "length": 4}], "text": "Pain"}]},
        {"offset": 10**12, "text": "Cold"},
    ]}]}  # fmt: skip
    path = tmp_path / "f.json"
    path.write_text(json.dumps(raw))
    report = Report()
    (document,) = bioc.read_json(path, report=report)
    assert document.text == "Fever Pain Cold" and document.mentions[0].text == "Pain"
    assert report.repaired == {bioc.BEHIND: 1, bioc.FAR: 1}


def test_bioc_of_pubtators_api(tmp_path):
    """{"PubTator3": [documents]}, whose infons are not all texts."""
    infons = {"identifier": "MESH:D005334", "type": "Disease", "valid": True, "normalized": ["D005334"], "name": None}
    annotation = {"id": "1", "infons": infons, "text": "Fever", "locations": [{"offset": 0, "length": 5}]}
    passage = {"infons": {"type": "title"}, "offset": 0, "text": "Fever.", "sentences": [], "annotations": [annotation]}
    ones = [{"_id": f"{n}|None", "id": n, "infons": {}, "passages": [passage], "relations": []} for n in "78"]
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"PubTator3": ones}))
    found = list(of_input(path).read(path, report=Report()))
    assert [(one.id, one.text) for one in found] == [("7", "Fever."), ("8", "Fever.")]
    assert [(m.text, m.type, m.ids) for m in found[0].mentions] == [("Fever", "Disease", ("MESH:D005334",))]


BOMB = '<!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><collection><document><id>&b;</id></document></collection>'


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bioc-xml", BOMB, "declares XML entities"),
        ("bioc-xml", "<collection><document>", "not well-formed"),
        ("bioc-xml", "<html></html>", "its root is <html>"),
        ("bioc-json", "{", "not JSON"),
        ("bioc-json", '{"a": 1}', "neither documents nor passages"),
        ("bioc-json", '{"documents": [{"passages": [{"offset": "x"}]}]}', "no BioC"),
        ("bioc-json", '{"documents": []}', "no document"),
        ("csv", "a,b\n1,2\n", "no column 'text'"),
        ("parquet", "PAR1 and no more", "cannot be read"),
    ],
)
def test_what_is_none_of_a_format(name, content, says, tmp_path):
    path = tmp_path / "f"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        list(FORMATS[name].read(path, report=Report()))


def test_brat_of_another_hand(tmp_path):
    (tmp_path / "a.txt").write_text("Fever and\nchest pain.")
    (tmp_path / "a.ann").write_text(
        "T1\tDisease 0 5\tFever\nN1\tReference T1 MESH:D005334\tFever\nT2\tDisease 10 15;16 20\tchest pain\n"
        "R1\tcauses Arg1:T1 Arg2:T2\nT3\tDisease 1 4\tnowhere\nwhat is this\n"
    )
    (tmp_path / "b.txt").write_text("")
    report = Report()
    one, two = brat.read(tmp_path, report=report)
    assert [(m.text, m.ids) for m in one.mentions] == [("Fever", ("MESH:D005334",)), ("chest pain", ())]
    assert two.text == "" and of_input(tmp_path).name == "brat"
    assert report.skipped == {brat.OFFSET_MISMATCH: 1, brat.BAD_LINE: 1}
    assert report.noted == {brat.IN_PIECES: 1, brat.OTHER.format("R"): 1}


def test_brat_ids_become_file_names(tmp_path):
    report = Report()
    docs = [Document("../x", "one"), Document("a/b", "two"), Document("A_b", "three")]
    brat.write(tmp_path / "out", docs, report=report)
    names = sorted(path.name for path in (tmp_path / "out").glob("*.txt"))
    assert names == ["A_b#2.txt", "_x.txt", "a_b.txt"] and report.noted == {brat.RENAMED: 3}
    assert not (tmp_path / "x.txt").exists()


def _folder(path):
    return {file.name: file.read_text() for file in path.iterdir() if not file.name.startswith(".")}


def test_brat_written_again_leaves_no_document_of_before(tmp_path):
    out = tmp_path / "out"
    one, two, three = (
        Document(name, f"{name} fever", (Mention(4, 9, "x", "fever"),)) for name in ("one", "two", "six")
    )
    brat.write(out, [one, two], report=Report())
    report = Report()
    brat.write(out, [two, three], report=report)
    assert sorted(_folder(out)) == ["six.ann", "six.txt", "two.ann", "two.txt"]
    assert report.noted == {ownership.REMOVED: 2}
    (out / "two.ann").write_text("T1\ty 0 3\ttwo\n")  # by hand
    (out / "mine.txt").write_text("of another")
    (out / "readme.md").write_text("x")
    before = _folder(out)
    with pytest.raises(ArtifactError, match=r"1 files that KoGNER did not write, .* such as two\.ann"):
        brat.write(out, [one, two], report=Report())
    assert _folder(out) == before and len(list(tmp_path.iterdir())) == 1
    report = Report()
    brat.write(out, [three], report=report)
    assert sorted(_folder(out)) == ["mine.txt", "readme.md", "six.ann", "six.txt", "two.ann"]
    assert report.noted == {ownership.REMOVED: 1, ownership.CHANGED: 1, ownership.FOREIGN: 1}


def test_brat_that_fails_leaves_the_folder_as_it_was(tmp_path):
    def failing():
        yield Document("two", "fever")
        raise InputError("no more")

    out = tmp_path / "out"
    brat.write(out, [Document("one", "fever")], report=Report())
    before = _folder(out)
    with pytest.raises(InputError):
        brat.write(out, failing(), report=Report())
    assert _folder(out) == before and len(list(tmp_path.iterdir())) == 1
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="is a file"):
        brat.write(tmp_path / "file", [], report=Report())


def test_brat_killed_between_two_moves_is_still_ours(tmp_path, monkeypatch):
    out = tmp_path / "out"
    brat.write(out, [Document("a", "one"), Document("b", "one")], report=Report())
    real, moved = Path.replace, []

    def killed(self, target):
        if self.parent.name.endswith(".building") and self.suffix in (".txt", ".ann") and ".tmp" not in self.name:
            moved.append(self.name)
            if len(moved) == 3:
                raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            brat.write(out, [Document("a", "two"), Document("b", "two")], report=Report())
    assert (out / "a.txt").read_text() == "two" and (out / "b.txt").read_text() == "one"
    brat.write(out, [Document("b", "three")], report=Report())
    assert _folder(out) == {"b.txt": "three", "b.ann": ""}


def test_a_list_of_another_hand_removes_nothing_outside(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "precious.txt").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    brat.write(out, [Document("a", "one")], report=Report())
    (out / ownership.LIST).write_text(json.dumps({"files": {"../precious.txt": [digest], "/etc/hostname": [digest]}}))
    with pytest.raises(ArtifactError):
        brat.write(out, [Document("a", "two")], report=Report())
    brat.write(out, [Document("b", "two")], report=Report())
    assert (tmp_path / "precious.txt").exists() and (out / "a.txt").exists()


GAPS = Document("7", "Fever and chest pain. End.", (Mention(10, 20, "disease", "chest pain"),),
                passages=(Passage(0, 5), Passage(21, 21)))  # fmt: skip


@pytest.mark.parametrize("name", ["bioc-xml", "bioc-json"])
def test_text_between_passages_is_written(name, tmp_path):
    report = Report()
    FORMATS[name].write(tmp_path / "f", [GAPS], report=report)
    assert report.noted == {bioc_writer.GAP: 2}
    (back,) = FORMATS[name].read(tmp_path / "f", report=Report())
    assert back.text == GAPS.text and [one.key for one in back.mentions] == [(10, 20, "disease")]


@pytest.mark.parametrize("name", ["pubtator", "bioc-xml", "bioc-json"])
@pytest.mark.parametrize(
    ("ids", "kept"),
    [(("MESH:D1", "OMIM:1"), True), (("go:0001",), False), (("X:1,2",), False), (("db",), True), (("D000001",), False)],
)
def test_ids_that_come_back_otherwise_are_noted(name, ids, kept, tmp_path):
    document = Document("7", "Fever.", (Mention(0, 5, "x", "Fever", ids),))
    report = Report()
    FORMATS[name].write(tmp_path / "f", [document], report=report)
    (back,) = FORMATS[name].read(tmp_path / "f", report=Report())
    assert (back.mentions[0].ids == ids) == kept == (pubtator.OTHER_IDS not in report.noted)


def test_an_open_quote_does_not_take_the_rest_of_a_table(tmp_path):
    (tmp_path / "t.csv").write_text('id,text\n1,a\n2,"open quote\n3,b\n4,c\n')
    with pytest.raises(InputError, match="is no table"):
        list(tables.read_delimited(tmp_path / "t.csv", report=Report()))


def test_brat_annotations_without_a_text_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("Fever.")
    (tmp_path / "b.ann").write_text("T1\tx 0 5\tFever\n")
    report = Report()
    assert [one.id for one in brat.read(tmp_path, report=report)] == ["a"]
    assert report.skipped == {brat.NO_TEXT: 1}


def test_tables(tmp_path):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "t.csv").write_text('Id,Text\n7,"two lines,\nhere"\n,plain\n9,\n1,2,3\n')
    report = Report()
    found = list(tables.read_delimited(tmp_path / "t.csv", report=report))
    assert [(one.id, one.text) for one in found] == [("7", "two lines,\nhere"), ("t:2", "plain")]
    assert report.skipped == {tables.EMPTY: 1, tables.BROKEN: 1}
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a b", None, "c"], "n": [1, 2, 3]}), tmp_path / "t.parquet")
    report = Report()
    found = list(tables.read_parquet(tmp_path / "t.parquet", report=report))
    assert [(one.id, one.text) for one in found] == [("t:1", "a b"), ("t:3", "c")] and report.skipped == {
        tables.EMPTY: 1
    }
    assert report.noted == {"column 'n' not kept": 1}
    assert [of_input(tmp_path / name).name for name in ("t.csv", "t.parquet")] == ["csv", "parquet"]


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("t.csv", "PMID,abstract,text\n7,a fever,x\n,no cough,y\n9,,z\n", "csv:Abstract,pmid"),
        ("t.tsv", "pmid\tabstract\ttext\n7\ta fever\tx\n\tno cough\ty\n9\t\tz\n", "csv:abstract,pmid"),
        (
            "t.jsonl",
            '{"pmid": 7, "abstract": "a fever", "text": "x"}\n{"abstract": "no cough", "text": "y"}\n{"pmid": "9"}\n',
            "jsonl:abstract,pmid",
        ),
    ],
)
def test_columns_that_are_said_are_read(tmp_path, name, content, form):
    (tmp_path / name).write_text(content)
    report = Report()
    found = list(by_name(form).read(tmp_path / name, report=report))
    if name == "t.jsonl":
        assert [(one.id, one.text) for one in found] == [("7", "a fever"), ("t:2", "no cough")]
        assert report.skipped == {jsonl.NO_TEXT: 1} and report.noted == {"key 'text' not kept": 2}
    else:
        assert [(one.id, one.text) for one in found] == [("7", "a fever"), ("t:2", "no cough")]
        assert report.skipped == {tables.EMPTY: 1} and report.noted == {"column 'text' not kept": 1}


def test_parquet_columns_that_are_said(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"abstract": ["a", "b"], "pmid": [11, 12]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    found = by_name("parquet:abstract,pmid").read(tmp_path / "t.parquet", report=Report())
    assert [(one.id, one.text) for one in found] == [("11", "a"), ("12", "b")]
    with pytest.raises(InputError, match=r"has no column .body.; its columns: abstract, pmid; .*parquet:TEXT,ID"):
        list(by_name("parquet:body").read(tmp_path / "t.parquet", report=Report()))


@pytest.mark.parametrize("form", ["pubtator:text", "csv:", "csv:a,b,c", "csv:a,", "nothing:a"])
def test_columns_that_cannot_be(form):
    with pytest.raises(ConfigError):
        by_name(form)


def test_json_lines_without_the_said_keys(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": "fever"}\n')
    with pytest.raises(InputError, match="holds no document with the said keys; those of its first line: a"):
        list(by_name("jsonl:b").read(tmp_path / "t.jsonl", report=Report()))


def test_a_folder_of_several_kinds_is_no_brat(tmp_path):
    (tmp_path / "a.txt").write_text("a fever")
    assert of_input(tmp_path).name == "brat"
    (tmp_path / "b.jsonl").write_text('{"text": "a fever"}')
    with pytest.raises(InputError, match="give the files in it"):
        of_input(tmp_path)
    (tmp_path / "a.ann").write_text("T1\tx 2 7\tfever\n")
    report = Report()
    assert len(list(FORMATS["brat"].read(tmp_path, report=report))) == 1
    assert report.noted == {"file of another kind in the folder, passed over": 1}


def test_the_parts_of_a_citation_of_pubmed(tmp_path):
    (tmp_path / "p.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article>"
        "<ArticleTitle>On <i>fever</i>.</ArticleTitle><Abstract>"
        '<AbstractText Label="BACKGROUND">Known  for long.</AbstractText><AbstractText Label="NONE"/>'
        '<AbstractText Label="RESULTS">Aspirin helps.</AbstractText></Abstract></Article></MedlineCitation>'
        "</PubmedArticle></PubmedArticleSet>"
    )
    (document,) = FORMATS["pubmed"].read(tmp_path / "p.xml", report=Report())
    assert document.text == "On fever. Known for long. Aspirin helps."
    assert [(document.text[one.start : one.end], dict(one.infons)) for one in document.passages] == [
        ("On fever.", {"type": "title"}),
        ("Known for long.", {"type": "abstract", "section": "BACKGROUND"}),
        ("Aspirin helps.", {"type": "abstract", "section": "RESULTS"}),
    ]
    FORMATS["pubtator"].write(tmp_path / "p.pubtator", [document], report=Report())
    assert (tmp_path / "p.pubtator").read_text() == "7|t|On fever.\n7|a|Known for long. Aspirin helps.\n\n"


def test_what_of_pubmed_is_not_kept_is_counted(tmp_path):
    (tmp_path / "p.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article>"
        "<ArticleTitle>On fever.</ArticleTitle><VernacularTitle>Sur la fièvre.</VernacularTitle></Article>"
        "<OtherAbstract><AbstractText>Un.</AbstractText></OtherAbstract>"
        "<OtherAbstract><AbstractText>Dos.</AbstractText></OtherAbstract></MedlineCitation>"
        "</PubmedArticle><DeleteCitation><PMID>8</PMID><PMID>9</PMID></DeleteCitation></PubmedArticleSet>"
    )
    report = Report()
    (document,) = FORMATS["pubmed"].read(tmp_path / "p.xml", report=report)
    assert document.text == "On fever." and not report.skipped
    assert report.noted == {
        pubmed.TITLE_ONLY: 1, pubmed.OTHER.format("VernacularTitle"): 1, pubmed.OTHER.format("OtherAbstract"): 2,
        pubmed.DELETED: 2,
    }  # fmt: skip


def test_our_json_lines_with_passages_are_ours(tmp_path):
    for name in ("jsonl", "bioc-json"):
        FORMATS[name].write(tmp_path / name, [TITLED] * 2, report=Report())
        assert of_input(tmp_path / name).name == name
    found = {"id": "1", "text": "a fever", "entities": [
        {"start": 2, "end": 7, "text": "fever", "type": "disease", "score": 0.9, "entity_id": "MESH:D1"}]}  # fmt: skip
    (tmp_path / "found.jsonl").write_text(json.dumps(found) + "\n")
    (document,) = FORMATS["jsonl"].read(tmp_path / "found.jsonl", report=Report())
    assert [(m.text, m.entity, m.score) for m in document.mentions] == [("fever", "MESH:D1", 0.9)]


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("abstract", "Loss of E-cadherin\n", "text"),
        ("note.md", "Treatment of B-cell lymphoma with L-DOPA\n", "text"),
        ("note.txt", "<5% of patients had fever\n", "text"),
        ("note.txt", "[Treatment of gout].\n", "text"),
        ("a.csv", "id, text\n1, fever\n", "csv"),
        ("a.csv", "id,body\n1,fever\n", "csv"),
        ("a", "IL-2\tB-gene\nrises\tO\n\nNo\tO\n", "conll"),
        ("test.tsv", "IL-2\tB-gene\nrises\tO\n\nNo\tO\n", "conll"),
        ("test.tsv", "-DOCSTART- -X- O\n\nIL-2 B-gene\n", "conll"),
        ("test.tsv", "id\ttext\n1\tIL-2 is O\n", "csv"),
        ("note.txt", "Patients had blood group O\nDonors had group O\n", "text"),
        ("note", "Patients had blood group O\nDonors had group O\n", "text"),
        ("a.txt", "rises O\n" * 30 + "IL-2 B-gene\n", "conll"),
        ("a.txt", "rises\tO\nNo\tO\n", "conll"),
        ("a.dat", "rises O\nNo O\n", "conll"),
        ("a.json", '{"PubTator3": [{"_id": "7|None", "id": "7", "passages": []}]}', "bioc-json"),
        ("a.json", '{\n "PubTator3": [\n', "bioc-json"),
        ("a.jsonl", '{"id": "1", "te\n{"id": "2", "text": "a", "passages": []}\n', "jsonl"),
        ("a", '[{"tokenized_text": ["a"], "ner": []}]', "gliner"),
        ("a", '{\n "documents": [\n', "bioc-json"),
        ("a", '<?xml version="1.0"?><!-- <collection> --><article>', "jats"),
        ("a", '<!DOCTYPE article PUBLIC "x" "y"><article a="1">', "jats"),
        ("a", '<!DOCTYPE collection SYSTEM "BioC.dtd"><collection>', "bioc-xml"),
        ("a", "<PubmedArticleSet><PubmedArticle>", "pubmed"),
    ],
)
def test_content_tells_the_format(name, content, form, tmp_path):
    (tmp_path / name).write_text(content)
    assert of_input(tmp_path / name).name == form


@pytest.mark.parametrize("packed", [b"\x1f\x8b\x08\x00damaged", b"\xfd7zXZ\x00damaged", b"\x28\xb5\x2f\xfddamaged"])
def test_damaged_archives(packed, tmp_path):
    (tmp_path / "a.xml").write_bytes(packed)
    for call in (
        lambda: of_input(tmp_path / "a.xml"),
        lambda: list(bioc.read_xml(tmp_path / "a.xml", report=Report())),
    ):
        with pytest.raises(InputError):
            call()


def test_entities_behind_a_comment_are_refused_as_well(tmp_path):
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0"?><!-- <a -->{BOMB}')
    with pytest.raises(InputError, match="declares XML entities"):
        list(bioc.read_xml(tmp_path / "a.xml", report=Report()))


def test_tabs_with_quotes_and_what_a_format_does_not_keep(tmp_path):
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"a\n2\tb\n3\tc" d\n')
    found = list(tables.read_delimited(tmp_path / "a.tsv", report=Report()))
    assert [one.text for one in found] == ['"a', "b", 'c" d']
    scored = Document("1", "a fever", (Mention(2, 7, "x", "fever", score=0.5),), unsure=(Mention(0, 1, "x", "a"),))
    FORMATS["jsonl"].write(tmp_path / "a.jsonl", [scored], report=Report())
    run = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "a.pubtator")])
    noted = json.loads(run.stdout.splitlines()[-1])["noted"]
    assert noted["score not kept"] == noted["unsure span not kept"] == 1


def test_endings_and_names(tmp_path):
    for target, name in [
        ("a.bioc.xml", "bioc-xml"),
        ("a.bioc.json", "bioc-json"),
        ("a.jsonl", "jsonl"),
        ("b/", "brat"),
        ("a.spacy", "docbin"),
        ("a.bioc.json.zst", "bioc-json"),
        ("a.pubtator.gz", "pubtator"),
    ]:
        assert of_output(target).name == name
    with pytest.raises(ConfigError, match="does not say its format"):
        of_output("a.docx")


def test_the_command(tmp_path):
    FORMATS["pubtator"].write(tmp_path / "a.pubtator", [TITLED], report=Report())
    run = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.pubtator"), str(tmp_path / "out" / "a.bioc.json")])
    assert run.exit_code == 0, run.output
    said = json.loads(run.stdout.splitlines()[-1])
    assert (said["from"], said["to"], said["documents"], said["mentions"]) == ("pubtator", "bioc-json", 1, 2)
    for ending in ("gz", "xz", "zst"):
        out = tmp_path / f"a.pubtator.{ending}"
        run = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.pubtator"), str(out)])
        assert run.exit_code == 0 and of_input(out).name == "pubtator"
        assert [one.text for one in FORMATS["pubtator"].read(out, report=Report())] == [TITLED.text]
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()
    before = (tmp_path / "a.pubtator").read_bytes()
    refused = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.pubtator"), str(tmp_path / "a.pubtator")])
    assert "is the file to convert" in str(refused.exception) and (tmp_path / "a.pubtator").read_bytes() == before
    refused = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.pubtator"), str(tmp_path / "a"), "--to", "pubmed"])
    assert isinstance(refused.exception, ConfigError) and "read only" in str(refused.exception)


CORPORA = ["bc2gm", "bc5cdr", "ncbi_disease", "gnormplus", "linnaeus", "nlmchem", "jnlpba", "genia"]


@pytest.mark.parametrize("corpus", CORPORA)
def test_real_corpora_through_every_format(corpus, shared, tmp_path):
    """Documents of each shared corpus, of all its parts: no mention is lost or moved, and none of its ids."""
    from kogner.data import corpora

    whole = corpora.load(corpus, shared / "corpora" / corpus, "test").documents
    docs = whole[:: max(1, len(whole) // 150)]
    wanted = [(one.id, [m.key for m in sorted(one.mentions, key=lambda m: m.key)]) for one in docs]
    own = [sorted((*m.key, m.ids) for m in one.mentions) for one in docs]
    for name in ("jsonl", "pubtator", "bioc-xml", "bioc-json", "docbin"):
        written, report = Report(), Report()
        FORMATS[name].write(tmp_path / name, docs, report=written)
        back = list(FORMATS[name].read(tmp_path / name, report=report))
        assert not report.skipped and not report.repaired
        assert [(one.id, [m.key for m in sorted(one.mentions, key=lambda m: m.key)]) for one in back] == wanted
        assert [one.text for one in back] == [one.text for one in docs]
        if name != "docbin" and not written.noted:
            assert [sorted((*m.key, m.ids) for m in one.mentions) for one in back] == own
    FORMATS["brat"].write(tmp_path / "brat", docs, report=Report())
    back = list(FORMATS["brat"].read(tmp_path / "brat", report=Report()))  # in the order of its files' names
    assert sorted((one.text, sorted((*m.key, m.ids) for m in one.mentions)) for one in back) == sorted(
        (one.text, sorted((m.start, m.end, "_".join(m.type.split()), m.ids) for m in one.mentions)) for one in docs
    )


@pytest.mark.parametrize("corpus", CORPORA)
def test_real_corpora_through_gliners_words(corpus, shared, tmp_path):
    """Mentions keep their words and types; those that begin or end inside a word are counted."""
    from kogner.data import corpora

    def said(mention):
        return (" ".join(mention.text[start:end] for start, end in words(mention.text)), mention.type)

    whole = corpora.load(corpus, shared / "corpora" / corpus, "test").documents
    docs = whole[:: max(1, len(whole) // 150)]
    written, report = Report(), Report()
    FORMATS["gliner"].write(tmp_path / "file", docs, report=written)
    back = list(FORMATS["gliner"].read(tmp_path / "file", report=report))
    assert not report.skipped and len(back) == len(docs)
    lost = 0
    for ours, theirs in zip(docs, back, strict=True):
        left = Counter(map(said, ours.mentions))
        left.subtract((m.text, m.type) for m in theirs.mentions)
        assert min(left.values(), default=0) >= 0
        lost += left.total()
    assert lost == written.skipped[gliner.OFF_WORDS]


def test_ids_of_others_lines_may_be_whole_numbers_with_a_point(tmp_path):
    from kogner.data.formats import jsonl
    from kogner.data.formats.columns import Columns

    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": 12.0, "abstract": "a"}\n{"id": 1.5, "abstract": "b"}\n{"abstract": "c"}\n', encoding="utf-8"
    )
    report = Report()
    found = [one.id for one in jsonl.read_columns(path, report=report, columns=Columns("abstract"))]
    assert found == ["12", "a:2", "a:3"]
    assert dict(report.noted) == {"id that is neither a text nor a whole number, replaced": 1}
