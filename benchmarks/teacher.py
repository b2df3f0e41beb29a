"""How long the graph teacher takes, part by part, at 60k, 600k and 2.3M entities on this machine.

Measured on a piece of a real graph (`pieces.py`) and projected, which every figure says of itself: texts encoded a
second; the Graph Transformer at two numbers of steps and TransR at two numbers of epochs, which tells the cost of a
step from that of the rest (the run over the whole graph, the ranking). A step is taken to cost the same at every size
(its fan-outs bound it, but a denser graph comes nearer to them), an epoch goes with the triples, the ranking with the
entities, the run over the whole graph with entities and edges. With SIZE=full the graph itself is built as well: its
minutes are measured, and the others are projected from them. 2.3M has BioMedGraphica's counts, and the texts of the
graph that is here.

With --bank nothing is timed: what a bank learned and the minutes that it took are written down. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pieces
import record
import synthetic
from kogner.config import TeacherConfig
from kogner.graph.neighbours import Adjacency
from kogner.graph.store import GraphStore
from kogner.hardware import check_device, keep_freed_memory
from kogner.teacher.assembly import build
from kogner.teacher.bank import Bank, summary
from kogner.teacher.classification import pretrain_unimp
from kogner.teacher.features import Pooler
from kogner.teacher.pretrain import pretrain_transr
from kogner.teacher.reading import ReadingOrder, entity_text

SIZES = {
    "small": {"piece": 20_000, "texts": 1_500, "steps": (5, 40), "epochs": (1, 4), "test_triples": 300},
    "full": {"piece": 60_000, "texts": 8_192, "steps": (10, 100), "epochs": (1, 5), "test_triples": 500},
}
# Entities and triples. 600k is the graph that is here; its triples an entity are taken for 60k too.
BIOMEDGRAPHICA = (sum(count for count, _ in synthetic.ENTITIES.values()), sum(synthetic.RELATIONS.values()))


def encoding(store: GraphStore, config: TeacherConfig, count: int, device: str) -> dict[str, float]:
    """Texts and tokens encoded a second, of a random sample; and distinct texts an entity."""
    texts = store.texts()
    distinct = ReadingOrder.of(texts).distinct / len(texts)
    chosen = np.random.default_rng(0).choice(len(texts), min(count, len(texts)), replace=False)
    read = [entity_text(*texts[row]) for row in chosen.tolist()]
    pooler = Pooler.load(config.features, device)
    pooler.encode(read[:64])
    ids = pooler.tokenizer(read, truncation=True, max_length=config.features.max_length)["input_ids"]
    begun = time.perf_counter()
    pooler.encode(read)
    seconds = time.perf_counter() - begun
    return {
        "texts_per_s": len(read) / seconds,
        "tokens_per_s": sum(map(len, ids)) / seconds,
        "distinct_per_entity": distinct,
        "width": pooler.width,
    }


def transformer(piece: GraphStore, config: TeacherConfig, steps: tuple[int, int], width: int, device: str) -> Any:
    """Seconds of a step, and of what follows the training, on random features."""
    features = np.random.default_rng(0).standard_normal((len(piece), width), dtype=np.float32)
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float16)

    def run(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            pretrain_unimp(
                features,
                Adjacency.of(piece),
                np.asarray(piece.type_codes),
                piece.types,
                replace(config.unimp, steps=count),
                folder=Path(folder),
                device=device,
            )
            return time.perf_counter() - begun

    return _split(run, steps, "step_s")


def transr(piece: GraphStore, config: TeacherConfig, epochs: tuple[int, int], test_triples: int, device: str) -> Any:
    """Seconds of an epoch, and of the ranking that follows the training."""

    def run(count: int) -> float:
        settings = replace(config.transr, epochs=count, test_triples=test_triples, patience=0)
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            pretrain_transr(
                np.asarray(piece.triples),
                len(piece),
                len(piece.relations),
                settings,
                folder=Path(folder),
                device=device,
            )
            return time.perf_counter() - begun

    return _split(run, epochs, "epoch_s")


def _split(run: Any, counts: tuple[int, int], name: str) -> dict[str, float]:
    """What one more costs, and what none would; the first run is thrown away, as it loads code."""
    run(1)
    few, many = (run(count) for count in counts)
    each = max(many - few, 1e-6) / (counts[1] - counts[0])
    return {name: each, "rest_s": max(few - each * counts[0], 0.0)}


def project(found: dict[str, Any], config: TeacherConfig, entities: int, triples: int) -> dict[str, Any]:
    """Minutes of each part at another size."""
    piece = found["piece"]
    wider = entities / piece["entities"]
    features = entities * found["features"]["distinct_per_entity"] / found["features"]["texts_per_s"]
    messages = (entities + 2 * triples) / (piece["entities"] + 2 * piece["triples"])
    unimp = config.unimp.steps * found["unimp"]["step_s"] + found["unimp"]["rest_s"] * messages
    epochs = config.transr.epochs * found["transr"]["epoch_s"] * triples / piece["triples"]
    queries = config.transr.test_triples / piece["test_triples"]
    minutes = {"features": features, "unimp": unimp, "transr": epochs + found["transr"]["rest_s"] * wider * queries}
    return {name: round(seconds / 60, 2) for name, seconds in minutes.items()} | {"projected": True}


def from_whole(
    minutes: dict[str, Any], measured: dict[str, float], sizes: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    """The projections made better by the whole graph's measured minutes.

    Texts go with the entities, TransR with the triples. The Graph Transformer of a small graph of this density costs
    what the whole one does, as its steps are as many; the piece is denser and tells of denser graphs.
    """
    entities, triples = sizes["600k"]
    found = {"600k": {**measured, "projected": False}}
    for name in ("60k", "2.3M"):
        features = measured["features"] * sizes[name][0] / entities
        transr = measured["transr"] * sizes[name][1] / triples
        unimp = measured["unimp"] if name == "60k" else minutes[name]["unimp"]
        parts = {"features": features, "unimp": unimp, "transr": transr}
        found[name] = {part: round(value, 2) for part, value in parts.items()} | {"projected": True}
    return {name: found[name] for name in sizes}


def measure(store: GraphStore, size: str, device: str, out: Path) -> dict[str, Any]:
    """All of it; `out` is where SIZE=full builds its bank (it goes on with one that was interrupted)."""
    plan: dict[str, Any] = SIZES[size]
    config = TeacherConfig()
    with tempfile.TemporaryDirectory() as folder:
        piece = pieces.cut(store, Path(folder) / "piece", plan["piece"])
        counts = {"entities": len(piece), "triples": piece.n_triples, "test_triples": plan["test_triples"]}
        found: dict[str, Any] = {"piece": counts, "features": encoding(store, config, plan["texts"], device)}
        width = int(found["features"]["width"])
        found["unimp"] = transformer(piece, config, plan["steps"], width, device)
        found["transr"] = transr(piece, config, plan["epochs"], plan["test_triples"], device)
    if size == "full" and out.exists():
        raise SystemExit(f"{out} is there already, and its minutes are of another day; move it away (--work)")
    here = (len(store), store.n_triples)
    sizes = {"60k": (60_000, round(60_000 * here[1] / here[0])), "600k": here, "2.3M": BIOMEDGRAPHICA}
    minutes = {name: project(found, config, *at) for name, at in sizes.items()}
    if size == "full":
        measured = summary(build(store, out, config, device=device))["minutes"]
        minutes = from_whole(minutes, measured, sizes)
    for figures in minutes.values():
        figures["total"] = round(sum(figures[name] for name in ("features", "unimp", "transr")), 1)
    return {
        "minutes": minutes,
        "sizes": {name: {"entities": at[0], "triples": at[1]} for name, at in sizes.items()},
        "measured": {name: _rounded(part) for name, part in found.items()},
        "device": device,
        "threads": torch.get_num_threads(),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def projected_again(result: dict[str, Any]) -> dict[str, Any]:
    """A result of SIZE=full with the projections of this file."""
    sizes = {name: (at["entities"], at["triples"]) for name, at in result["sizes"].items()}
    minutes = from_whole(result["minutes"], {
        part: value for part, value in result["minutes"]["600k"].items() if part in ("features", "unimp", "transr")
    }, sizes)  # fmt: skip
    for figures in minutes.values():
        figures["total"] = round(sum(figures[name] for name in ("features", "unimp", "transr")), 1)
    return result | {"minutes": minutes}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def of_bank(path: Path) -> dict[str, Any]:
    """What a bank says of itself."""
    bank = Bank.open(path)
    result = summary(bank)
    missing = [name for name in ("unimp", "transr") if not result[name]]
    missing += [f"minutes of {name}" for name, minutes in result["minutes"].items() if minutes is None]
    if missing:
        raise SystemExit(f"{path} does not say: {', '.join(missing)}; give a bank of `kogner teacher build`")
    result |= {"features": bank.artifact.metrics["features"], "settings": bank.artifact.recipe["teacher"]}
    return result | {"built": bank.artifact.created}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "small"))
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--bank", type=Path, help="only write down what this bank says of itself")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--work", type=Path, default=Path("build/bench-bank"), help="bank that SIZE=full builds")
    parser.add_argument("--again", type=Path, help="a result of SIZE=full whose projections are to be made anew")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.again:
        result = said = projected_again(json.loads(args.again.read_text()))
    elif args.bank:
        result = of_bank(args.bank)
        said = {"hash": result["hash"], "minutes": result["minutes"]}
    else:
        check_device(args.device)
        keep_freed_memory()
        if args.threads:
            torch.set_num_threads(args.threads)
        result = said = measure(GraphStore.open(args.graph), args.size, args.device, args.work)
    if args.again and args.out:
        args.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    elif args.out:
        record.write(args.out, result)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
