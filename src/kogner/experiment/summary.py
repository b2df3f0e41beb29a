"""What the cells of an experiment add up to: means over seeds, differences of arms, and their table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kogner.evaluate.significance import paired_bootstrap
from kogner.experiment.plan import STAGE, Experiment


def summarise(experiment: Experiment, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores by setting, corpus and arm, and each comparison of the plan, as plain data for JSON."""
    by_cell = {(one["cell"]["setting"], one["cell"]["arm"], one["cell"]["seed"]): one for one in results}
    rows, comparisons = [], []
    for setting, plan in experiment.settings.items():
        for corpus in plan.test:
            for arm in experiment.arms:
                found = [by_cell[key] for key in _seeds(by_cell, setting, arm)]
                if found:
                    rows.append({"setting": setting, "corpus": corpus, "arm": arm, **_row(found, corpus)})
            for better, baseline in experiment.compare:
                pairs = [
                    (by_cell[setting, better, seed], by_cell[setting, baseline, seed])
                    for seed in range(experiment.seeds)
                    if (setting, better, seed) in by_cell and (setting, baseline, seed) in by_cell
                ]
                if pairs:
                    counts = ([one["documents"][corpus] for one in side] for side in zip(*pairs, strict=True))
                    found_difference = paired_bootstrap(*counts).to_dict()
                    names = {"setting": setting, "corpus": corpus, "arm": better, "baseline": baseline}
                    comparisons.append(names | found_difference)
    for stage, trained in experiment.stages.items():
        found = [by_cell[key] for key in _seeds(by_cell, STAGE, stage)]
        for corpus in trained.test if found else ():
            rows.append({"setting": STAGE, "corpus": corpus, "arm": stage, **_row(found, corpus)})
    return {"rows": rows, "comparisons": comparisons}


def _seeds(cells: Iterable[tuple[str, str, int]], setting: str, arm: str) -> list[tuple[str, str, int]]:
    return sorted(key for key in cells if key[:2] == (setting, arm))


def _row(found: Sequence[Mapping[str, Any]], corpus: str) -> dict[str, Any]:
    f1 = [one["test"][corpus]["f1"] for one in found]
    unseen = [one["test"][corpus]["unseen"]["recall"] for one in found]
    dev = [one["dev"][corpus] for one in found if corpus in one["dev"]]
    return {
        "f1": f1,
        "mean": round(statistics.mean(f1), 2),
        "sd": round(statistics.stdev(f1), 2) if len(f1) > 1 else 0.0,
        "unseen_recall": round(statistics.mean(unseen), 2),
        "dev": round(statistics.mean(dev), 2) if dev else None,
        "seconds": round(statistics.mean(one["seconds"] for one in found)),
        "revisions": sorted({one["revision"] for one in found}),
    }
