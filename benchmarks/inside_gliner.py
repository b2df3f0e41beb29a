"""Our checkpoint, exported, scored inside `gliner` on a test split: F1 there beside F1 here.

Needs `gliner` in the environment (`make inside-gliner` makes one). Both get the same sentences. What GLiNER cannot hold
is taken away step by step, so that each part of a difference has a name:

- ours: words, thresholds per type and temperatures as the checkpoint says
- gliner, our words: gliner's model and decoder with our word splitter and one threshold for all types
- gliner: its own word splitter too, as any user of the exported folder would run it

All gold mentions of the file count, also those that a splitter cannot reach. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="exported GLiNER folder")
    parser.add_argument("--data", required=True, metavar="NAME=DIR")
    parser.add_argument("--split", default="test")
    parser.add_argument("--documents", type=int, default=0, help="only the first so many (0 = all)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    import torch
    from gliner import GLiNER

    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.evaluate.spans import score, with_lost
    from kogner.student.decode import warmed
    from kogner.text import words

    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    name, _, folder = args.data.partition("=")
    corpus = corpora.load(name, folder, args.split)
    documents = list(corpus.documents[: args.documents or None])
    types = list(corpus.types)

    predictor = Predictor.load(args.model)

    def scored(predicted: list[Any]) -> dict[str, Any]:
        return with_lost(score(documents, predicted, types=types), corpus.lost).to_dict()

    alone = Settings(agreement=0.0)  # as gliner, which decides about each text for itself
    found = {"ours": scored(list(predictor.predict(documents, labels=types, settings=alone)))}
    # gliner's scores are those before calibration.
    bounds = [warmed(predictor.info.threshold(kind), 1 / predictor.info.temperature(kind)) for kind in types]
    threshold = sum(bounds) / len(bounds)
    model = GLiNER.from_pretrained(str(args.model), local_files_only=True)
    own = model.data_processor.words_splitter
    for title, splitter in (
        ("gliner_our_words", lambda text: ((text[a:b], a, b) for a, b in words(text))),
        ("gliner", own),
    ):
        model.data_processor.words_splitter = splitter
        found[title] = scored([in_gliner(model, document, types, threshold) for document in documents])
    result: dict[str, Any] = {
        "data": name,
        "split": args.split,
        "documents": len(documents),
        "threshold_in_gliner": round(threshold, 3),
        "f1": {title: figures["f1"] for title, figures in found.items()},
        "drop": round(found["ours"]["f1"] - found["gliner"]["f1"], 2),
        "drop_with_our_words": round(found["ours"]["f1"] - found["gliner_our_words"]["f1"], 2),
        "scores": found,
    }
    if args.out:
        record.write(args.out, result)
    print(json.dumps({key: value for key, value in result.items() if key != "scores"}))


def in_gliner(model: Any, document: Any, types: Sequence[str], threshold: float) -> Any:
    """The document with what gliner finds in its sentences."""
    from kogner.records import Mention
    from kogner.text import sentences

    spans = sentences(document.text)
    texts = [document.text[a:b] for a, b in spans]
    found = model.inference(texts, types, threshold=threshold, batch_size=8) if texts else []
    mentions = tuple(
        Mention(at + e["start"], at + e["end"], e["label"], text=e["text"], score=float(e["score"]))
        for (at, _), entities in zip(spans, found, strict=True)
        for e in entities
    )
    return dataclasses.replace(document, mentions=mentions, types=frozenset(types))


if __name__ == "__main__":
    main()
