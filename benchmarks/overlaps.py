"""What an experiment says without test documents that share a run of text with the train split of their setting.

Trainings take the official train splits, some of whose documents share text with test documents of the same corpus. No
training is run again: test documents are scored one by one, so those can be left out of what is added up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import record

if TYPE_CHECKING:
    from kogner.data.overlap import Overlap
    from kogner.experiment.folders import Folders
    from kogner.records import Document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="append", required=True, help="can be repeated")
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--scores", type=Path, default=Path("benchmarks/results/scores"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from kogner.experiment.folders import Folders

    plans = {name: without_overlaps(name, Folders(args.runs, args.scores)) for name in args.plan}
    record.write(args.out, {"plans": plans})
    most = max(
        abs(one["difference"] - one["without"]["difference"]) for found in plans.values() for one in found["groups"]
    )
    print(json.dumps({"out": str(args.out), "plans": [*plans], "moves_at_most": round(most, 2)}))


def without_overlaps(plan: str, folders: Folders) -> dict[str, Any]:
    """By test corpus how many documents are left out, and each mean difference with and without them."""
    from kogner.data import corpora
    from kogner.data.overlap import Overlap
    from kogner.experiment.plan import load
    from kogner.experiment.recorded import recorded
    from kogner.experiment.summary import summarise

    experiment = load(plan)
    results = recorded(experiment, folders)
    shared: dict[tuple[str, ...], Overlap] = {}
    kept: dict[tuple[str, str], list[bool]] = {}
    left_out: dict[str, dict[str, int]] = {}
    learnt: dict[str, tuple[str, ...]] = {}
    for name, setting in experiment.settings.items():
        if not setting.train:
            continue
        if setting.train not in shared:
            loaded = (corpora.load(one, experiment.corpora[one], "train") for one in setting.train)
            shared[setting.train] = Overlap(document for corpus in loaded for document in corpus.documents)
        for one in setting.test:
            if learnt.setdefault(one, setting.train) != setting.train:
                raise ValueError(f"{plan}: {one} is scored by students of {learnt[one]} and of {setting.train}")
            tested = corpora.load(one, experiment.corpora[one], "test").documents
            kept[name, one] = kept_articles(tested, shared[setting.train])
            left_out[one] = {"left_out": kept[name, one].count(False), "of": len(kept[name, one])}
    rest = [found | {"documents": _rest(found, kept)} for found in results]
    known = ("group", "arm", "baseline", "of", "seeds", "difference", "interval", "p")
    groups = [
        {key: whole[key] for key in known if key in whole}
        | {"without": {key: other[key] for key in ("difference", "interval", "p")}}
        for whole, other in zip(
            summarise(experiment, results)["groups"], summarise(experiment, rest)["groups"], strict=True
        )
    ]
    return {"corpora": left_out, "groups": groups}


def kept_articles(tested: Sequence[Document], shared: Overlap) -> list[bool]:
    """Of each article, as scores count them, whether no part of it shares text with documents of `shared`."""
    from kogner.records import article_of

    kept: dict[str, bool] = {}
    for document in tested:
        article = article_of(document.id)
        kept[article] = kept.get(article, True) and shared.found(document) is None
    return list(kept.values())


def _rest(found: dict[str, Any], kept: dict[tuple[str, str], list[bool]]) -> dict[str, Any]:
    """Counts of the documents that are kept, of each corpus."""
    setting = found["cell"]["setting"]
    return {
        name: [row for row, keep in zip(rows, kept.get((setting, name), [True] * len(rows)), strict=True) if keep]
        for name, rows in found["documents"].items()
    }


if __name__ == "__main__":
    main()
