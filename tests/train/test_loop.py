from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from kogner.artifacts import read_manifest
from kogner.data import corpora
from kogner.data.batch import Example
from kogner.data.epochs import Readings
from kogner.errors import ArtifactError, ConfigError, KognerError
from kogner.recipe import load_recipe
from kogner.records import Document, Mention
from kogner.student.encoder import Encoded
from kogner.student.maps import Maps
from kogner.teacher.bank import Bank
from kogner.train import dev, loop
from kogner.train.feed import Feed
from kogner.train.linked import make_distil_head
from kogner.train.log import TrainingLog
from kogner.train.loop import train
from kogner.train.splits import subset, to_split, used

FAST = [
    "train.threads=1",
    "train.precision=fp32",
    "train.batch_size=4",
    "train.encoder_lr=0.002",
    "train.head_lr=0.002",
    "student.max_width=4",
]


def recipe(encoder: Path, *overrides: str):
    return load_recipe("small", [f"student.encoder={encoder}", "student.dropout=0.1", *FAST, *overrides])


def split_of(folder: Path):
    return to_split("made", corpora.load("made", folder, "train"), corpora.load("made", folder, "dev"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_overfits_with_distillation_and_logs_both_losses(tiny_encoder, corpus, bank, tmp_path):
    plan = recipe(tiny_encoder, "train.steps=250", "train.eval_every=125")
    metrics = train(plan, [split_of(corpus)], tmp_path / "student", bank=Bank.open(bank))
    assert metrics["dev"]["made"]["f1"] > 95
    assert metrics["training_data"]["linked"] == metrics["training_data"]["mentions"]
    log = TrainingLog.lines(tmp_path / "student" / "training_log.jsonl")
    first, last = log[0], next(line for line in reversed(log) if "loss_lang" in line)
    assert last["loss_lang"] < first["loss_lang"] / 10
    # A student that knows only the mean of the targets stays at 1 (their variance).
    assert last["loss_dist"] / last["target_variance"] < 0.9 < first["loss_dist"] / first["target_variance"]
    assert last["target_variance"] > 0.5
    assert {line["step"] for line in log if "dev_f1" in line} == {125, 250}
    manifest = read_manifest(tmp_path / "student")
    assert manifest.parents["bank"] == Bank.open(bank).artifact.hash
    assert "Scores" in (tmp_path / "student" / "README.md").read_text()
    assert not (tmp_path / "student.work").exists()
    maps = Maps.load(tmp_path / "student")
    assert maps.bank == manifest.parents["bank"] and maps.parts == plan.distil.parts


def test_an_arm_without_graph_starts_from_the_same_student(tiny_encoder, bank):
    from kogner.student import checkpoint

    plan = recipe(tiny_encoder)
    weights = []
    for with_head in (False, True):
        torch.manual_seed(plan.train.seed)
        student = checkpoint.create(plan.student)
        if with_head:
            make_distil_head(plan, student, Bank.open(bank), ["X:1", "X:2", "X:3"])
        weights.append(([p.clone() for p in student.parameters()], torch.get_rng_state()))
    assert all(torch.equal(a, b) for a, b in zip(weights[0][0], weights[1][0], strict=True))
    assert torch.equal(weights[0][1], weights[1][1])


def command(encoder: Path, corpus: Path, bank: Path, out: Path) -> list[str]:
    sets = [f"student.encoder={encoder}", *FAST, "train.steps=60", "train.save_every=5", "train.log_every=4"]
    arguments = [argument for value in [*sets, "train.eval_every=40"] for argument in ("--set", value)]
    return [
        sys.executable, "-m", "kogner.cli", "train", "--data", f"made={corpus}", "--bank", str(bank), "--out", str(out),
        *arguments,
    ]  # fmt: skip


def test_a_gradient_that_is_not_finite_stops_before_it_is_applied(tiny_encoder, corpus, tmp_path, monkeypatch):
    from torch import nn

    applied = []
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    monkeypatch.setattr("torch.optim.AdamW.step", lambda *_, **__: applied.append(1))
    with pytest.raises(KognerError, match=r"the gradient is not finite at step 1; lower train.encoder_lr"):
        train(recipe(tiny_encoder, "train.steps=3", "loss.dist_weight=0"), [split_of(corpus)], tmp_path / "student")
    assert not applied


def test_killed_and_resumed_equals_uninterrupted(tiny_encoder, corpus, bank, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(tiny_encoder, corpus, bank, whole), check=True, env=environment, capture_output=True)
    for target in (12, 36):
        process = subprocess.Popen(
            command(tiny_encoder, corpus, bank, killed), env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        log = tmp_path / "killed.work" / "log.jsonl"
        while max((line["step"] for line in TrainingLog.lines(log)), default=0) < target:
            assert process.poll() is None, f"the run ended before it could be killed: {process.communicate()[1]}"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(
        command(tiny_encoder, corpus, bank, killed), check=True, env=environment, capture_output=True, text=True
    )  # fmt: skip
    assert "resuming at step" in done.stderr
    assert read_manifest(killed).files["model.safetensors"] == read_manifest(whole).files["model.safetensors"]
    curves = [TrainingLog.lines(folder / "training_log.jsonl") for folder in (whole, killed)]
    assert curves[0] == curves[1]
    assert [line["step"] for line in curves[1] if "loss_lang" in line] == list(range(4, 61, 4))
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 60


def test_a_run_in_pieces_of_a_given_time_equals_one_in_one_go(tiny_encoder, corpus, tmp_path, monkeypatch):
    learn = loop._learn
    monkeypatch.setattr(loop, "_learn", lambda *given: (time.sleep(0.15), learn(*given))[1])
    plan = recipe(tiny_encoder, "train.steps=5", "train.eval_every=2", "train.save_every=100", "loss.dist_weight=0")
    splits = [split_of(corpus)]
    train(plan, splits, tmp_path / "whole")
    pieces = [train(plan, splits, tmp_path / "parts", minutes=1e-6) for _ in range(4)]
    assert pieces == [{"finished": False, "step": step, "of": 5} for step in (1, 2, 3, 4)]
    assert not (tmp_path / "parts").exists()
    last = train(plan, splits, tmp_path / "parts", minutes=1e-6)
    assert last["steps"] == 5  # at its end it is finished, late or not
    assert last["seconds_before"] >= 0.6 and last["seconds"] >= last["seconds_before"] + 0.1
    assert read_manifest(tmp_path / "whole").hash == read_manifest(tmp_path / "parts").hash


def test_a_work_folder_of_another_recipe_is_refused(tiny_encoder, corpus, tmp_path):
    from kogner.train.checkpoint import Workspace

    Workspace(tmp_path / "student.work", identity={"recipe": {}, "training data": "", "bank": None})
    plan = recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=1")
    with pytest.raises(ConfigError, match=r"holds a run with another .*recipe, training data"):
        train(plan, [split_of(corpus)], tmp_path / "student")


def test_distillation_without_a_bank_is_an_error(tiny_encoder, corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"give --bank, or set loss\.dist_weight=0"):
        train(recipe(tiny_encoder), [split_of(corpus)], tmp_path / "student")


def test_a_folder_of_the_user_is_not_replaced(tiny_encoder, corpus, tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is not empty and not a student"):
        train(recipe(tiny_encoder, "loss.dist_weight=0"), [split_of(corpus)], tmp_path)


def test_smaller_shares_are_subsets_of_larger_ones(corpus):
    documents = corpora.load("made", corpus, "train").documents
    small, large = (subset(documents, share, seed=3) for share in (0.15, 0.5))
    assert len(small) == math.floor(0.15 * len(documents) + 0.5)
    assert {d.id for d in small} < {d.id for d in large}
    assert {d.id for d in small} != {d.id for d in subset(documents, 0.15, seed=4)}


def test_paper_recipe_runs(tiny_encoder, corpus, bank, tmp_path):
    """The paper's recipe as it is, on a tiny random encoder instead of the 1.7 GB one it names."""
    plan = load_recipe(
        "paper", [f"student.encoder={tiny_encoder}", "student.initial=null", "train.steps=4", "train.threads=1"]
    )
    metrics = train(plan, [split_of(corpus)], tmp_path / "student", bank=Bank.open(bank))
    assert metrics["steps"] == 4
    assert all(
        math.isfinite(line.get("loss_lang", 0)) for line in TrainingLog.lines(tmp_path / "student/training_log.jsonl")
    )


def test_dev_types_that_train_lacks_are_said_and_do_not_stop_the_run(tiny_encoder, corpus, tmp_path, capfd):
    split = split_of(corpus)
    text = "aspirin in rats"
    rare = Document("rare", text, (Mention(11, 15, "species", text="rats"),), frozenset({"species"}))
    split = dataclasses.replace(split, dev=[*split.dev[:3], rare])
    metrics = train(recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=2"), [split], tmp_path / "student")
    assert set(metrics["thresholds"]) <= {"chemical", "disease"}
    assert "not scored: {'species': 1}" in capfd.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run_and_says_the_way_out(tiny_encoder, corpus, tmp_path):
    plan = recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=40", "train.encoder_lr=1e30", "train.head_lr=1e30")
    with pytest.raises(KognerError, match=r"lower train\.encoder_lr"):
        train(plan, [split_of(corpus)], tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_the_card_counts_the_documents_that_were_used(tiny_encoder, corpus, tmp_path):
    plan = recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=2", "train.train_share=0.5")
    metrics = train(plan, [split_of(corpus)], tmp_path / "student")
    assert metrics["corpora"] == {"made": {"train": 18, "dev": 36}}
    assert "made: 18 training and 36 dev documents" in (tmp_path / "student" / "README.md").read_text()


def test_going_on_from_a_student_keeps_its_origin(tiny_encoder, corpus, tmp_path):
    base = ["loss.dist_weight=0", "train.steps=2"]
    train(recipe(tiny_encoder, *base), [split_of(corpus)], tmp_path / "first")
    again = recipe(Path("elsewhere"), *base, f"student.initial={tmp_path / 'first'}", "student.dropout=0.3")
    train(again, [split_of(corpus)], tmp_path / "second")
    info = json.loads((tmp_path / "second" / "student.json").read_text())
    assert info["info"]["base"] == str(tiny_encoder)
    assert info["student"]["dropout"] == 0.3
    assert read_manifest(tmp_path / "second").parents == {"initial": read_manifest(tmp_path / "first").hash}
    wider = recipe(tiny_encoder, *base, f"student.initial={tmp_path / 'first'}", "student.max_width=8")
    train(wider, [split_of(corpus)], tmp_path / "wider")
    assert json.loads((tmp_path / "wider" / "student.json").read_text())["student"]["max_width"] == 8


def test_a_tie_is_no_progress_and_the_origin_is_that_of_the_start(tiny_encoder, corpus, tmp_path, monkeypatch):
    """Scores that differ behind the digits that are stored are equal; and the first student may go meanwhile."""
    base = ["loss.dist_weight=0", "train.steps=1"]
    train(recipe(tiny_encoder, *base), [split_of(corpus)], tmp_path / "first")
    origin = read_manifest(tmp_path / "first").hash
    scores = iter([80.00004, 80.000044, 80.000049])

    def scored(*_):
        shutil.rmtree(tmp_path / "first", ignore_errors=True)
        return {"dev_f1": next(scores), "dev_f1_unfitted": 70.0}

    monkeypatch.setattr(dev, "sampled_scores", scored)
    again = recipe(
        tiny_encoder, "loss.dist_weight=0", f"student.initial={tmp_path / 'first'}", "train.steps=3",
        "train.eval_every=1",
    )  # fmt: skip
    metrics = train(again, [split_of(corpus)], tmp_path / "second")
    assert (metrics["best_step"], metrics["best_f1_on_dev_sample"]) == (1, 80.0)
    assert read_manifest(tmp_path / "second").parents == {"initial": origin}


def test_a_work_folder_of_another_version_is_refused(tmp_path):
    from kogner.train.checkpoint import Workspace

    (tmp_path / "run.json").write_text('{"recipe": {}}')
    with pytest.raises(ConfigError, match="another version of KoGNER began"):
        Workspace(tmp_path, identity={"recipe": {}})


def test_a_corpus_beside_changes_neither_steps_nor_the_others_batches(tiny_encoder, corpus, tmp_path):
    gold = split_of(corpus)
    silver = dataclasses.replace(gold, name="silver", train=[dataclasses.replace(d, id=f"s{d.id}") for d in gold.train])
    config = recipe(tiny_encoder, "train.train_share=0.25", "train.beside={silver: 1.5}", "train.epochs=3").train
    both = used([silver, gold], config)
    assert [(split.name, len(split.train)) for split in both] == [("made", 9), ("silver", 36)]

    def feed(splits, config):
        examples = [
            Example(Encoded(np.arange(3 + n % 5), np.arange(1)), np.zeros((0, 4)), np.ones(1, bool), document=n)
            for n in range(sum(len(split.train) for split in splits))
        ]
        return Feed.of(examples, splits, config, readings=Readings(), parts=1)

    mixed, alone = feed(both, config), feed(both[:1], dataclasses.replace(config, beside={}))
    assert mixed.steps == alone.steps == 9  # 4, 4, 1 of the gold documents, three times

    def documents(feed, *, start=0):
        steps = itertools.islice(feed.batches(start=start), 12 - start)
        return [sorted(example.document for group in step for example in group) for step in steps]

    steps = documents(mixed)
    assert [[number for number in step if number < 9] for step in steps] == documents(alone)
    besides = [[number for number in step if number >= 9] for step in steps]
    assert [len(more) for more in besides] == [6] * 12
    assert {number for more in besides[:6] for number in more} == set(range(9, 45))  # one epoch of the silver one
    assert documents(mixed, start=5) == steps[5:]
    train(
        dataclasses.replace(recipe(tiny_encoder, "loss.dist_weight=0"), train=config), [silver, gold], tmp_path / "out"
    )
    metrics = read_manifest(tmp_path / "out").metrics
    assert metrics["steps"] == 9 and metrics["corpora"]["silver"]["train"] == 36


@pytest.mark.parametrize(
    ("beside", "says"),
    [("{made: 1}", "names every corpus"), ("{x: 1}", "'x', which is not among"), ("{made: 0}", "above 0")],
)
def test_beside_needs_another_corpus(tiny_encoder, corpus, tmp_path, beside, says):
    with pytest.raises(ConfigError, match=says):
        train(recipe(tiny_encoder, f"train.beside={beside}"), [split_of(corpus)], tmp_path / "out")
