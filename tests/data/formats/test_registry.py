"""What a format does not hold is said, and what it is said to hold comes back."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from kogner.cli import cli
from kogner.data.formats import gliner
from kogner.data.formats.registry import FORMATS, told
from kogner.data.report import Report
from kogner.records import Document, Link, Mention, Passage

LINKS = (Link("G:1", 0.9007199254740993), Link("G:2", 0.5))
RICH = Document(
    "7", "A fever\tand pain.",
    (Mention(2, 7, "disease", "fever", ("MESH:D1",), "G:1", 1 / 3, LINKS), Mention(12, 16, "sign", "pain")),
    frozenset({"disease", "gene", "sign"}), (Mention(0, 1, "gene", "A"),), (Passage(0, 7), Passage(8, 17)),
)  # fmt: skip
HELD = {
    "annotated type": lambda one: one.types,
    "entity beside id": lambda one: [(m.ids, m.entity) for m in one.mentions],
    "score": lambda one: [m.score for m in one.mentions],
    "unsure span": lambda one: [m.key for m in one.unsure],
    "passage": lambda one: one.passages,
    "score of link": lambda one: [[link.score for link in m.links[:1]] for m in one.mentions],
}
WRITTEN = [one for one in FORMATS.values() if one.write is not None]


@pytest.mark.parametrize("form", WRITTEN, ids=lambda one: one.name)
def test_a_format_keeps_what_it_is_said_to_keep_and_nothing_else(form, tmp_path):
    form.save(tmp_path / "f", [RICH], report=Report())
    (back,) = form.read(tmp_path / "f", report=Report())
    assert form.keeps == {what for what, of in HELD.items() if of(back) == of(RICH)}
    report = Report()
    form.save(tmp_path / "g", [RICH], report=report)
    lost = {what for what, _ in form.not_kept(RICH)}
    assert lost == {f"{what} not kept" for what in {*HELD, "link but the best"} - form.keeps - form.counts}
    assert form.counts.isdisjoint(form.keeps)


@pytest.mark.parametrize("form", WRITTEN, ids=lambda one: one.name)
def test_an_entity_that_is_one_of_the_ids_is_said_to_be_kept_where_it_is(form, tmp_path):
    linked = Mention(2, 7, "disease", "fever", ("G:1",), "G:1", links=LINKS[:1])
    document = Document("7", "A fever", (linked,))
    form.save(tmp_path / "f", [document], report=Report())
    (back,) = form.read(tmp_path / "f", report=Report())
    (mention,) = back.mentions
    if form.name not in ("gliner", "conll"):
        assert "G:1" in (*mention.ids, mention.entity)
    if "entity beside id" in form.keeps:
        assert mention.entity == "G:1"
    if "score of link" in form.keeps:
        assert mention.links[0].score == LINKS[0].score


def test_what_is_not_there_is_not_lost():
    plain = Document("7", "A fever", (Mention(2, 7, "x", "fever", entity="G:1"),))
    composite = Document("7", "A fever", (Mention(2, 7, "x", "fever", ("G:1", "G:2"), "G:1"),))
    for form in WRITTEN:
        assert not list(form.not_kept(plain)) and not list(form.not_kept(composite))


@pytest.mark.parametrize("target", ["a.pubtator", "a.bioc.xml", "a.bioc.json", "a/", "a.gliner.json"])
def test_the_command_says_what_is_lost(target, tmp_path):
    FORMATS["jsonl"].write(tmp_path / "a.jsonl", [RICH], report=Report())
    run = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "out") + f"/{target}"])
    assert run.exit_code == 0, run.output
    noted = json.loads(run.stdout.splitlines()[-1])["noted"]
    words = target.endswith(".gliner.json")
    assert noted.get("annotated type not kept", 0) == (0 if words else 3)
    assert noted["entity beside id not kept"] == noted["unsure span not kept"] == 1
    for reason in (gliner.NO_NAME, gliner.NO_IDS, gliner.REWRITTEN):
        assert noted.get(reason, 0) == words


def test_gliner_says_nothing_of_a_text_that_is_its_words(tmp_path):
    document = Document("7", "A fever", (Mention(2, 7, "x", "fever"),), frozenset({"y", "x"}))
    report = Report()
    FORMATS["gliner"].write(tmp_path / "f", [document], report=report)
    assert report.noted == {gliner.NO_NAME: 1} and not report.skipped
    raw = json.loads((tmp_path / "f").read_text())
    assert raw == {"tokenized_text": ["A", "fever"], "ner": [[1, 1, "x"]], "ner_labels": ["x", "y"]}
    (back,) = FORMATS["gliner"].read(tmp_path / "f", report=Report())
    assert (back.text, back.mentions, back.types) == (document.text, document.mentions, document.types)


@pytest.mark.parametrize("start", ["<!-- <article> ", "<?xml <article> ", "<!-- a --><?b?><!-- <html> "])
def test_a_comment_without_an_end_takes_the_rest(start):
    """Else each further one would be looked for to the end again."""
    assert told(start) == "bioc-xml" and told("<!-- <html> --><article>") == "jats"
