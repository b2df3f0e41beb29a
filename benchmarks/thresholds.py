"""Thresholds from few annotated documents: the best of them on these, or the mean of what they leave possible.

A student scores the dev documents of a corpus once. Then so many of them are drawn, temperatures and thresholds are
fitted to these alone, and the student is scored on all others; again and again with other draws. No test document is
read.

- best: of the grid of thresholds the one with the best F1 on the drawn documents
- mean: `kogner.train.posterior`, as `kogner calibrate` and `kogner train` do it
- 0.5: none is fitted, the temperatures are

Figures are exact F1 over all types of the corpus. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import record

if TYPE_CHECKING:
    from kogner.train.splits import Split
    from kogner.train.thresholds import Scored

SIZES = (5, 10, 20, 50, 100, 250)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/kogner-mini")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from kogner.commands.options import named_paths
    from kogner.data import corpora
    from kogner.student import checkpoint
    from kogner.train.splits import Split
    from kogner.train.thresholds import scored_dev

    student, _ = checkpoint.open_student(Path(args.model))
    found: dict[str, Any] = {}
    for name, path in named_paths(tuple(args.data)):
        corpus = corpora.load(name, path, "dev")
        split = Split(name, (), corpus.documents, tuple(sorted(corpus.types)))
        dev = scored_dev(student, [split], split.types)
        for size in SIZES:
            if 2 * size <= len(split.dev):
                found.setdefault(name, {})[str(size)] = compared(dev, split, size, args.draws)
                print(name, size, found[name][str(size)], flush=True)
    record.write(args.out, {"model": str(args.model), "draws": args.draws, "corpora": found})
    print(json.dumps(found))


def compared(dev: Scored, split: Split, size: int, draws: int) -> dict[str, Any]:
    """Mean F1 on the documents that were not drawn, in percent, and what the mean gains over the best, over draws."""
    from kogner.train import thresholds

    random = np.random.default_rng(0)
    f1: dict[str, list[float]] = {"best": [], "mean": [], "0.5": []}
    for _ in range(draws):
        order = random.permutation(len(split.dev))
        few, others = (part(dev, np.sort(some)) for some in (order[:size], order[size:]))
        heats = thresholds.fit_temperatures(few, split.types)
        fitted = {
            "best": best(few, split.types, heats),
            "mean": thresholds.best_thresholds(few, split.types, heats),
            "0.5": {},
        }
        for name, values in fitted.items():
            right, wrong = at(others, split.types, heats, values)
            f1[name].append(200 * right.sum() / (right.sum() + wrong.sum() + others.gold.sum()))
    gains = np.subtract(f1["mean"], f1["best"])
    return {
        "f1": {name: round(float(np.mean(values)), 2) for name, values in f1.items()},
        "sd": {name: round(float(np.std(values, ddof=1)), 2) for name, values in f1.items()},
        "gain": round(float(gains.mean()), 2),
        "better": round(float((gains > 0).mean()), 3),
    }


def part(dev: Scored, documents: np.ndarray) -> Scored:
    """Some documents of it, counted anew."""
    number = np.full(len(dev.gold), -1)
    number[documents] = np.arange(len(documents))
    own = number[dev.spans[:, 0]] >= 0
    spans = dev.spans[own].copy()
    spans[:, 0] = number[spans[:, 0]]
    return replace(
        dev, spans=spans, scores=dev.scores[own], right=dev.right[own], named=dev.named[own], gold=dev.gold[documents]
    )


def at(
    dev: Scored, types: Sequence[str], heats: Mapping[str, float], values: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong spans by type, (types,) each, at these thresholds; 0.5 where there is none."""
    from kogner.student.decode import decode
    from kogner.train import thresholds

    scores = thresholds.calibrated(dev, [heats.get(name, 1.0) for name in types])
    least = np.array([values.get(name, 0.5) for name in types])
    enough = np.flatnonzero(scores >= least[dev.spans[:, 3]])
    right, wrong = np.zeros(len(types), int), np.zeros(len(types), int)
    for some in np.split(enough, np.flatnonzero(np.diff(dev.spans[enough, 0])) + 1):
        candidates = thresholds.candidates_of(dev.spans[some], scores[some])
        gold = {one[:3] for one, is_right in zip(candidates, dev.right[some], strict=True) if is_right}
        for one in decode(candidates):
            (right if one[:3] in gold else wrong)[one.type] += 1
    return right, wrong


def best(dev: Scored, types: Sequence[str], heats: Mapping[str, float]) -> dict[str, float]:
    """Of the grid the threshold of each type with the best F1."""
    from kogner.train.thresholds import GRID

    f1 = []
    for value in GRID:
        right, wrong = at(dev, types, heats, dict.fromkeys(types, float(value)))
        f1.append(2 * right / np.maximum(right + wrong + dev.gold.sum(axis=0), 1))
    chosen = np.argmax(f1, axis=0)
    return {name: float(GRID[chosen[number]]) for number, name in enumerate(types) if dev.gold[:, number].any()}


if __name__ == "__main__":
    main()
