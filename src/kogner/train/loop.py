"""The training loop.

Every step: draw what its sentences look like, add up the losses and gradients of its parts (`kogner.train.step`), step.
Now and then: log, score dev, save the state. All that is random follows from the seed and the number of the step, so
that a killed run goes on from its last saved state as if nothing had been.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
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
from kogner.config import Recipe, TrainConfig
from kogner.data.batch import Example, build_examples, fingerprint, make_batch
from kogner.data.epochs import Readings
from kogner.errors import ConfigError, KognerError
from kogner.graph.store import GraphStore
from kogner.hardware import bf16_is_fast, check_device, keep_freed_memory, warn_of_bf16
from kogner.mapping import to_mapping
from kogner.progress import Counter, counting, note
from kogner.student import checkpoint as student_files
from kogner.student.encoder import special_tokens, tokenise_whole
from kogner.student.model import Student
from kogner.teacher.bank import Bank
from kogner.text import splitter
from kogner.train.card import write_card
from kogner.train.checkpoint import Progress, Workspace
from kogner.train.dev import dev_scores, fitted_scores
from kogner.train.faster import faster_steps
from kogner.train.feed import Feed
from kogner.train.kind_labels import KindLabels
from kogner.train.linked import linked_entities, make_distil_head, shuffled, write_maps
from kogner.train.log import TrainingLog, check_tensorboard
from kogner.train.optim import dist_weight, freeze_layers, make_optimizer, make_schedule
from kogner.train.processes import Processes
from kogner.train.sampling import Sampler, View, within
from kogner.train.splits import Split, dev_hash, first, note_dev_types
from kogner.train.splits import used as used_of
from kogner.train.step import Step, Trainee, seed_of

LOG = "log.jsonl"


@dataclass
class Run:
    """Everything a training run holds while it runs."""

    recipe: Recipe
    processes: Processes
    trainee: Trainee
    feed: Feed
    types: Sequence[str]
    sampler: Sampler
    kinds: KindLabels | None
    dev: Sequence[Split]
    steps: int
    optimizer: AdamW
    schedule: LRScheduler
    progress: Progress
    work: Workspace
    log: TrainingLog
    origin: tuple[str, dict[str, str]]

    @property
    def parts(self) -> int:
        """Parts of a step, over all processes; train.batch_tokens may cut them once more."""
        return self.recipe.train.accumulate * self.processes.count

    @property
    def over(self) -> bool:
        """Whether all steps are done, or too many dev scores have come without a new best one."""
        done, config = self.progress, self.recipe.train
        waited = (done.step - (done.best_step or done.step)) // config.eval_every
        return done.step >= self.steps or 0 < config.patience <= waited


def train(
    recipe: Recipe,
    splits: Sequence[Split],
    out: Path,
    *,
    bank: Bank | None = None,
    graph: GraphStore | None = None,
    device: str = "cpu",
    minutes: float | None = None,
) -> dict[str, Any]:
    """Train a student and write it to `out`; resumes from `<out>.work` where a run of the same recipe was killed.

    minutes: stop after so many with the state saved, reading the data counted in; the same call goes on. A step, a dev
    score or the writing of the state that is under way is finished first.
    Returns metrics: steps, `seconds` of all calls, `seconds_before` of the earlier ones, best dev F1 and its step, dev
    scores per corpus, counts of the training data; nothing in processes other than the first. Where it stopped before
    the end: `finished` False, the step and how many there are.
    Raises ConfigError where distillation is asked for without a bank, kinds without a graph, or no training data is
    left.
    """
    check_device(device)
    warn_of_bf16(recipe.train.precision, device, instead="train.precision=auto takes what is fast")
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    if recipe.train.tensorboard:
        check_tensorboard()
    processes, device = Processes.join(device)
    if processes.first:
        artifacts.check_replaceable(out, kind=student_files.KIND)
    with artifacts.locked(out.with_name(out.name + ".work")) if processes.first else nullcontext():
        run, counts, used_bank = _prepare(recipe, splits, out, processes, bank=bank, graph=graph, device=device)
        with counting("training", run.steps, start=run.progress.step) as counter:
            before = run.progress.seconds
            in_time = _steps(run, counter, deadline)
        if not in_time:
            stopped = {"finished": False, "step": run.progress.step, "of": run.steps}
            return stopped if processes.first else {}
        metrics = _finish(run, splits, out, counts, used_bank) if processes.first else {}
        processes.wait()
        return metrics | {"seconds_before": round(before, 1)} if processes.first else {}


def _prepare(
    recipe: Recipe,
    splits: Sequence[Split],
    out: Path,
    processes: Processes,
    *,
    bank: Bank | None,
    graph: GraphStore | None,
    device: str,
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
    origin = student_files.origin(recipe.student)  # as it is now; at the end the place may hold something else
    _set_up_encoders(student, config)
    weights = weights_hash(student)
    used = used_of(splits, config)
    types = tuple(dict.fromkeys(name for split in used for name in split.types))
    note_dev_types(used)
    bank = bank if recipe.loss.dist_weight > 0 else None
    if recipe.loss.dist_weight > 0 and bank is None:
        raise ConfigError("loss.dist_weight is above 0, so a teacher is needed: give --bank, or set loss.dist_weight=0")
    begin, end = special_tokens(student.tokenizer)
    mask_id = student.tokenizer.mask_token_id
    sampler = Sampler(
        config, types, mask_id=mask_id, specials=(len(begin), len(end)),
        in_a_row=student.config.architecture == "uni",
    )  # fmt: skip
    kinds = KindLabels.of(config, used, types, graph)

    def length(label: str) -> int:
        return len(tokenise_whole(student.tokenizer, [label])[0])

    longest = [*sampler.longest(length), *(kinds.longest(length) if kinds is not None else ())]
    entities = linked_entities(used, bank) if bank is not None else []
    shown = shuffled(entities, used, seed=config.seed) if recipe.distil.control == "shuffled" else entities
    examples, found = build_examples(
        [document for split in used for document in split.train],
        types=types,
        rows={entity: row for row, entity in enumerate(entities)},
        tokenizer=student.tokenizer,
        max_width=student.config.max_width,
        max_tokens=student.room(longest),
        context=student.config.context,
        words=splitter(student.config.words),
        kinds=None if kinds is None else kinds.numbers,
    )
    parts = config.accumulate * processes.count
    readings = Readings(config.join_sentences, student.room(longest), (len(begin), len(end)))
    feed = Feed.of(examples, used, config, readings=readings, parts=parts)
    if not feed.examples:
        raise ConfigError("the training data holds no sentence; check --data")
    documents = {split.name: {"train": len(split.train), "dev": len(split.dev)} for split in used}
    note(f"{documents}; {len(examples):,} sentences, types {', '.join(types)}; {dict(found)}")
    head = make_distil_head(recipe, student, bank, shown) if bank is not None else None
    steps = feed.steps
    trainee = Trainee(student, head).to(device)
    optimizer = make_optimizer(trainee, config)
    schedule = make_schedule(optimizer, config, steps=steps)
    dev = [dataclasses.replace(s, dev=first(s.dev, config.eval_documents, config.data_seed)) for s in used if s.dev]
    identity = {
        "recipe": json.loads(json.dumps(to_mapping(recipe))),
        "number of parts": parts,
        "training data": fingerprint(examples),
        "dev data": dev_hash(dev),
        "initial weights": weights,
        "bank": bank.artifact.hash if bank is not None else None,
        "graph": graph.artifact.hash if kinds is not None and graph is not None else None,
    }
    folder = out.with_name(out.name + ".work")
    if not processes.first:  # which makes the folder
        processes.wait()
    work = Workspace(folder, identity=identity)
    if processes.first:
        processes.wait()
    progress = work.resume(trainee, optimizer, schedule)
    processes.wait()
    if processes.count > 1:
        note(f"{processes.count} processes share each step of {config.batch_size * parts} sentences")
    if progress.step:
        note(f"resuming at step {progress.step:,} of {steps:,}")
    log = TrainingLog(
        folder / LOG if processes.first else None,
        resume_step=progress.step,
        board=out.with_name(out.name + ".tensorboard") if config.tensorboard and processes.first else None,
    )
    run = Run(
        recipe, processes, trainee, feed, types, sampler, kinds, dev, steps, optimizer, schedule,
        progress, work, log, origin,
    )  # fmt: skip
    return run, {"training_data": dict(found), "corpora": documents}, bank


def _set_up_encoders(student: Student, config: TrainConfig) -> None:
    """Freeze what the recipe freezes, and have the encoders keep less for the backward pass where it says so."""
    for encoder in filter(None, (student.text_encoder, student.label_encoder)):
        model: Any = encoder.model
        if config.freeze_embeddings:
            model.get_input_embeddings().requires_grad_(False)
        freeze_layers(model, config.freeze_layers)
        if config.gradient_checkpointing:
            if not getattr(model, "supports_gradient_checkpointing", False):
                raise ConfigError(
                    f"the encoder ({type(model).__name__}) cannot compute its layers again; set "
                    "train.gradient_checkpointing=false"
                )
            renamed = getattr(model, "activation_checkpointing_enable", None)  # in transformers 5
            (renamed or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _steps(run: Run, counter: Counter, deadline: float | None = None) -> bool:
    """Steps until the end: batch, losses, update; log, dev score and saved state in their turn.

    False where the deadline (of `time.monotonic`) came first; the state is saved then.
    """
    config, progress = run.recipe.train, run.progress
    run.trainee.train()
    batches = run.feed.batches(start=progress.step)
    before, started = progress.seconds, time.monotonic()
    while not run.over:
        progress.add(_learn(run, next(batches)))
        counter.advance(1, f"loss {progress.sums['loss_lang'] / progress.since:.2f}")
        last = progress.step == run.steps
        if progress.step % config.log_every == 0 or last:
            run.log.write(step=progress.step, **progress.means(), rate=run.schedule.get_last_lr()[0])
        if run.dev and (progress.step % config.eval_every == 0 or last):
            scores = dev_scores(run)
            run.log.write(step=progress.step, **scores)
            f1 = scores["dev_f1"]
            note(f"step {progress.step:,}: dev F1 {f1:.2f}")
            if progress.best_f1 is None or f1 > progress.best_f1:
                progress.best_f1, progress.best_step = f1, progress.step
                if run.processes.first:
                    run.work.save_best(run.trainee)
        if run.over and not last:
            note(f"stopping at step {progress.step:,}: no better dev score since step {progress.best_step:,}")
        late = deadline is not None and not run.over and _late(run, deadline)
        progress.seconds = before + time.monotonic() - started
        if run.processes.first and (progress.step % config.save_every == 0 or run.over or late):
            run.work.save(run.trainee, run.optimizer, run.schedule, progress)
        if late:
            note(f"time is up at step {progress.step:,} of {run.steps:,}; the same command goes on")
            return False
    return True


def _late(run: Run, deadline: float) -> bool:
    """Whether the first process says that the time is up, known to all."""
    late = run.processes.first and time.monotonic() >= deadline
    return run.processes.total({"late": float(late)}, device=run.trainee.student.device)["late"] > 0


def _learn(run: Run, groups: Sequence[Sequence[Example]]) -> dict[str, float]:
    """One update from a whole batch, in groups of about one length; returns the figures of its losses."""
    examples = [example for group in groups for example in group]
    recipe, config, student, number = run.recipe, run.recipe.train, run.trainee.student, run.progress.step
    view = run.sampler.view(examples, step=number)
    if run.kinds is not None:
        view = run.kinds.add(view, examples, step=number)
    weight = dist_weight(recipe, step=number, steps=run.steps)
    step = Step.of(view, number=number, dist_weight=weight, device=student.device)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(student.device.type))
    pad_id = student.tokenizer.pad_token_id or 0
    figures = run.trainee.figures()
    torch.manual_seed(seed_of(config.seed, number, 0))
    kind = student.device.type
    # One autocast for all parts, so that weights are rounded once.
    with (
        faster_steps(kind, again=config.gradient_checkpointing),
        torch.autocast(kind, dtype=torch.bfloat16, enabled=bf16),
    ):
        labels = run.trainee.labels(step)
        for part, members in _parts(run, view, [len(group) for group in groups]):
            if part:  # the first one draws on from where the labels left off
                torch.manual_seed(seed_of(config.seed, number, part))
            batch = make_batch(members, max_width=student.config.max_width, pad_id=pad_id)
            loss, found = run.trainee.losses(batch.to(student.device), labels, step, recipe, part=part)
            if not torch.isfinite(loss):
                raise KognerError(
                    f"the loss is {float(loss.detach())} at step {number + 1:,} ({found}); lower "
                    "train.encoder_lr and train.head_lr, or set train.precision=fp32; the last saved state is kept"
                )
            with torch.autocast(kind, enabled=False):
                loss.backward()
            figures = {name: value + found[name] for name, value in figures.items()}
        with torch.autocast(kind, enabled=False):
            labels.backward()
    parameters = [parameter for parameter in run.trainee.parameters() if parameter.requires_grad]
    run.processes.add_gradients(parameters)
    if not torch.isfinite(nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)):
        raise KognerError(
            f"the gradient is not finite at step {number + 1:,}; lower train.encoder_lr and train.head_lr, or set "
            "train.precision=fp32; the last saved state is kept"
        )
    run.optimizer.step()
    run.schedule.step()
    run.optimizer.zero_grad(set_to_none=True)
    return run.processes.total(figures, device=student.device)


def _parts(run: Run, view: View, sizes: Sequence[int]) -> Iterator[tuple[int, list[Example]]]:
    """This process's parts of a step, each with its number, by which it draws. sizes: of the step's groups."""
    budget, student = run.recipe.train.batch_tokens, run.trainee.student
    # Equal shares: of the sentences, if they are of one length, else of the sub-tokens.
    unequal = len(sizes) > 1 or any(example.sentences > 1 for example in view.examples)
    done = np.cumsum([len(example.encoded.ids) if unequal else 1 for example in view.examples])
    ends = [0, *(int(np.searchsorted(done, done[-1] * part / run.parts)) + 1 for part in range(1, run.parts + 1))]
    prompt = student.text_limit - student.room(view.labels) if budget else 0
    for part in range(run.processes.rank, run.parts, run.processes.count):
        begin, end = ends[part], ends[part + 1]  # the same where the last batch of an epoch is small
        borders = [begin, *(at for at in itertools.accumulate(sizes) if begin < at < end), end]
        groups = (view.examples[a:b] for a, b in itertools.pairwise(borders))
        pieces = itertools.chain.from_iterable(within(group, budget, prompt=prompt) for group in groups)
        for more, piece in enumerate(pieces):
            yield part + more * run.parts, piece


def _finish(run: Run, splits: Sequence[Split], out: Path, counts: dict[str, Any], bank: Bank | None) -> dict[str, Any]:
    """Take the best weights, round them as they are stored, fit what dev decides, score dev, write the student."""
    if run.work.best_file.is_file():
        run.trainee.load_state_dict(load_file(run.work.best_file))
    student, recipe = run.trainee.student, run.recipe
    student.half().float()
    base, parents = run.origin[0], dict(run.origin[1])
    fitted, on_dev = fitted_scores(student, splits, run.types, agreement=recipe.train.agreement)
    info = fitted.info(run.types, base)
    metrics: dict[str, Any] = {
        "steps": run.progress.step,
        "seconds": round(run.progress.seconds, 1),
        "best_step": run.progress.best_step,
        "best_f1_on_dev_sample": run.progress.best_f1,
        "dev": on_dev,
        "thresholds": dict(info.thresholds),
        "temperatures": dict(info.temperatures),
        "agreement": dict(info.agreement),
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
        write_maps(run.trainee.head, bank, folder)
        (folder / "training_log.jsonl").write_bytes((run.work.folder / LOG).read_bytes())
        write_card(folder, recipe=recipe, info=info, metrics=metrics, distilled=bank is not None)
    run.work.remove()
    return metrics


def weights_hash(student: nn.Module) -> str:
    """Hex sha256 of all weights, as a run starts from them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(student.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
