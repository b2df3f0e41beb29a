"""The two training loops of the teacher: the Graph Transformer by node classification, TransR by margin ranking.

Both are resumable: all randomness of a step comes from (seed, purpose, step), so a run that goes on from its last
checkpoint repeats the uninterrupted one (bit for bit on one thread).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.artifacts import write_atomic
from kogner.config import TransrConfig, UnimpConfig
from kogner.graph.neighbours import Adjacency, NeighbourSampler
from kogner.progress import counting, note
from kogner.teacher.negatives import Corruptor
from kogner.teacher.ranking import hold_out, ranking_metrics, ranks
from kogner.teacher.transr import TransR
from kogner.teacher.unimp import GraphTransformer, class_weights
from kogner.teacher.work import Checkpoints, Stopwatch, open_array, save_array

Array = np.ndarray[Any, Any]
VECTORS, METRICS, CHECKPOINT = "vectors.npy", "metrics.json", "checkpoint.safetensors"
WARMUP_SHARE = 0.05
_BEST = "best."


@dataclass(frozen=True)
class Trained:
    """A finished part. vectors: (entities, width) float16, memory-mapped from the part's folder."""

    vectors: Array
    metrics: dict[str, Any]


@dataclass(frozen=True)
class NodeSplit:
    """Rows of the graph that are trained on, looked at, and tested on; each ascending."""

    train: Array
    valid: Array
    test: Array

    @classmethod
    def draw(cls, nodes: int, config: UnimpConfig) -> NodeSplit:
        """A seeded random split; valid and test are at least one node where their share is above zero."""
        order = _generator(config.seed, "split").permutation(nodes)
        valid = math.ceil(nodes * config.valid_share)
        test = math.ceil(nodes * config.test_share)
        parts = np.split(order, [valid, valid + test])
        return cls(train=np.sort(parts[2]), valid=np.sort(parts[0]), test=np.sort(parts[1]))


def pretrain_unimp(
    features: Array,
    adjacency: Adjacency,
    labels: Array,
    types: tuple[str, ...],
    config: UnimpConfig,
    *,
    folder: Path,
    device: str = "cpu",
) -> Trained:
    """Train the Graph Transformer on entity types, then run it over the whole graph: Z'.

    features: (entities, width). labels: (entities,) indices into `types`. folder: the part's folder (work.py).
    """
    if (folder / VECTORS).is_file():
        return _finished(folder)
    stopwatch = Stopwatch(folder)
    split = NodeSplit.draw(len(labels), config)
    with _own_randomness(device):
        model = _train_unimp(features, adjacency, labels, len(types), config, split, folder=folder, device=device)
        note("Z': running the Graph Transformer over the whole graph")
        hidden = model.whole_graph(features, adjacency, max_neighbours=config.max_neighbours, seed=config.seed)
        with torch.inference_mode():
            guesses = model.classifier(hidden).argmax(1).cpu().numpy()
    majority = int(np.bincount(labels[split.train], minlength=len(types)).argmax())
    metrics = classification_metrics(guesses, labels, split.test, types, majority=majority)
    metrics["valid"] = {
        name: classification_metrics(guesses, labels, split.valid, types, majority=majority)[name]
        for name in ("micro", "macro")
    }
    metrics["nodes"] = {name: len(rows) for name, rows in vars(split).items()}
    return _finish(folder, hidden, metrics, stopwatch)


def _train_unimp(
    features: Array,
    adjacency: Adjacency,
    labels: Array,
    types: int,
    config: UnimpConfig,
    split: NodeSplit,
    *,
    folder: Path,
    device: str,
) -> GraphTransformer:
    torch.manual_seed(config.seed)
    model = GraphTransformer(features.shape[1], adjacency.n_relations, types, config).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    counts = np.bincount(labels[split.train], minlength=types)
    weights = (class_weights(counts) if config.class_balanced else torch.ones(types)).to(device)
    sampler = NeighbourSampler(adjacency, config.fanouts)
    checkpoints = Checkpoints(folder / CHECKPOINT)
    first = _resume(checkpoints, model, optimiser)
    model.train()
    batches = _epochs(len(split.train), config.batch_size, config.seed, first=first)
    with counting("Z': training steps", config.steps, start=first) as counter:
        for step in range(first, config.steps):
            seeds = split.train[next(batches)]
            sample = sampler.sample(seeds, _generator(config.seed, "neighbours", step))
            torch.manual_seed(int(_generator(config.seed, "dropout", step).integers(2**62)))
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(step, config.steps)
            read = torch.from_numpy(features[sample.rows].astype(np.float32)).to(device)
            targets = torch.from_numpy(labels[seeds].astype(np.int64)).to(device)
            scores = model.classifier(model(read, sample.blocks))
            loss = torch.nn.functional.cross_entropy(scores, targets, weight=weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            counter.advance(1, f"loss {float(loss.detach()):.3f}" if step % 10 == 0 else "")
            if checkpoints.due():
                _save(checkpoints, model, optimiser, step + 1)
    return model


def classification_metrics(
    guesses: Array, labels: Array, rows: Array, types: tuple[str, ...], *, majority: int
) -> dict[str, Any]:
    """Accuracy on `rows`: micro, macro (mean over the types that occur there) and of each type.

    majority: index of the commonest training type; its accuracies are what guessing it everywhere gives.
    """
    right = (guesses == labels)[rows]
    present = [index for index in range(len(types)) if (labels[rows] == index).any()]
    by_type = {types[index]: round(float(right[labels[rows] == index].mean()), 4) for index in present}
    return {
        "micro": round(float(right.mean()), 4) if len(rows) else None,
        "macro": round(sum(by_type.values()) / len(by_type), 4) if by_type else None,
        "majority": types[majority],
        "majority_micro": round(float((labels[rows] == majority).mean()), 4) if len(rows) else None,
        "majority_macro": round(int(majority in present) / len(present), 4) if present else None,
        "by_type": by_type,
    }


def pretrain_transr(
    triples: Array, entities: int, relations: int, config: TransrConfig, *, folder: Path, device: str = "cpu"
) -> Trained:
    """Train TransR on all triples but the held-out ones and rank those: Z''.

    triples: (n, 3) rows of head, relation, tail. Entities in no training triple get the zero vector, and are counted.
    With `patience` further triples are held out, which decide when to stop.
    """
    if (folder / VECTORS).is_file():
        return _finished(folder)
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
        **ranking_metrics(found, min(entities, config.candidates or entities)),
        **course,
        "test_triples": len(held_out.test),
        "valid_triples": len(valid),
        "train_triples": len(train),
        "excluded_from_test": held_out.excluded,
        "entities_without_triples": int(untrained.sum()),
    }
    return _finish(folder, model.entities, metrics, stopwatch)


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
    batches = _epochs(len(train), config.batch_size, config.seed, first=state["step"])
    with counting("Z'': training steps", total, start=state["step"]) as counter:
        for step in range(state["step"], total):
            batch = train[next(batches)].astype(np.int64)
            negatives = corruptor.draw(batch, _generator(config.seed, "corrupt", step)).to(device)
            loss = model.step(torch.from_numpy(batch).to(device), negatives, config)
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
    return model, course | {"best_epoch": state["best_epoch"], "valid_mrr": state["best_mrr"]}


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
        state |= {"best_mrr": round(mrr, 6), "best_epoch": epoch, "waited": 0}
        best |= {name: tensor.cpu().clone() for name, tensor in model.tensors().items()}
    else:
        state["waited"] += 1


def _epochs(count: int, size: int, seed: int, *, first: int) -> Iterator[Array]:
    """Endless batches of indices in [0, count): every epoch a new permutation. Starts at batch number `first`."""
    per_epoch = max(1, math.ceil(count / size))
    epoch, skipped = divmod(first, per_epoch)
    while True:
        order = _generator(seed, "order", epoch).permutation(count)
        for batch in range(skipped, per_epoch):
            yield order[batch * size : (batch + 1) * size]
        epoch, skipped = epoch + 1, 0


def _schedule(step: int, steps: int) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine down to zero."""
    warmup = max(1, round(steps * WARMUP_SHARE))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    return np.random.default_rng((seed, int.from_bytes(purpose.encode(), "big"), step))


@contextmanager
def _own_randomness(device: str) -> Iterator[None]:
    """Leave torch's global random state as it was found."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device.startswith("cuda") else ()):
        yield


def _save(checkpoints: Checkpoints, model: torch.nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    checkpoints.save(tensors, {"step": step})


def _resume(checkpoints: Checkpoints, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    stored = checkpoints.load()
    if stored is None:
        return 0
    tensors, state = stored
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            weights[rest] = tensor
        else:
            index, _, moment = rest.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
    model.load_state_dict(weights)
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    note(f"Z': going on from step {state['step']}")
    return int(state["step"])


def _finish(folder: Path, vectors: Tensor, metrics: dict[str, Any], stopwatch: Stopwatch) -> Trained:
    """Write metrics, then vectors (their presence says that the part is finished), and drop the checkpoint."""
    metrics["minutes"] = stopwatch.minutes()
    write_atomic(folder / METRICS, json.dumps(metrics))
    save_array(folder / VECTORS, vectors.to(torch.float16).cpu().numpy())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return _finished(folder)


def _finished(folder: Path) -> Trained:
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return Trained(vectors=open_array(folder / VECTORS), metrics=metrics)
