from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from kogner import artifacts
from kogner.errors import ArtifactError


def make(path, content="one", kind="thing", **more):
    with artifacts.writing(path, kind=kind, version=1, **more) as folder:
        (folder / "a.txt").write_text(content)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").write_text("b")


def test_equal_content_gives_an_equal_hash(tmp_path):
    make(tmp_path / "x", recipe={"a": 1})
    make(tmp_path / "y", metrics={"f1": 2})
    make(tmp_path / "z", content="two")
    hashes = [artifacts.open_artifact(tmp_path / n, kind="thing", version=1, verify=True).hash for n in "xyz"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_failed_write_leaves_the_old_artefact(tmp_path):
    make(tmp_path / "x")
    with pytest.raises(RuntimeError), artifacts.writing(tmp_path / "x", kind="thing", version=1) as folder:
        (folder / "a.txt").write_text("half")
        raise RuntimeError
    artifacts.open_artifact(tmp_path / "x", kind="thing", version=1, verify=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_leftovers_of_killed_runs_are_mended(tmp_path):
    make(tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / ".x.123.old")  # killed between the two moves
    (tmp_path / ".x.123.building").mkdir()
    with pytest.raises(ArtifactError), artifacts.writing(tmp_path / "x", kind="other", version=1):
        pass  # refused, but the old artefact is back
    assert artifacts.read_manifest(tmp_path / "x").kind == "thing"
    make(tmp_path / "x", content="two")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_another_artefact_of_a_longer_name_is_at_work_on_stays(tmp_path):
    for name in (".x.5.77.building", ".x.5.77.old", ".x.y.building", ".[x].5.building"):
        (tmp_path / name).mkdir()
    make(tmp_path / "x")
    assert {one.name for one in tmp_path.iterdir()} == {
        "x", ".x.5.77.building", ".x.5.77.old", ".x.y.building", ".[x].5.building"
    }  # fmt: skip
    make(tmp_path / "[x]")
    assert not (tmp_path / ".[x].5.building").exists() and (tmp_path / ".x.5.77.old").exists()


def test_what_is_wrong_is_said(tmp_path):
    make(tmp_path / "x")
    with pytest.raises(ArtifactError, match="is a thing, but a graph is needed"):
        artifacts.open_artifact(tmp_path / "x", kind="graph", version=1)
    with pytest.raises(ArtifactError, match="reads 2; make it again"):
        artifacts.open_artifact(tmp_path / "x", kind="thing", version=2)
    with pytest.raises(ArtifactError, match="does not exist"):
        artifacts.open_artifact(tmp_path / "none", kind="thing", version=1)
    (tmp_path / "x" / "a.txt").write_text("eno")
    with pytest.raises(ArtifactError, match="is damaged"):
        artifacts.open_artifact(tmp_path / "x", kind="thing", version=1, verify=True)
    (tmp_path / "x" / "a.txt").write_text("longer")
    with pytest.raises(ArtifactError, match="has 6 bytes, not 3"):
        artifacts.open_artifact(tmp_path / "x", kind="thing", version=1)
    (tmp_path / "x" / artifacts.MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.read_manifest(tmp_path / "x")


def test_the_manifest_says_where_it_came_from(tmp_path):
    make(tmp_path / "x", recipe={"a": 1}, parents={"graph": "abc"}, metrics={"f1": 2.0})
    raw = json.loads((tmp_path / "x" / artifacts.MANIFEST).read_text())
    assert (raw["recipe"], raw["parents"], raw["metrics"]) == ({"a": 1}, {"graph": "abc"}, {"f1": 2.0})
    assert raw["files"]["sub/b.txt"]["bytes"] == 1


def test_two_writers_of_one_artefact_do_not_mix(tmp_path):
    with artifacts.writing(tmp_path / "x", kind="thing", version=1) as folder:
        (folder / "a.txt").write_text("first")
        with pytest.raises(ArtifactError, match=rf"x is in use by process {os.getpid()} on .*another place"):
            make(tmp_path / "x", content="second")
        make(tmp_path / "y")  # another artefact in the same folder is free
        assert (folder / "a.txt").is_file()
    assert (tmp_path / "x" / "a.txt").read_text() == "first"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]


def test_one_folder_under_two_names_is_held_once(tmp_path):
    (tmp_path / "there" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "there", target_is_directory=True)
    (tmp_path / "out2").symlink_to("out")  # which need not exist
    for one, other in (
        ("out", "out2"), ("there", "link"), ("there/x", "link/x"), ("there/sub/../x", "there/x"), ("out2", "out2"),
    ):  # fmt: skip
        for first, second in ((one, other), (other, one)):
            with artifacts.locked(tmp_path / first):
                with pytest.raises(ArtifactError, match="is in use by process"), artifacts.locked(tmp_path / second):
                    pass
                with artifacts.locked(tmp_path / "another"):
                    pass
    make(tmp_path / "out")
    with artifacts.writing(tmp_path / "out2", kind="thing", version=1) as folder:
        (folder / "a.txt").write_text("new")
        (tmp_path / "out2").unlink()  # as between the two moves of a writer
        with pytest.raises(ArtifactError, match="is in use by process"), artifacts.locked(tmp_path / "out2"):
            pass
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "out", "out2", "there"]
    assert [one.name for one in (tmp_path / "there").iterdir()] == ["sub"]


def test_a_link_to_where_nothing_can_be_written_is_held_by_its_name(tmp_path, capsys):
    (tmp_path / "out2").symlink_to(tmp_path / "nowhere" / "out")
    with artifacts.locked(tmp_path / "out2"):
        assert "out cannot be locked" in capsys.readouterr().err
        with pytest.raises(ArtifactError, match="is in use by process"), artifacts.locked(tmp_path / "out2"):
            pass
    assert [one.name for one in tmp_path.iterdir()] == ["out2"]


def test_a_killed_holder_lets_go(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from kogner import artifacts\n"
        "with artifacts.locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "x")], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(ArtifactError, match=f"in use by process {holder.pid} "), artifacts.locked(tmp_path / "x"):
            pass
        holder.kill()
    with artifacts.locked(tmp_path / "x"):
        assert not (tmp_path / "x").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    """Threads that take and release the lock, and so remove its file, in turn: never two inside at once."""
    inside, most, taken = [], [], []

    def take(number):
        for _ in range(200):
            try:
                with artifacts.locked(tmp_path / "x"):
                    inside.append(number)
                    most.append(len(inside))
                    taken.append(number)
                    inside.remove(number)
            except ArtifactError:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert max(most) == 1 and len(taken) > 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("files", [1], "files must be an object"),
        ("files", None, "files must be an object"),
        ("files", {"a.txt": 1}, "no bytes and sha256 of a.txt"),
        ("files", {"a.txt": {"sha256": "0"}}, "no bytes and sha256 of a.txt"),
        ("version", "1", "version must be a whole number"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, field, value, message):
    make(tmp_path / "x")
    file = tmp_path / "x" / artifacts.MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(ArtifactError, match=message):
        artifacts.open_artifact(tmp_path / "x", kind="thing", version=1)


def test_a_manifest_of_brackets_is_refused(tmp_path):
    make(tmp_path / "x")
    (tmp_path / "x" / artifacts.MANIFEST).write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.open_artifact(tmp_path / "x", kind="thing", version=1)
