from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from kogner import artifacts
from kogner.cli import main
from kogner.records import Document
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

SURROGATE = json.dumps({"id": "s", "text": "aspirin \ud83d fever"})


@pytest.fixture(scope="module")
def model(tiny_encoder, tmp_path_factory):
    import torch

    from kogner.config import StudentConfig

    torch.manual_seed(1)
    student = checkpoint.create(StudentConfig(encoder=str(tiny_encoder), max_width=4))
    out = tmp_path_factory.mktemp("model") / "student"
    with artifacts.writing(out, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(student, StudentInfo(types=("chemical",), default_threshold=0.05), folder)
    return out


@dataclass
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


def kogner(*arguments: str, stdin: bytes = b"") -> Done:
    """Run the command line in this process, which spares loading torch each time."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for name in ("stdout", "stderr")}
    code = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        patch.setattr(sys, "stdout", streams["stdout"])
        patch.setattr(sys, "stderr", streams["stderr"])
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        code = stop.value.code
        written = []
        for stream in streams.values():
            stream.flush()
            written.append(stream.buffer.getvalue())
    return Done(int(code or 0), *written)


def annotate(model, source: str, *more: str, stdin: bytes = b"", labels: str = "chemical,disease"):
    return kogner("annotate", source, "--model", str(model), "--labels", labels, *more, stdin=stdin)


def test_plain_text_gives_one_json_object(model, tmp_path):
    file = tmp_path / "note.txt"
    file.write_bytes("\ufeffFever 🤒 in rats.\r\nα-morphine, aspirin.".encode())
    done = annotate(model, str(file), "--format", "jsonl")
    assert done.returncode == 0, done.stderr.decode()
    (line,) = done.stdout.decode().splitlines()
    found = json.loads(line)
    assert found["id"] == "note.txt"
    assert found["text"] == "Fever 🤒 in rats.\r\nα-morphine, aspirin."
    assert found["entities"]
    for entity in found["entities"]:
        assert set(entity) == {"start", "end", "text", "type", "score", "entity_id"}
        assert found["text"][entity["start"] : entity["end"]] == entity["text"]


def test_the_command_as_a_process(model):
    command = [sys.executable, "-m", "kogner.cli", "annotate", "-", "--model", str(model), "--labels"]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([*command, "chemical"], input=b"aspirin", capture_output=True, check=True, env=environment)
    assert json.loads(done.stdout)["text"] == "aspirin"
    done = subprocess.run([*command, b"dis\xffease"], input=b"aspirin", capture_output=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr.decode()
    assert "is not UTF-8" in done.stderr.decode()


def test_json_lines_keep_ids_and_order(model):
    lines = [json.dumps({"id": str(i), "text": f"aspirin and pain {i}"}) for i in (3, 1, 2)] + [SURROGATE]
    done = annotate(model, "-", "--format", "jsonl", stdin="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line)["id"] for line in done.stdout.decode().splitlines()] == ["3", "1", "2", "s"]


def test_a_label_may_have_a_comma(model):
    line = b'{"id": "1", "text": "aspirin lowered fever"}\n'
    done = annotate(model, "-", "--format", "jsonl", stdin=line, labels='"2,4-D", chemical')
    found = {entity["type"] for entity in json.loads(done.stdout)["entities"]}
    assert "2,4-D" in found
    assert found <= {"2,4-D", "chemical"}


def test_html_escapes_and_nests(model):
    done = annotate(
        model, "-", "--format", "html", "--nested", "--threshold", "0.02", stdin=b"<b>aspirin</b> & fever of rats"
    )
    page = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "<b>" not in page
    assert page.count("<mark") == page.count("</mark>") > 1


def test_table_names_every_column(model):
    done = annotate(model, "-", "--format", "table", stdin=b"aspirin lowered fever")
    assert all(word in done.stdout.decode() for word in ("start", "end", "text", "type", "score", "entity id"))


def test_a_table_takes_ids_and_texts_as_they_are(model):
    line = json.dumps({"id": "[/b]", "text": "aspirin [/b] fever \ud83d [red]"})
    done = annotate(model, "-", "--format", "table", "--threshold", "0.001", "--nested", stdin=line.encode())
    assert done.returncode == 0, done.stderr.decode()
    shown = done.stdout.decode()
    title, _, rows = shown.partition("\n")
    assert title.startswith("[/b]: ")
    assert "[/b]" in rows or "b]" in rows


def test_html_of_half_a_character_is_utf8(model):
    done = annotate(model, "-", "--format", "html", stdin=SURROGATE.encode())
    assert done.returncode == 0, done.stderr.decode()
    assert "\ufffd" in done.stdout.decode()


def test_no_progress_where_results_go_to_a_terminal(monkeypatch):
    from kogner import progress
    from kogner.commands import annotate as module

    def fail(*_):
        raise AssertionError("a bar was drawn")

    monkeypatch.setattr(progress, "counting", fail)
    monkeypatch.setattr(module.sys.stdout, "isatty", lambda: True, raising=False)
    documents = [Document("1", "a"), Document("2", "b")]
    assert list(module._counted(iter(documents))) == documents


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.txt", "the file is empty"),
        (b"  \n ", "a.txt", "holds no text"),
        (b"abc\x00\x01", "a.txt", "binary"),
        (b"%PDF-1.7\n%\xe2\xe3", "a.pdf", "is a PDF; take its text out first"),
        (b"<!DOCTYPE html>\n<html><p>fever</html>", "a.html", "is HTML; take its text out first"),
        (b"id;text\n1;fever", "a.csv", "cells are separated by commas"),
        (b"id,abstract\n1,fever", "a.csv", "--from csv:TEXT or --from csv:TEXT,ID"),
        (b'{"id": "1", "abstract": "ok"}', "a.jsonl", "has the keys id, abstract; each line must be"),
        (b'{"id": "1", "abstract": "ok"}', "a.jsonl", "--from jsonl:TEXT,ID"),
        (b"fine\ncaf\xe9", "a.txt", "a.txt:2: not UTF-8: byte 0xe9 at byte offset 8"),
        (b'{"id": "1", "text": "ok"}\n{"id": "2"}', "a.jsonl", "a.jsonl:2"),
        (b"not json", "a.jsonl", "a.jsonl:1"),
        (b'[{"id": "1", "text": "a"}]', "a.txt", "give one object"),
        (b'{\n "id": "1",\n "text": "a"\n}', "a.json", "give one object"),
        (b"[" * 100_000, "a.json", "give one object"),
    ],
)
def test_bad_files_end_with_one_message_and_exit_code_2(model, tmp_path, content, name, message):
    file = tmp_path / name
    file.write_bytes(content)
    done = annotate(model, str(file), "--format", "jsonl")
    error = done.stderr.decode()
    assert done.returncode == 2
    assert "Traceback" not in error
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.txt", "--labels", "gene"), "missing.txt"),
        (("-", "--labels", ","), "no labels given"),
        (("-", "--labels", "chem\nical"), "--labels cannot be read"),
        (("-", "--labels", "gene", "--model", "nowhere"), "nowhere does not exist; a student folder is needed here"),
        (("-", "--labels", "gene", "--label-threshold", "gene"), "must look like LABEL=0.6"),
        (("-", "--labels", "gene", "--format", "pubtator"), "--format pubtator is written to a file: give --out"),
        (("-",), "Missing option '--labels'"),
        (("-", "--labels", os.fsdecode(b"dis\xffease")), "is not UTF-8"),
        (("-", "--labels", "gene", "--device", "nope"), "device 'nope' is not known"),
        (("-", "--labels", "gene", "--device", "cuda:99"), "device 'cuda:99' is not"),
    ],
)
def test_user_errors(arguments, message, model):
    arguments = arguments if "--model" in arguments else (*arguments, "--model", str(model))
    done = kogner("annotate", *arguments, stdin=b"text")
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_what_a_format_does_not_keep_is_said(model, tmp_path):
    done = annotate(model, "-", "--out", str(tmp_path / "found.pubtator"), stdin=b"aspirin for fever")
    assert done.returncode == 0 and b"|t|aspirin" in (tmp_path / "found.pubtator").read_bytes()
    assert b"score not kept" in done.stderr


def test_all_files_of_a_folder_are_annotated_without_a_folder_to_write_to_as_well(model, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    (place / "note.txt").write_text("aspirin for fever")
    (place / "more.jsonl").write_text('{"id": "7", "text": "fever"}\n{"id": "8", "text": "zinc"}\n')
    done = annotate(model, str(place), "--format", "jsonl")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["7", "8", "note.txt"]


def test_the_file_to_annotate_is_not_written_to(model, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "7", "text": "fever", "pmid": 3}\n')
    done = annotate(model, str(file), "--out", str(tmp_path / "." / "a.jsonl"))
    assert done.returncode == 2 and b"is the file to annotate; write to another" in done.stderr
    assert "pmid" in file.read_text()


def test_keys_that_are_not_used_and_ids_that_come_again_are_said(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "7", "text": "fever", "pmid": 3}\n{"id": "7", "text": "zinc"}\n')
    done = annotate(model, str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "new" / "b.jsonl"))
    assert done.returncode == 0, done.stderr
    assert (
        b"1 x unknown key 'pmid' ignored" in done.stderr
        and b"1 documents have the id of an earlier one, such as 7" in done.stderr
    )
    assert len((tmp_path / "new" / "b.jsonl").read_text().splitlines()) == 2


def test_passages_stay_in_json_lines(model, tmp_path):
    (tmp_path / "a.pubtator").write_text("7|t|On fever.\n7|a|Aspirin lowers it.\n\n")
    assert annotate(model, str(tmp_path / "a.pubtator"), "--out", str(tmp_path / "a.jsonl")).returncode == 0
    kogner("convert", str(tmp_path / "a.jsonl"), str(tmp_path / "b.pubtator"))
    assert (tmp_path / "b.pubtator").read_text().startswith("7|t|On fever.\n7|a|Aspirin lowers it.\n")


def test_standard_input_of_another_format(model):
    pubtator = b"7|t|On fever.\n7|a|Aspirin lowers it.\n\n"
    done = annotate(model, "-", stdin=pubtator)
    assert done.returncode == 2 and b"<stdin>: looks like pubtator; say --from pubtator" in done.stderr
    done = annotate(model, "-", "--from", "pubtator", stdin=pubtator)
    assert done.returncode == 0 and json.loads(done.stdout)["text"] == "On fever. Aspirin lowers it."
    assert annotate(model, "-", "--from", "text", stdin=pubtator).returncode == 0


def test_a_missing_default_model_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = kogner("annotate", "-", "--labels", "gene", stdin=b"text")
    assert done.returncode == 2
    assert "kogner-mini, the default model, does not exist here; give --model DIR" in done.stderr.decode()


def test_a_damaged_checkpoint_is_named(model, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[:-100])
    done = annotate(broken, "-", stdin=b"text")
    assert done.returncode == 2
    assert "model.safetensors has" in done.stderr.decode()


def test_standard_input_is_answered_as_it_comes(model):
    """A line is answered before the next one is there."""
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "annotate", "-", "--model", str(model)]
    command += ["--labels", "chemical", "--format", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for name in ("a", "b"):
            process.stdin.write(json.dumps({"id": name, "text": "aspirin"}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == name
        process.stdin.close()
        assert process.wait(60) == 0
