"""Scores of a checkpoint on the dev and test splits of corpora, and how fast it annotated them, as one result file."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models/kogner-mini")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--dev", action="append", default=[], metavar="NAME=DIR", help="dev splits that lie elsewhere")
    parser.add_argument("--splits", default="dev,test")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    from kogner.annotate.predictor import Predictor, Settings
    from kogner.artifacts import read_manifest
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.evaluate.spans import score, with_lost

    predictor = Predictor.load(args.model, device=args.device)
    scores: dict[str, Any] = {}
    elsewhere = dict(named_paths(args.dev, option="--dev"))
    for name, path in named_paths(args.data):
        for split in args.splits.split(","):
            corpus = corpora.load(name, elsewhere.get(name, path) if split == "dev" else path, split)
            say_report(corpus)
            types = sorted(corpus.types)
            started = time.perf_counter()
            found = list(predictor.predict(corpus.documents, labels=types, settings=Settings(token_budget=8192)))
            seconds = time.perf_counter() - started
            result = with_lost(score(corpus.documents, found, types=types), corpus.lost).to_dict()
            result["skipped"] = dict(sorted(corpus.report.skipped.items()))
            rate = round(len(corpus.documents) / seconds, 1)
            scores.setdefault(name, {})[split] = result | {"documents": len(corpus), "documents_per_s": rate}
    manifest = read_manifest(Path(args.model))
    record.write(args.out, {"model": args.model, "model_hash": manifest.hash, "scores": scores})
    f1 = {name: {split: result["f1"] for split, result in of.items()} for name, of in scores.items()}
    print(json.dumps({"out": str(args.out), "f1": f1}))


if __name__ == "__main__":
    main()
