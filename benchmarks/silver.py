"""How many sentences about two related entities does real text give in a second, and how many survive the check?

`kogner data silver --related` over PubMed abstracts until there are enough sentences, start and reading included, then
`kogner data check` of its rows with the same graph. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

SIZES = {"small": 500, "full": 5_000}
TYPES = "chemical=Chemical,disease=Disease+Phenotype,gene=Gene,anatomy=Anatomy,organism=Organism,phenomenon=Phenomenon"


def run(*arguments: str) -> tuple[dict[str, Any], float]:
    """What `kogner data` says, and its seconds."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "data", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="files of PubMed")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        made, checked = Path(place) / "related", Path(place) / "checked"
        texts = [part for path in args.text for part in ("--text", str(path))]
        silver, seconds = run(
            "silver", "--graph", str(args.graph), *texts, "--types", TYPES, "--related",
            "--sentences", str(SIZES[args.size]), "--out", str(made),
        )  # fmt: skip
        rows = str(made / "rows.jsonl")
        judged, judging = run("check", rows, "--graph", str(args.graph), "--unseen", "none", "--out", str(checked))
    result = {
        "sentences_per_s": round(silver["sentences"] / seconds, 1),
        "sentences": silver["sentences"],
        "seconds": round(seconds, 1),
        "documents": silver["documents"],
        "scanned": silver["scanned"],
        "mentions": silver["mentions"],
        "left_out": silver["left_out"],
        "kept": judged["kept"],
        "rejected": judged["rejected"],
        "check_s": round(judging, 1),
    }
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
