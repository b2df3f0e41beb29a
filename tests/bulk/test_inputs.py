"""What readers of inputs meet: bad lines are failures, what a reader cannot read ends that input alone."""

import dataclasses
import gzip
import json
from pathlib import Path

import pytest

from kogner import progress
from kogner.annotate.predictor import Settings
from kogner.bulk import inputs as inputs_module
from kogner.bulk.folder import ShardResult
from kogner.bulk.inputs import POSITION_EVERY, InputReader, position
from kogner.bulk.job import Job
from kogner.bulk.shards import Cut, Failure
from kogner.bulk.source import Input
from kogner.bulk.worker import WorkPlan
from kogner.commands.annotate_folder import annotate_folder
from kogner.data import report as report_module
from kogner.data.formats import jsonl, pubmed, tables
from kogner.data.report import Report
from kogner.errors import InputError, MissingExtraError

PLAN = WorkPlan("org/student", ("disease",), Settings())


@pytest.fixture(autouse=True)
def without_a_student(monkeypatch):
    """A pool that writes documents as they are, but for those that are refused."""

    class Pool:
        def __init__(self, plan, folder, **more):
            from kogner.bulk.folder import JobFolder

            self.folder = JobFolder(folder)

        def run(self, shards):
            for shard in shards:
                kept = [one for place, one in enumerate(shard.documents) if place not in shard.refused]
                failures = tuple(
                    Failure(shard.first + place, shard.documents[place].id, why) for place, why in shard.refused.items()
                )
                count, size = len(shard.documents), sum(len(one.text) for one in kept)
                result = ShardResult(*shard.key, count, {}, 0, size, failures, len(failures))
                self.folder.write_shard(result, kept, form="jsonl", explain=False)
                yield result

    monkeypatch.setattr("kogner.bulk.job.ProcessPool", Pool)


def job(inputs, out, **more):
    return Job(PLAN, inputs, out, **{"processes": 1, "limits": Cut(documents=3)} | more)


def ids(out: Path) -> list[str]:
    files = sorted(out.glob("parts/*/*.jsonl"))
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


def failures(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]


def lined(path: Path, *rows) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def good(*numbers):
    return [{"id": f"d{n}", "text": f"text {n}"} for n in numbers]


BAD = ["{", {"id": "x", "body": "a"}, {"id": "y", "text": "a", "mentions": [{"start": 0}]}, "[]"]


def test_bad_lines_of_json_lines_are_failures_and_the_rest_is_annotated(tmp_path):
    source = lined(tmp_path / "a.jsonl", *good(0, 1), *BAD[:3], *good(2), BAD[3])
    manifest = job([source], tmp_path / "out").run()
    assert (manifest["documents"], manifest["annotated"], manifest["failed"]) == (7, 3, 4)
    assert ids(tmp_path / "out") == ["d0", "d1", "d2"] and "error" not in manifest["inputs"][0]
    found = failures(tmp_path / "out")
    assert [(one["place"], one["id"]) for one in found] == [(2, "a:3"), (3, "x"), (4, "y"), (6, "a:7")]
    for one, line, says in zip(found, (3, 4, 5, 7), ("not JSON", "has the keys id, body", "a mention", "an object"),
                               strict=True):  # fmt: skip
        assert f"a.jsonl:{line}" in one["reason"] and says in one["reason"]
    again = job([source], tmp_path / "out").run()
    assert (again["documents"], again["run"]["documents"]) == (7, 0)


def test_bad_lines_of_others_json_lines_are_failures_too(tmp_path):
    source = lined(tmp_path / "a.jsonl", {"body": "one"}, "{", {"other": "two"}, {"body": "three"})
    manifest = job([source], tmp_path / "out", form="jsonl:body").run()
    assert (manifest["documents"], manifest["failed"]) == (3, 1) and manifest["skipped"] == {jsonl.NO_TEXT: 1}
    assert ids(tmp_path / "out") == ["a:1", "a:4"] and failures(tmp_path / "out")[0]["id"] == "a:2"


def test_a_file_without_a_good_line_or_with_too_many_bad_ones_in_a_row_is_none_of_its_format(tmp_path, monkeypatch):
    source = lined(tmp_path / "a.jsonl", {"body": "one"}, {"body": "two"})
    with pytest.raises(InputError, match=r"a\.jsonl:1: has the keys body; .*--from jsonl:TEXT"):
        job([source], tmp_path / "out").run()
    assert failures(tmp_path / "out") == []
    monkeypatch.setattr(report_module, "REFUSED", 3)
    with pytest.raises(InputError, match=r"b\.jsonl:5: not JSON"):
        job([lined(tmp_path / "b.jsonl", *good(0), *"{{{{{{", *good(1))], tmp_path / "more").run()
    assert ids(tmp_path / "more") == ["d0"] and len(failures(tmp_path / "more")) == 3


def test_a_bad_line_is_raised_where_nobody_asked_for_the_others(tmp_path):
    source = lined(tmp_path / "a.jsonl", *good(0), "{", *good(1))
    with pytest.raises(InputError, match=r"a\.jsonl:2: not JSON"):
        list(jsonl.read(source, report=Report()))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MissingExtraError("reading .spacy", "spacy"), r"reading .spacy needs the extra 'spacy'"),
        (KeyError("text"), r"KeyError: 'text'"),
    ],
)
def test_whatever_a_reader_fails_with_ends_its_input_alone(tmp_path, monkeypatch, error, says):
    reading = inputs_module.read_documents

    def failing(path, form, *, report):
        for number, document in enumerate(reading(path, form, report=report)):
            if path.name == "a.jsonl" and number == 2:
                raise error
            yield document

    monkeypatch.setattr(inputs_module, "read_documents", failing)
    inputs = [lined(tmp_path / "a.jsonl", *good(*range(5))), lined(tmp_path / "b.jsonl", *good(7, 8))]
    with pytest.raises(InputError, match=rf"1 of 2 inputs could not be read to the end, the first: {says}"):
        job(inputs, tmp_path / "out").run()
    assert ids(tmp_path / "out") == ["d0", "d1", "d7", "d8"]


def test_the_manifest_says_where_what_was_skipped_stood(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,text\n1,one\n2,\n3,three,x\n" + "4,\n" * 5)
    (tmp_path / "b.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><Article><ArticleTitle>Fever.</ArticleTitle></Article>"
        "</MedlineCitation></PubmedArticle><PubmedArticle><MedlineCitation><PMID>7</PMID><Article><ArticleTitle>Pain."
        "</ArticleTitle></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
    )
    inputs = [str(tmp_path / "a.csv"), str(tmp_path / "b.xml")]
    annotate_folder(PLAN, inputs, tmp_path / "out", spread=None, processes=1, form=None, limits=Cut(), silence=9,
                    again=False)  # fmt: skip
    said = capsys.readouterr()
    assert "examples" not in json.loads(said.out.splitlines()[-1])
    assert f"a.csv: skipped 6 x {tables.EMPTY}, first at {tmp_path}/a.csv:3: row 2" in said.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["documents"] == 2
    assert manifest["skipped"] == {tables.EMPTY: 6, tables.BROKEN: 1, pubmed.NO_ID: 1}
    assert manifest["inputs"][0]["examples"] == {
        tables.EMPTY: [f"{tmp_path}/a.csv:{line}: row {line - 1}" for line in (3, 5, 6)],
        tables.BROKEN: [f"{tmp_path}/a.csv:4: 3, not 2"],
    }
    assert manifest["examples"] == manifest["inputs"][0]["examples"] | manifest["inputs"][1]["examples"]
    job(list(map(Path, inputs)), tmp_path / "out", limits=Cut()).run()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["examples"] == manifest["examples"]


def test_what_is_done_before_the_first_document_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    inputs = [lined(tmp_path / f"{name}.jsonl", *good(1)) for name in "ab"]
    job(inputs, tmp_path / "out").run()
    assert "inputs looked at: 2 of 2" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="the system does not say how far a file was read")
def test_how_far_a_file_below_a_link_was_read_is_known(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    source = lined(tmp_path / "link" / "a.jsonl", *good(*range(2 * POSITION_EVERY)))
    with source.open() as stream:
        stream.readline()
        assert position(source)
    one = dataclasses.replace(Input.of(0, source), path=str(source))
    reader = InputReader()
    next(reader.shards(one, Cut(documents=POSITION_EVERY + 1), done={}))
    assert reader.bytes


def test_a_bad_last_line_of_a_packed_file_and_one_that_is_whole_are_failures(tmp_path):
    """Neither was cut short: what is cut cannot be unpacked to its end, or is no JSON."""
    bad = '{"id": "x", "body": "a"}'
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(("\n".join([*map(json.dumps, good(1, 2)), bad]) + "\n").encode()))
    whole = tmp_path / "b.jsonl"
    whole.write_text("\n".join([*map(json.dumps, good(3)), bad]), encoding="utf-8")
    manifest = job([packed, whole], tmp_path / "out").run()
    assert (manifest["documents"], manifest["failed"]) == (5, 2)
    cut = tmp_path / "c.jsonl"
    cut.write_text("\n".join([*map(json.dumps, good(4)), bad[:-4]]), encoding="utf-8")
    with pytest.raises(InputError, match="could not be read to the end"):
        job([cut], tmp_path / "cut").run()
