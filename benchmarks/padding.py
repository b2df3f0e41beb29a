"""What padding costs: documents a second where so many come at a time, padded in three ways, in turns.

- full: batches as full as they may be, padded to their longest window
- cut: padded too, but cut where padding and a fixed cost for each batch are least (`batching.cuts`)
- unpadded: nothing is padded but in attention (`kogner.annotate.unpadded`), as annotating does it

A call annotates `at a time` documents, as a request or a shard would. All ways have the same documents, and each round
others, since kernels are made for every new shape. A ratio is the median over rounds of seconds in one way over seconds
unpadded. The entities must be the same. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import record

LABELS = ["chemical", "disease", "gene"]
AT_A_TIME = {1: 40, 4: 80, 25: 200, 1000: 1000}  # documents of a call: documents of a round
WAYS = {"full": 1 << 40, "cut": 0, "unpadded": None}  # what a batch costs; 0 = as in the engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pubmed", type=Path, required=True, help="a file of PubMed's XML")
    parser.add_argument("--model", default="models/kogner-mini")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data.formats import pubmed
    from kogner.data.report import Report

    documents = [one for one in pubmed.read(args.pubmed, report=Report()) if len(one.text) > 400]
    settings = Settings(precision=args.precision)
    predictors = {}
    for way, each in WAYS.items():
        with padded(way != "unpadded"):
            predictors[way] = Predictor.load(args.model)
            list(predictors[way].predict(documents[:2], labels=LABELS, settings=settings))
        if each:
            for engine in predictors[way]._engines.values():
                engine.each = each
    result: dict[str, Any] = {}
    first = 2
    for at_a_time, count in AT_A_TIME.items():
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        same = True
        for number in range(args.rounds):
            some = documents[first : first + count]
            first += count
            order = list(WAYS)
            found = {}
            for way in order[number % len(order) :] + order[: number % len(order)]:
                begun = time.perf_counter()
                found[way] = annotated(predictors[way], some, at_a_time, settings)
                seconds[way].append(time.perf_counter() - begun)
            same &= found["full"] == found["cut"] == found["unpadded"]
        result[str(at_a_time)] = {
            "documents_per_s": {way: round(count / statistics.median(runs), 2) for way, runs in seconds.items()},
            "unpadded_over": {
                way: round(statistics.median(a / b for a, b in zip(seconds[way], seconds["unpadded"], strict=True)), 2)
                for way in ("full", "cut")
            },
            "identical": same,
        }
        print(at_a_time, result[str(at_a_time)], flush=True)
    record.write(args.out, {"precision": args.precision, "rounds": args.rounds, "at_a_time": result})
    print(json.dumps(result))


def annotated(predictor: Any, documents: Sequence[Any], at_a_time: int, settings: Any) -> set[tuple[str, ...]]:
    """The entities, each as its document, place and type."""
    return {
        (document.id, mention.start, mention.end, mention.type)
        for start in range(0, len(documents), at_a_time)
        for document in predictor.predict(documents[start : start + at_a_time], labels=LABELS, settings=settings)
        for mention in document.mentions
    }


@contextmanager
def padded(wanted: bool) -> Iterator[None]:
    """While engines are made: whether they pad."""
    from kogner.annotate import unpadded

    kept = unpadded.fits
    if wanted:
        unpadded.fits = lambda encoder: False
    try:
        yield
    finally:
        unpadded.fits = kept


if __name__ == "__main__":
    main()
