"""Jobs: every document has one result or one failure, whatever dies, and what is done is not done again."""

import dataclasses
import gzip
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dying
import pytest

from kogner import artifacts, progress
from kogner.annotate import output
from kogner.annotate.predictor import Predictor, Settings
from kogner.bulk import inputs as inputs_module
from kogner.bulk import processes
from kogner.bulk.folder import INPUT, JobFolder
from kogner.bulk.inputs import InputReader, files_of
from kogner.bulk.job import Job
from kogner.bulk.shards import Cut, Shard
from kogner.bulk.source import Input
from kogner.bulk.worker import CANARY, Worker, WorkPlan
from kogner.cli import main
from kogner.commands.annotate import SHARD_FORMATS
from kogner.data.formats.registry import FORMATS
from kogner.data.report import Report
from kogner.errors import ArtifactError, InputError, KognerError
from kogner.progress import set_quiet
from kogner.records import Document
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

LABELS = ("chemical", "disease")
SETTINGS = Settings(threshold=0.3, threads=1)


@pytest.fixture(scope="module")
def model(tiny_encoder, tmp_path_factory) -> Path:
    import torch

    from kogner.config import StudentConfig

    torch.manual_seed(1)
    student = checkpoint.create(StudentConfig(encoder=str(tiny_encoder), max_width=4)).eval()
    folder = tmp_path_factory.mktemp("model") / "student"
    with artifacts.writing(folder, kind=checkpoint.KIND, version=checkpoint.VERSION) as building:
        checkpoint.save(student, StudentInfo(LABELS), building)
    return folder


def documents(count, *, word="aspirin", prefix="d"):
    return [Document(f"{prefix}{n}", f"{word} lowered the fever of {n} rats in pain .") for n in range(count)]


def written(path: Path, some) -> Path:
    path.write_text("".join(json.dumps({"id": one.id, "text": one.text}) + "\n" for one in some), encoding="utf-8")
    return path


def job(model, inputs, out, **more):
    plan = WorkPlan(str(model), LABELS, SETTINGS)
    return Job(plan, inputs, out, **{"processes": 1, "limits": Cut(documents=4)} | more)


def results(out: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(out.glob("parts/*/*.jsonl")) for line in file.open(encoding="utf-8")]


@pytest.fixture
def in_this_process(monkeypatch):
    """The pool without processes: what happens in them happens here."""

    class Pool:
        def __init__(self, plan, folder, **more):
            self.worker = Worker(plan, folder)

        def run(self, shards):
            for shard in shards:
                yield self.worker.write(shard)

    monkeypatch.setattr("kogner.bulk.job.ProcessPool", Pool)


def test_results_are_those_of_the_predictor_and_counted(model, tmp_path, in_this_process):
    first, second = documents(10), documents(3, prefix="e")
    inputs = [written(tmp_path / "a b.jsonl", first), written(tmp_path / "b.jsonl", second)]
    manifest = job(model, inputs, tmp_path / "out").run()
    expected = list(Predictor.load(str(model)).predict(first + second, labels=LABELS, settings=SETTINGS))
    assert results(tmp_path / "out") == [json.loads(output.to_json(one)) for one in expected]
    found = sum(len(one.mentions) for one in expected)
    assert found and sum(manifest["entities"].values()) == found
    assert (manifest["documents"], manifest["annotated"], manifest["failed"]) == (13, 13, 0)
    assert [one["documents"] for one in manifest["inputs"]] == [10, 3]
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert sorted(one.name for one in (tmp_path / "out" / "parts").iterdir()) == ["00000-a_b.jsonl", "00001-b.jsonl"]
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "parts").rglob("*")}
    more = written(tmp_path / "c.jsonl", documents(1, prefix="f"))
    again = job(model, [more], tmp_path / "out").run()
    assert (again["documents"], again["run"]["documents"], len(again["inputs"])) == (14, 1, 3)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    (tmp_path / "elsewhere").mkdir()
    moved = inputs[1].rename(tmp_path / "elsewhere" / "b.jsonl")
    assert job(model, [moved], tmp_path / "out").run()["documents"] == 14
    copy = written(tmp_path / "b.jsonl", second)
    assert job(model, [copy, moved], tmp_path / "out").run()["documents"] == 17


def test_a_document_that_cannot_be_annotated_is_a_failure_and_the_others_go_on(
    model, tmp_path, in_this_process, monkeypatch
):
    some = documents(9)
    some[5] = dataclasses.replace(some[5], text="this one breaks it")
    some[7] = dataclasses.replace(some[7], text="x" * 500)
    predict = Predictor.predict

    def breaking(self, given, **more):
        for document in predict(self, given, **more):
            if "breaks" in document.text:
                raise RuntimeError("something inside")
            yield document

    monkeypatch.setattr(Predictor, "predict", breaking)
    limits = Cut(documents=4, longest=400)
    manifest = job(model, [written(tmp_path / "a.jsonl", some)], tmp_path / "out", limits=limits).run()
    assert (manifest["documents"], manifest["annotated"], manifest["failed"]) == (9, 7, 2)
    assert [one["id"] for one in results(tmp_path / "out")] == [f"d{n}" for n in (0, 1, 2, 3, 4, 6, 8)]
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").open()]
    assert [(one["id"], one["place"], one["input"]) for one in failures] == [
        ("d5", 5, str(tmp_path / "a.jsonl")), ("d7", 7, str(tmp_path / "a.jsonl")),
    ]  # fmt: skip
    assert failures[0]["reason"] == "RuntimeError: something inside"
    assert "500 characters, the limit is 400" in failures[1]["reason"]


def test_a_model_that_fails_at_a_plain_sentence_too_stops_the_job(model, tmp_path, in_this_process, monkeypatch):
    def broken(*_, **__):
        raise InputError("no")

    monkeypatch.setattr(Predictor, "predict", broken)
    says = r"all 4 documents of a shard failed, the last with no, and so did a plain sentence \(InputError: no\)"
    with pytest.raises(KognerError, match=says):
        job(model, [written(tmp_path / "a.jsonl", documents(20))], tmp_path / "out").run()
    assert results(tmp_path / "out") == [] and not list((tmp_path / "out").glob("parts/*/0*.json"))


@pytest.mark.parametrize("error", [RuntimeError("odd"), InputError("odd")])
def test_any_number_of_poison_documents_are_failures_and_the_job_goes_on(
    model, tmp_path, in_this_process, monkeypatch, error
):
    predict = Predictor.predict

    def breaking(self, given, **more):
        for document in predict(self, given, **more):
            if "poison" in document.text:
                raise error
            yield document

    monkeypatch.setattr(Predictor, "predict", breaking)
    source = written(tmp_path / "a.jsonl", [*documents(25, word="poison"), *documents(3, prefix="e")])
    manifest = job(model, [source], tmp_path / "out", limits=Cut(documents=20)).run()
    assert (manifest["documents"], manifest["failed"]) == (28, 25)
    assert [one["id"] for one in results(tmp_path / "out")] == ["e0", "e1", "e2"]


def test_what_cannot_be_read_to_its_end_is_said_last_and_read_again(model, tmp_path, in_this_process):
    broken = written(tmp_path / "a.jsonl", documents(6))
    broken.write_text(broken.read_text() + '{"id": "x", "text": ')
    whole = written(tmp_path / "b.jsonl", documents(2, prefix="e"))
    for _ in range(2):
        with pytest.raises(InputError, match=r"1 of 2 inputs could not be read to the end.*a\.jsonl:7"):
            job(model, [broken, whole], tmp_path / "out").run()
        assert [one["id"] for one in results(tmp_path / "out")] == [*(f"d{n}" for n in range(6)), "e0", "e1"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "a.jsonl:7" in manifest["inputs"][0]["error"] and "error" not in manifest["inputs"][1]
    written(broken, documents(7))
    mended = job(model, [broken, whole], tmp_path / "out").run()
    assert mended["documents"] == 9 and len(results(tmp_path / "out")) == 9


def test_what_could_not_be_read_on_once_is_read_on_later(model, tmp_path, in_this_process, monkeypatch):
    """A disk or a network that failed for a moment: the file itself is as it was."""
    given = written(tmp_path / "a.jsonl", documents(9))
    whole = job(model, [given], tmp_path / "whole").run()
    reading = inputs_module.read_documents

    def failing(path, form, *, report):
        for number, document in enumerate(reading(path, form, report=report)):
            if number == 5:
                raise InputError("Input/output error", path=path)
            yield document

    with monkeypatch.context() as patched:
        patched.setattr(inputs_module, "read_documents", failing)
        with pytest.raises(InputError, match="could not be read to the end"):
            job(model, [given], tmp_path / "out").run()
    manifest = job(model, [given], tmp_path / "out").run()
    assert manifest["documents"] == whole["documents"] == 9
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_a_shard_that_is_missing_is_said(model, tmp_path, in_this_process):
    given = written(tmp_path / "a.jsonl", documents(9))
    job(model, [given], tmp_path / "out").run()
    (one,) = JobFolder(tmp_path / "out").inputs()
    parts = tmp_path / "out" / "parts" / one.folder
    (parts / "00001.json").unlink()
    with pytest.raises(KognerError, match=r"shard 1 of .* is missing"):
        JobFolder(tmp_path / "out").finish(one, Report(), documents=9)


def test_an_input_that_was_moved_before_it_was_done_goes_on_at_its_new_place(model, tmp_path, monkeypatch):
    class Stopping:
        def __init__(self, plan, folder, **more):
            self.worker = Worker(plan, folder)

        def run(self, shards):
            yield self.worker.write(next(shards))
            raise KeyboardInterrupt

    source = written(tmp_path / "a.jsonl", documents(12))
    with monkeypatch.context() as patched:
        patched.setattr("kogner.bulk.job.ProcessPool", Stopping)
        with pytest.raises(KeyboardInterrupt):
            job(model, [source], tmp_path / "out").run()
    assert not (tmp_path / "out" / "manifest.json").exists()
    (tmp_path / "elsewhere").mkdir()
    moved = source.rename(tmp_path / "elsewhere" / "a.jsonl")
    manifest = job(model, [moved], tmp_path / "out").run()
    assert (manifest["documents"], manifest["run"]["documents"]) == (12, 8)
    assert manifest["inputs"][0]["path"] == str(moved)


def test_errors_one_after_the_other_stop_the_job_and_are_no_failures(model, tmp_path, in_this_process, monkeypatch):
    predict, broken = Predictor.predict, True

    def breaking(self, given, **more):
        for document in predict(self, given, **more):
            if broken and (document.id == CANARY.id or int(document.id[1:]) >= 8):
                raise RuntimeError("the device is gone")
            yield document

    monkeypatch.setattr(Predictor, "predict", breaking)
    source = written(tmp_path / "a.jsonl", documents(40))
    with pytest.raises(KognerError, match="10 documents failed one after the other, the last, d17, with RuntimeError"):
        job(model, [source], tmp_path / "out", limits=Cut(documents=20)).run()
    assert results(tmp_path / "out") == []
    broken = False
    manifest = job(model, [source], tmp_path / "out", limits=Cut(documents=20)).run()
    assert (manifest["documents"], manifest["failed"]) == (40, 0)


def test_shards_with_failures_are_annotated_again_where_asked(model, tmp_path, in_this_process, monkeypatch):
    predict, broken = Predictor.predict, True

    def breaking(self, given, **more):
        for document in predict(self, given, **more):
            if broken and document.id == "d5":
                raise RuntimeError("for now")
            yield document

    monkeypatch.setattr(Predictor, "predict", breaking)
    source = written(tmp_path / "a.jsonl", documents(12))
    assert job(model, [source], tmp_path / "out").run()["failed"] == 1
    broken = False
    assert job(model, [source], tmp_path / "out").run()["failed"] == 1
    manifest = job(model, [source], tmp_path / "out", again=True).run()
    assert (manifest["failed"], manifest["documents"], manifest["run"]["documents"]) == (0, 12, 4)
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""


def test_documents_that_are_refused_do_not_stop_the_job(model, tmp_path, in_this_process):
    some = [dataclasses.replace(one, text="x" * 500) for one in documents(12)] + documents(8, prefix="e")
    limits = Cut(documents=4, longest=400)
    manifest = job(model, [written(tmp_path / "a.jsonl", some)], tmp_path / "out", limits=limits).run()
    assert (manifest["annotated"], manifest["failed"]) == (8, 12)


def test_what_killed_processes_left_is_removed_and_in_nobodys_way(model, tmp_path, in_this_process):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".job.json.123.tmp").write_text("{")
    source = written(tmp_path / "a.jsonl", documents(8))
    job(model, [source], tmp_path / "out").run()
    left = tmp_path / "out" / "parts" / "00000-a.jsonl" / ".00001.jsonl.123.tmp"
    left.write_text("x")
    job(model, [source], tmp_path / "out").run()
    assert not left.exists() and not list((tmp_path / "out").rglob("*.tmp"))


def test_the_files_of_a_folder(tmp_path, capfd):
    for name in ("b.xml.gz", "a.jsonl", "README.txt", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "more").mkdir()
    assert [path.name for path in files_of([str(tmp_path)])] == ["README.txt", "a.jsonl", "b.xml.gz"]
    assert "passed over are 2 folders and files" in capfd.readouterr().err
    texts = tmp_path / "more"
    (texts / "a.txt").write_text("x")
    assert files_of([str(texts)]) == [texts]
    (texts / "a.ann").write_text("")
    (texts / "annotation.conf").write_text("")
    assert files_of([str(texts)]) == [texts]
    assert "such as annotation.conf" in capfd.readouterr().err


class Ended:
    pid, exitcode = 7, -9

    def join(self, seconds=None):
        pass


def lost(pool, task, *, place, begun, cause="ended the process, exit code -9"):
    return pool._once_more(task, processes._Process(Ended(), None, task, True, place, begun), cause)


def test_a_document_is_left_out_after_two_losses_at_it_and_with_their_cause(model, tmp_path):
    pool = processes.ProcessPool(WorkPlan(str(model), LABELS, SETTINGS), tmp_path, count=1)
    task = processes.Task(Shard(0, 0, 0, tuple(documents(3))))
    task = lost(pool, task, place=2, begun=3)  # one document, in a task of many: whose fault it was is not known
    assert task.careful and not task.without
    task = lost(pool, task, place=1, begun=2, cause="took longer than 900 s")
    task = lost(pool, task, place=None, begun=3)  # while it wrote
    assert not task.without
    task = lost(pool, task, place=1, begun=2, cause="took longer than 900 s")
    assert task.without == {1: "annotating it took longer than 900 s, 2 times"}


def test_processes_that_are_lost_without_a_document_between_end_the_job(model, tmp_path):
    pool = processes.ProcessPool(WorkPlan(str(model), LABELS, SETTINGS), tmp_path, count=1)
    task = processes.Task(Shard(0, 0, 0, tuple(documents(30))))
    with pytest.raises(KognerError, match="20 processes were lost one after the other"):
        for number in range(40):
            task = lost(pool, task, place=number // 2, begun=1)
    assert 8 <= len(task.without) <= 10 and task.check


def test_processes_that_are_lost_end_no_job_where_the_next_one_can_annotate_a_plain_sentence(
    model, tmp_path, monkeypatch
):
    pool = processes.ProcessPool(WorkPlan(str(model), LABELS, SETTINGS), tmp_path, count=1)
    task = processes.Task(Shard(0, 0, 0, tuple(documents(30))))
    for number in range(processes.BARREN):
        task = lost(pool, task, place=number // 2, begun=1)
    ours, theirs = multiprocessing.Pipe()
    worker = processes._Process(Ended(), ours, task, True)
    pool._workers = [worker]
    theirs.send(("alive", None))
    assert not list(pool._listen(1.0)) and not worker.task.check
    assert not lost(pool, worker.task, place=10, begun=1).check


def worked(monkeypatch, plan, out, task, *, answers):
    """What a process says to a task, less that it is ready."""
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=processes._work, args=(theirs, plan, out))
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    thread.start()
    ours.send(task)
    said = [ours.recv() for _ in range(answers + 1)]
    ours.close()
    thread.join(20)
    set_quiet(False)
    assert said[0][0] == "ready"
    return said[1:]


def test_a_plain_sentence_is_annotated_before_a_task_that_asks_for_it(model, tmp_path, monkeypatch):
    source = written(tmp_path / "a.jsonl", documents(1))
    plan = WorkPlan(str(model), LABELS, SETTINGS)
    (one,) = JobFolder(tmp_path / "out").begin({}, [source])
    task = processes.Task(Shard(one.number, 0, 0, tuple(documents(1))), check=True)
    said = worked(monkeypatch, plan, tmp_path / "out", task, answers=4)
    assert [kind for kind, _ in said] == ["alive", "at", "at", "done"]

    def broken(*_, **__):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(Predictor, "predict", broken)
    ((kind, says),) = worked(monkeypatch, plan, tmp_path / "out", task, answers=1)
    assert kind == "failed" and "so did a plain sentence (RuntimeError: the device is gone)" in says


def test_a_shard_that_cannot_be_written_is_nobodys_failure(model, tmp_path, monkeypatch):
    source = written(tmp_path / "a.jsonl", documents(2))
    plan = WorkPlan(str(model), LABELS, SETTINGS)
    (one,) = JobFolder(tmp_path / "out").begin({}, [source])

    def broken(*_, **__):
        raise ValueError("odd")

    monkeypatch.setattr(JobFolder, "write_shard", broken)
    task = processes.Task(Shard(one.number, 0, 0, tuple(documents(2))))
    said = worked(monkeypatch, plan, tmp_path / "out", task, answers=3)
    assert [kind for kind, _ in said] == ["at", "at", "failed"] and said[1][1] is None
    assert "shard (0, 0) cannot be written" in said[2][1] and "ValueError: odd" in said[2][1]


def test_a_folder_of_another_plan_input_or_owner_is_refused(model, tmp_path, in_this_process):
    some = written(tmp_path / "a.jsonl", documents(2))
    job(model, [some], tmp_path / "out").run()
    plan = WorkPlan(str(model), ("gene",), SETTINGS)
    with pytest.raises(ArtifactError, match=r'begun with labels = \["chemical", "disease"\], not \["gene"\]'):
        Job(plan, [some], tmp_path / "out", processes=1, limits=Cut(documents=4)).run()
    with pytest.raises(InputError, match="given twice"):
        job(model, [some, some], tmp_path / "out").run()
    text = some.read_text()
    some.write_text(text.replace("0 rats", "9 rats"))  # as long as before
    with pytest.raises(ArtifactError, match="has changed since"):
        job(model, [some], tmp_path / "out").run()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ArtifactError, match="holds no job"):
        job(model, [some], tmp_path / "mine").run()
    with artifacts.locked(tmp_path / "out"), pytest.raises(ArtifactError, match="in use by"):
        job(model, [some], tmp_path / "out").run()


@pytest.mark.parametrize("form", SHARD_FORMATS)
def test_shards_in_every_format(model, tmp_path, in_this_process, form):
    plan = WorkPlan(str(model), LABELS, SETTINGS, form=form)
    some = documents(5)
    some[1] = dataclasses.replace(some[1], id="d|1")
    source = written(tmp_path / "a.jsonl", some)
    for _ in range(2):
        manifest = Job(plan, [source], tmp_path / "out", limits=Cut(documents=3)).run()
        assert manifest["documents"] == 5
    files = sorted((tmp_path / "out").glob(f"parts/*/*{FORMATS[form].endings[0]}"))
    assert len(files) == 2
    read = [one for file in files for one in FORMATS[form].read(file, report=Report())]
    assert len(read) == 5 and any(one.mentions for one in read)
    assert ("score not kept" in manifest["noted"]) == (form == "pubtator")


def test_processes_that_die_lose_nothing_and_one_that_a_document_kills_leaves_it_out(model, tmp_path, monkeypatch):
    """Two processes with their students: one is killed from outside, one document kills whoever reads it."""
    some = documents(60)
    some[17] = dataclasses.replace(some[17], text="a deadly one")
    monkeypatch.setattr(processes, "_work", dying.work)
    stop = threading.Event()

    def kill_one():
        while not stop.wait(0.05):
            if len(list((tmp_path / "out").glob("parts/*/*.jsonl"))) >= 3:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
                return

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        manifest = job(model, [written(tmp_path / "a.jsonl", some)], tmp_path / "out", processes=2).run()
    finally:
        stop.set()
        killer.join()
    assert sorted(one["id"] for one in results(tmp_path / "out")) == sorted(f"d{n}" for n in range(60) if n != 17)
    (failure,) = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").open()]
    assert failure["id"] == "d17" and "ended the process, exit code -9, 2 times" in failure["reason"]
    assert (manifest["documents"], manifest["failed"]) == (60, 1)


def test_fewer_shards_than_processes_wait_for_these(model, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "POLL_S", 0.01)  # looks at its end long before a process is ready
    source = written(tmp_path / "a.jsonl", documents(3))
    manifest = job(model, [source], tmp_path / "out", processes=2).run()
    assert manifest["documents"] == 3 and len(results(tmp_path / "out")) == 3


def test_an_input_whose_documents_have_no_results_is_not_finished(model, tmp_path, in_this_process, monkeypatch):
    from kogner.bulk.job import ProcessPool

    source, out = written(tmp_path / "a.jsonl", documents(12)), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(ProcessPool, "run", lambda self, shards: iter(list(shards)[:0]))
        with pytest.raises(KognerError, match="12 documents were read, and there are results of 0; give the command"):
            job(model, [source], out).run()
    assert job(model, [source], out).run()["documents"] == 12 and len(results(out)) == 12


def test_shards_behind_the_end_of_an_input_do_not_stop_it_for_good(model, tmp_path, in_this_process, capsys):
    """An older version read more documents from the same file, and the job was killed before it was finished."""
    source, out = written(tmp_path / "a.jsonl", documents(9)), tmp_path / "out"
    job(model, [source], out).run()
    (one,) = JobFolder(out).inputs()
    parts, whole = out / "parts" / one.folder, results(out)
    last = max(int(file.stem) for file in parts.glob("0*.json"))
    for ending in ("json", "jsonl"):
        text = (parts / f"{last:05d}.{ending}").read_text().replace(f'"number": {last}', f'"number": {last + 1}')
        (parts / f"{last + 1:05d}.{ending}").write_text(text)
    (parts / INPUT).unlink()
    assert job(model, [source], out).run()["documents"] == 9 and results(out) == whole
    assert not list(parts.glob(f"{last + 1:05d}.*"))
    assert f"shard {last + 1} of an earlier run lies behind its end now" in capsys.readouterr().err


def test_a_process_says_that_it_lives_between_lots_of_a_shard(model, tmp_path, monkeypatch):
    from kogner.bulk import worker as module

    monkeypatch.setattr(module, "SLICE", 100)
    made, heard = Worker(WorkPlan(str(model), LABELS, SETTINGS), tmp_path), []
    predict = made.annotator.predictor.predict

    def lot(some, **more):
        heard.append([one.id for one in some])
        return predict(some, **more)

    monkeypatch.setattr(made.annotator.predictor, "predict", lot)
    monkeypatch.setattr(made.folder, "write_shard", lambda *args, **more: None)
    shard = Shard(0, 0, 0, tuple(documents(7)), {2: "refused"})
    result = made.write(shard, beat=heard.append)
    lots = [["d0", "d1", "d3"], ["d4", "d5", "d6"]]
    assert heard == [lots[0], 0, lots[1], 4, None]
    assert result.documents == 7 and [one.id for one in result.failures] == ["d2"]


@pytest.mark.slow
def test_ray_leaves_out_a_document_that_ends_its_process(model, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    expected: list[int] = []  # how many documents there will be, from which follows the time left
    monkeypatch.setattr(progress.Counter, "expect", lambda _, total: expected.append(total))
    here = {"PYTHONPATH": str(Path(__file__).parent)}
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False,
             runtime_env={"worker_process_setup_hook": "dying.everywhere", "env_vars": here})  # fmt: skip
    some = documents(30)
    some[17] = dataclasses.replace(some[17], text="a deadly one")
    try:
        manifest = job(model, [written(tmp_path / "a.jsonl", some)], tmp_path / "out", spread="ray", processes=1).run()
    finally:
        ray.shutdown()
    assert sorted(one["id"] for one in results(tmp_path / "out")) == sorted(f"d{n}" for n in range(30) if n != 17)
    (failure,) = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").open()]
    assert failure["id"] == "d17" and "ended the process, exit code -9, 2 times" in failure["reason"]
    assert (manifest["documents"], manifest["failed"]) == (30, 1)
    assert expected and expected[-1] == 30


def test_a_model_that_cannot_be_opened_ends_the_job(tmp_path):
    with pytest.raises(KognerError, match="nowhere"):
        job(tmp_path / "nowhere", [written(tmp_path / "a.jsonl", documents(1))], tmp_path / "out").run()


def command(model, *more):
    return ["annotate", *more, "--model", str(model), "--labels", "chemical,disease", "--threshold", "0.3"]


def test_killed_and_resumed_by_the_command(model, tmp_path, capsys):
    source = written(tmp_path / "a.jsonl", documents(400))
    out = tmp_path / "out"
    arguments = [*command(model, str(source)), "--out", str(out), "--processes", "1", "--shard", "10"]
    for least in (1, 4):
        running = subprocess.Popen([sys.executable, "-m", "kogner.cli", *arguments], start_new_session=True)
        while len(list(out.glob("parts/*/0*.json"))) < least:
            assert running.poll() is None
            time.sleep(0.02)
        running.kill()  # its process ends by itself, since nobody listens to it
        running.wait()
    before = {file: file.stat().st_mtime_ns for file in out.glob("parts/*/0*.json")}
    assert 4 <= len(before) < 40
    with pytest.raises(SystemExit) as stopped:
        main(["--quiet", *arguments])
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["documents"], said["annotated"]) == (400, 400) and said["run"]["documents"] <= 400 - 40
    assert [one["id"] for one in results(out)] == [f"d{n}" for n in range(400)]
    assert not list(out.rglob("*.tmp"))


def test_how_much_is_left_is_told_by_how_far_a_file_was_read(model, tmp_path, in_this_process, monkeypatch):
    dice = random.Random(0)
    some = [dataclasses.replace(one, text=dice.randbytes(600).hex()) for one in documents(3000)]
    source = tmp_path / "a.jsonl.gz"
    with gzip.open(source, "wt") as stream:
        stream.writelines(json.dumps({"id": one.id, "text": one.text}) + "\n" for one in some)
    reader, told = InputReader(), []
    one = Input.of(0, source)
    for _ in reader.shards(one, Cut(documents=100), done={}):
        if reader.bytes:
            told.append(reader.documents * one.bytes / reader.bytes)
    assert reader.bytes == one.bytes and reader.documents == 3000
    if Path("/proc/self/fdinfo").exists():
        assert len(told) > 20 and 2000 < told[len(told) // 2] < 4500
    expected = []
    monkeypatch.setattr(progress.Counter, "expect", lambda self, total: expected.append(total))
    job(model, [written(tmp_path / "b.jsonl", documents(12))], tmp_path / "out").run()
    assert expected[-1] == 12


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["-", "--out", "DIR/"], "standard input cannot be read again"),
        (["FILE", "--out", "DIR/", "--format", "html"], "--format html is not for a folder"),
        (["FILE", "--engine", "ray"], "--engine ray needs a folder"),
        (["FILE", "--processes", "2"], "--processes needs a folder"),
        (["FILE", "--max-characters", "2"], "--max-characters needs a folder"),
        (["FILE", "--retry-failed", "--format", "brat", "--out", "DIR/"], "and none of --format brat"),
        (["FILE", "--engine", "ray", "--engine", "local"], "exclude each other"),
        (["nowhere.txt", "--out", "DIR/"], "nowhere.txt: does not exist"),
        (["DIR", "--out", "OUT/"], "is a folder without a file to annotate"),
        (["FILE", "-"], "annotated by itself"),
    ],
)
def test_what_cannot_be_asked(model, tmp_path, capsys, more, says):
    file = written(tmp_path / "a.jsonl", documents(1))
    (tmp_path / "d").mkdir()
    places = {"FILE": str(file), "DIR": str(tmp_path / "d"), "DIR/": f"{tmp_path}/d/", "OUT/": f"{tmp_path}/o/"}
    with pytest.raises(SystemExit) as stopped:
        main(command(model, *(places.get(one, one) for one in more)))
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_several_files_and_a_brat_folder(model, tmp_path, capsys):
    files = [str(written(tmp_path / f"{name}.jsonl", documents(2, prefix=name))) for name in "ab"]
    with pytest.raises(SystemExit):
        main(["--quiet", *command(model, *files), "--format", "jsonl"])
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["a0", "a1", "b0", "b1"]
    with pytest.raises(SystemExit):
        main(["--quiet", *command(model, *files), "--format", "brat", "--out", f"{tmp_path}/brat"])
    assert {file.name for file in (tmp_path / "brat").iterdir()} >= {"a0.txt", "a0.ann", "b1.ann"}
    assert not JobFolder(tmp_path / "brat").path.joinpath("job.json").exists()
