"""A graph of BioMedGraphica's size on this machine: build, reopen, neighbours, names found in text, TransR.

The graph is made up (`synthetic.py`), its files are read as BioMedGraphica's. Each figure is of a process of its own:
build_s and peak_mb are those of `kogner graph build`; scan_mb_per_s is of a made-up text, which has few words; for real
text see `scanner.py`; an epoch of TransR is projected from a part of its steps. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import record

SHARES = {"small": 0.05, "medium": 0.26, "full": 1.0}  # of BioMedGraphica's counts
LOOKUPS = 1_000_000
TEXT = 10_000_000  # characters that are scanned
MEASURED = 0.05  # of the steps of TransR's epoch


def build(source: Path, out: Path) -> dict[str, Any]:
    """In this process, whose only child it is: what `kogner graph build` says of itself, wall time and peak memory."""
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "graph", "build", "--json"]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--biomedgraphica", str(source), "--out", str(out)], capture_output=True, text=True
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        **{name: said[name] for name in ("entities", "triples", "rejected")},
        "build_s": round(seconds, 1),
        "peak_mb": round(peak),
    }


def use(graph: Path) -> dict[str, float]:
    """In this process: time to open, neighbour look-ups a second, and text scanned a second."""
    from kogner.graph.scan import Scanner
    from kogner.graph.store import GraphStore

    begun = time.perf_counter()
    store = GraphStore.open(graph)
    store.lexicon.lookup("aspirin")
    found = {"open_s": round(time.perf_counter() - begun, 3)}
    rows = np.random.default_rng(0).integers(0, len(store), LOOKUPS)
    indptr, neighbours = store.indptr, store.neighbours
    begun = time.perf_counter()
    total = 0
    for start, stop in zip(indptr[rows].tolist(), indptr[rows + 1].tolist(), strict=True):
        total += len(neighbours[start:stop])
    found["lookups_per_s"] = round(LOOKUPS / (time.perf_counter() - begun))
    text = _text(store, TEXT)
    begun = time.perf_counter()
    scanner = Scanner(store)
    found["scanner_s"] = round(time.perf_counter() - begun, 2)
    begun = time.perf_counter()
    hits = sum(len(scanner.scan(part)) for part in text)
    seconds = time.perf_counter() - begun
    found |= {"scan_mb_per_s": round(sum(map(len, text)) / 1e6 / seconds, 2), "names_found": hits}
    return found


def train(graph: Path) -> dict[str, Any]:
    """In this process: seconds of an epoch of TransR as the default recipe has it, and the most memory."""
    import torch

    from kogner.config import TransrConfig
    from kogner.graph.store import GraphStore
    from kogner.hardware import keep_freed_memory
    from kogner.teacher.negatives import Corruptor
    from kogner.teacher.randomness import epochs, generator
    from kogner.teacher.transr import TransR

    keep_freed_memory()
    store, config = GraphStore.open(graph), TransrConfig()
    triples = np.asarray(store.triples)
    begun = time.perf_counter()
    model = TransR.start(len(store), len(store.relations), config, "cpu")
    corruptor = Corruptor(triples, len(store), len(store.relations), config)
    start_s = time.perf_counter() - begun
    per_epoch = math.ceil(len(triples) / config.batch_size)
    steps = max(10, math.ceil(MEASURED * per_epoch))
    batches = epochs(len(triples), config.batch_size, config.seed, first=0)
    seconds = []
    for step in range(steps + 2):  # the first two load code
        begun = time.perf_counter()
        batch = triples[next(batches)].astype(np.int64)
        negatives = corruptor.draw(batch, generator(config.seed, "corrupt", step))
        model.step(torch.from_numpy(batch), negatives, config)
        seconds.append(time.perf_counter() - begun)
    return {
        "epoch_s": round(sum(seconds[2:]) / steps * per_epoch),
        "epoch_measured": f"projected from {steps} of {per_epoch} steps",
        "start_s": round(start_s, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": torch.get_num_threads(),
    }


def alone(script: str, *arguments: Any) -> dict[str, Any]:
    """What a script of this folder says in a process of its own: Linux counts a parent's memory as its child's peak."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _text(store: Any, length: int) -> list[str]:
    """Paragraphs in which every tenth word is a name of the graph, the others are made up."""
    draw = random.Random(0)
    names = [name for name, _ in store.texts(draw.sample(range(len(store)), 2000))]
    words = ["the", "of", "in", "was", "patients", "with", "increased", "after", "levels", "study", "we", "and", "than"]
    parts: list[str] = []
    size = 0
    while size < length:
        part = " ".join(draw.choice(names) if draw.random() < 0.1 else draw.choice(words) for _ in range(200))
        parts.append(part)
        size += len(part)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHARES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--only-build", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--only-use", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only-transr", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.only_use:
        print(json.dumps(use(args.only_use)))
        return
    if args.only_transr:
        print(json.dumps(train(args.only_transr)))
        return
    if args.only_build:
        print(json.dumps(build(*args.only_build)))
        return
    with tempfile.TemporaryDirectory() as place:
        source, graph = Path(place) / "BioMedGraphica", Path(place) / "graph"
        written = alone("synthetic.py", "--out", source, "--share", SHARES[args.size])
        result: dict[str, Any] = alone("graph.py", "--only-build", source, graph)
        result |= alone("graph.py", "--only-use", graph)
        result["transr"] = alone("graph.py", "--only-transr", graph)
    result |= {"written": written, "share": SHARES[args.size]}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
