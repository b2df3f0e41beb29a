"""`kogner teacher` from end to end on 200 entities: build, take up, build again, info, slice."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from kogner.artifacts import locked
from kogner.cli import cli
from kogner.config import TeacherConfig
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.graph.store import GraphStore
from kogner.graph.store import build as build_graph
from kogner.recipe import load_recipe
from kogner.records import Entity
from kogner.teacher import assembly
from kogner.teacher.bank import Bank

SETTINGS = (
    "teacher.features.max_length=16",
    "teacher.unimp.hidden=16",
    "teacher.unimp.heads=2",
    "teacher.unimp.steps=80",
    "teacher.unimp.batch_size=32",
    "teacher.unimp.learning_rate=0.005",
    "teacher.transr.entity_dim=12",
    "teacher.transr.relation_dim=8",
    "teacher.transr.batch_size=128",
    "teacher.transr.epochs=20",
    "teacher.transr.test_triples=20",
)


def settings(encoder) -> list[str]:
    return [f"teacher.features.encoder={encoder}", *SETTINGS]


@pytest.fixture(scope="module")
def config(tiny_encoder) -> TeacherConfig:
    return load_recipe(None, settings(tiny_encoder)).teacher


@pytest.fixture(scope="module")
def built(small_graph, tiny_encoder, tmp_path_factory):
    """The bank and the last line that the command printed."""
    out = tmp_path_factory.mktemp("bank") / "bank"
    overrides = [part for item in settings(tiny_encoder) for part in ("--set", item)]
    arguments = ["teacher", "build", "--graph", str(small_graph), "--out", str(out), "--threads", "1", *overrides]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return out, json.loads(result.stdout.strip().splitlines()[-1])


def test_build_prints_size_metrics_and_minutes(built, small_graph):
    out, printed = built
    assert (printed["entities"], printed["width"]) == (200, 60)
    assert printed["parts"] == {"Z": [0, 32], "Z'": [32, 48], "Z''": [48, 60]}
    assert printed["unimp"]["micro"] >= printed["unimp"]["majority_micro"]
    assert printed["transr"]["mrr"] > printed["transr"]["chance_mrr"]
    assert {"hits@1", "hits@3", "hits@10"} <= set(printed["transr"])
    assert set(printed["minutes"]) == {"features", "unimp", "transr"}
    bank = Bank.open(out)
    store = GraphStore.open(small_graph)
    assert bank.artifact.parents["graph"] == store.artifact.hash
    assert list(bank.ids) == store.all_ids()
    assert np.isfinite(bank.vectors).all()
    assert not out.with_name("bank.work").exists()


def test_the_same_input_gives_the_same_hash(built, small_graph, config, tmp_path):
    out, _ = built
    again = assembly.build(GraphStore.open(small_graph), tmp_path / "bank", config)
    assert again.artifact.hash == Bank.open(out).artifact.hash


def test_a_rebuild_trains_only_what_changed(built, small_graph, tiny_encoder, tmp_path, monkeypatch):
    out, _ = built
    old = Bank.open(out)
    before = {name: np.array(old.vectors[:, slice(*columns)]) for name, columns in old.parts.items()}
    changed = load_recipe(None, [*settings(tiny_encoder), "teacher.transr.epochs=3"]).teacher

    def fail(*_, **__):
        raise AssertionError("this part had to be taken from the bank")

    with monkeypatch.context() as patched:
        patched.setattr(assembly, "text_features", fail)
        patched.setattr(assembly, "pretrain_unimp", fail)
        new = assembly.build(GraphStore.open(small_graph), out, changed)
    after = {name: np.array(new.vectors[:, slice(*columns)]) for name, columns in new.parts.items()}
    assert np.array_equal(after["Z"], before["Z"])
    assert np.array_equal(after["Z'"], before["Z'"])
    assert not np.array_equal(after["Z''"], before["Z''"])
    assert new.artifact.metrics["unimp"] == old.artifact.metrics["unimp"]


def test_kill_9_and_the_same_command_again(built, small_graph, tiny_encoder, config, tmp_path):
    overrides = [part for item in settings(tiny_encoder) for part in ("--set", item)]
    command = [sys.executable, "-m", "kogner.cli", "teacher", "build", "--graph", str(small_graph), "--threads", "1"]
    command += ["--out", str(tmp_path / "bank"), *overrides]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited = time.monotonic() + 60
    while not (tmp_path / "bank.work" / "unimp").exists() and time.monotonic() < waited and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "bank").exists()
    bank = assembly.build(GraphStore.open(small_graph), tmp_path / "bank", config)
    fresh = assembly.build(GraphStore.open(small_graph), tmp_path / "fresh", config)
    assert bank.artifact.hash == fresh.artifact.hash


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_killed_ten_times_at_random_moments(small_graph, tiny_encoder, tmp_path, threads):
    """With one thread the artefact is the same bit for bit, with more its figures are."""
    longer = ["teacher.unimp.steps=1500", "teacher.transr.epochs=300"]
    overrides = [part for item in (*settings(tiny_encoder), *longer) for part in ("--set", item)]
    often = "from kogner.teacher import work; work.Checkpoints.every_s = 0.1; from kogner.cli import main; main()"
    command = [sys.executable, "-c", often, "teacher", "build", "--graph", str(small_graph), *overrides]
    command += ["--threads", str(threads), "--out"]

    def whole(out):
        done = subprocess.run([*command, str(out)], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    begun = time.monotonic()
    wanted = whole(tmp_path / "reference")
    seconds = time.monotonic() - begun
    dice = random.Random(threads)
    kills, place = 0, 0
    while kills < 10:
        out = tmp_path / f"bank{place}"
        process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=seconds * dice.uniform(0.2, 0.9))
            assert process.returncode == 0
            place += 1  # it came to its end between the kills: on to another one
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    for number in range(place + 1):
        found = whole(tmp_path / f"bank{number}")
        if threads == 1:
            assert found["hash"] == wanted["hash"]
        for part, figure in (("unimp", "macro"), ("unimp", "micro"), ("transr", "mrr")):
            assert found[part][figure] == pytest.approx(wanted[part][figure], abs=0.002)


def test_two_builds_of_one_bank_do_not_mix(small_graph, config, tmp_path):
    with locked(tmp_path / "bank.work"), pytest.raises(ArtifactError, match=r"bank\.work is in use by process"):
        assembly.build(GraphStore.open(small_graph), tmp_path / "bank", config)
    assert not (tmp_path / "bank").exists()
    assembly.build(GraphStore.open(small_graph), tmp_path / "bank", config)  # the lock is gone with its holder


def test_the_papers_teacher_can_be_built(small_graph, tiny_encoder, tmp_path):
    overrides = [f"teacher.features.encoder={tiny_encoder}", "teacher.unimp.steps=3", "teacher.transr.epochs=2"]
    config = load_recipe("paper", overrides).teacher
    bank = assembly.build(GraphStore.open(small_graph), tmp_path / "bank", config)
    assert bank.parts == {"Z": (0, 32), "Z'": (32, 160), "Z''": (160, 288)}  # 32: the tiny encoder's width
    assert bank.vectors.shape == (200, 288)
    assert np.isfinite(bank.vectors).all()
    assert bank.artifact.recipe["teacher"]["unimp"]["hidden"] == config.unimp.hidden == 128


def test_info_and_slice(built, tmp_path):
    out, _ = built
    runner = CliRunner()
    shown = json.loads(runner.invoke(cli, ["teacher", "info", str(out)]).stdout.splitlines()[-1])
    assert shown["entities"] == 200
    (tmp_path / "ids.txt").write_text("T:5\n\nT:2\r\n", encoding="utf-8")
    arguments = ["teacher", "slice", str(out), "--ids", str(tmp_path / "ids.txt"), "--out", str(tmp_path / "small")]
    printed = json.loads(runner.invoke(cli, arguments, catch_exceptions=False).stdout.splitlines()[-1])
    assert printed["entities"] == 2
    assert Bank.open(tmp_path / "small").ids == ("T:5", "T:2")


def test_one_part_and_then_the_others(built, small_graph, tiny_encoder, tmp_path, monkeypatch):
    whole, out = Bank.open(built[0]), tmp_path / "bank"
    overrides = [part for item in settings(tiny_encoder) for part in ("--set", item)]
    base = ["teacher", "build", "--graph", str(small_graph), "--out", str(out), "--threads", "1", *overrides]

    def build(*parts):
        result = CliRunner().invoke(
            cli, [*base, *(word for part in parts for word in ("--part", part))], catch_exceptions=False
        )
        assert result.exit_code == 0
        return Bank.open(out), json.loads(result.stdout.strip().splitlines()[-1])

    z, said = build("Z")
    assert z.parts == {"Z": (0, 32)} and said["minutes"]["transr"] is None
    assert np.array_equal(z.vectors, whole.vectors[:, :32])
    with monkeypatch.context() as patched:
        patched.delattr(assembly, "text_features")
        both, _ = build("Z''", "Z")
    assert list(both.parts) == ["Z", "Z''"] and np.array_equal(both.take(both.ids, ["Z"]), whole.take(both.ids, ["Z"]))
    with monkeypatch.context() as patched:  # the text encoder is not even read
        patched.delattr(assembly, "Pooler")
        alone, _ = build("Z''")
    assert list(alone.parts) == ["Z''"] and np.array_equal(alone.vectors, both.take(both.ids, ["Z''"]))
    again, _ = build()
    assert list(again.parts) == ["Z", "Z'", "Z''"]
    assert again.keys == {**whole.keys, "Z''": alone.keys["Z''"]}  # another test trained that one anew


def test_text_vectors_of_some_entities_alone(built, small_graph, tiny_encoder, tmp_path):
    whole = Bank.open(built[0])
    mention = '{"start": 0, "end": 4, "type": "thing", "entity": "T:9"}'
    corpus = tmp_path / "linked"
    corpus.mkdir()
    (corpus / "test.jsonl").write_text(f'{{"id": "1", "text": "nine", "entities": [{mention}]}}\n', encoding="utf-8")
    (tmp_path / "ids.txt").write_text("T:5\nT:2\n", encoding="utf-8")
    some = ["--ids", str(tmp_path / "ids.txt"), "--linked", str(corpus)]
    overrides = [part for item in settings(tiny_encoder) for part in ("--set", item)]
    base = ["teacher", "build", "--graph", str(small_graph), "--out", str(tmp_path / "bank"), *overrides]
    result = CliRunner().invoke(cli, [*base, *some, "--part", "Z"], catch_exceptions=False)
    bank = Bank.open(tmp_path / "bank")
    assert json.loads(result.stdout.splitlines()[-1])["entities"] == 3
    assert bank.ids == tuple(one for one in whole.ids if one in ("T:2", "T:5", "T:9")), "in the graph's order"
    assert np.allclose(bank.vectors, whole.take(bank.ids, ["Z"]), atol=2e-3), "batches are others"
    with pytest.raises(ConfigError, match="Z alone"):
        CliRunner().invoke(cli, [*base, *some], catch_exceptions=False)
    small = ["teacher", "slice", str(built[0]), "--out", str(tmp_path / "small")]
    CliRunner().invoke(cli, [*small, *some], catch_exceptions=False)
    assert Bank.open(tmp_path / "small").ids == ("T:5", "T:2", "T:9")
    with pytest.raises(ConfigError, match="--linked"):
        CliRunner().invoke(cli, small, catch_exceptions=False)
    (tmp_path / "ids.txt").write_text("T:5\nT:no\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"has no T:no \(1 of 3 ids\)"):
        CliRunner().invoke(cli, [*base, *some, "--part", "Z"], catch_exceptions=False)
    (corpus / "test.jsonl").write_text('{"id": "1", "text": "nine", "entities": []}\n', encoding="utf-8")
    with pytest.raises(InputError, match="kogner data link"):
        CliRunner().invoke(cli, [*small, "--linked", str(corpus)], catch_exceptions=False)
    with pytest.raises(InputError, match="no entity is asked for"):
        assembly.build(GraphStore.open(small_graph), tmp_path / "none", TeacherConfig(), parts=["Z"], entities=[])


def test_errors_of_the_user(built, small_graph, config, tmp_path):
    out, _ = built
    (tmp_path / "ids.txt").write_text("nothing:1\n", encoding="utf-8")
    arguments = ["teacher", "slice", str(out), "--ids", str(tmp_path / "ids.txt"), "--out", str(tmp_path / "small")]
    assert isinstance(CliRunner().invoke(cli, arguments).exception, InputError)
    store = GraphStore.open(small_graph)
    with pytest.raises(ConfigError, match="device 'tpu' is not"):
        assembly.build(store, tmp_path / "bank", config, device="tpu")
    with pytest.raises(ConfigError, match="not none"):
        assembly.build(store, tmp_path / "bank", config, parts=())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="not a bank"):
        assembly.build(store, tmp_path / "taken", config)
    assert [file.name for file in (tmp_path / "taken").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("arguments", [[], ["build"], ["info"], ["slice"], ["near"], ["reduce"], ["plot"]])
def test_every_help_has_an_example(arguments):
    result = CliRunner().invoke(cli, ["teacher", *arguments, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.stdout


def test_a_graph_without_triples(config, tmp_path):
    build_graph([Entity(f"X:{n}", f"T{n % 2}", f"name {n}") for n in range(40)], (), tmp_path / "graph")
    bank = assembly.build(GraphStore.open(tmp_path / "graph"), tmp_path / "bank", config)
    assert bank.artifact.metrics["transr"]["entities_without_triples"] == 40
    assert not bank.vectors[:, slice(*bank.parts["Z''"])].any()


def test_a_graph_that_is_too_small(config, tmp_path):
    build_graph([Entity("X:1", "T", "one"), Entity("X:2", "T", "two")], (), tmp_path / "graph")
    with pytest.raises(InputError, match="2 entities are too few"):
        assembly.build(GraphStore.open(tmp_path / "graph"), tmp_path / "bank", config)
