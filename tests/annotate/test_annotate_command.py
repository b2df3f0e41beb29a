from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kogner import artifacts
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


def kogner(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "kogner.cli", *arguments]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment)


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


def test_json_lines_keep_ids_and_order(model):
    lines = [json.dumps({"id": str(i), "text": f"aspirin and pain {i}"}) for i in (3, 1, 2)] + [SURROGATE]
    done = annotate(model, "-", "--format", "jsonl", stdin="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line)["id"] for line in done.stdout.decode().splitlines()] == ["3", "1", "2", "s"]


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


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.txt", "the file is empty"),
        (b"  \n ", "a.txt", "holds no text"),
        (b"abc\x00\x01", "a.txt", "binary"),
        (b"fine\ncaf\xe9", "a.txt", "a.txt:2: not UTF-8: byte 0xe9 at byte offset 8"),
        (b'{"id": "1", "text": "ok"}\n{"id": "2"}', "a.jsonl", "a.jsonl:2"),
        (b"not json", "a.jsonl", "a.jsonl:1"),
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
        (("-", "--labels", "gene", "--model", "nowhere"), "nowhere does not exist; a student folder is needed here"),
        (("-", "--labels", "gene", "--label-threshold", "gene"), "must look like LABEL=0.6"),
        (("-",), "Missing option '--labels'"),
    ],
)
def test_user_errors(arguments, message, model):
    arguments = arguments if "--model" in arguments else (*arguments, "--model", str(model))
    done = kogner("annotate", *arguments, stdin=b"text")
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_damaged_checkpoint_is_named(model, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[:-100])
    done = annotate(broken, "-", stdin=b"text")
    assert done.returncode == 2
    assert "model.safetensors has" in done.stderr.decode()
