"""The training loop: one place where language loss and distillation meet.

Every step: score all spans of a batch against all types (language loss), pull the span vectors of linked mentions
towards their entities' bank rows (distillation loss), step. Now and then: log, score dev, save the state.
A killed run goes on from its last saved state with the same data order, dropout and rates.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.config import Recipe, to_mapping
from kogner.data.batch import Batch, Example, build_examples, fingerprint, make_batch, stream
from kogner.data.corpora import Corpus
from kogner.errors import ConfigError
from kogner.evaluate.spans import score
from kogner.hardware import bf16_is_fast, keep_freed_memory
from kogner.progress import Counter, counting, note
from kogner.records import Document
from kogner.student import checkpoint as student_files
from kogner.student.checkpoint import StudentInfo
from kogner.student.distil import DistilHead
from kogner.student.losses import language_loss
from kogner.student.model import Student
from kogner.teacher.bank import Bank
from kogner.train.card import write_card
from kogner.train.checkpoint import Progress, Workspace
from kogner.train.log import TrainingLog
from kogner.train.optim import make_optimizer, make_schedule
from kogner.train.thresholds import fit_thresholds


@dataclass(frozen=True)
class Split:
    """What one corpus gives: documents to train on and documents to choose by. Never a test split."""

    name: str
    train: Sequence[Document]
    dev: Sequence[Document]
    types: tuple[str, ...]


class Trainee(nn.Module):
    """The student and, where it learns from a bank, its distillation head; one module so that one state holds both."""

    def __init__(self, student: Student, head: DistilHead | None) -> None:
        super().__init__()
        self.student, self.head = student, head

    def losses(self, batch: Batch, labels: Sequence[str], recipe: Recipe) -> tuple[torch.Tensor, dict[str, float]]:
        """Total loss of a batch, and its parts for the log."""
        config = recipe.loss
        types = self.student.encode_labels(labels)
        scores, words = self.student(batch.tokens, types)
        lang = language_loss(
            scores, batch.targets, batch.type_mask, alpha=config.focal_alpha, gamma=config.focal_gamma
        )  # fmt: skip
        total, parts = config.lang_weight * lang, {"loss_lang": float(lang.detach())}
        if self.head is not None:
            spans = self.student.span_head.vectors(words, batch.linked)
            distil = self.head(spans, batch.rows)
            total = total + config.dist_weight * distil.loss + recipe.distil.guard_weight * distil.guard
            parts |= {"loss_dist": float(distil.loss.detach()), "target_variance": distil.variance}
            parts |= {"linked": float(len(batch.rows))}
        return total, parts


def train(
    recipe: Recipe,
    splits: Sequence[Split],
    out: Path,
    *,
    bank: Bank | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a student and write it to `out`; resumes from `<out>.work` where a run of the same recipe was killed.

    Returns metrics: steps, best dev F1 and its step, dev scores per corpus, counts of the training data.
    Raises ConfigError where distillation is asked for without a bank, or no training data is left.
    """
    config = recipe.train
    artifacts.check_replaceable(out, kind=student_files.KIND)
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")
    keep_freed_memory()
    student = student_files.create(recipe.student)
    if config.freeze_embeddings:
        for encoder in filter(None, (student.text_encoder, student.label_encoder)):
            encoder.model.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    types = tuple(dict.fromkeys(name for split in splits for name in split.types))
    distil = recipe.loss.dist_weight > 0
    if distil and bank is None:
        raise ConfigError("loss.dist_weight is above 0, so a teacher is needed: give --bank, or set loss.dist_weight=0")
    entities = linked_entities(splits, bank) if distil and bank is not None else []
    documents = [document for split in splits for document in subset(split.train, config.train_share, config.data_seed)]
    examples, counts = build_examples(
        documents,
        types=types,
        rows={entity: row for row, entity in enumerate(entities)},
        tokenizer=student.tokenizer,
        max_width=recipe.student.max_width,
        max_tokens=student.text_limit,
    )
    if not examples:
        raise ConfigError("the training data holds no sentence; check --data")
    note(f"{len(documents):,} documents, {len(examples):,} sentences, types {', '.join(types)}; {dict(counts)}")
    head = make_distil_head(recipe, student, bank, entities) if bank is not None and entities else None
    steps = config.steps or max(1, round(config.epochs * -(-len(examples) // config.batch_size)))

    trainee = Trainee(student, head).to(device)
    optimizer = make_optimizer(trainee, config)
    schedule = make_schedule(optimizer, config, steps=steps)
    work = Workspace(
        out.with_name(out.name + ".work"),
        identity={
            "recipe": json.loads(json.dumps(to_mapping(recipe))),
            "training data": fingerprint(examples),
            "bank": bank.artifact.hash if head is not None and bank is not None else None,
        },
    )
    progress = work.resume(trainee, optimizer, schedule)
    if progress.step:
        note(f"resuming at step {progress.step:,} of {steps:,}")
    log = TrainingLog(work.folder / "log.jsonl", resume_step=progress.step)
    dev = [dataclasses.replace(s, dev=_first(s.dev, config.eval_documents, config.data_seed)) for s in splits if s.dev]

    with counting("training", steps, start=progress.step) as counter:
        _run(trainee, optimizer, schedule, recipe, examples, types, dev, steps, progress, work, log, counter)

    if work.best_file.is_file():
        trainee.load_state_dict(load_file(work.best_file))
    return _finish(trainee.student, recipe, splits, types, out, progress, dict(counts), work, bank if head else None)


def _run(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    recipe: Recipe,
    examples: Sequence[Example],
    types: Sequence[str],
    dev: Sequence[Split],
    steps: int,
    progress: Progress,
    work: Workspace,
    log: TrainingLog,
    counter: Counter,
) -> None:
    """Steps until the end."""
    config = recipe.train
    student = trainee.student
    parameters = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
    pad_id = student.tokenizer.pad_token_id or 0
    sums: dict[str, float] = {}
    since = 0
    bf16 = config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(student.device.type))
    trainee.train()
    batches = stream(examples, batch_size=config.batch_size, seed=config.data_seed + config.seed, start=progress.step)
    for indices in itertools.islice(batches, max(steps - progress.step, 0)):
        batch = make_batch([examples[i] for i in indices], max_width=recipe.student.max_width, pad_id=pad_id)
        with torch.autocast(student.device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, parts = trainee.losses(batch.to(student.device), types, recipe)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        since += 1
        counter.advance(1, f"loss {parts['loss_lang']:.2f}")
        last = progress.step == steps
        if progress.step % config.log_every == 0 or last:
            means = {name: round(value / since, 6) for name, value in sums.items()}
            log.write(step=progress.step, **means, rate=schedule.get_last_lr()[0])
            sums, since = {}, 0
        if dev and (progress.step % config.eval_every == 0 or last):
            f1 = float(np.mean([s["f1"] for s in evaluate(student, dev).values()]))
            log.write(step=progress.step, dev_f1=round(f1, 4))
            note(f"step {progress.step:,}: dev F1 {f1:.2f}")
            if f1 > progress.best_f1:
                progress.best_f1, progress.best_step = f1, progress.step
                work.save_best(trainee)
        if progress.step % config.save_every == 0 or last:
            work.save(trainee, optimizer, schedule, progress)


def _finish(
    student: Student,
    recipe: Recipe,
    splits: Sequence[Split],
    types: Sequence[str],
    out: Path,
    progress: Progress,
    counts: dict[str, int],
    work: Workspace,
    bank: Bank | None,
) -> dict[str, Any]:
    """Fit thresholds on dev, score dev with them, write the student."""
    thresholds = {name.lower(): value for name, value in fit_thresholds(student, splits, types).items()}
    info = StudentInfo(types=tuple(types), thresholds=thresholds, base=recipe.student.encoder)
    metrics: dict[str, Any] = {
        "steps": progress.step,
        "best_step": progress.best_step,
        "best_dev_f1_at_0.5": round(progress.best_f1, 4),
        "dev": evaluate(student, splits, info=info),
        "thresholds": thresholds,
        "training_data": counts,
        "corpora": {split.name: {"train": len(split.train), "dev": len(split.dev)} for split in splits},
    }
    parents = {} if bank is None else {"bank": bank.artifact.hash} | dict(bank.artifact.parents)
    with artifacts.writing(
        out,
        kind=student_files.KIND,
        version=student_files.VERSION,
        recipe=to_mapping(recipe),
        parents=parents,
        metrics=metrics,
    ) as folder:
        student_files.save(student, info, folder)
        (folder / "training_log.jsonl").write_bytes((work.folder / "log.jsonl").read_bytes())
        write_card(folder, recipe=recipe, info=info, metrics=metrics, distilled=bank is not None)
    work.remove()
    return metrics


def evaluate(student: Student, splits: Sequence[Split], *, info: StudentInfo | None = None) -> dict[str, Any]:
    """Exact span scores on the dev documents of each corpus that has any, for its own types."""
    predictor = Predictor(student, info)
    results = {}
    for split in splits:
        if split.dev:
            predicted = list(predictor.predict(split.dev, labels=split.types, settings=Settings(token_budget=8192)))
            results[split.name] = score(split.dev, predicted, types=split.types).to_dict()
    return results


def linked_entities(splits: Sequence[Split], bank: Bank) -> list[str]:
    """Entities that training mentions link to and that have a row in the bank, sorted."""
    linked = {
        mention.entity
        for split in splits
        for document in split.train
        for mention in document.mentions
        if mention.entity
    }
    known = sorted(entity for entity in linked if bank.row(entity) is not None)
    if linked and len(known) < len(linked):
        note(f"{len(linked) - len(known):,} of {len(linked):,} linked entities have no row in the bank")
    if not known:
        raise ConfigError(
            "no training mention is linked to an entity of the bank, so nothing can be distilled; link the corpora "
            "with 'kogner data link' first and give --data the linked folders, or set loss.dist_weight=0"
        )
    return known


def make_distil_head(recipe: Recipe, student: Student, bank: Bank, entities: Sequence[str]) -> DistilHead:
    """The distillation head on the rows of the linked entities.

    Its weights are drawn from a random stream of their own, so that a run with b = 0 starts from the same student.
    """
    parts = recipe.distil.parts
    columns = [bank.parts[part][1] - bank.parts[part][0] for part in parts]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed + 1)
        return DistilHead(recipe.distil, hidden=student.hidden, bank=bank.take(entities, parts), columns=columns)


def subset(documents: Sequence[Document], share: float, seed: int) -> list[Document]:
    """The first `share` of a seeded shuffle, in the order of the corpus."""
    if share >= 1:
        return list(documents)
    chosen = np.random.default_rng(seed).permutation(len(documents))[: max(1, round(share * len(documents)))]
    return [documents[i] for i in sorted(chosen)]


def _first(documents: Sequence[Document], count: int, seed: int) -> list[Document]:
    return subset(documents, count / len(documents) if 0 < count < len(documents) else 1.0, seed)


def to_split(name: str, train: Corpus, dev: Corpus | None) -> Split:
    """The two halves of a corpus as the loop takes them."""
    return Split(name, train.documents, dev.documents if dev else (), tuple(sorted(train.types)))
