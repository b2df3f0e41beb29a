"""Pickled checkpoints: converted to safetensors on demand, never read in place, and no code of theirs is run."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from kogner import artifacts
from kogner.cli import cli
from kogner.config import StudentConfig
from kogner.errors import ArtifactError
from kogner.student import checkpoint, gliner, layout
from kogner.student.checkpoint import StudentInfo


@pytest.fixture
def student(tiny_encoder):
    torch.manual_seed(3)
    return checkpoint.create(StudentConfig(architecture="uni", encoder=str(tiny_encoder), max_width=3)).eval()


@pytest.fixture
def pickled(student, tmp_path):
    folder = tmp_path / "old"
    with artifacts.writing(folder, kind=gliner.KIND, version=gliner.FORMAT) as building:
        gliner.save(student, StudentInfo(types=("gene",), base="tiny"), building)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_converted_but_never_read_in_place(student, pickled, tmp_path):
    with pytest.raises(ArtifactError, match="kogner convert-checkpoint"):
        checkpoint.open_student(pickled)
    out = tmp_path / "new"
    done = CliRunner().invoke(cli, ["convert-checkpoint", str(pickled), str(out)], catch_exceptions=False)
    assert json.loads(done.stdout.splitlines()[-1])["out"] == str(out)
    before, after = student.state_dict(), checkpoint.open_student(out)[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_cannot_be_read_is_not_converted_and_no_foreign_manifest_is_taken(pickled, tmp_path):
    (pickled / artifacts.MANIFEST).write_text("{}")
    out = tmp_path / "new"
    out.mkdir()
    gliner.convert_pickle(pickled, out)
    assert not (out / artifacts.MANIFEST).exists()
    config = pickled / layout.GLINER
    config.write_text(json.dumps(json.loads(config.read_text()) | {"span_mode": "token_level"}))
    with pytest.raises(ArtifactError, match="token-level variant"):
        gliner.convert_pickle(pickled, out)


class Evil:
    def __reduce__(self):
        return (print, ("code of a pickle was run",))


def test_a_pickle_of_anything_but_tensors_is_refused(pickled, tmp_path, capsys):
    torch.save({"weights": Evil()}, pickled / "pytorch_model.bin")
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read as plain tensors"):
        gliner.convert_pickle(pickled, tmp_path / "out")
    assert "was run" not in capsys.readouterr().out
