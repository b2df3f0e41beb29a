"""The training loop of the Graph Transformer: node classification on sampled neighbourhoods.

It is resumable: all randomness of a step comes from (seed, purpose, step), so a run that goes on from its last
checkpoint repeats the uninterrupted one (bit for bit on one thread).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import UnimpConfig
from kogner.errors import InputError
from kogner.graph.neighbours import Adjacency
from kogner.progress import counting, note
from kogner.teacher.batches import Batch, Batches, known_labels
from kogner.teacher.prefetch import prefetched
from kogner.teacher.randomness import generator, own_randomness
from kogner.teacher.unimp import GraphTransformer, class_weights
from kogner.teacher.work import CHECKPOINT, VECTORS, Checkpoints, Stopwatch, Trained, check_loss, finish, finished

Array = np.ndarray[Any, Any]
WARMUP_SHARE = 0.05
PART, SECTION = "Z'", "teacher.unimp"
LOOK_EVERY = 10  # steps; reading the loss makes a GPU wait


@dataclass(frozen=True)
class NodeSplit:
    """Rows of the graph that are trained on, looked at, and tested on; each ascending."""

    train: Array
    valid: Array
    test: Array

    @classmethod
    def draw(cls, nodes: int, config: UnimpConfig) -> NodeSplit:
        """A seeded random split; valid and test are at least one node where their share is above zero."""
        order = generator(config.seed, "split").permutation(nodes)
        valid = math.ceil(nodes * config.valid_share)
        test = math.ceil(nodes * config.test_share)
        if nodes <= valid + test:
            raise InputError(
                f"{nodes} entities are too few for the Graph Transformer: {valid + test} are held out and none is left "
                "to learn from"
            )
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
    workers: int | None = None,
) -> Trained:
    """Train the Graph Transformer on entity types, then run it over the whole graph: Z'.

    features: (entities, width). labels: (entities,) indices into `types`. folder: the part's folder (work.py).
    workers: threads that prepare batches, None as `default_workers`; they change no result.
    Raises KognerError where the training diverges.
    """
    if (folder / VECTORS).is_file():
        return finished(folder)
    stopwatch = Stopwatch(folder)
    split = NodeSplit.draw(len(labels), config)
    with own_randomness(device):
        model = train_unimp(
            features, adjacency, labels, len(types), split.train, config, folder=folder, device=device, workers=workers
        )
        note("Z': running the Graph Transformer over the whole graph")
        hidden, guesses = final_run(model, features, adjacency, known_labels(labels, split.train, len(types)), config)
    majority = int(np.bincount(labels[split.train], minlength=len(types)).argmax())
    metrics = classification_metrics(guesses, labels, split.test, types, majority=majority)
    metrics["valid"] = {
        name: classification_metrics(guesses, labels, split.valid, types, majority=majority)[name]
        for name in ("micro", "macro")
    }
    metrics["nodes"] = {name: len(rows) for name, rows in vars(split).items()}
    return finish(folder, hidden, metrics, stopwatch, part=PART, section=SECTION)


def train_unimp(
    features: Array,
    adjacency: Adjacency,
    labels: Array,
    types: int,
    train: Array,
    config: UnimpConfig,
    *,
    folder: Path,
    device: str = "cpu",
    workers: int | None = None,
) -> GraphTransformer:
    """The trained model. train: rows whose labels may be seen. Checkpoints lie in `folder`; torch's seed is set."""
    torch.manual_seed(config.seed)
    model = GraphTransformer(features.shape[1], adjacency.n_relations, types, config).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    counts = np.bincount(labels[train], minlength=types)
    weights = (class_weights(counts) if config.class_balanced else torch.ones(types)).to(device)
    checkpoints = Checkpoints(folder / CHECKPOINT)
    first = _resume(checkpoints, model, optimiser)
    model.train()

    def worker() -> Callable[[int], Batch]:
        return Batches(features, adjacency, labels, train, types, config, device=device).batch

    workers = default_workers(device) if workers is None else workers
    with (
        prefetched(worker, first, config.steps, workers=workers) as batches,
        counting("Z': training steps", config.steps, start=first) as counter,
    ):
        for step, batch in enumerate(batches, first):
            torch.manual_seed(int(generator(config.seed, "dropout", step).integers(2**62)))
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(step, config.steps)
            loss = batch_loss(model, batch, weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            due = checkpoints.due()
            seen = float(loss.detach()) if due or step % LOOK_EVERY == 0 or step == config.steps - 1 else None
            if seen is not None:
                check_loss(seen, step, PART, SECTION)
            counter.advance(1, f"loss {seen:.3f}" if seen is not None else "")
            if due:
                _save(checkpoints, model, optimiser, step + 1)
    return model


def batch_loss(model: GraphTransformer, batch: Batch, weights: Tensor) -> Tensor:
    """Cross-entropy of the seeds' types. weights: (types,) on the model's device."""
    device = model.device
    read = batch.features.to(device, non_blocking=True).float()
    given = None if batch.given is None else batch.given.to(device)
    scores = model.classifier(model(read, batch.blocks, given))
    return torch.nn.functional.cross_entropy(scores, batch.labels.to(device), weight=weights)


def default_workers(device: str) -> int:
    """Threads that prepare batches: for a GPU up to four; on a processor one where torch has four threads or more.

    A batch takes a tenth of a step on one core (80 of 800 ms at 45,000 nodes), and more of it the more cores share the
    step. On two cores, busy ones, a worker beside the threads of the step did not make it faster.
    """
    if device.startswith("cuda"):
        return max(1, min(4, (os.cpu_count() or 1) - 1))
    return int(torch.get_num_threads() >= 4)


def final_run(
    model: GraphTransformer, features: Array, adjacency: Adjacency, known: Array, config: UnimpConfig
) -> tuple[Tensor, Array]:
    """Z' and the guessed type of every node, from the run over the whole graph.

    Where labels are an input, nothing may read its own: half of the training labels are told in one run, the others in
    a second, and a training node's vector is that of the run that did not tell its label. Held-out labels are never
    told; those nodes are read in the first run. known: (entities,) training labels, see `known_labels`.
    """
    untold = model.classifier.out_features

    def run(given: Array | None) -> tuple[Tensor, Array]:
        hidden = model.whole_graph(
            features, adjacency, given=given, max_neighbours=config.max_neighbours, seed=config.seed
        )
        return hidden.half(), model.guess(hidden)

    if not config.label_share:
        return run(None)
    first = generator(config.seed, "halves").random(len(known)) < 0.5
    vectors, guesses = run(np.where(first, known, untold))
    others, other_guesses = run(np.where(first, untold, known))
    second = np.flatnonzero(first & (known != untold))  # told in the first run
    rows = torch.from_numpy(second).to(vectors.device)
    vectors[rows], guesses[second] = others[rows], other_guesses[second]
    return vectors, guesses


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


def _schedule(step: int, steps: int) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine down to zero."""
    warmup = max(1, round(steps * WARMUP_SHARE))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


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
