"""How many written sentences are checked a second: rows of a file to the corpus, as `kogner data check` does it.

The sentences are made up of the graph's pairs and random words. With and without the graph's names being looked for.
The last line is one JSON object; sentences_per_s is that of the default, without a graph.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record
from kogner.artifacts import write_lines
from kogner.data.pairs import PairSettings, draw
from kogner.data.prompts import spoken
from kogner.data.rows import Row
from kogner.graph.store import GraphStore

SIZES = {"small": 20_000, "full": 200_000}
SYLLABLES = [
    "ba",
    "co",
    "di",
    "fu",
    "ga",
    "hy",
    "jo",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vu",
    "wa",
    "xe",
    "zo",
    "an",
    "er",
    "in",
    "on",
    "st",
    "tr",
]
# One word in twenty is as real texts have them: most sentences are then no plain ASCII.
MARKED = ("({})", "[{}]", "{}-α", "β-{}", "naïve-{}", "{}/µl", "≥{}", "“{}”")


def rows(store: GraphStore, count: int) -> Any:
    """Rows as a language model would have written them: 12 to 40 words with both entities among them."""
    dice = random.Random(0)
    pairs = draw(store, PairSettings(number=200)).pairs
    words = ["".join(dice.choices(SYLLABLES, k=dice.randint(1, 4))) for _ in range(5000)]
    words[::20] = [dice.choice(MARKED).format(word) for word in words[::20]]
    for number in range(count):
        pair = dice.choice(pairs)
        sentence = dice.choices(words, k=dice.randint(10, 36))
        for end in (pair.head, pair.tail):
            sentence.insert(dice.randrange(len(sentence)), end.name)
        ner = [{"mention": end.name, "type": spoken(end.type)} for end in (pair.head, pair.tail)]
        answer = {"sentence": " ".join(sentence) + ".", "ner": ner}
        yield Row(f"made:{number}", (pair,), store.types, "made@1", "made up", str(number), answer=answer).to_line()


def check(source: Path, out: Path, *options: str) -> dict[str, Any]:
    """What the command says, and its seconds."""
    command = [sys.executable, "-m", "kogner.cli", "--quiet", "data", "check", str(source), "--out", str(out), *options]
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - begun}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    count = SIZES[args.size]
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "rows.jsonl"
        write_lines(source, rows(GraphStore.open(args.graph), count))
        plain = check(source, Path(place) / "plain")
        paper = check(source, Path(place) / "paper", "--paper")
        linked = check(source, Path(place) / "linked", "--graph", str(args.graph))
    result = {
        "sentences_per_s": round(count / plain["seconds"]),
        "paper_sentences_per_s": round(count / paper["seconds"]),
        "with_graph_sentences_per_s": round(count / linked["seconds"]),
        "sentences": count,
        "kept": plain["kept"],
    }
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
