"""The training loop of TransR.

It is resumable: all randomness of a step comes from (seed, purpose, step), so a run that goes on from its last
checkpoint repeats the uninterrupted one (bit for bit on one thread).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import TransrConfig
from kogner.progress import counting, note
from kogner.teacher.negatives import Corruptor
from kogner.teacher.randomness import epochs, generator
from kogner.teacher.ranking import hold_out, ranking_metrics, ranks
from kogner.teacher.transr import TransR
from kogner.teacher.work import CHECKPOINT, VECTORS, Checkpoints, Stopwatch, Trained, check_loss, finish, finished

Array = np.ndarray[Any, Any]
_BEST = "best."
PART, SECTION = "Z''", "teacher.transr"


def pretrain_transr(
    triples: Array, entities: int, relations: int, config: TransrConfig, *, folder: Path, device: str = "cpu"
) -> Trained:
    """Train TransR on all triples but the held-out ones and rank those: Z''.

    triples: (n, 3) rows of head, relation, tail. Entities in no training triple get the zero vector, and are counted.
    With `patience` further triples are held out, which decide when to stop.
    Raises KognerError where the training diverges.
    """
    if (folder / VECTORS).is_file():
        return finished(folder)
    stopwatch = Stopwatch(folder)
    held_out = hold_out(triples, entities, config.test_triples, seed=config.seed)
    train, valid = held_out.train, held_out.test[:0]
    if config.patience:
        further = hold_out(train, entities, config.valid_triples, seed=config.seed + 1)
        train, valid = further.train, further.test
    model, course = train_transr(train, valid, triples, entities, relations, config, folder=folder, device=device)
    found = ranks(model, held_out.test, np.asarray(triples), config)
    untrained = np.ones(entities, dtype=bool)
    untrained[train[:, 0]] = untrained[train[:, 2]] = False
    model.entities[torch.from_numpy(untrained).to(device)] = 0
    metrics = {
        **ranking_metrics(found, entities, candidates=config.candidates),
        **course,
        "test_triples": len(held_out.test),
        "valid_triples": len(valid),
        "train_triples": len(train),
        "excluded_from_test": held_out.excluded,
        "entities_without_triples": int(untrained.sum()),
    }
    return finish(folder, model.entities, metrics, stopwatch, part=PART, section=SECTION)


def train_transr(
    train: Array,
    valid: Array,
    known: Array,
    entities: int,
    relations: int,
    config: TransrConfig,
    *,
    folder: Path,
    device: str,
) -> tuple[TransR, dict[str, Any]]:
    """The trained model, the best one by `valid` where there is patience; and how far it was trained.

    train, valid, known: triples (n, 3); known are all that are true, for filtered ranks.
    """
    checkpoints = Checkpoints(folder / CHECKPOINT)
    stored = checkpoints.load()
    best: dict[str, Tensor] = {}
    state: dict[str, Any] = {"step": 0, "best_mrr": None, "best_epoch": 0, "waited": 0}
    if stored is None:
        model = TransR.start(entities, relations, config, device)
    else:
        tensors, state = stored
        best = {name.removeprefix(_BEST): tensors.pop(name) for name in list(tensors) if name.startswith(_BEST)}
        model = TransR(**{name: tensor.to(device) for name, tensor in tensors.items()})
        note(f"Z'': going on from step {state['step']}")
    corruptor = Corruptor(train, entities, relations, config)
    per_epoch = max(1, math.ceil(len(train) / config.batch_size))
    total = config.epochs * per_epoch if len(train) else 0
    batches = epochs(len(train), config.batch_size, config.seed, first=state["step"])
    with counting("Z'': training steps", total, start=state["step"]) as counter:
        for step in range(state["step"], total):
            batch = train[next(batches)].astype(np.int64)
            negatives = corruptor.draw(batch, generator(config.seed, "corrupt", step)).to(device)
            rate = config.learning_rate * (1 - step / total if config.schedule == "linear" else 1)
            loss = model.step(torch.from_numpy(batch).to(device), negatives, config, rate=rate)
            check_loss(loss, step, PART, SECTION)
            state["step"] = step + 1
            counter.advance(1, f"loss {loss:.3f}")
            if config.patience and len(valid) and state["step"] % (config.eval_every * per_epoch) == 0:
                _look(model, valid, known, config, state, best, epoch=state["step"] // per_epoch)
                if state["waited"] >= config.patience:
                    break
            if checkpoints.due():
                kept = {f"{_BEST}{name}": tensor for name, tensor in best.items()}
                checkpoints.save(model.tensors() | kept, state)
    course = {"epochs": round(state["step"] / per_epoch, 1)}
    if not best:
        return model, course
    model = TransR(**{name: tensor.to(device) for name, tensor in best.items()})
    return model, course | {"best_epoch": state["best_epoch"], "valid_mrr": round(state["best_mrr"], 6)}


def _look(
    model: TransR,
    valid: Array,
    known: Array,
    config: TransrConfig,
    state: dict[str, Any],
    best: dict[str, Tensor],
    *,
    epoch: int,
) -> None:
    """Evaluate, and bring `state` and `best` up to date."""
    mrr = float((1 / ranks(model, valid, np.asarray(known), config)).mean())
    note(f"Z'': epoch {epoch}, MRR {mrr:.4f} on {len(valid)} held-out triples")
    if state["best_mrr"] is None or mrr > state["best_mrr"]:
        state |= {"best_mrr": mrr, "best_epoch": epoch, "waited": 0}
        best |= {name: tensor.cpu().clone() for name, tensor in model.tensors().items()}
    else:
        state["waited"] += 1
