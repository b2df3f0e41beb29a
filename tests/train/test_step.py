"""Options of a step, run through the whole loop on a tiny model."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from kogner.artifacts import read_manifest
from kogner.data import corpora
from kogner.data.batch import build_examples, make_batch
from kogner.errors import ConfigError
from kogner.recipe import load_recipe
from kogner.student import checkpoint
from kogner.student.model import Student
from kogner.teacher.bank import Bank
from kogner.train import loop
from kogner.train.linked import linked_entities, make_distil_head
from kogner.train.log import TrainingLog
from kogner.train.loop import train
from kogner.train.sampling import Sampler
from kogner.train.splits import to_split
from kogner.train.step import Step, Trainee, seed_of

FAST = [
    "train.threads=1",
    "train.precision=fp32",
    "train.encoder_lr=0.002",
    "train.head_lr=0.002",
    "student.max_width=4",
]
EVERY_OPTION = [
    "train.batch_size=3", "train.accumulate=2", "train.gradient_checkpointing=true", "train.layer_decay=0.8",
    "train.freeze_layers=1", "train.mask_words=0.2", "train.max_types=1", "loss.negative_share=0.5",
    "loss.dist_schedule=cosine-decay", "distil.loss=contrastive", "distil.target=none", "distil.negatives=4",
    "train.label_names={chemical: [drug, chemical compound]}",
    "train.label_siblings={disease: [symptom], chemical: [food]}",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def recipe(encoder: Path, *overrides: str):
    return load_recipe("small", [f"student.encoder={encoder}", "student.dropout=0", *FAST, *overrides])


def split_of(folder: Path):
    return to_split("made", corpora.load("made", folder, "train"), corpora.load("made", folder, "dev"))


def losses_in(folder: Path) -> list[float]:
    return [line["loss_lang"] for line in TrainingLog.lines(folder / "training_log.jsonl") if "loss_lang" in line]


def gradients(plan, corpus: Path, bank: Bank, sizes: list[int]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Summed gradients and figures of a step whose batch is cut into parts of these sizes."""
    torch.manual_seed(plan.train.seed)
    student = checkpoint.create(plan.student).train()
    split = split_of(corpus)
    entities = linked_entities([split], bank)
    trainee = Trainee(student, make_distil_head(plan, student, bank, entities))
    examples, _ = build_examples(
        split.train, types=split.types, rows={e: row for row, e in enumerate(entities)}, tokenizer=student.tokenizer,
        max_width=4, max_tokens=64,
    )  # fmt: skip
    sampler = Sampler(plan.train, split.types, mask_id=4, specials=(1, 1))
    view = sampler.view(examples[: sum(sizes)], step=0)
    step = Step.of(view, number=0, dist_weight=0.2, device=torch.device("cpu"))
    figures, first = trainee.figures(), 0
    labels = trainee.labels(step)
    for part, size in enumerate(sizes):
        batch = make_batch(view.examples[first : first + size], max_width=4, pad_id=0)
        total, found = trainee.losses(batch, labels, step, plan, part=part)
        total.backward()
        figures = {name: value + found[name] for name, value in figures.items()}
        first += size
    labels.backward()
    return {name: p.grad for name, p in trainee.named_parameters() if p.grad is not None}, figures


@pytest.mark.parametrize("loss", ["mse", "cosine", "contrastive"])
def test_parts_add_up_to_the_gradient_of_the_whole_batch(still_encoder, corpus, bank, loss):
    """Parts of unequal size, so that a mean of means would not do."""
    plan = recipe(still_encoder, f"distil.loss={loss}", "train.label_siblings={disease: [symptom]}")
    whole, figures = gradients(plan, corpus, Bank.open(bank), [9])
    parts, added = gradients(plan, corpus, Bank.open(bank), [4, 1, 4])
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
    assert added == pytest.approx(figures, rel=1e-5)
    assert figures["linked"] > 9


def test_accumulation_trains_like_the_bigger_batch(still_encoder, corpus, bank, tmp_path):
    curves = []
    for name, size, times in (("once", 8, 1), ("twice", 4, 2)):
        plan = recipe(
            still_encoder, f"train.batch_size={size}", f"train.accumulate={times}", "train.steps=8",
            "train.log_every=1",
        )  # fmt: skip
        train(plan, [split_of(corpus)], tmp_path / name, bank=Bank.open(bank))
        curves.append(losses_in(tmp_path / name))
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    assert len(curves[0]) == 8


@pytest.mark.parametrize("architecture", ["bi", "uni"])
def test_a_batch_cut_by_its_sub_tokens_trains_like_the_whole(
    still_encoder, corpus, tmp_path, monkeypatch, architecture
):
    curves, sizes = [], []

    def counted(examples, **settings):
        batch = make_batch(examples, **settings)
        sizes.append(batch.tokens.ids.numel())
        return batch

    monkeypatch.setattr(loop, "make_batch", counted)
    for budget in (0, 60):
        sizes.clear()
        plan = recipe(
            still_encoder, f"train.batch_tokens={budget}", f"student.architecture={architecture}", "train.batch_size=8",
            "loss.dist_weight=0", "train.steps=6", "train.log_every=1", "train.eval_every=6",
        )  # fmt: skip
        train(plan, [split_of(corpus)], tmp_path / str(budget))
        curves.append(losses_in(tmp_path / str(budget)))
        assert (max(sizes) <= 60) == bool(budget)
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointed_layers_train_the_same(tiny_encoder, corpus, tmp_path, monkeypatch, precision):
    """The encoder's dropout is on: computed again, a layer has to drop the same numbers."""
    curves = []
    for value in ("true", "false"):
        plan = recipe(
            tiny_encoder, f"train.gradient_checkpointing={value}", "loss.dist_weight=0", "train.steps=5",
            "train.log_every=1", f"train.precision={precision}",
        )  # fmt: skip
        if value == "false":  # torch's own masks, as layers that are computed again have
            monkeypatch.setattr(loop, "faster_steps", lambda *_, **__: nullcontext())
        train(plan, [split_of(corpus)], tmp_path / value)
        curves.append(losses_in(tmp_path / value))
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


def test_a_run_without_a_better_score_stops(still_encoder, corpus, tmp_path, capfd):
    plan = recipe(
        still_encoder, "loss.dist_weight=0", "train.steps=50", "train.eval_every=2", "train.patience=3",
        "train.encoder_lr=1e-12", "train.head_lr=1e-12",
    )  # fmt: skip
    metrics = train(plan, [split_of(corpus)], tmp_path / "student")
    assert (metrics["best_step"], metrics["steps"]) == (2, 8)
    assert "stopping at step 8" in capfd.readouterr().err


class KilledError(Exception):
    pass


def test_every_option_survives_a_stop_between_two_saves(still_encoder, corpus, bank, tmp_path, monkeypatch):
    plan = recipe(still_encoder, *EVERY_OPTION, "train.steps=14", "train.save_every=4", "train.log_every=1")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(plan, [split_of(corpus)], whole, bank=Bank.open(bank))
    learn = loop._learn

    def stop(run, examples):
        if run.progress.step == 10:
            raise KilledError
        return learn(run, examples)

    monkeypatch.setattr(loop, "_learn", stop)
    with pytest.raises(KilledError):
        train(plan, [split_of(corpus)], stopped, bank=Bank.open(bank))
    monkeypatch.setattr(loop, "_learn", learn)
    torch.manual_seed(99)
    train(plan, [split_of(corpus)], stopped, bank=Bank.open(bank))
    assert read_manifest(stopped).files["model.safetensors"] == read_manifest(whole).files["model.safetensors"]
    logs = [TrainingLog.lines(folder / "training_log.jsonl") for folder in (whole, stopped)]
    assert logs[0] == logs[1]
    frozen = checkpoint.load(whole)[0].text_encoder.model.state_dict()
    start = checkpoint.create(plan.student).text_encoder.model.state_dict()
    for name, value in frozen.items():
        same = torch.equal(value, start[name].half().float())
        assert same == ("layer.1." not in name), name


def test_what_the_encoder_cannot_do_is_said(tiny_encoder, corpus, tmp_path, monkeypatch):
    plan = recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=1", "train.mask_words=0.1")
    with pytest.raises(ConfigError, match="has no mask token"):
        train(plan, [split_of(corpus)], tmp_path / "student")
    from transformers import BertModel

    monkeypatch.setattr(BertModel, "supports_gradient_checkpointing", False)
    plan = recipe(tiny_encoder, "loss.dist_weight=0", "train.steps=1", "train.gradient_checkpointing=true")
    with pytest.raises(ConfigError, match=r"set train\.gradient_checkpointing=false"):
        train(plan, [split_of(corpus)], tmp_path / "student")


def test_seeds_of_parts_differ():
    seeds = {seed_of(seed, step, part) for seed in range(4) for step in range(20) for part in range(4)}
    assert len(seeds) == 320
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_arms_with_and_without_a_graph_see_the_same_dropout_masks(tiny_encoder, corpus, bank, tmp_path):
    """With a weight that is too small to matter, the language losses of both arms are the same, step by step."""
    shared = [
        "student.dropout=0.4",
        "distil.guard_weight=0",
        "train.steps=6",
        "train.log_every=1",
        "train.eval_every=6",
    ]
    seen = []
    for name, weight in (("without", 0.0), ("with", 1e-9), ("other masks", 0.0)):
        plan = recipe(tiny_encoder, *shared, f"loss.dist_weight={weight}", f"train.seed={int(name == 'other masks')}")
        train(plan, [split_of(corpus)], tmp_path / name, bank=Bank.open(bank))
        seen.append(losses_in(tmp_path / name))
    assert len(seen[0]) == 6
    assert seen[1] == pytest.approx(seen[0], rel=1e-3)
    assert seen[2] != pytest.approx(seen[0], rel=1e-3)


def test_labels_are_encoded_once_a_step(still_encoder, corpus, bank, tmp_path, monkeypatch):
    times = []
    encode = Student.encode_labels
    monkeypatch.setattr(Student, "encode_labels", lambda student, labels: times.append(1) or encode(student, labels))
    plan = recipe(still_encoder, "train.batch_size=4", "train.accumulate=3", "train.steps=3")
    train(plan, [split_of(corpus)], tmp_path / "student", bank=Bank.open(bank))
    at_the_end = len(times) - 3
    times.clear()
    plan = recipe(still_encoder, "train.batch_size=4", "train.accumulate=3", "train.steps=5")
    train(plan, [split_of(corpus)], tmp_path / "longer", bank=Bank.open(bank))
    assert len(times) - at_the_end == 5


def test_accumulation_trains_like_the_bigger_batch_in_bfloat16(still_encoder, corpus, tmp_path):
    """All parts read weights that are rounded once, and what they send back to them adds up."""
    curves = []
    for name, size, times in (("once", 8, 1), ("twice", 4, 2)):
        plan = recipe(
            still_encoder, f"train.batch_size={size}", f"train.accumulate={times}", "train.steps=8",
            "train.log_every=1", "train.precision=bf16", "loss.dist_weight=0",
        )  # fmt: skip
        train(plan, [split_of(corpus)], tmp_path / name)
        curves.append(losses_in(tmp_path / name))
    assert curves[0] == pytest.approx(curves[1], rel=3e-2)
    assert curves[0][-1] < 0.9 * curves[0][0]
