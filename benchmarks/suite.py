"""The shipped checkpoint on a suite of test splits, also of corpora it was not trained on, with and without names."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models/kogner-mini")
    parser.add_argument("--suite", default="biomed")
    parser.add_argument("--graph", help="score with its names as well")
    parser.add_argument("--card", action="store_true", help="write the scores into the model card as well")
    parser.add_argument("--train", action="append", default=[], metavar="NAME=DIR", help="as of kogner evaluate")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from kogner.artifacts import read_manifest

    revision = record.environment()["revision"]  # before --card changes files that git knows

    command = [sys.executable, "-m", "kogner.cli", "evaluate", "--model", args.model, "--suite", args.suite, "--json"]
    for one in args.train:
        command += ["--train", one]
    if args.card:
        command.append("--card")
    found: dict[str, Any] = {"model": evaluated(command)}
    if args.graph:
        found["with names"] = evaluated([*command, "--graph", args.graph])
    trained = [one.partition("=")[0] for one in args.train]
    manifest = read_manifest(Path(args.model))
    record.write(
        args.out,
        {"revision": revision, "model": args.model, "model_hash": manifest.hash, "trained_on": trained, **found},
    )
    f1 = {
        arm: {name: result["f1"] for name, result in of["corpora"].items()} | {"mean of six": of["mean_f1_of_six"]}
        for arm, of in found.items()
    }
    print(json.dumps({"out": str(args.out), "f1": f1}))


def evaluated(command: list[str]) -> dict[str, Any]:
    """The last line that the command prints."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
