"""How much does a student find when it reads more than a sentence at once, or in GLiNER's words?

The same student on the same documents: sentences by themselves, and neighbours joined up to 64, 128 and 384 words; in
the words it was trained on and in those of GLiNER's splitter. Gold that a splitter cannot reach counts as missed. The
last line printed is one JSON object of exact span F1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path

import record

CONTEXTS = (0, 64, 128, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub id of a student")
    parser.add_argument("--data", required=True, metavar="NAME=DIR")
    parser.add_argument("--split", default="test")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.evaluate.spans import score, with_lost

    name, _, folder = args.data.partition("=")
    corpus = corpora.load(name, folder, args.split)
    predictor = Predictor.load(args.model)
    own = predictor.student.config
    settings = Settings(precision=args.precision, threads=args.threads)
    f1: dict[str, dict[str, float]] = {}
    for words in dict.fromkeys((own.words, "gliner")):
        f1[words] = {}
        for context in CONTEXTS:
            predictor.student.config = dataclasses.replace(own, context=context, words=words)
            found = list(predictor.predict(corpus.documents, labels=sorted(corpus.types), settings=settings))
            scores = with_lost(score(corpus.documents, found, types=corpus.types), corpus.lost)
            f1[words][str(context)] = round(100 * scores.f1, 2)
    result = {"data": name, "split": args.split, "documents": len(corpus.documents), "f1": f1}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
