"""Silver sentences: which are kept, what their mentions carry, what is left out and counted."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kogner.artifacts import read_manifest
from kogner.cli import main
from kogner.data import corpora
from kogner.data.doubts import KEPT_APART, OF_SEVERAL_TYPES
from kogner.data.formats import pubmed
from kogner.data.overlap import BY_ARTICLE, BY_ID, BY_TEXT, Overlap, without
from kogner.data.report import Report
from kogner.data.silver import (
    NO_NAME,
    ONLY_SEVERAL,
    SENTENCE_TWICE,
    SEVERAL_TYPES,
    TOO_SHORT,
    SilverSettings,
    make,
    parse_types,
)
from kogner.errors import ConfigError, InputError
from kogner.graph.scan import Scanner
from kogner.graph.store import GraphStore, build
from kogner.records import Document, Entity, Triple

ENTITIES = (
    Entity("C:1", "Chemical", "Aspirin", ("painol",)),
    Entity("C:2", "Chemical", "Doubtin"),
    Entity("C:3", "Chemical", "Placebo"),
    Entity("C:4", "Chemical", "Was"),
    Entity("D:1", "Disease", "Headache"),
    Entity("D:2", "Disease", "doubtin"),
    Entity("D:3", "Disease", "Painol"),
)
TYPES = {"chemical": ("Chemical",), "disease": ("Disease",)}
LONG = "The quick study of forty volunteers in seven towns found that nothing at all had changed since"


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("silver") / "graph"
    build(ENTITIES, (), path)
    return path


@pytest.fixture(scope="module")
def scanner(graph):
    return Scanner(GraphStore.open(graph))


def test_sentences_and_mentions(scanner):
    text = "We gave aspirin against headache here. Nothing was found in any of them. Short aspirin."
    silver = make([Document("7", text)], scanner, TYPES, settings=SilverSettings(empty_share=0))
    (sentence,) = silver.sentences
    assert (sentence.id, sentence.text) == ("7:1", "We gave aspirin against headache here.")
    assert sentence.types == {"chemical", "disease"}
    assert [(sentence.text[m.start : m.end], m.text, m.type, m.entity) for m in sentence.mentions] == [
        ("aspirin", "aspirin", "chemical", "C:1"), ("headache", "headache", "disease", "D:1")
    ]  # fmt: skip
    assert silver.left_out == Counter({NO_NAME: 1, TOO_SHORT: 1})


def test_names_of_several_types(scanner):
    text = "We gave doubtin against headache here. Then doubtin was given to them. Painol was given to them."
    silver = make([Document("7", text)], scanner, TYPES, settings=SilverSettings(empty_share=0))
    assert [[m.entity for m in one.mentions] for one in silver.sentences] == [["D:1"], ["D:3"]]  # own name wins
    assert silver.left_out == Counter({SEVERAL_TYPES: 2, ONLY_SEVERAL: 1})


def test_names_in_doubt_are_kept_as_such(scanner):
    texts = [
        "We gave doubtin or placebo against headache here. Then placebo was given to them.",  # own name of two types
        "Aspirin placebo (AP) was given to them. Headache was here (HW) and AP, again.",
    ]
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    settings = SilverSettings(empty_share=0)
    plain = make(documents, scanner, TYPES, settings=settings)
    silver = make(documents, scanner, TYPES, settings=replace(settings, doubts=True))
    assert [replace(one, unsure=()) for one in silver.sentences] == plain.sentences
    assert not any(one.unsure for one in plain.sentences) and silver.left_out == plain.left_out
    unsure = {one.id: [(m.text, m.type, one.text[m.start : m.end]) for m in one.unsure] for one in silver.sentences}
    assert unsure == {
        "0:1": [
            ("doubtin", "chemical", "doubtin"),
            ("doubtin", "disease", "doubtin"),
            ("placebo", "chemical", "placebo"),
        ],
        "1:1": [("placebo", "chemical", "placebo")],
        "1:2": [],
    }  # `was` is a function word
    assert silver.unsure == {OF_SEVERAL_TYPES: 1, KEPT_APART: 2}


def test_share_of_sentences_without_a_name(scanner):
    texts = [f"Number {n} gave aspirin to them. Number {n} gave nothing to them." for n in range(100)]
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    silver = make(documents, scanner, TYPES, settings=SilverSettings(sentences=80, empty_share=0.25))
    assert len(silver.sentences) == 80 and silver.without == 20
    assert silver.scanned < 100 == silver.documents


def test_order_depends_on_ids_and_seed_alone(scanner):
    documents = [Document(str(n), f"Number {n} gave aspirin to them.") for n in range(50)]
    one, other, third = (
        [s.id for s in make(given, scanner, TYPES, settings=SilverSettings(sentences=20, seed=seed)).sentences]
        for given, seed in ((documents, 0), (documents[::-1], 0), (documents, 1))
    )
    assert one == other != third


def test_shuffled_types_change_types_alone(scanner):
    texts = ["We gave aspirin against headache here.", "Painol was given to them.", "Then headache came to them."]
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    found = make(documents, scanner, TYPES, settings=SilverSettings(empty_share=0))
    of = {m.entity: m.type for one in found.sentences for m in one.mentions}
    drawn = set()
    for seed in range(5):
        settings = SilverSettings(empty_share=0, seed=seed, shuffle_types=True)
        control = make(documents, scanner, TYPES, settings=settings)
        places, same = (
            {(one.id, m.start, m.end, m.entity) for one in silver.sentences for m in one.mentions}
            for silver in (found, control)
        )
        assert places == same and len(places) == 4
        types = {m.entity: m.type for one in control.sentences for m in one.mentions}
        assert all(m.type == types[m.entity] for one in control.sentences for m in one.mentions)
        assert Counter(types.values()) == Counter(of.values()) == {"chemical": 1, "disease": 2}
        assert control.mentions == Counter(types[entity] for *_, entity in places)
        drawn.add(tuple(sorted(types.items())))
    assert len(drawn) > 1


def test_a_sentence_is_taken_once(scanner):
    documents = [Document(str(n), "They gave aspirin, to them.") for n in range(3)]
    silver = make(documents, scanner, TYPES)
    assert len(silver.sentences) == 1 and silver.left_out[SENTENCE_TWICE] == 2


@pytest.mark.parametrize("shift", range(0, 31, 5))
def test_shared_text_is_found_wherever_it_stands(shift):
    overlap = Overlap([Document("1", "x" * shift + LONG)])
    assert overlap.found(Document("1", "other")) == BY_ID
    assert overlap.found(Document("2", "Yes - " + LONG.upper().replace(" ", "\n") + "!")) == BY_TEXT
    assert overlap.found(Document("2", "Other words " + LONG[:55])) is None


def test_articles_that_quote_one_licence_are_two():
    licence = "This work may be copied by anybody who names its authors and says what was changed in it, at no cost."
    articles = [" ".join(f"{word} {n} of them went on as before." for n in range(900)) for word in ("alpha", "omega")]
    known = Overlap([Document("1", f"{articles[0]} {licence}")])
    assert known.found(Document("2", f"{licence} {articles[1]}")) is None
    assert known.found(Document("3", f"{licence} One short note.")) == BY_TEXT
    assert known.found(Document("4", f"{articles[1]} {articles[0][:2000]}")) == BY_TEXT


def test_parts_of_an_article_that_is_known_are_left_out_whatever_they_say():
    train = Overlap([Document("A#1", "One sentence of an article."), Document("B", "A whole one.")])
    test = [Document(name, f"Other words, {name}.") for name in ("A#2", "A", "B#1", "C#1", "AA#2", "C")]
    corpus = corpora.Corpus("mine", "test", Path("test"), tuple(test), ("disease",), Report())
    kept, left_out = without(corpus, train, articles=True)
    assert [one.id for one in kept.documents] == ["C#1", "AA#2", "C"] and left_out == {BY_ARTICLE: 3}
    assert without(corpus, train)[1] == {}


def test_exactly_the_run_counts():
    plain = "abcdefghijklmnopqrstuvwxyz0123456789" * 3
    overlap = Overlap([Document("1", plain)], run=40)
    assert overlap.found(Document("2", "!!ä" + plain[7:47])) == BY_TEXT
    assert overlap.found(Document("2", "ä" + plain[7:46] + "ö")) is None


XML = """<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle//EN" "https://example.org/none.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation><PMID>11</PMID><Article><ArticleTitle>On <i>aspirin</i> &amp; α.</ArticleTitle>
<Abstract><AbstractText Label="AIM">We gave aspirin to all of them.</AbstractText><AbstractText>It helped
 headache.</AbstractText></Abstract></Article><CommentsCorrectionsList><CommentsCorrections><PMID>99</PMID>
</CommentsCorrections></CommentsCorrectionsList></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>12</PMID><Article><ArticleTitle/></Article></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>13</PMID><Article><ArticleTitle>Only this.</ArticleTitle></Article>
</MedlineCitation></PubmedArticle>
</PubmedArticleSet>
"""


def test_pubmed(tmp_path):
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(XML.encode(), mtime=0))
    report = Report()
    documents = list(pubmed.read(tmp_path / "a.xml.gz", report=report))
    assert [(one.id, one.text) for one in documents] == [
        ("11", "On aspirin & α. We gave aspirin to all of them. It helped headache."), ("13", "Only this.")
    ]  # fmt: skip
    assert report.skipped == {pubmed.NO_TEXT: 1} and report.noted == {pubmed.TITLE_ONLY: 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', "declares XML entities"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'.encode("utf-16"), "declares XML entities"),
        (b"<PubmedArticleSet><y></PubmedArticleSet>", "a.xml:1: is not well-formed"),
        (b"<x><y></x>", "is no PubMed: its root is <x>"),
        (b"no xml", "a.xml:1: is not well-formed"),
    ],
)
def test_bad_xml(tmp_path, data, message):
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(pubmed.read(tmp_path / "a.xml", report=Report()))


def test_truncated_gzip(tmp_path):
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(XML.encode() * 50, mtime=0)[:-40])
    with pytest.raises(InputError, match=r"cannot be read|not well-formed"):
        list(pubmed.read(tmp_path / "a.xml.gz", report=Report()))


@pytest.mark.parametrize("text", ["", "chemical", "a=B,a=C", "a=B+,b=C", "a=B,b=B"])
def test_bad_types(text):
    with pytest.raises(ConfigError, match=r"types|type B"):
        parse_types(text)


@pytest.mark.parametrize(
    "settings",
    [
        {"empty_share": 1},
        {"sentences": 0},
        {"min_words": 9, "max_words": 3},
        {"related": True, "shuffle_types": True},
        {"doubts": True, "shuffle_types": True},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(ConfigError):
        SilverSettings(**settings)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stopped.value.code, captured.out.splitlines(), captured.err


def test_command(graph, tmp_path, capsys):
    (tmp_path / "a.xml").write_text(XML, encoding="utf-8")
    lines = [{"id": "21", "text": f"{LONG} aspirin was given."}, {"id": "11", "text": "twice"}]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "test.jsonl").write_text(json.dumps({"id": "5", "text": LONG}) + "\n")
    call = ["data", "silver", "--graph", graph, "--text", tmp_path / "a.xml", "--text", tmp_path / "b.jsonl",
            "--types", "chemical=Chemical,disease=Disease", "--exclude", tmp_path / "gold"]  # fmt: skip
    hashes = []
    for name in ("one", "two"):
        code, out, err = run(capsys, *call, "--out", tmp_path / name)
        result = json.loads(out[-1])
        assert code == 0 and result["hash"] == read_manifest(tmp_path / name).hash
        hashes.append(result["hash"])
    assert hashes[0] == hashes[1]
    assert result["mentions"] == {"chemical": 2} and result["left_out"][BY_TEXT] == 1
    assert result["read"][str(tmp_path / "a.xml")]["skipped"] == {pubmed.NO_TEXT: 1}
    assert "left out: 1 x document id seen before" in err
    corpus = corpora.load("silver", tmp_path / "one", "train")
    assert corpus.types == ("chemical", "disease") and len(corpus) == result["sentences"]
    code, _, err = run(capsys, *call[:5], tmp_path / "gold" / "test.jsonl", "--types", "disease=Disease",
                       "--out", tmp_path / "none")  # fmt: skip
    assert code == 2 and "nothing was written" in err and not (tmp_path / "none").exists()


def test_related_sentences_keep_all_mentions_and_ids_through_the_check(tmp_path, capsys):
    entities = [Entity("C:1", "Chemical", "isoniazid", ("INH",)), Entity("D:1", "Disease", "tuberculosis"),
                Entity("D:2", "Disease", "gout")]  # fmt: skip
    build(entities, [Triple("C:1", "treats", "D:1")], tmp_path / "graph")
    texts = [
        "Isoniazid, or INH, against tuberculosis and not gout was given to all.",
        "Gout after isoniazid was seen in none.",
    ]
    (tmp_path / "t.jsonl").write_text(
        "".join(json.dumps({"id": f"t{n}", "text": text}) + "\n" for n, text in enumerate(texts))
    )
    with pytest.raises(SystemExit) as stopped:
        main(["data", "silver", "--graph", str(tmp_path / "graph"), "--text", str(tmp_path / "t.jsonl"), "--types",
              "Drug=Chemical,Illness=Disease", "--related", "--out", str(tmp_path / "related"), "--quiet"])  # fmt: skip
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped.value.code == 0 and said["sentences"] == 1
    with pytest.raises(SystemExit) as stopped:
        main(["data", "check", str(tmp_path / "related" / "rows.jsonl"), "--out", str(tmp_path / "bmg"), "--quiet"])
    assert stopped.value.code == 0 and json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 1
    (document,) = corpora.load("bmg", tmp_path / "bmg", "train").documents
    assert [(one.text, one.type, one.entity) for one in document.mentions] == [
        ("Isoniazid", "Drug", "C:1"), ("INH", "Drug", "C:1"), ("tuberculosis", "Illness", "D:1"),
        ("gout", "Illness", "D:2"),
    ]  # fmt: skip
    assert document.types == {"Drug", "Illness"}
    source = json.loads((tmp_path / "bmg" / "provenance.jsonl").read_text())
    assert source["pairs"][0]["relation"] == "treats" and source["model"] == "text"
    assert "nobody has read them" in (tmp_path / "bmg" / "README.md").read_text()
