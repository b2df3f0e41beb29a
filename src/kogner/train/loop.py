"""The training loop: one place where language loss and distillation meet.

Every step: score all spans of a batch against all types (language loss), pull the span vectors of linked mentions
towards their entities' bank rows (distillation loss), step. Now and then: log, score dev, save the state.
A killed run goes on from its last saved state with the same data order, dropout and rates.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.config import Recipe, to_mapping
from kogner.data.batch import Batch, Example, build_examples, fingerprint, make_batch, stream
from kogner.data.corpora import Corpus
from kogner.data.formats.jsonl import line_of
from kogner.errors import ConfigError, KognerError
from kogner.evaluate.spans import score
from kogner.hardware import bf16_is_fast, check_device, keep_freed_memory
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

    def losses(
        self, batch: Batch, labels: Sequence[str], recipe: Recipe, *, step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Total loss of a batch, and its parts for the log."""
        config = recipe.loss
        types = self.student.encode_labels(labels)
        scores, words = self.student(batch.tokens, types)
        lang = language_loss(
            scores, batch.targets, batch.type_mask, alpha=config.focal_alpha, gamma=config.focal_gamma
        )  # fmt: skip
        total, parts = config.lang_weight * lang, {"loss_lang": float(lang.detach())}
        if self.head is not None:
            # Its dropout draws from a fork of the random stream, so that the arm without a graph sees the same masks.
            with torch.random.fork_rng(devices=[words.device] if words.is_cuda else []):
                spans = self.student.span_head.vectors(words, batch.linked)
            distil = self.head(spans, batch.rows, step=step)
            total = total + config.dist_weight * distil.loss + recipe.distil.guard_weight * distil.guard
            parts |= {"loss_dist": float(distil.loss.detach()), "target_variance": distil.variance}
            parts |= {"linked": float(len(batch.rows))}
        return total, parts


@dataclass
class Run:
    """Everything a training run holds while it runs."""

    recipe: Recipe
    trainee: Trainee
    examples: Sequence[Example]
    types: Sequence[str]
    dev: Sequence[Split]
    steps: int
    optimizer: AdamW
    schedule: LRScheduler
    progress: Progress
    work: Workspace
    log: TrainingLog


def train(
    recipe: Recipe, splits: Sequence[Split], out: Path, *, bank: Bank | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Train a student and write it to `out`; resumes from `<out>.work` where a run of the same recipe was killed.

    Returns metrics: steps, best dev F1 and its step, dev scores per corpus, counts of the training data.
    Raises ConfigError where distillation is asked for without a bank, or no training data is left.
    """
    check_device(device)
    artifacts.check_replaceable(out, kind=student_files.KIND)
    with artifacts.locked(out.with_name(out.name + ".work")):
        run, counts, used_bank = _prepare(recipe, splits, out, bank=bank, device=device)
        with counting("training", run.steps, start=run.progress.step) as counter:
            _steps(run, counter)
        return _finish(run, splits, out, counts, used_bank)


def _prepare(
    recipe: Recipe, splits: Sequence[Split], out: Path, *, bank: Bank | None, device: str
) -> tuple[Run, dict[str, Any], Bank | None]:
    """Data, model, optimiser and the state to go on from; what the data held; the bank where it is distilled."""
    config = recipe.train
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
    weights = weights_hash(student)
    used = [dataclasses.replace(s, train=subset(s.train, config.train_share, config.data_seed)) for s in splits]
    types = tuple(dict.fromkeys(name for split in used for name in split.types))
    _note_dev_types(used)
    bank = bank if recipe.loss.dist_weight > 0 else None
    if recipe.loss.dist_weight > 0 and bank is None:
        raise ConfigError("loss.dist_weight is above 0, so a teacher is needed: give --bank, or set loss.dist_weight=0")
    entities = linked_entities(used, bank) if bank is not None else []
    examples, found = build_examples(
        [document for split in used for document in split.train],
        types=types,
        rows={entity: row for row, entity in enumerate(entities)},
        tokenizer=student.tokenizer,
        max_width=student.config.max_width,
        max_tokens=student.text_limit,
        context=student.config.context,
    )
    if not examples:
        raise ConfigError("the training data holds no sentence; check --data")
    documents = {split.name: {"train": len(split.train), "dev": len(split.dev)} for split in used}
    note(f"{documents}; {len(examples):,} sentences, types {', '.join(types)}; {dict(found)}")
    head = make_distil_head(recipe, student, bank, entities) if bank is not None else None
    steps = config.steps or max(1, round(config.epochs * -(-len(examples) // config.batch_size)))
    trainee = Trainee(student, head).to(device)
    optimizer = make_optimizer(trainee, config)
    schedule = make_schedule(optimizer, config, steps=steps)
    dev = [dataclasses.replace(s, dev=_first(s.dev, config.eval_documents, config.data_seed)) for s in used if s.dev]
    work = Workspace(
        out.with_name(out.name + ".work"),
        identity={
            "recipe": json.loads(json.dumps(to_mapping(recipe))),
            "training data": fingerprint(examples),
            "dev data": _dev_hash(dev),
            "initial weights": weights,
            "bank": bank.artifact.hash if bank is not None else None,
        },
    )
    progress = work.resume(trainee, optimizer, schedule)
    if progress.step:
        note(f"resuming at step {progress.step:,} of {steps:,}")
    log = TrainingLog(work.folder / "log.jsonl", resume_step=progress.step)
    run = Run(recipe, trainee, examples, types, dev, steps, optimizer, schedule, progress, work, log)
    return run, {"training_data": dict(found), "corpora": documents}, bank


def _steps(run: Run, counter: Counter) -> None:
    """Steps until the end: batch, losses, update; log, dev score and saved state in their turn."""
    config, student, progress = run.recipe.train, run.trainee.student, run.progress
    parameters = [parameter for parameter in run.trainee.parameters() if parameter.requires_grad]
    pad_id = student.tokenizer.pad_token_id or 0
    bf16 = config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(student.device.type))
    run.trainee.train()
    batches = stream(
        run.examples, batch_size=config.batch_size, seed=config.data_seed + config.seed, start=progress.step
    )
    for indices in itertools.islice(batches, max(run.steps - progress.step, 0)):
        batch = make_batch([run.examples[i] for i in indices], max_width=student.config.max_width, pad_id=pad_id)
        with torch.autocast(student.device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, parts = run.trainee.losses(batch.to(student.device), run.types, run.recipe, step=progress.step)
        if not torch.isfinite(loss):
            raise KognerError(
                f"the loss is {float(loss.detach())} at step {progress.step + 1:,} ({parts}); lower "
                "train.encoder_lr and train.head_lr, or set train.precision=fp32; the last saved state is kept"
            )
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        run.optimizer.step()
        run.schedule.step()
        run.optimizer.zero_grad(set_to_none=True)
        progress.add(parts)
        counter.advance(1, f"loss {parts['loss_lang']:.2f}")
        last = progress.step == run.steps
        if progress.step % config.log_every == 0 or last:
            run.log.write(step=progress.step, **progress.means(), rate=run.schedule.get_last_lr()[0])
        if run.dev and (progress.step % config.eval_every == 0 or last):
            f1 = float(np.mean([scores["f1"] for scores in evaluate(student, run.dev).values()]))
            run.log.write(step=progress.step, dev_f1=round(f1, 4))
            note(f"step {progress.step:,}: dev F1 {f1:.2f}")
            if progress.best_f1 is None or f1 > progress.best_f1:
                progress.best_f1, progress.best_step = round(f1, 4), progress.step
                run.work.save_best(run.trainee)
        if progress.step % config.save_every == 0 or last:
            run.work.save(run.trainee, run.optimizer, run.schedule, progress)


def _finish(run: Run, splits: Sequence[Split], out: Path, counts: dict[str, Any], bank: Bank | None) -> dict[str, Any]:
    """Take the best weights, round them as they are stored, fit thresholds on dev, score dev, write the student."""
    if run.work.best_file.is_file():
        run.trainee.load_state_dict(load_file(run.work.best_file))
    student, recipe = run.trainee.student, run.recipe
    student.half().float()
    base, parents = student_files.origin(recipe.student)
    info = StudentInfo(types=tuple(run.types), thresholds=fit_thresholds(student, splits, run.types), base=base)
    metrics: dict[str, Any] = {
        "steps": run.progress.step,
        "best_step": run.progress.best_step,
        "best_f1_on_dev_sample": run.progress.best_f1,
        "dev": evaluate(student, splits, info=info),
        "thresholds": dict(info.thresholds),
        **counts,
    }
    if bank is not None:
        parents |= {"bank": bank.artifact.hash, **bank.artifact.parents}
    with artifacts.writing(
        out,
        kind=student_files.KIND,
        version=student_files.VERSION,
        recipe=to_mapping(recipe),
        parents=parents,
        metrics=metrics,
    ) as folder:
        student_files.save(student, info, folder)
        (folder / "training_log.jsonl").write_bytes(run.log.path.read_bytes())
        write_card(folder, recipe=recipe, info=info, metrics=metrics, distilled=bank is not None)
    run.work.remove()
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


def weights_hash(student: Student) -> str:
    """Hex sha256 of all weights, as a run starts from them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(student.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _dev_hash(splits: Sequence[Split]) -> str:
    lines = (line_of(document) for split in splits for document in split.dev)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _note_dev_types(splits: Sequence[Split]) -> None:
    for split in splits:
        found = Counts(m.type for document in split.dev for m in document.mentions if m.type not in split.types)
        if found:
            note(f"{split.name}: dev mentions of types that its train split lacks are not scored: {dict(found)}")


def to_split(name: str, train: Corpus, dev: Corpus | None) -> Split:
    """The two halves of a corpus as the loop takes them."""
    return Split(name, train.documents, dev.documents if dev else (), tuple(sorted(train.types)))
