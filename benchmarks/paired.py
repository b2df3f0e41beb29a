"""Does the graph help? The same recipe with and without distillation, paired by seed, at several training shares.

Arms of one seed and share have the same initial student, the same documents in the same order, and the same number of
steps. Each run trains on the train split, chooses its step and thresholds on dev, and is scored once on test. Finished
runs are kept under --runs and skipped, so a stopped benchmark goes on; the last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import record

ARMS = {
    "no-graph": ["loss.dist_weight=0"],
    "mse": [],
    "mse-Z": ["distil.parts=[Z]"],
    "mse-structure": ["""distil.parts=["Z'", "Z''"]"""],
    "mse-pca": ["distil.target=pca"],
}
BASELINE = "no-graph"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", required=True)
    parser.add_argument("--data", required=True, help="folder of one linked corpus")
    parser.add_argument("--name", default="bc5cdr")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/paired"))
    parser.add_argument("--arms", default="no-graph,mse")
    parser.add_argument("--shares", default="0.15,1.0")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="recipe override for all arms")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    cells = list(
        itertools.product([float(s) for s in args.shares.split(",")], range(args.seeds), args.arms.split(","))
    )  # fmt: skip
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda cell: run(args, *cell), cells))
    rows = [
        {"share": share, "seed": seed, "arm": arm} | result
        for (share, seed, arm), result in zip(cells, results, strict=True)
    ]
    result = {"corpus": args.name, "recipe": args.recipe, "set": args.overrides, "runs": rows, "cells": summary(rows)}
    record.write(args.out, result)
    print(json.dumps({"out": str(args.out), "cells": result["cells"]}))


def run(args: argparse.Namespace, share: float, seed: int, arm: str) -> dict[str, Any]:
    """Train one cell, where it is not there yet, and score it on dev and test."""
    out = args.runs / f"{args.name}-{share:g}-{arm}-{seed}"
    scores = out.with_suffix(out.suffix + ".json")
    if scores.is_file():
        loaded: dict[str, Any] = json.loads(scores.read_text())
        return loaded
    overrides = [f"train.train_share={share}", f"train.seed={seed}", f"train.data_seed={seed}", "train.threads=1"]
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "train", "--recipe", args.recipe, "--out", str(out)]
    command += ["--data", f"{args.name}={args.data}", "--bank", args.bank, "--device", args.device]
    for override in [*overrides, *args.overrides, *ARMS[arm]]:
        command += ["--set", override]
    metrics = _json_of(command)
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "evaluate", "--model", str(out), "--device", args.device]
    command += ["--data", f"{args.name}={args.data}", "--split", "test", "--json"]
    test = _json_of(command)[args.name]
    log = [json.loads(line) for line in (out / "training_log.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(log) if "loss_lang" in line)
    result = {
        "test": {key: test[key] for key in ("precision", "recall", "f1", "gold")},
        "dev_f1": metrics["dev"][args.name]["f1"],
        "steps": metrics["steps"],
        "best_step": metrics["best_step"],
        "last_losses": {key: last[key] for key in ("loss_lang", "loss_dist", "target_variance") if key in last},
    }
    scores.write_text(json.dumps(result))
    return result


def _json_of(command: list[str]) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    parsed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return parsed


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per share and arm: mean and standard deviation of test F1, and of the paired difference to the baseline."""
    found = {(row["share"], row["arm"], row["seed"]): row["test"]["f1"] for row in rows}
    cells = []
    for share, arm in sorted({(row["share"], row["arm"]) for row in rows}, key=lambda c: (c[0], c[1] != BASELINE)):
        seeds = sorted(seed for s, a, seed in found if (s, a) == (share, arm))
        f1 = [found[share, arm, seed] for seed in seeds]
        cell: dict[str, Any] = {"share": share, "arm": arm, "f1": [round(x, 2) for x in f1]} | spread("f1", f1)
        paired = [found[share, arm, seed] - found[share, BASELINE, seed] for seed in seeds] if arm != BASELINE else []
        if paired:
            cell |= spread("difference", paired)
        cells.append(cell)
    return cells


def spread(name: str, values: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation (0 for one value), rounded to 0.01."""
    return {
        f"{name}_mean": round(mean(values), 2),
        f"{name}_sd": round(stdev(values), 2) if len(values) > 1 else 0.0,
    }


if __name__ == "__main__":
    main()
