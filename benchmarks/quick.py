"""One row of the results again, in minutes, beside what is recorded: `make results-quick`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PLAN = "recipes/experiments/quick.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("build/quick"))
    parser.add_argument("--recorded", type=Path, default=Path(__file__).parent / "results" / "quick.json")
    args = parser.parse_args()
    command = [sys.executable, "-m", "kogner.cli", "experiment", "run", PLAN, "--runs", str(args.runs)]
    command += ["--out", str(args.runs / "quick.json")]
    before = _scores(args.runs)
    begun = time.monotonic()
    ended = subprocess.run(command, check=False, stdout=sys.stderr)
    if ended.returncode:
        sys.exit(ended.returncode)  # it has said why
    summary = json.loads((args.runs / "quick.json").read_text(encoding="utf-8"))
    result = {
        "command": "make results-quick",
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "trained": len(_scores(args.runs) - before),
        "arms": arms(summary),
        "recorded": {},
    }
    if args.recorded.is_file():
        recorded = json.loads(args.recorded.read_text(encoding="utf-8"))
        result |= {"recorded": arms(recorded), "recorded_revision": recorded["revision"]}
        result["same_rules"] = rules(summary) == rules(recorded)
    print(json.dumps(result))


def _scores(runs: Path) -> set[tuple[str, int]]:
    """Files of scores, and when each was written: one that is trained again replaces its own."""
    return {(file.name, file.stat().st_mtime_ns) for file in runs.glob("quick/scores/*.json")}


def rules(summary: dict[str, Any]) -> dict[str, Any]:
    """The rules for thresholds and weights of names that decided the scores of each arm; None of an earlier summary."""
    return {row["arm"]: row.get("rules") for row in summary["rows"] if row["setting"] != "stage"}


def arms(summary: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """F1 of each arm by seed."""
    return {row["arm"]: {"f1": row["f1"]} for row in summary["rows"] if row["setting"] != "stage"}


if __name__ == "__main__":
    main()
