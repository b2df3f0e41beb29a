"""What agreement within documents and the graph's names add to a student at inference, on test splits; p, intervals.

Agreement is as the checkpoint has it, and none beside that. Weights of names are the checkpoint's (fitted on dev by
`kogner calibrate --graph`), or the default where it has none.
Other splits can be scored, and other students, such as one that has seen no gold label.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "names.json")
    args = parser.parse_args()

    from kogner.annotate.names import DEFAULT_WEIGHT, Names
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.artifacts import read_manifest
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.evaluate.significance import document_counts, paired_bootstrap
    from kogner.evaluate.spans import score, with_lost
    from kogner.evaluate.suite import names_alone
    from kogner.graph.store import GraphStore
    from kogner.records import Document

    store = GraphStore.open(args.graph)
    names = Names(store)
    settings = Settings(token_budget=8192, threads=args.threads)
    loaded = [corpora.load(name, path, args.split) for name, path in named_paths(args.data)]
    for corpus in loaded:
        say_report(corpus)

    def figures(corpus: Any, found: list[Document]) -> dict[str, Any]:
        scores = with_lost(score(corpus.documents, found, types=corpus.types), corpus.lost).to_dict()
        return {key: scores[key] for key in ("precision", "recall", "f1", "gold")}

    alone: dict[str, Any] = {}
    for corpus in loaded:
        begun = time.perf_counter()
        alone[corpus.name] = names_alone(corpus, names) | {"seconds": round(time.perf_counter() - begun, 2)}
    models: dict[str, Any] = {}
    for model, place in named_paths(args.model, option="--model"):
        predictor = Predictor.load(place)
        said: dict[str, Any] = {"hash": read_manifest(Path(place)).hash, "corpora": {}}
        for corpus in loaded:
            types = sorted(corpus.types)
            sides: dict[str, Any] = {}
            counts = {}
            arms = {"sentences": (None, 0.0), "without": (None, None), "with": (names, None)}
            for side, (given, agreement) in arms.items():
                chosen = replace(settings, agreement=agreement)
                begun = time.perf_counter()
                found = list(predictor.predict(corpus.documents, labels=types, settings=chosen, names=given))
                seconds = time.perf_counter() - begun
                sides[side] = figures(corpus, found) | {"seconds": round(seconds, 2)}
                counts[side] = document_counts(corpus.documents, found, types=types)
            weights = {kind: predictor.info.name_weight(kind, DEFAULT_WEIGHT) for kind in types}
            shares = {kind: predictor.info.agreement_of(kind) for kind in types}
            lost = sum(corpus.lost.values())

            def differ(better: str, baseline: str, counts: dict[str, Any] = counts, lost: int = lost) -> dict[str, Any]:
                return paired_bootstrap([counts[better]], [counts[baseline]], missed=lost).to_dict()

            said["corpora"][corpus.name] = sides | {
                "weights": weights,
                "agreement": shares,
                "difference": differ("with", "without"),
                "difference_of_agreement": differ("without", "sentences"),
            }
        models[model] = said
    record.write(args.out, {"split": args.split, "names_alone": alone, "models": models})
    shown = {
        model: {
            name: [of[side]["f1"] for side in ("sentences", "without", "with")] for name, of in said["corpora"].items()
        }
        for model, said in models.items()
    }
    print(json.dumps({"names_alone": {name: of["f1"] for name, of in alone.items()}, "models": shown}))


if __name__ == "__main__":
    main()
