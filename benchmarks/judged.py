"""How right are silver sentences? Shares of mentions that one judge, reading sentence by sentence, found to be right.

`judged/related.jsonl` holds 100 random rows of 5,000 from `kogner data silver --related` and `kogner data check`, the
two entities of each: document (PMID:sentence), offsets in the sentence, type, graph id, and a verdict: `right`, or what
is wrong, `boundary` (part of a longer name), `type` or `id`. The text itself is not kept. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import record

HERE = Path(__file__).parent
COMMANDS = [
    "kogner data silver --graph build/graph --text pubmed21n1298.xml.gz --text pubmed20n0014.xml.gz --types "
    "chemical=Chemical,disease=Disease+Phenotype,gene=Gene,anatomy=Anatomy,organism=Organism,phenomenon=Phenomenon "
    "--related --sentences 5000 --out build/related",
    "kogner data check build/related/rows.jsonl --graph build/graph --out build/bmg-silver",
]


def wilson(right: int, total: int, z: float = 1.96) -> list[float]:
    """The 95 % interval of a share (Wilson 1927), in percent."""
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return [round(100 * (middle - half), 1), round(100 * (middle + half), 1)]


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of right mentions, of rows with nothing wrong, and right but for one thing."""
    wrong = Counter(row["verdict"] for row in rows if row["verdict"] != "right")
    by_type: dict[str, list[int]] = {}
    for row in rows:
        counts = by_type.setdefault(row["type"], [0, 0])
        counts[0] += row["verdict"] == "right"
        counts[1] += 1
    documents = {row["document"] for row in rows}
    bad = {row["document"] for row in rows if row["verdict"] != "right"}
    right = len(rows) - wrong.total()
    return {
        "mentions": {"judged": len(rows), "right": right, "percent": round(100 * right / len(rows), 1),
                     "interval": wilson(right, len(rows))},
        "rows": {"judged": len(documents), "right": len(documents) - len(bad),
                 "interval": wilson(len(documents) - len(bad), len(documents))},
        "wrong": dict(wrong.most_common()),
        "by_type": {kind: {"right": right, "judged": total} for kind, (right, total) in sorted(by_type.items())},
        "judges": 1,
        "commands": COMMANDS,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=HERE / "judged" / "related.jsonl")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result = figures([json.loads(line) for line in args.rows.read_text().splitlines()])
    if args.out:
        record.write(args.out, result)
    print(json.dumps({name: result[name] for name in ("mentions", "rows", "wrong")}))


if __name__ == "__main__":
    main()
