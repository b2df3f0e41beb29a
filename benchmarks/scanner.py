"""Names of the graph against gold mentions, exact spans and types: naive longest match, then each guard; and the speed.

The scanner was tuned on train splits and sees no gold mention here; dev is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import record

CORPORA = {"bc5cdr": "bc5cdr", "ncbi": "ncbi_disease"}
SCANNERS: dict[str, dict[str, Any]] = {
    "naive": {"guard": False, "abbreviations": False, "rivals": ()},
    "guard": {"guard": True, "abbreviations": False, "rivals": ()},
    "guard, rivals": {"guard": True, "abbreviations": False},
    "guard, rivals, abbreviations": {},
}
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--index", type=Path, help="folder of the scan index, by default beside the graph")
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("KOGNER_SHARED", "../shared")) / "corpora")
    parser.add_argument("--splits", default="dev")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scanner.json")
    args = parser.parse_args()

    from kogner.data import corpora
    from kogner.evaluate.spans import score
    from kogner.graph.scan import Scanner, open_index
    from kogner.graph.store import GraphStore
    from kogner.records import Mention

    store = GraphStore.open(args.graph)
    open_index(store, args.index)
    scores: dict[str, Any] = {}
    for split in args.splits.split(","):
        for name, folder in CORPORA.items():
            corpus = corpora.load(name, args.corpora / folder, split)
            graph_types = {kind.capitalize(): kind for kind in corpus.types}
            for label, options in SCANNERS.items():
                scanner = Scanner(store, graph_types, index=args.index, **options)
                found = [
                    replace(
                        document,
                        mentions=tuple(
                            Mention(one.start, one.end, graph_types[one.type], document.text[one.start : one.end])
                            for one in scanner.scan(document.text)
                        ),
                    )
                    for document in corpus.documents
                ]
                result = score(corpus.documents, found, types=corpus.types)
                scores.setdefault(split, {}).setdefault(name, {})[label] = result.to_dict()
    texts = [
        d.text
        for f in CORPORA.values()
        for s in ("train", "dev")
        for d in corpora.load(f, args.corpora / f, s).documents
    ]
    characters = sum(map(len, texts))
    rates: dict[str, Any] = {"characters": characters}
    for what in ("first_pass", "next_passes"):
        if what == "first_pass":
            started = time.perf_counter()
            scanner = Scanner(store, ("Chemical", "Disease"), index=args.index)
            rates["open_s"] = round(time.perf_counter() - started, 3)
        measured = []
        for _ in range(1 if what == "first_pass" else ROUNDS):
            started = time.process_time()
            for text in texts:
                scanner.scan(text)
            measured.append(round(characters / (time.process_time() - started)))
        rates[f"{what}_characters_per_cpu_s"] = measured[0] if len(measured) == 1 else measured
    record.write(args.out, {"graph": store.artifact.hash, "scores": scores, "speed": rates})
    f1 = {s: {n: {k: v["f1"] for k, v in of.items()} for n, of in by.items()} for s, by in scores.items()}
    print(json.dumps({"out": str(args.out), "f1": f1, "speed": rates}))


if __name__ == "__main__":
    main()
