"""Do edges help the Graph Transformer to tell the type of an entity, and what does it cost at BioMedGraphica's size?

- accuracy, micro and macro (mean over types), on held-out nodes of a real graph, three seeds: with its edges; with its
  edges but not their relations, many of which exist for few types (`untyped`); with the same network, features, splits
  and steps but no edge (`mlp`: what is left of each layer is a gated linear map, ReLU and the residual); and the
  commonest type everywhere. At full size also with told labels (`told`: `UnimpConfig.label_share`). SIZE=small takes a
  part of the graph, grown breadth-first from some nodes of each type.
- cost on a made-up graph with BioMedGraphica's counts and skewed degrees (`synthetic.py`; SIZE=small: a tenth), in a
  process of its own: seconds of an epoch, projected from 5 % of its steps; of the run over the whole graph, measured;
  and the most memory, in which the touched pages of memory-mapped features count.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import record
import synthetic
from kogner.config import FeaturesConfig, UnimpConfig
from kogner.graph.neighbours import Adjacency
from kogner.graph.store import GraphStore
from kogner.progress import note
from kogner.teacher.bank import Bank
from kogner.teacher.batches import Batches
from kogner.teacher.classification import default_workers, pretrain_unimp, train_unimp
from kogner.teacher.features import Pooler, features_key, text_features
from kogner.teacher.work import part_folder

Array = np.ndarray[Any, Any]
SEEDS = (0, 1, 2)
WIDTH = 384  # of the made-up features, as MiniLM's
MEASURED = 0.05  # of an epoch's steps
ARMS: dict[str, dict[str, Any]] = {"graph": {}, "untyped": {}, "mlp": {}, "told": {"label_share": 0.5}}
SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "nodes": 30_000, "arms": ["graph", "untyped", "mlp"], "scale": 0.1,
        "settings": {"steps": 400, "batch_size": 256, "test_share": 0.2},
    },
    "full": {"nodes": None, "arms": ["graph", "untyped", "mlp", "told"], "scale": 1.0, "settings": {}},
}  # fmt: skip
GPU = {"flops": 10e12, "host_bytes": 10e9, "threads": 4}


def accuracy(graph: Path, bank: Path | None, size: dict[str, Any], cache: Path) -> dict[str, Any]:
    """Micro and macro accuracy of each arm and seed, and what edges add."""
    store = GraphStore.open(graph)
    adjacency, labels = Adjacency.of(store), np.asarray(store.type_codes)
    rows = np.arange(len(store))
    if size["nodes"] is not None and size["nodes"] < len(store):
        rows = breadth_first(adjacency, labels, size["nodes"])
        adjacency, labels = induced(adjacency, rows), labels[rows]
    features = bank_features(bank, store, rows) if bank else encoded(store, rows, cache)
    lonely = replace(adjacency, indptr=np.zeros(len(rows) + 1, np.int64), neighbours=rows[:0], relations=rows[:0])
    untyped = replace(adjacency, relations=np.zeros_like(adjacency.relations))
    edges = {"mlp": lonely, "untyped": untyped}
    found: dict[str, dict[str, list[float]]] = {"macro": {}, "micro": {}}
    seconds: dict[str, list[float]] = {arm: [] for arm in size["arms"]}
    by_type: dict[str, list[dict[str, float]]] = {arm: [] for arm in size["arms"]}
    for seed in SEEDS:
        for arm in size["arms"]:
            config = UnimpConfig(**size["settings"], **ARMS[arm], seed=seed)
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory() as place:
                read = edges.get(arm, adjacency)
                metrics = pretrain_unimp(features, read, labels, store.types, config, folder=Path(place)).metrics
            seconds[arm].append(round(time.perf_counter() - begun, 1))
            by_type[arm].append(metrics["by_type"])
            for measure, values in found.items():
                values.setdefault(arm, []).append(metrics[measure])
                if arm == "graph":
                    values.setdefault("majority", []).append(metrics[f"majority_{measure}"])
            note(f"seed {seed}, {arm}: micro {metrics['micro']}, macro {metrics['macro']}")
    return {
        **found,
        "edges_add": {measure: added(values["graph"], values["mlp"]) for measure, values in found.items()},
        "by_type": {arm: {name: mean_of(runs, name) for name in sorted(runs[0])} for arm, runs in by_type.items()},
        "train_s": seconds,
        "graph": {
            "nodes": len(rows),
            "edges": len(adjacency.neighbours) // 2,
            "without_edges": int((np.diff(adjacency.indptr) == 0).sum()),
            "by_type": {name: int((labels == code).sum()) for code, name in enumerate(store.types)},
        },
    }


def added(graph: list[float], mlp: list[float]) -> dict[str, Any]:
    """The paired difference of the two arms; help: above two standard deviations of it."""
    differences = [one - other for one, other in zip(graph, mlp, strict=True)]
    mean, sd = statistics.mean(differences), statistics.stdev(differences)
    return {"mean": round(mean, 4), "sd": round(sd, 4), "help": mean > 2 * sd}


def mean_of(runs: list[dict[str, float]], name: str) -> float:
    return round(statistics.mean(run[name] for run in runs if name in run), 4)


def breadth_first(adjacency: Adjacency, labels: Array, count: int, *, starts: int = 50, seed: int = 0) -> Array:
    """`count` rows, ascending: `starts` of each type, then whole neighbourhoods, level by level in random order."""
    rng = np.random.default_rng(seed)
    known = np.zeros(len(adjacency), dtype=bool)
    queue = [rng.permutation(np.flatnonzero(labels == code))[:starts] for code in np.unique(labels)]
    level = np.concatenate(queue)
    known[level] = True
    total = len(level)
    while total < count:
        reached = [adjacency.neighbours[adjacency.indptr[row] : adjacency.indptr[row + 1]] for row in level]
        new = np.unique(np.concatenate(reached)) if reached else np.zeros(0, np.int64)
        new = rng.permutation(new[~known[new]])[: count - total]
        if not len(new):  # what is left hangs together with nothing that was reached
            new = rng.permutation(np.flatnonzero(~known))[: min(starts, count - total)]
        known[new] = True
        total += len(new)
        level = new
    return np.flatnonzero(known)


def induced(adjacency: Adjacency, rows: Array) -> Adjacency:
    """The edges among `rows` (ascending), which become 0, 1, 2 ..."""
    numbers = np.full(len(adjacency), -1, np.int64)
    numbers[rows] = np.arange(len(rows))
    owners = np.repeat(numbers, np.diff(adjacency.indptr))
    ends = numbers[adjacency.neighbours]
    kept = (owners >= 0) & (ends >= 0)
    counts = np.bincount(owners[kept], minlength=len(rows))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return Adjacency(indptr, ends[kept].astype(np.int32), adjacency.relations[kept], adjacency.n_relations)


def encoded(store: GraphStore, rows: Array, cache: Path) -> Array:
    """Z of rows by MiniLM, kept in `cache`."""
    texts = store.texts(rows.tolist())
    pooler = Pooler.load(FeaturesConfig(), "cpu")
    folder = part_folder(cache, f"features-{len(rows)}", features_key(texts, pooler))
    return text_features(texts, pooler, folder=folder).vectors


def bank_features(path: Path, store: GraphStore, rows: Array) -> Array:
    """Z of rows out of a bank of the same graph."""
    bank = Bank.open(path)
    if bank.artifact.parents.get("graph") != store.artifact.hash:
        raise SystemExit(f"{path} was made from another graph than {store.path}")
    features: Array = bank.vectors[:, slice(*bank.parts["Z"])]
    return features if len(rows) == len(store) else features[rows]


def write_graph(folder: Path, share: float) -> None:
    """A made-up graph and features of BioMedGraphica's size times `share`, as arrays that can be memory-mapped."""
    rng = np.random.default_rng(0)
    sizes = {name: max(2, round(count * share)) for name, (count, _) in synthetic.ENTITIES.items()}
    firsts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    nodes = sum(sizes.values())
    ends: list[tuple[Array, Array]] = []
    for _, head, tail, pair in synthetic.edges(rng, sizes, share):
        ends.append(((pair[0] + firsts[head]).astype(np.int32), (pair[1] + firsts[tail]).astype(np.int32)))
    kinds = [np.full(len(heads), number, np.int16) for number, (heads, _) in enumerate(ends)]
    owners = np.concatenate([heads for heads, _ in ends] + [tails for _, tails in ends])
    neighbours = np.concatenate([tails for _, tails in ends] + [heads for heads, _ in ends])
    relations = np.concatenate(kinds + [kind + np.int16(len(ends)) for kind in kinds])
    order = np.argsort(owners, kind="stable")
    np.save(folder / "indptr.npy", np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=nodes))]))
    np.save(folder / "neighbours.npy", neighbours[order])
    np.save(folder / "relations.npy", relations[order])
    np.save(folder / "labels.npy", np.repeat(np.arange(len(sizes), dtype=np.int16), list(sizes.values())))
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", dtype=np.float16, shape=(nodes, WIDTH))
    for start in range(0, nodes, 65_536):
        part = features[start : start + 65_536]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    features.flush()


def cost(folder: Path, threads: int) -> dict[str, Any]:
    """In this process: an epoch's seconds, those of the run over the whole graph, and the most memory."""
    torch.set_num_threads(threads)
    names = ("indptr", "neighbours", "relations", "labels", "features")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    types = int(arrays["labels"].max()) + 1
    adjacency = Adjacency(
        arrays["indptr"], arrays["neighbours"], arrays["relations"], int(arrays["relations"].max()) + 1
    )
    config = UnimpConfig()
    train = np.flatnonzero(np.random.default_rng(0).random(len(adjacency)) > config.valid_share + config.test_share)
    per_epoch = math.ceil(len(train) / config.batch_size)
    steps = max(10, math.ceil(MEASURED * per_epoch))

    def train_for(count: int, workers: int) -> tuple[Any, float]:
        settings = replace(config, steps=count)
        with tempfile.TemporaryDirectory() as place:
            begun = time.perf_counter()
            model = train_unimp(
                arrays["features"], adjacency, arrays["labels"], types, train, settings, folder=Path(place),
                workers=workers,
            )  # fmt: skip
            return model, (time.perf_counter() - begun) / count

    train_for(2, 0)
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(2):
        for workers, taken in seconds.items():
            model, each = train_for(math.ceil(steps / 2), workers)
            taken.append(each)
    step_s = statistics.mean(seconds[default_workers("cpu")])
    begun = time.perf_counter()
    model.whole_graph(arrays["features"], adjacency)
    whole_s = time.perf_counter() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "epoch_s": round(step_s * per_epoch, 1),
        "epoch_measured": f"projected from {2 * math.ceil(steps / 2)} of {per_epoch} steps",
        "step_s": {f"{workers} workers": [round(each, 3) for each in taken] for workers, taken in seconds.items()},
        "whole_graph_s": round(whole_s, 1),
        "peak_mb": round(peak_mb),
        "nodes": len(adjacency),
        "edges": len(adjacency.neighbours) // 2,
        "gpu": on_a_gpu(Batches(arrays["features"], adjacency, arrays["labels"], train, types, config), per_epoch),
    }


def on_a_gpu(batches: Batches, per_epoch: int) -> dict[str, Any]:
    """An epoch on one GPU, from assumptions alone: the slowest of its arithmetic, its reading, and making batches."""
    begun = time.process_time()
    made = [batches.batch(step) for step in range(3)]
    each = (time.process_time() - begun) / len(made)
    hidden = UnimpConfig().hidden
    flops = 0.0
    for batch in made:
        flops += 2 * len(batch.features) * WIDTH * hidden * 2  # result and gradient of the weight
        for block in batch.blocks:
            flops += 3 * 2 * hidden * hidden * (2 * block.sources + 2 * block.targets)
            flops += 3 * 4 * hidden * block.edges.shape[1]
    read = statistics.mean(2 * batch.features.numel() for batch in made)
    parts = {
        "arithmetic": flops / len(made) / GPU["flops"],
        "reading": read / GPU["host_bytes"],
        "batches": each / GPU["threads"],
    }
    return {
        "epoch_s": round(per_epoch * max(parts.values()), 1),
        "slowest": max(parts, key=lambda name: parts[name]),
        "assumed, not measured": f"{GPU['flops'] / 1e12:g} TFLOP/s reached, {GPU['host_bytes'] / 1e9:g} GB/s from host "
        f"memory, batches made by {GPU['threads']:g} threads at this machine's speed, all three at once",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, help="graph store for the accuracy")
    parser.add_argument("--bank", type=Path, help="a bank of this graph, whose Z is taken instead of encoding texts")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=Path("build/bench-unimp"), help="where encoded texts are kept")
    parser.add_argument("--only-cost", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.only_cost:
        print(json.dumps(cost(args.only_cost, args.threads)))
        return
    if args.graph is None:
        parser.error("--graph is missing")
    torch.set_num_threads(args.threads)
    size = SIZES[args.size]
    result = accuracy(args.graph, args.bank, size, args.cache)
    with tempfile.TemporaryDirectory() as place:
        note("making up a graph")
        write_graph(Path(place), size["scale"])
        note("measuring steps on it")
        command = [sys.executable, __file__, "--only-cost", place, "--threads", str(args.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    result |= {name: measured.pop(name) for name in ("epoch_s", "peak_mb", "gpu")}
    result["cost"] = measured
    if size["scale"] < 1:
        full = round(result["epoch_s"] / size["scale"])
        result["epoch_s_at_full_size"] = {"projected": full, "from": f"{size['scale']:g} of the nodes and edges"}
    result |= {"size": {"name": args.size, **size}, "threads": args.threads}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
