"""Where dev and test of a corpus of abstracts are of other years: F1 of a student by how old they are, as PMIDs tell.

PMIDs are given in order, so a bound parts older abstracts from newer ones. Gold that a reader could not keep counts as
missed in none of the parts. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub id of a student")
    parser.add_argument("--dev", required=True, metavar="NAME=DIR", help="corpus whose dev documents count")
    parser.add_argument("--test", required=True, metavar="NAME=DIR", help="corpus whose test documents count")
    parser.add_argument("--pmid", type=int, required=True, help="abstracts below it are the older ones")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.evaluate.significance import document_counts, f1_interval
    from kogner.evaluate.spans import score

    predictor = Predictor.load(args.model)
    settings = Settings(threads=args.threads)
    parts: dict[str, dict[str, object]] = {}
    for split, given in (("dev", args.dev), ("test", args.test)):
        name, _, folder = given.partition("=")
        corpus = corpora.load(name, folder, split)
        types = sorted(corpus.types)
        parts[split] = {}
        for age in ("older", "newer"):
            documents = [one for one in corpus.documents if (int(one.id) < args.pmid) == (age == "older")]
            found = list(predictor.predict(documents, labels=types, settings=settings))
            scores = score(documents, found, types=types).to_dict()
            interval = f1_interval(document_counts(documents, found, types=types))
            parts[split][age] = {
                "documents": len(documents), "gold": scores["gold"], "f1": round(scores["f1"], 2),
                "interval": [round(edge, 2) for edge in interval],
            }  # fmt: skip
    result = {"model": args.model, "corpus": name, "pmid": args.pmid, **parts}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
