"""Readers given damaged files: documents or one of our errors, never another; nothing lost without a count.

10,000 cases of each reader in the slow run, or as many as FUZZ_CASES says.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import re
import resource
import zlib
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kogner.data.formats import bmg
from kogner.data.formats.registry import FORMATS, of_input
from kogner.data.report import Report
from kogner.errors import InputError, KognerError
from kogner.records import Document, Mention, Passage

QUICK, SLOW = 120, int(os.environ.get("FUZZ_CASES", "10000"))
MOST_MB = 400  # of memory that reading small files may add, hypothesis's own included
GAPS = 100_000  # blanks that offsets of BioC may put between the passages of a document

TITLED = Document(
    "7",
    "A title. The abstract of rats.",
    (
        Mention(2, 7, "x", "title", ("MESH:D1", "OMIM:2")),
        Mention(25, 29, "species", "rats", entity="X:1", score=0.5),
    ),
    frozenset(["x", "species"]),
    passages=(Passage(0, 8, (("type", "title"),)), Passage(9, 30, (("type", "abstract"), ("section", "R&D <1>")))),
)
GOOD = [TITLED, Document("8", "Sjögren’s α 𝛼", (Mention(0, 7, "disease", "Sjögren"),), frozenset(["x"]))]
HAND = {
    "text": "A title.\nAnd more of it.\n",
    "csv": 'id,text\n1,"A title, and\nmore"\n2,rats\n',
    "conll": "-DOCSTART- O\n\nIL-2\tB-gene\ngene\tI-gene\nrises\tO\n\nNo\tS-x\n",
    "genia": '{"tokens": ["IL-2", "gene"], "sent_id": "1", '
    '"entity_mentions": [{"start": 0, "end": 2, "entity_type": "DNA"}]}\n',
    "bmg": '{"tokenized_text": ["a", "b"], "ner": [[0, 0, "x"]], "kge": [["a", "X:1"]], "kges": [[0, 0, "X:1"]]}\n',
    "pubmed": "<?xml version='1.0'?><PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>"
    "<ArticleTitle>A <i>title</i></ArticleTitle><Abstract><AbstractText>Rats.</AbstractText></Abstract></Article>"
    "</MedlineCitation></PubmedArticle></PubmedArticleSet>",
    "jats": "<?xml version='1.0'?><!DOCTYPE article PUBLIC 'a' 'b'><article><front><article-meta>"
    "<article-id pub-id-type='pmid'>1</article-id><title-group><article-title>A title</article-title></title-group>"
    "</article-meta></front><body><sec><title>Aims</title><p>Rats<sup><xref>1</xref></sup> &alpha; "
    "<fig><label>1</label><caption><p>Two.</p></caption></fig></p></sec></body></article>",
}
NAMES = [*FORMATS, "bmg"]

ODD_BYTES = (
    b"\x00", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud83d", b"\xf0\x9f", "\u2028".encode(),
    "٣".encode(), b"9" * 30, b"9" * 400, b"9" * 5000, b"-1", b"1e999", b"NaN", b"-Infinity", b"null", b"true", b'"x"',
    b"{}", b"[]", b"[" * 3000, b'{"a":' * 3000, b"<a>" * 3000, b"<!ENTITY a 'b'>", b"<![CDATA[", b"&#0;", b"&b;",
    b"\t\t", b"\n\n", b"|", b"T1\tx 0 1;2 3\tx\n", b"--", b"\x1c", b"\x85", b",", b'"', b"''",
)  # fmt: skip
CODINGS = (*["utf-8"] * 6, "utf-16", "latin-1", "utf-32", "crlf", "gzip", "gzip cut")
HASTE = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
SEEDS = st.integers(0, 2**64 - 1)  # hypothesis's own strategies would take most of the time


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Nothing waits for the disk here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def seeds(tmp_path_factory) -> dict[str, bytes]:
    """A good file of each format; of BRAT its annotations."""
    folder = tmp_path_factory.mktemp("seeds")
    found = {name: text.encode() for name, text in HAND.items()}
    for name, form in FORMATS.items():
        if name == "parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2], "text": ["A title", "rats"]}), folder / name)
            found[name] = (folder / name).read_bytes()
        elif form.write is not None:
            form.write(folder / name, GOOD, report=Report())
            file = folder / name / "7.ann" if name == "brat" else folder / name
            found[name] = file.read_bytes()
    found["docbin"] = zlib.decompress(found["docbin"])  # is changed inside
    return found


def _damaged(good: bytes, dice: random.Random) -> tuple[bytes, str]:
    """A good file, or noise, with pieces changed, cut off or in another coding; and which coding."""
    changed = bytearray(dice.randbytes(dice.randrange(200)) if dice.random() < 0.1 else good)
    for _ in range(dice.randrange(5)):
        at, length = dice.randint(0, len(changed)), dice.choice((0, 0, 1, 1, 2, 5, 12))
        changed[at : at + length] = dice.choice(ODD_BYTES) if dice.random() < 0.7 else dice.randbytes(dice.randrange(6))
    if dice.random() < 0.3:
        del changed[dice.randint(0, len(changed)) :]
    made, coding = bytes(changed), dice.choice(CODINGS)
    if coding in ("utf-16", "latin-1", "utf-32"):
        made = made.decode("utf-8", "replace").encode(coding, "replace")
    elif coding == "crlf":
        made = made.replace(b"\n", b"\r\n")
    elif coding.startswith("gzip"):
        made = gzip.compress(made, 1)
        made = made[: len(made) * 2 // 3] if coding.endswith("cut") else made
    return made, coding


def _read(name: str, data: bytes, folder: Path, report: Report) -> list[Document]:
    path = folder / "file"
    if name == "brat":
        path = folder / "brat"
        path.mkdir(exist_ok=True)
        (path / "7.txt").write_text(TITLED.text)
        (path / "7.ann").write_bytes(data)
    else:
        path.write_bytes(zlib.compress(data, 1) if name == "docbin" else data)
        if name not in ("bmg", "docbin", "brat"):
            with contextlib.suppress(KognerError):
                of_input(path)
    read = bmg.read if name == "bmg" else FORMATS[name].read
    assert read is not None
    return list(read(path, report=report))


def _survives(name: str, cases: int, seeds, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=cases, phases=[Phase.generate], **HASTE)
    @given(seed=SEEDS)
    def check(seed):
        data, coding = _damaged(seeds[name], random.Random(seed))
        report = Report()
        try:
            documents = _read(name, data, folder, report)
        except KognerError as error:
            assert str(error)
            return
        for one in documents:
            for mention in (*one.mentions, *one.unsure):
                assert mention.end <= len(one.text) and mention.start < mention.end
        unpacked = 1000 if coding.startswith("gzip") else 1
        assert sum(len(one.text) for one in documents) <= 10 * unpacked * len(data) + GAPS * len(documents)

    check()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MOST_MB, f"{grown:.0f} MB"


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_an_error_of_ours(name, seeds, tmp_path):
    assert _read(name, seeds[name], tmp_path, Report())
    _survives(name, QUICK, seeds, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_much_damage_is_an_error_of_ours(name, seeds, tmp_path):
    _survives(name, SLOW, seeds, tmp_path)


TEXT = "Fever and pain of rats"
ODD = (None, True, 0.5, 2.0, float("inf"), float("nan"), "", "3", "x", [], {}, -(10**40), 10**400)
KINDS = ("x", "x", "Disease", "Ω", "a b", "", " ", None, 3)
SAID = (None, None, "", "Fever", "fever", "rats", "pain of", " ", "nowhere", TEXT)


def _entries(dice: random.Random, odd: bool) -> list[list[dict]]:
    """For each of some documents mentions of TEXT, most of which cannot be. odd: whether offsets may be no numbers."""

    def place():
        if odd and dice.random() < 0.2:
            return dice.choice(ODD)
        return dice.randint(-3, 30) if dice.random() < 0.9 else dice.randint(-(10**40), 10**40)

    return [
        [
            {"start": place(), "end": place(), "type": dice.choice(KINDS), "text": dice.choice(SAID)}
            for _ in range(dice.randrange(5))
        ]
        for _ in range(dice.randint(1, 3))
    ]


def _jsonl(entries) -> str:
    return "".join(
        json.dumps(
            {"id": number, "text": TEXT, "mentions": [{k: v for k, v in one.items() if v is not None} for one in some]}
        )
        + "\n"
        for number, some in enumerate(entries)
    )


def _bioc_json(entries) -> str:
    return json.dumps({
        "documents": [
            {"id": number, "passages": [{"offset": 0, "text": TEXT, "annotations": [
                {"infons": {"type": one["type"]}, "text": one["text"],
                 "locations": [{"offset": one["start"], "length": one["end"]}]} for one in some]}]}
            for number, some in enumerate(entries)
        ]
    })  # fmt: skip


def _bioc_xml(entries) -> str:
    def annotation(one) -> str:
        kind = "" if one["type"] is None else f'<infon key="type">{one["type"]}</infon>'
        place = f'<location offset="{_plain(one["start"])}" length="{_plain(one["end"])}"/>'
        return f"<annotation>{kind}{place}<text>{one['text'] or ''}</text></annotation>"

    return "<collection>" + "".join(
        f"<document><id>{number}</id><passage><offset>0</offset><text>{TEXT}</text>"
        f"{''.join(map(annotation, some))}</passage></document>"
        for number, some in enumerate(entries)
    ) + "</collection>"  # fmt: skip


def _plain(value) -> str:
    return "".join(c for c in str(value) if c.isascii() and c.isprintable() and c not in "<>&\"'")


def _pubtator(entries) -> str:
    blocks = []
    for number, some in enumerate(entries):
        lines = [f"{number}|t|{TEXT}", f"{number}|a|"]
        lines += ["\t".join(map(str, (number, one["start"], one["end"], one["text"], one["type"]))) for one in some]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _gliner(entries) -> str:
    return "".join(
        json.dumps(
            {"tokenized_text": [*TEXT.split(), ""], "ner": [[one["start"], one["end"], one["type"]] for one in some]}
        )
        + "\n"
        for some in entries
    )


def _bmg(entries) -> str:
    return "".join(
        json.dumps({"tokenized_text": TEXT.split(), "ner": [[one["start"], one["end"], one["type"]] for one in some]})
        + "\n"
        for some in entries
    )


def _genia(entries) -> str:
    return "".join(
        json.dumps({"sent_id": f"s{number}", "tokens": [*TEXT.split(), ""], "entity_mentions": [
            {"start": one["start"], "end": one["end"], "entity_type": one["type"]} for one in some]}) + "\n"
        for number, some in enumerate(entries)
    )  # fmt: skip


def _brat(entries) -> str:
    numbers = count(1)
    return "".join(
        f"T{next(numbers)}\t{one['type']} {one['start']} {one['end']}\t{one['text'] or ''}\n"
        for some in entries
        for one in some
    )


MADE = {
    "jsonl": (_jsonl, True),
    "bioc-json": (_bioc_json, True),
    "bioc-xml": (_bioc_xml, True),
    "pubtator": (_pubtator, False),
    "gliner": (_gliner, True),
    "genia": (_genia, True),
    "brat": (_brat, False),
    "bmg": (_bmg, False),
}


def _accounts(name: str, cases: int, folder: Path) -> None:
    make, odd = MADE[name]

    @settings(max_examples=cases, phases=[Phase.generate], **HASTE)
    @given(seed=SEEDS)
    def check(seed):
        entries = _entries(random.Random(seed), odd)
        report = Report()
        try:
            documents = _read(name, make(entries).encode(), folder, report)
        except InputError:
            return
        assert len(documents) == (1 if name == "brat" else len(entries))
        found = sum(len(one.mentions) for one in documents)
        assert found + report.skipped.total() == sum(map(len, entries)), (entries, documents, report)
        for one in documents:
            for mention in one.mentions:
                assert mention.text in (one.text[mention.start : mention.end], "")

    check()


@pytest.mark.parametrize("name", MADE)
def test_no_mention_is_lost_without_a_count(name, tmp_path):
    _accounts(name, QUICK, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_of_many_mentions_none_is_lost_without_a_count(name, tmp_path):
    _accounts(name, SLOW, tmp_path)


CELLS = st.sampled_from(["", " ", "1", "Rats.", "Fever, and", 'a "b"', "\t", "α", None])


def _csv(records) -> str:
    rows = ([cell.replace('"', '""') for cell in row if cell is not None] for row in records)
    return "id,text\n" + "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)


def _pubmed(records) -> str:
    def citation(number, title, text) -> str:
        found = "" if number is None else f"<PMID>{number}</PMID>"
        inside = "" if title is None else f"<ArticleTitle>{title}</ArticleTitle>"
        inside += "" if text is None else f"<Abstract><AbstractText>{text}</AbstractText></Abstract>"
        whole = f"<MedlineCitation>{found}<Article>{inside}</Article></MedlineCitation>"
        return (
            "<PubmedBookArticle/>"
            if title == "\t"
            else f"<PubmedArticle>{'' if text == '1' else whole}</PubmedArticle>"
        )

    return f"<PubmedArticleSet>{''.join(citation(*(*row, None, None, None)[:3]) for row in records)}</PubmedArticleSet>"


def _jats(records) -> str:
    def article(number, title, text) -> str:
        meta = f"<article-id pub-id-type='pmid'>{number}</article-id><title-group><article-title>{title or ''}"
        body = "" if text is None else f"<body><p>{text}</p></body>"
        return (
            f"<article><front><article-meta>{meta}</article-title></title-group></article-meta></front>{body}</article>"
        )

    return f"<articles>{''.join(article(*(*row, None, None, None)[:3]) for row in records)}</articles>"


@pytest.mark.parametrize("make", [_csv, _pubmed, _jats])
def test_no_document_is_lost_without_a_count(make, tmp_path):
    @settings(max_examples=QUICK, **HASTE)
    @given(records=st.lists(st.lists(CELLS, max_size=4), min_size=1, max_size=4))
    def check(records):
        report = Report()
        documents = _read(make.__name__[1:], make(records).encode(), tmp_path, report)
        there = [row for row in records if any(cell is not None for cell in row)] if make is _csv else records
        assert len(documents) + report.skipped.total() == len(there), report

    check()


NASTY = st.text(
    st.one_of(st.characters(), st.sampled_from("\x00\t\r\n\x0b\x1c\x85\u2028\ud800\udfff|<&]\"' ")), max_size=12
)


@st.composite
def _nasty(draw):
    text = draw(NASTY.filter(str.strip))
    mentions = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        ids = tuple(draw(st.lists(NASTY, max_size=2)))
        entity, score = draw(st.one_of(st.none(), NASTY)), draw(st.one_of(st.none(), st.floats(0, 1)))
        mentions.append(Mention(start, end, draw(NASTY.filter(str.strip)), text[start:end], ids, entity, score))
    cut = draw(st.integers(0, len(text)))
    infons = tuple(dict(draw(st.lists(st.tuples(NASTY, NASTY), max_size=2))).items())
    parts = draw(st.sampled_from([(), (Passage(0, cut, infons), Passage(cut, len(text)))]))
    return Document(draw(NASTY), text, tuple(mentions), frozenset(draw(st.lists(NASTY, max_size=2))), passages=parts)


OF_WORDS = ("gliner", "conll")
WRITTEN = [name for name, form in FORMATS.items() if form.write is not None]


EXACT = ("jsonl", "docbin")  # what they keep comes back as it is, whatever letters it has


def _of_utf8(document: Document) -> Document:
    def plain(text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    mentions = tuple(
        replace(one, type=plain(one.type), text=plain(one.text), ids=tuple(map(plain, one.ids)),
                entity=None if one.entity is None else plain(one.entity))
        for one in document.mentions
    )  # fmt: skip
    return replace(document, text=plain(document.text), mentions=mentions, types=frozenset(map(plain, document.types)))


def _held(document: Document) -> tuple:
    mentions = [(*one.key, one.text, one.ids, str(one.entity), str(one.score)) for one in document.mentions]
    return document.text, sorted(mentions), sorted(document.types), [(one.start, one.end) for one in document.passages]


def _nothing_moves(name: str, cases: int, folder: Path) -> None:
    places = count()

    @settings(max_examples=cases, **HASTE)
    @given(documents=st.lists(_nasty(), min_size=1, max_size=3))
    def check(documents):
        documents = [replace(one, id=f"{number}{one.id}") for number, one in enumerate(documents)]
        place, report = folder / f"{name}{next(places)}", Report()
        FORMATS[name].save(place, documents, report=report)
        dropped = report.skipped.total()  # in writing: of words, which have no mentions off their edges
        assert not dropped or name in OF_WORDS
        back = list(FORMATS[name].read(place, report=report))
        found = sum(len(one.mentions) for one in back)
        assert found + report.skipped.total() == sum(len(one.mentions) for one in documents), report
        if name in OF_WORDS:
            return
        assert not report.repaired and not dropped, report
        given_places = sorted(sorted((m.start, m.end) for m in one.mentions) for one in documents)
        assert sorted(sorted((m.start, m.end) for m in one.mentions) for one in back) == given_places
        assert sorted(len(one.text) for one in back) == sorted(len(one.text) for one in documents)
        if name in EXACT:
            given = [_of_utf8(one) if name == "docbin" else one for one in documents]
            assert sorted(map(_held, back)) == sorted(map(_held, given))

    check()


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_can_be_read(name, tmp_path):
    _nothing_moves(name, 15, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
def test_much_that_is_written_can_be_read(name, tmp_path):
    _nothing_moves(name, SLOW // 20, tmp_path)
