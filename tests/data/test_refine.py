"""Names in doubt, and what students that did not learn them make of them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from kogner.artifacts import read_manifest
from kogner.cli import cli
from kogner.data.formats import jsonl
from kogner.data.refine import RefineSettings, hide, part_of, refine
from kogner.errors import ConfigError
from kogner.records import Document, Mention

TEXT = "Ray saw aspirin and met fever; ray of hope."


def at(word, kind, score=None, start=0):
    begin = TEXT.index(word, start)
    return Mention(begin, begin + len(word), kind, word, score=score)


NAMES = (at("Ray", "gene"), at("aspirin", "chemical"), at("met", "gene"), at("ray", "gene", start=20))
DOCUMENT = Document("1", TEXT, NAMES, frozenset({"gene", "chemical", "disease"}))


def test_a_name_is_of_one_part_whatever_its_case():
    assert part_of(NAMES[0], 2) == part_of(NAMES[3], 2)
    parts = {part_of(Mention(0, 1, "x", f"name {number}"), 3) for number in range(40)}
    assert parts == {0, 1, 2}


def test_hidden_names_are_in_doubt_and_each_is_hidden_once():
    hidden = [hide([DOCUMENT], part, 2)[0] for part in (0, 1)]
    for one in hidden:
        assert sorted([*one.mentions, *one.unsure], key=lambda m: m.key) == list(NAMES)
    assert not {m.key for m in hidden[0].unsure} & {m.key for m in hidden[1].unsure}
    with pytest.raises(ConfigError, match="part 2 of 2"):
        hide([DOCUMENT], 2, 2)


def test_names_are_judged_by_the_student_that_did_not_learn_them():
    other = 1 - part_of(NAMES[1], 2)
    found = [[], []]
    found[other] = [at("aspirin", "chemical", 0.99)]  # it learnt the name: what it says does not count
    predicted = [[Document("1", TEXT, tuple(one))] for one in found]
    assert not refine([DOCUMENT], predicted).sentences[0].mentions
    found[1 - other] = [at("aspirin", "chemical", 0.9)]
    predicted = [[Document("1", TEXT, tuple(one))] for one in found]
    refined = refine([DOCUMENT], predicted)
    assert [m.text for m in refined.sentences[0].mentions] == ["aspirin"]
    assert refined.counts == {"name kept": 1, "name taken back": 3}
    assert refined.to_dict()["lowest"] == [["gene", "ray", 0.0, 2], ["gene", "met", 0.0, 1]]


def test_a_names_mean_counts_beside_the_occurrence():
    seen = tuple(at(word, "gene", score, start) for word, score, start in (("Ray", 0.5, 0), ("ray", 0.02, 20)))
    predicted = [[Document("1", TEXT, seen)]] * 2
    mixed = refine([DOCUMENT], predicted).sentences[0]
    assert {m.text for m in mixed.unsure} == {"Ray", "ray"}  # (0.26 + 0.5) / 2 and (0.26 + 0.02) / 2
    alone = refine([DOCUMENT], predicted, RefineSettings(name_weight=0)).sentences[0]
    assert [m.text for m in alone.mentions] == ["Ray"] and not alone.unsure


def test_spans_are_added_where_all_students_agree_and_doubted_where_they_are_not_sure():
    sure, less = at("fever", "disease", 0.95), at("fever", "disease", 0.4)
    both = refine([DOCUMENT], [[Document("1", TEXT, (sure,))]] * 2).sentences[0]
    assert [(m.text, m.entity) for m in both.mentions] == [("fever", None)]
    split = refine([DOCUMENT], [[Document("1", TEXT, (one,))] for one in (sure, less)]).sentences[0]
    assert [m.text for m in split.unsure] == ["fever"] and not split.mentions
    alone = refine([DOCUMENT], [[Document("1", TEXT, one)] for one in ((sure,), ())]).sentences[0]
    assert not alone.unsure and not alone.mentions


def test_a_span_across_a_kept_name_is_no_mention():
    wide = Mention(TEXT.index("saw"), TEXT.index(" and"), "chemical", "saw aspirin", score=0.95)
    predicted = [[Document("1", TEXT, (at("aspirin", "chemical", 0.9), wide))]] * 2
    found = refine([DOCUMENT], predicted).sentences[0]
    assert [m.text for m in found.mentions] == ["aspirin"]
    assert [m.text for m in found.unsure] == ["saw aspirin"]


def test_the_command_hides_and_the_corpus_reads_back(tmp_path):
    folder = tmp_path / "silver"
    folder.mkdir()
    jsonl.write(folder / "train.jsonl", [DOCUMENT])
    result = CliRunner().invoke(cli, ["data", "hide", str(folder), "--part", "1/2", "--out", str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert said["mentions"] + said["in_doubt"] == 4
    assert read_manifest(tmp_path / "one").recipe == {"part": 1, "parts": 2}
    lines = (tmp_path / "one" / "train.jsonl").read_text().splitlines()
    assert len(json.loads(lines[0]).get("unsure", [])) == said["in_doubt"]


@pytest.mark.parametrize(("part", "message"), [("3/2", "no part"), ("1", "must look like 1/2"), ("1/1", "no part")])
def test_parts_that_are_none(tmp_path, part, message):
    result = CliRunner().invoke(cli, ["data", "hide", str(tmp_path), "--part", part, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and message in result.output


def test_refine_and_silver_of_a_corpus_as_commands(tmp_path, tiny_student):
    from kogner import artifacts
    from kogner.graph.rejections import Rejections
    from kogner.graph.store import build
    from kogner.records import Entity
    from kogner.student import checkpoint
    from kogner.student.checkpoint import StudentInfo

    build([Entity("D:1", "Disease", "fever")], [], tmp_path / "graph", rejected=Rejections())
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    wrong = Mention(0, 4, "disease", "Rats")
    jsonl.write(corpus / "train.jsonl", [Document("1", "Rats with fever ran away quickly.", (wrong,))])
    jsonl.write(corpus / "test.jsonl", [Document("2", "Something else.", (), frozenset({"disease"}))])
    call = ["data", "silver", "--graph", str(tmp_path / "graph"), "--types", "disease=Disease"]
    result = CliRunner().invoke(cli, [*call, "--out", str(tmp_path / "none")])
    assert isinstance(result.exception, ConfigError) and "nothing to read" in str(result.exception)
    call += ["--corpus", str(corpus), "--exclude", str(corpus), "--out", str(tmp_path / "silver")]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    (line,) = (tmp_path / "silver" / "train.jsonl").read_text().splitlines()
    assert [one["text"] for one in json.loads(line)["mentions"]] == ["fever"]  # the corpus' own mention is not read
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("disease",)), folder)
    call = ["data", "refine", str(tmp_path / "silver"), "--out", str(tmp_path / "refined")]
    one = ["--model", str(tmp_path / "student")]
    result = CliRunner().invoke(cli, [*call, *one])
    assert isinstance(result.exception, ConfigError) and "at least two" in str(result.exception)
    result = CliRunner().invoke(cli, [*call, *one, *one])
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout.splitlines()[-1])["counts"]
    assert sum(counts.get(what, 0) for what in ("name kept", "name in doubt", "name taken back")) == 1
