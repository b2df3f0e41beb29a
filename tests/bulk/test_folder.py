"""The folder of a job: which file is which of its inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kogner.bulk.folder import JobFolder
from kogner.data.report import Report
from kogner.errors import ArtifactError, InputError


def written(path, count):
    path.write_text("".join(json.dumps({"id": str(n), "text": "fever"}) + "\n" for n in range(count)))
    return path


def numbers(out, *some):
    return [one.number for one in JobFolder(out).begin({}, some)]


def test_one_file_is_one_input_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "sub", target_is_directory=True)
    one, other = written(tmp_path / "one.jsonl", 2), written(tmp_path / "sub" / "a.jsonl", 3)
    (tmp_path / "link.jsonl").symlink_to(one)
    names = [one, Path("one.jsonl"), Path("sub/../one.jsonl"), Path("link.jsonl"), Path("way/../one.jsonl")]
    for first in names:
        for second in names:
            with pytest.raises(InputError, match="is given twice"):
                numbers(tmp_path / "new", first, other, second)
    with pytest.raises(InputError, match=r"sub/\.\./one\.jsonl.* is given twice, first as .*one\.jsonl"):
        numbers(tmp_path / "new", one, Path("sub/../one.jsonl"))
    assert not (tmp_path / "new").exists()
    assert numbers(tmp_path / "out", one, other) == [0, 1]
    parts = JobFolder(tmp_path / "out").inputs()[0].folder
    os.utime(one, (1, 1))  # looked at again, and the same
    for name in names:
        assert numbers(tmp_path / "out", tmp_path / "way" / "a.jsonl", name) == [1, 0]
    (known, _) = JobFolder(tmp_path / "out").inputs()
    assert (known.folder, known.path, known.modified) == (parts, str(one), 1_000_000_000)


def test_a_job_that_has_one_file_as_two_inputs_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    one, again = written(tmp_path / "one.jsonl", 2), Path("sub/../one.jsonl")
    assert numbers(tmp_path / "out", one) == [0]
    file = tmp_path / "out" / "job.json"
    raw = json.loads(file.read_text())
    raw["inputs"].append(raw["inputs"][0] | {"number": 1, "path": str(again.absolute())})
    file.write_text(json.dumps(raw))
    assert numbers(tmp_path / "out", one, again) == [0, 1]
    (tmp_path / "link.jsonl").symlink_to(one)
    assert numbers(tmp_path / "out", Path("link.jsonl")) == [0]


def test_a_link_that_points_elsewhere_by_now_is_not_what_it_was(tmp_path):
    first, second = (written(tmp_path / f"{n}.jsonl", n) for n in (1, 2))
    link = tmp_path / "latest.jsonl"
    link.symlink_to(first)
    assert numbers(tmp_path / "out", link) == [0]
    folder = JobFolder(tmp_path / "out")
    folder.finish(folder.inputs()[0], Report(), documents=0)
    link.unlink()
    link.symlink_to(second)
    assert numbers(tmp_path / "out", second) == [1]
    with pytest.raises(ArtifactError, match="has changed since"):
        numbers(tmp_path / "out", link)
