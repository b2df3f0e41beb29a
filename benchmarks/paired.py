"""Does the graph help? The same recipe with and without distillation, paired by seed, at several training shares.

Arms of one seed and share have the same initial student, the same documents in the same order, and the same number of
steps. Each run trains on the train split, chooses its step and thresholds on dev, and is scored once on test. Finished
runs are kept under --runs and skipped, so a stopped benchmark goes on; one that was made with another recipe, override,
bank, corpus or git revision is refused, or with --rerun made again. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import record
from kogner.artifacts import file_sha256, read_manifest, write_atomic

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
    parser.add_argument(
        "--share-set", action="append", default=[], metavar="SHARE:KEY=VALUE",
        help="recipe override for all arms of one share, e.g. 0.15:train.epochs=8",
    )  # fmt: skip
    parser.add_argument("--rerun", action="store_true", help="make finished runs again that do not fit this command")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    shares = [float(share) for share in args.shares.split(",")]
    unknown = [arm for arm in args.arms.split(",") if arm not in ARMS]
    if unknown:
        parser.error(f"--arms {', '.join(unknown)}: must be of {', '.join(ARMS)}")
    try:
        share_set = by_share(args.share_set, shares)
    except ValueError as error:
        parser.error(str(error))
    shared = made_with(args)
    cells = list(itertools.product(shares, range(args.seeds), args.arms.split(",")))
    plans = [
        Cell(args, share, seed, arm, shared | {"set": [*args.overrides, *share_set[share], *ARMS[arm]]})
        for share, seed, arm in cells
    ]
    for plan in plans:  # all are looked at before the first one takes its hours
        plan.check()
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(Cell.run, plans))
    rows = [
        {"share": share, "seed": seed, "arm": arm, "set": result["made_with"]["set"]}
        | {key: value for key, value in result.items() if key != "made_with"}
        for (share, seed, arm), result in zip(cells, results, strict=True)
    ]
    result = {"corpus": args.name, "set": args.overrides}
    result |= {"share_set": {f"{share:g}": overrides for share, overrides in share_set.items() if overrides}}
    result |= {key: shared[key] for key in ("recipe", "values", "bank", "data")}
    result |= {"runs": rows, "cells": summary(rows)}
    record.write(args.out, result)
    print(json.dumps({"out": str(args.out), "cells": result["cells"]}))


def by_share(options: Sequence[str], shares: Sequence[float]) -> dict[float, list[str]]:
    """Overrides of each share from SHARE:KEY=VALUE. Raises ValueError for another form or a share that is not run."""
    found: dict[float, list[str]] = {share: [] for share in shares}
    for option in options:
        share, colon, override = option.partition(":")
        if not colon or "=" not in override:
            raise ValueError(f"--share-set {option!r} must look like SHARE:KEY=VALUE, e.g. 0.15:train.epochs=8")
        if float(share) not in found:
            raise ValueError(f"--share-set {option!r}: {share} is not one of the shares {', '.join(map(str, shares))}")
        found[float(share)].append(override)
    return found


def made_with(args: argparse.Namespace) -> dict[str, Any]:
    """What decides the figures of all cells: recipe, bank, corpus, code, device."""
    from kogner.data import corpora
    from kogner.mapping import to_mapping
    from kogner.recipe import load_recipe

    environment = record.environment()
    return {
        "revision": environment["revision"],
        "recipe": args.recipe,
        "values": json.loads(json.dumps(to_mapping(load_recipe(args.recipe)))),
        "bank": read_manifest(Path(args.bank)).hash,
        "data": {split: file_sha256(file) for split, file in corpora.splits(args.data).items()},
        "device": args.device if args.device == "cpu" else environment["machine"]["gpu"],
    }


@dataclass(frozen=True)
class Cell:
    """One run: arm, share and seed. made_with: what else decides its figures, written beside them."""

    args: argparse.Namespace
    share: float
    seed: int
    arm: str
    made_with: dict[str, Any]

    @property
    def out(self) -> Path:
        """Folder of the student."""
        return Path(self.args.runs / f"{self.args.name}-{self.share:g}-{self.arm}-{self.seed}")

    @property
    def scores(self) -> Path:
        """File with its settings, from its start on, and with its scores once it is finished."""
        return self.out.with_name(f"{self.out.name}.json")

    def check(self) -> None:
        """Refuse a run that was started with something else; with --rerun remove it."""
        if not self.scores.is_file():
            return
        found = self._read().get("made_with", {})
        changed = sorted(
            key for key in self.made_with.keys() | found.keys() if found.get(key) != self.made_with.get(key)
        )
        if not changed:
            return
        if not self.args.rerun:
            raise SystemExit(
                f"{self.scores} was made with another {', '.join(changed)}; give another --runs, or --rerun to make "
                "such runs again"
            )
        self.scores.unlink()
        for folder in (self.out, self.out.with_name(f"{self.out.name}.work")):
            shutil.rmtree(folder, ignore_errors=True)

    def run(self) -> dict[str, Any]:
        """Train, where it is not there yet, and score on dev and test."""
        args, arm_overrides = self.args, self.made_with["set"]
        if self.scores.is_file() and "test" in (finished := self._read()):
            return finished
        self.scores.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.scores, json.dumps({"made_with": self.made_with}))
        overrides = [f"train.train_share={self.share}", f"train.seed={self.seed}", f"train.data_seed={self.seed}"]
        kogner = [sys.executable, "-m", "kogner.cli", "--quiet"]
        data = ["--data", f"{args.name}={args.data}", "--device", args.device]
        command = [*kogner, "train", "--recipe", args.recipe, "--out", str(self.out), "--bank", args.bank, *data]
        for override in [*overrides, "train.threads=1", *arm_overrides]:
            command += ["--set", override]
        metrics = _json_of(command)
        test = _json_of([*kogner, "evaluate", "--model", str(self.out), *data, "--split", "test", "--json"])[args.name]
        log = [json.loads(line) for line in (self.out / "training_log.jsonl").read_text().splitlines()]
        last = next(line for line in reversed(log) if "loss_lang" in line)
        result = {
            "test": {key: test[key] for key in ("precision", "recall", "f1", "gold", "skipped")},
            "dev_f1": metrics["dev"][args.name]["f1"],
            "steps": metrics["steps"],
            "best_step": metrics["best_step"],
            "last_losses": {key: last[key] for key in ("loss_lang", "loss_dist", "target_variance") if key in last},
            "made_with": self.made_with,
        }
        write_atomic(self.scores, json.dumps(result))
        return result

    def _read(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.scores.read_text(encoding="utf-8"))
        return loaded


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
