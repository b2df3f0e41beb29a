"""Articles in JATS: what becomes a passage, what is left out and counted, and what is refused."""

from __future__ import annotations

import gzip

import pytest

from kogner.data.formats import bioc, jats
from kogner.data.formats.registry import FORMATS, of_input
from kogner.data.report import Report
from kogner.errors import InputError

ARTICLE = """<?xml version="1.0"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "JATS-archivearticle1.dtd">
<article xmlns:mml="http://www.w3.org/1998/Math/MathML"><front><journal-meta><journal-title>Tests</journal-title>
</journal-meta><article-meta><article-id pub-id-type="pmid">7</article-id><article-id pub-id-type="pmc">123</article-id>
<article-id pub-id-type="doi">10.1/x</article-id><title-group><article-title>Fever of <italic>Rattus</italic>
rats<xref ref-type="fn"><sup>*</sup></xref></article-title></title-group><pub-date><year>2020</year></pub-date>
<abstract><sec><title>Aims</title><p>We cool rats.</p></sec></abstract>
<abstract abstract-type="summary"><p>Cold rats.</p></abstract><trans-abstract><p>Kalte Ratten.</p></trans-abstract>
<kwd-group><kwd>fever</kwd><kwd>rat</kwd></kwd-group></article-meta></front>
<body><p>Loose.</p><sec><label>1</label><title>Methods</title><p>Rats<sup><xref ref-type="bibr">1</xref>,<xref
ref-type="bibr">2</xref></sup> got 10<sup>6</sup> cells [<xref ref-type="bibr">3</xref>] of H<sub>2</sub>O &alpha;
<fig id="f"><label>Figure 1</label><caption><title>The rats.</title><p>All of <bold>them</bold>.</p></caption>
<graphic/></fig> and rested.<disp-formula><mml:math><mml:mi>x</mml:mi></mml:math></disp-formula></p>
<sec><title>Food</title><list><list-item><label>a</label><p>corn</p></list-item><list-item><p>oats</p></list-item></list>
<table-wrap><label>Table 1</label><caption><p>Meals.</p></caption><table><tr><td>secret</td></tr></table>
<table-wrap-foot><fn><p>Daily.</p></fn></table-wrap-foot></table-wrap></sec></sec></body>
<back><ack><p>Thanks.</p></ack><ref-list><ref/><ref/></ref-list><glossary><title>Words</title><def-list><def-item>
<term>IL</term><def><p>interleukin</p></def></def-item></def-list></glossary></back>
<sub-article><body><p>No.</p></body></sub-article></article>"""

PASSAGES = [
    ("title", None, "Fever of Rattus rats"), ("abstract_title", None, "Aims"), ("abstract", "Aims", "We cool rats."),
    ("abstract", None, "Cold rats."), ("paragraph", None, "Loose."), ("title_1", None, "Methods"),
    ("paragraph", "Methods", "Rats got 106 cells [3] of H2O α"), ("fig_caption", "Methods", "The rats."),
    ("fig_caption", "Methods", "All of them."), ("paragraph", "Methods", "and rested."), ("title_2", "Methods", "Food"),
    ("paragraph", "Methods > Food", "corn"), ("paragraph", "Methods > Food", "oats"),
    ("table_caption", "Methods > Food", "Meals."), ("table_footnote", "Methods > Food", "Daily."),
    ("title_1", None, "Words"), ("paragraph", "Words", "IL interleukin"),
]  # fmt: skip


def _read(path, content):
    path.write_text(content)
    report = Report()
    return list(jats.read(path, report=report)), report


def test_an_article_and_all_that_is_left_out(tmp_path):
    (document,), report = _read(tmp_path / "a.nxml", ARTICLE)
    assert of_input(tmp_path / "a.nxml").name == "jats" and document.id == "PMC123"
    found = [(dict(one.infons), document.text[one.start : one.end]) for one in document.passages]
    assert [(infons["type"], infons.get("section"), text) for infons, text in found] == PASSAGES
    assert document.text == "\n\n".join(text for *_, text in PASSAGES)
    assert [infons.get("label") for infons, _ in found if "label" in infons] == ["Figure 1"] * 2 + ["Table 1"] * 2
    title = found[0][0]
    assert (title["article-id_pmid"], title["article-id_pmc"], title["article-id_doi"]) == ("7", "PMC123", "10.1/x")
    assert (title["journal"], title["year"], title["keywords"]) == ("Tests", "2020", "fever; rat")
    assert not report.skipped and report.noted == {
        jats.MARKS: 3, jats.REFERENCES: 2, "formula left out": 1, "table cells left out, its caption kept": 1,
        "<ack> behind the text left out": 1, "answer to an article left out": 1,
        "title or abstract in another language left out": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["bioc-xml", "bioc-json", "jsonl", "docbin"])
def test_passages_go_into_other_formats_and_back(name, tmp_path):
    documents, _ = _read(tmp_path / "a.nxml", ARTICLE)
    FORMATS[name].save(tmp_path / "f", documents, report=Report())
    (back,) = FORMATS[name].read(tmp_path / "f", report=Report())
    assert (back.id, back.text, back.passages) == (documents[0].id, documents[0].text, documents[0].passages)


def test_many_articles_with_a_namespace(tmp_path):
    one = (
        "<article><front><article-meta><article-id pub-id-type='{}'>{}</article-id></article-meta></front>{}</article>"
    )
    body = "<body><p>Rats.</p></body>"
    articles = [
        one.format("pmid", 7, body),
        one.format("doi", "10.1/x", body),
        one.format("pii", 1, body),
        one.format("pmcid", "PMC9", ""),
    ]
    text = f'<pmc-articleset xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/">{"".join(articles)}</pmc-articleset>'
    path = tmp_path / "set.xml.gz"
    path.write_bytes(gzip.compress(text.encode()))
    report = Report()
    assert [one.id for one in jats.read(path, report=report)] == ["7", "10.1/x", "set:3"]
    assert of_input(path).name == "jats"
    assert report.skipped == {jats.NO_TEXT: 1} and report.noted == {jats.NO_BODY: 1}


def test_one_article_is_in_memory_at_a_time(tmp_path):
    import tracemalloc

    article = f"<article><body>{'<p>Rats and mice.</p>' * 100}</body></article>"
    peaks = []
    for count in (20, 400):
        path = tmp_path / f"{count}.xml"
        path.write_text(f"<articles>{article * count}</articles>")
        tracemalloc.start()
        assert sum(1 for _ in jats.read(path, report=Report())) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


BOMB = '<!DOCTYPE article [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><article><body><p>&b;</p></body></article>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB, "declares XML entities"),
        ("<article><body>", "not well-formed"),
        ("<html><article/></html>", "its root is <html>"),
        ("<articles></articles>", "no article"),
        ("<article><body><p>&nothing;</p></body></article>", "undefined entity"),
        (f"<article><body>{'<b>' * 5000}x{'</b>' * 5000}</body></article>", "without end"),
    ],
)
def test_what_is_refused(content, says, tmp_path):
    with pytest.raises(InputError, match=says):
        _read(tmp_path / "a.nxml", content)


XML = [jats.read, bioc.read_xml, FORMATS["pubmed"].read]
ROOTS = ["article", "collection", "PubmedArticleSet"]
ATTRIBUTE = '<!ATTLIST p x CDATA "yyyy">'


@pytest.mark.parametrize(
    ("prolog", "encoding"),
    [
        (f"<!DOCTYPE a [{ATTRIBUTE}]>", "utf-8"),
        (f"<!DOCTYPE a PUBLIC '-//x//y' \"a.dtd\" [ {ATTRIBUTE} ]>", "utf-8"),
        (f"<!-- <a> --><?a <a>?><!DOCTYPE a SYSTEM 'x<!--' [{ATTRIBUTE}]><!-- ' > -->", "utf-8"),
        (f"<!DOCTYPE a [{ATTRIBUTE}]>", "utf-16"),
        # Without their high bytes these letters end the comment and begin an element.
        (f"<!-- \u2d2d\u3e3c\u6161\u3e3e --><!DOCTYPE a [{ATTRIBUTE}]>", "utf-16"),
    ],
)
@pytest.mark.parametrize("read", XML)
def test_attributes_of_its_own_are_refused(prolog, encoding, read, tmp_path):
    """An attribute's default would be copied into each of its elements."""
    (tmp_path / "a.xml").write_bytes(f"{prolog}<article/>".encode(encoding))
    with pytest.raises(InputError, match="or attributes, in the brackets of its DOCTYPE"):
        list(read(tmp_path / "a.xml", report=Report()))


@pytest.mark.parametrize("read", XML)
def test_a_doctype_that_names_a_dtd_is_taken(read, tmp_path):
    root = ROOTS[XML.index(read)]
    (tmp_path / "a.xml").write_text(
        f"<?xml version='1.0'?>\n<!-- [ --><!DOCTYPE {root} PUBLIC '-//x//y' 'http://example.org/a[1]>.dtd'>\n<{root}/>"
    )
    try:
        assert list(read(tmp_path / "a.xml", report=Report())) == []
    except InputError as error:
        assert "no article" in str(error), "JATS without one is refused, for that"


@pytest.mark.parametrize("read", XML)
def test_a_document_has_a_limit(read, tmp_path, monkeypatch):
    from kogner.data.formats import files

    monkeypatch.setattr(files, "LARGEST_RECORD", 100_000)
    root = {"read_xml": "collection"}.get(read.__name__, "article" if read is jats.read else "PubmedArticleSet")
    (tmp_path / "a.xml").write_text(f"<{root}><document>{'<p>Rats.</p>' * 20_000}</document></{root}>")
    with pytest.raises(InputError, match="more than 100,000 bytes of XML"):
        list(read(tmp_path / "a.xml", report=Report()))


LOOSE = """<article><front><article-meta><abstract>We cool <italic>rats</italic>.<title>Aims</title>More
<p>All.</p>and less.</abstract></article-meta></front><body>Loose <bold>one</bold>.<sec>Before<title>Food</title>
corn<p>oats</p>rye<fig><caption>Loose <sub>too</sub>.<p>Told.</p></caption></fig></sec></body></article>"""


def test_loose_text_is_kept_wherever_it_stands(tmp_path):
    (document,), report = _read(tmp_path / "a.nxml", LOOSE)
    found = [(dict(one.infons)["type"], document.text[one.start : one.end]) for one in document.passages]
    assert found == [
        ("abstract", "We cool rats."), ("abstract_title", "Aims"), ("abstract", "More"), ("abstract", "All."),
        ("abstract", "and less."), ("paragraph", "Loose one."), ("title_1", "Food"), ("paragraph", "Before corn"),
        ("paragraph", "oats"), ("paragraph", "rye"), ("fig_caption", "Loose too."), ("fig_caption", "Told."),
    ]  # fmt: skip
    assert not report.noted and not report.skipped


def test_a_reference_is_a_mark_only_where_nothing_stands_beside_its_superscript(tmp_path):
    rows = [
        '<xref ref-type="fig"><sup>13</sup>C spectrum</xref>', '<xref ref-type="bibr"><sup>4</sup></xref>',
        '<xref ref-type="bibr">[<sup>5</sup>]</xref>', '<xref ref-type="fig">Figure <sup>6</sup></xref>',
    ]  # fmt: skip
    text = " and ".join(rows)
    article = f"<article><front><article-meta/></front><body><p>See {text}.</p></body></article>"
    (document,), report = _read(tmp_path / "a.nxml", article)
    assert document.text == "See 13C spectrum and and and Figure 6." and report.noted[jats.MARKS] == 2
