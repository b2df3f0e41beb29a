"""Names that mean the same, brought together in a text encoder (as SapBERT, Liu et al. 2021, NAACL).

Every step: draw entities, two names of each, pool their vectors as the student pools labels, add up the
multi-similarity loss. All that is random follows from the seed and the number of the step, so that a killed run goes on
from its last saved state as if nothing had been.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rapidfuzz.distance import Indel
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from kogner import artifacts, encoders
from kogner.config import TrainConfig
from kogner.data.synonyms import Synonyms
from kogner.errors import ConfigError, KognerError
from kogner.hardware import check_device, keep_freed_memory
from kogner.progress import counting, note
from kogner.student.encoder import Encoder, max_tokens, special_tokens
from kogner.teacher.randomness import generator, own_randomness
from kogner.train.checkpoint import Progress, Workspace
from kogner.train.faster import faster_steps
from kogner.train.log import TrainingLog
from kogner.train.loop import weights_hash
from kogner.train.optim import make_optimizer, make_schedule
from kogner.train.similarity import ALPHA, BETA, EPSILON, MARGIN, multi_similarity_loss
from kogner.train.step import seed_of

KIND, VERSION = encoders.KIND, encoders.VERSION
LOG = "training_log.jsonl"
LOG_EVERY = 50
HELD_OUT_SHARE = 0.2  # of the entities, at most
TEXTS_AT_ONCE = 4096  # to the tokenizer
NAMES_AT_ONCE = 128  # to the encoder, of about one length, so that short names are not padded to the longest
_FREE = ("encoder", "save_every", "threads")  # settings that change no weight; an encoder counts by its own weights
CUT = "name cut to the longest that is read"


@dataclass(frozen=True)
class AlignSettings:
    """How names are aligned.

    steps, batch_size: updates, and pairs of names in each. learning_rate: AdamW's peak, after a linear warm-up over
    warmup_ratio of the steps and before a linear decay to 0. max_length: sub-tokens that are read of a name, special
    ones included. held_out: entities that are not trained on, to measure by; at most HELD_OUT_SHARE of all.
    freeze_embeddings: keep the word embeddings, as the recipes for students do. threads: CPU threads, 0 = as torch
    chooses.
    """

    encoder: str = "minilm"
    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    max_length: int = 25
    held_out: int = 1000
    freeze_embeddings: bool = True
    save_every: int = 250
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "held_out", "save_every"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be above 0")
        if self.batch_size < 2:
            raise ConfigError("batch_size 1: at least 2 pairs are needed, or a name has none to be told apart from")
        for name in ("weight_decay", "threads", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} {getattr(self, name)} must not be negative")
        if not 0 <= self.warmup_ratio <= 1:
            raise ConfigError(f"warmup_ratio {self.warmup_ratio} must lie between 0 and 1")


def align(synonyms: Synonyms, out: Path, settings: AlignSettings, *, device: str = "cpu") -> dict[str, Any]:
    """Train an encoder and write it to `out`; resumes from `<out>.work` where a run of the same settings was killed.

    The folder is one that transformers reads, so that `student.encoder` of a recipe can name it.
    Returns metrics: entities, pairs, what was left out, steps, mean loss of the last steps, and accuracy@1 of the
    held-out entities before and after. Raises ConfigError for settings that fit neither names nor encoder.
    """
    check_device(device)
    artifacts.check_replaceable(out, kind=KIND)
    with artifacts.locked(out.with_name(out.name + ".work")), own_randomness(device):
        if settings.threads:
            torch.set_num_threads(settings.threads)
        if device.startswith("cuda"):
            torch.set_float32_matmul_precision("high")
        keep_freed_memory()
        run = _prepare(synonyms, out, settings, device)
        _steps(run)
        return _finish(run, synonyms, out)


class Aligned(nn.Module):
    """The encoder, under the name by which the optimiser knows what is pretrained."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.encoder = Encoder(model, int(model.config.hidden_size))  # type: ignore[union-attr, arg-type]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Unit vectors of names, (names, width). ids, mask: (names, tokens)."""
        return functional.normalize(self.encoder.pooled(ids, mask), dim=-1)


class Names:
    """Names of entities as sub-tokens, and pairs of them drawn by the number of a step.

    cut: how many names were longer than `max_length` sub-tokens.
    """

    def __init__(self, synonyms: Synonyms, tokenizer: Any, *, max_length: int) -> None:
        self._names = synonyms.names
        self._starts = np.cumsum([0, *map(len, synonyms.names)])
        self._pad = tokenizer.pad_token_id or 0
        self._ids, self.cut = _tokenised([name for names in synonyms.names for name in names], tokenizer, max_length)

    def __len__(self) -> int:
        return len(self._names)

    def batches(self, names: np.ndarray) -> tuple[np.ndarray, Iterator[tuple[Tensor, Tensor]]]:
        """Names from short to long: their places in `names`, and batches of ids and mask, each (batch, tokens).

        names: (names,) their numbers, counted over all entities.
        """
        order = np.argsort([len(self._ids[name]) for name in names.tolist()], kind="stable")
        starts = range(0, len(order), NAMES_AT_ONCE)
        return order, (self._batch(names[order[start : start + NAMES_AT_ONCE]]) for start in starts)

    def _batch(self, names: np.ndarray) -> tuple[Tensor, Tensor]:
        rows = [self._ids[name] for name in names.tolist()]
        ids = np.full((len(rows), max(map(len, rows))), self._pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def first(self) -> np.ndarray:
        """(entities,) number of each entity's first name, its preferred one if it is there."""
        return self._starts[:-1]

    def another(self, *, seed: int) -> np.ndarray:
        """(entities,) number of a random name of each entity that is not its first."""
        counts = np.diff(self._starts) - 1
        return self._starts[:-1] + 1 + generator(seed, "query").integers(counts)

    def pairs(self, step: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a step: entities (size,), and the numbers of two different names of each, (2, size).

        Entities come one after the other in a random order, a new one when all were seen. Of the other names of an
        entity one counts the more the less it has in common with the first: what is almost alike teaches little.
        """
        places = np.arange(step * size, (step + 1) * size)
        epochs, within = np.divmod(places, len(self))
        entities = np.array([_order(int(e), len(self), seed)[w] for e, w in zip(epochs, within, strict=True)])
        draws = generator(seed, "names", step).random((size, 2))
        chosen = np.empty((2, size), np.int64)
        for column, (entity, (one, two)) in enumerate(zip(entities.tolist(), draws.tolist(), strict=True)):
            names = self._names[entity]
            first = int(one * len(names))
            chosen[:, column] = self._starts[entity] + np.array([first, _differing(names, first, two)])
        return entities, chosen


@lru_cache(maxsize=4)
def _order(epoch: int, count: int, seed: int) -> np.ndarray:
    return generator(seed, "entities", epoch).permutation(count)


def _differing(names: Sequence[str], first: int, draw: float) -> int:
    """The place of another name than the first, by a number in [0, 1) and the share of letters that differ."""
    if len(names) == 2:
        return 1 - first
    folded = [name.casefold() for name in names]
    weights = np.array([Indel.normalized_distance(folded[first], name) + 1e-6 for name in folded])
    weights[first] = 0.0
    done = np.cumsum(weights)
    return int(np.searchsorted(done, draw * done[-1], side="right"))


def _tokenised(names: Sequence[str], tokenizer: Any, max_length: int) -> tuple[list[np.ndarray], int]:
    """Sub-tokens of names with special tokens, each at most max_length long, and how many were longer."""
    begin, end = special_tokens(tokenizer)
    room = max_length - len(begin) - len(end)
    if room < 1:
        raise ConfigError(f"max_length {max_length} leaves no room beside {len(begin) + len(end)} special tokens")
    unknown = [tokenizer.unk_token_id or 0]
    found: list[np.ndarray] = []
    cut = 0
    with counting("names read", len(names)) as counter:
        for start in range(0, len(names), TEXTS_AT_ONCE):
            part = list(names[start : start + TEXTS_AT_ONCE])
            rows = tokenizer(part, add_special_tokens=False, return_attention_mask=False,
                             return_token_type_ids=False, verbose=False)["input_ids"]  # fmt: skip
            for row in rows:
                cut += len(row) > room
                found.append(np.concatenate([begin, row[:room] or unknown, end]).astype(np.int32))
            counter.advance(len(part))
    return found, cut


@dataclass
class _Run:
    settings: AlignSettings
    device: str
    tokenizer: Any
    model: Aligned
    names: Names
    held_out: Names
    pairs: int
    optimizer: AdamW
    schedule: LRScheduler
    progress: Progress
    work: Workspace
    log: TrainingLog
    before: float
    origin: tuple[str, dict[str, str]]
    loss: float | None = None


def _prepare(synonyms: Synonyms, out: Path, settings: AlignSettings, device: str) -> _Run:
    """Names, encoder, optimiser and the state to go on from."""
    trained, held_out = _split(synonyms, settings)
    origin = encoders.origin(settings.encoder)
    tokenizer, pretrained = encoders.load(settings.encoder)
    limit = max_tokens(tokenizer, pretrained.config)
    if settings.max_length > limit:
        raise ConfigError(f"max_length {settings.max_length}: the encoder reads {limit} sub-tokens at once")
    torch.manual_seed(settings.seed)
    model = Aligned(cast(nn.Module, pretrained))
    identity = {
        "settings": {key: value for key, value in dataclasses.asdict(settings).items() if key not in _FREE},
        "names": synonyms.hash(),
        "initial weights": weights_hash(model),
    }
    names = Names(trained, tokenizer, max_length=settings.max_length)
    queries = Names(held_out, tokenizer, max_length=settings.max_length)
    model.to(device)
    if settings.freeze_embeddings:
        pretrained.get_input_embeddings().requires_grad_(False)
    config = TrainConfig(
        steps=settings.steps, encoder_lr=settings.learning_rate, weight_decay=settings.weight_decay,
        warmup_ratio=settings.warmup_ratio, schedule="linear",
    )  # fmt: skip
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, steps=settings.steps)
    before = accuracy(model, queries, seed=settings.seed, device=device)
    note(f"{len(names):,} entities, {len(queries):,} held out: accuracy@1 {before:.3f} before")
    work = Workspace(out.with_name(out.name + ".work"), identity=identity)
    progress = work.resume(model, optimizer, schedule)
    if progress.step:
        note(f"resuming at step {progress.step:,} of {settings.steps:,}")
    log = TrainingLog(work.folder / LOG, resume_step=progress.step)
    lines = log.lines(work.folder / LOG)
    return _Run(
        settings, device, tokenizer, model, names, queries, trained.pairs, optimizer, schedule, progress, work, log,
        before, origin, lines[-1]["loss"] if lines else None,
    )  # fmt: skip


def _split(synonyms: Synonyms, settings: AlignSettings) -> tuple[Synonyms, Synonyms]:
    """Entities to train on, and those to measure by."""
    count = min(settings.held_out, int(HELD_OUT_SHARE * len(synonyms)))
    if count < 1:
        raise ConfigError(f"{len(synonyms)} entities with two names are too few to hold any out; give more")
    order = generator(settings.seed, "held out").permutation(len(synonyms))
    return synonyms.take(np.sort(order[count:])), synonyms.take(np.sort(order[:count]))


def _steps(run: _Run) -> None:
    """Steps until the end; log and saved state in their turn."""
    settings, progress = run.settings, run.progress
    run.model.train()
    parameters = [parameter for parameter in run.model.parameters() if parameter.requires_grad]
    with counting("aligning names", settings.steps, start=progress.step) as counter:
        while progress.step < settings.steps:
            loss = _loss(run)
            if not torch.isfinite(loss):
                raise KognerError(
                    f"the loss is {float(loss.detach())} at step {progress.step + 1:,}; lower the learning rate; "
                    "the last saved state is kept"
                )
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            run.optimizer.step()
            run.schedule.step()
            run.optimizer.zero_grad(set_to_none=True)
            progress.add({"loss": float(loss.detach())})
            counter.advance(1, f"loss {progress.sums['loss'] / progress.since:.3f}")
            last = progress.step == settings.steps
            if progress.step % LOG_EVERY == 0 or last:
                run.loss = progress.means()["loss"]
                run.log.write(step=progress.step, loss=run.loss, rate=run.schedule.get_last_lr()[0])
            if progress.step % settings.save_every == 0 or last:
                run.work.save(run.model, run.optimizer, run.schedule, progress)


def _loss(run: _Run) -> Tensor:
    """The loss of the next step's pairs."""
    settings, step = run.settings, run.progress.step
    entities, names = run.names.pairs(step, size=settings.batch_size, seed=settings.seed)
    order, batches = run.names.batches(names.reshape(-1))
    owners = torch.from_numpy(np.tile(entities, 2)[order])
    torch.manual_seed(seed_of(settings.seed, step, 0))  # of dropout
    return multi_similarity_loss(_encoded(run.model, batches, run.device), owners.to(run.device))


def _encoded(model: Aligned, batches: Iterable[tuple[Tensor, Tensor]], device: str) -> Tensor:
    with faster_steps(device):
        return torch.cat([model(ids.to(device), mask.to(device)) for ids, mask in batches])


def accuracy(model: Aligned, names: Names, *, seed: int, device: str) -> float:
    """Share of entities whose first name is the nearest of all first names to another of their names."""
    targets, queries = (_vectors(model, names, which, device) for which in (names.first(), names.another(seed=seed)))
    nearest = (queries @ targets.t()).argmax(1).cpu().numpy()
    return round(float((nearest == np.arange(len(names))).mean()), 4)


@torch.inference_mode()
def _vectors(model: Aligned, names: Names, which: np.ndarray, device: str) -> Tensor:
    """Unit vectors of names, (names, width), in evaluation mode; the model is left in the mode it was in."""
    training = model.training
    model.eval()
    order, batches = names.batches(which)
    vectors = _encoded(model, batches, device)[torch.from_numpy(np.argsort(order))]
    model.train(training)
    return vectors


def _finish(run: _Run, synonyms: Synonyms, out: Path) -> dict[str, Any]:
    """Measure again and write the encoder."""
    model: Any = run.model.encoder.model
    run.model.eval()
    after = accuracy(run.model, run.held_out, seed=run.settings.seed, device=run.device)
    note(f"accuracy@1 {run.before:.3f} before, {after:.3f} after")
    base, parents = run.origin
    if synonyms.graph:
        parents = {**parents, "graph": synonyms.graph}
    cut = run.names.cut + run.held_out.cut
    left_out = {**synonyms.left_out, **({CUT: cut} if cut else {})}
    metrics: dict[str, Any] = {
        "entities": len(run.names),
        "pairs": run.pairs,
        "left_out": dict(sorted(left_out.items())),
        "steps": run.progress.step,
        "loss": run.loss,
        "held_out": {"entities": len(run.held_out), "accuracy_before": run.before, "accuracy_after": after},
    }
    recipe = {
        **{key: value for key, value in dataclasses.asdict(run.settings).items() if key not in _FREE},
        "encoder": base,
        "types": list(synonyms.types),
        "names": synonyms.hash(),
        "loss": {"alpha": ALPHA, "beta": BETA, "epsilon": EPSILON, "margin": MARGIN},
    }
    with artifacts.writing(
        out, kind=KIND, version=VERSION, recipe=recipe, parents=parents, metrics=metrics
    ) as folder, encoders.quiet():  # fmt: skip
        model.cpu().save_pretrained(folder)
        run.tokenizer.save_pretrained(folder)
        (folder / LOG).write_bytes((run.work.folder / LOG).read_bytes())
    run.work.remove()
    return metrics
