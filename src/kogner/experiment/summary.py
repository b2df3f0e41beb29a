"""What the cells of an experiment add up to: means over seeds, differences of arms, and their table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kogner.evaluate.significance import Redrawn, Resampled, overall, redraw
from kogner.experiment.checks import STAGE
from kogner.experiment.plan import Experiment
from kogner.experiment.rules import rules

Cells = Mapping[tuple[str, str, int], Mapping[str, Any]]


def summarise(experiment: Experiment, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores by setting, corpus and arm, each comparison of the plan, and its means over groups, as data for JSON.

    In a setting without `test` a row has the scores on dev alone. places: trainings by the machine they ran on.
    Of a comparison those seeds count that both arms have; of a group those settings in which both have any.
    `other_places` stands with those of which a training and the one that it is compared with ran on different machines,
    where the same training need not come out the same.
    """
    by_cell = {(one["cell"]["setting"], one["cell"]["arm"], one["cell"]["seed"]): one for one in results}
    rows = []
    for setting, plan in experiment.settings.items():
        for corpus in plan.test or plan.train:
            for arm in experiment.arms:
                found = [by_cell[key] for key in _seeds(by_cell, setting, arm)]
                if found:
                    rows.append({"setting": setting, "corpus": corpus, "arm": arm, **_row(found, corpus)})
    for stage, trained in experiment.stages.items():
        found = [by_cell[key] for key in _seeds(by_cell, STAGE, stage)]
        for corpus in trained.test if found else ():
            rows.append({"setting": STAGE, "corpus": corpus, "arm": stage, **_row(found, corpus)})
    comparisons, groups = [], []
    redrawn: dict[tuple[str, str], tuple[dict[tuple[str, int], int], Redrawn]] = {}
    for better, baseline, *of in experiment.compare:
        names = {"arm": better, "baseline": baseline} | ({"of": of[0]} if of else {})
        drawn: dict[str, list[Resampled]] = {}
        for setting, plan in experiment.settings.items():
            pairs = _pairs(by_cell, setting, better, baseline)
            for corpus in plan.test if pairs else ():
                if (setting, corpus) not in redrawn:
                    redrawn[setting, corpus] = _redraw(by_cell, experiment, setting, corpus)
                place_of, those = redrawn[setting, corpus]
                seeds = [one["cell"]["seed"] for one, _ in pairs]
                found_difference = those.difference(
                    *([place_of[arm, seed] for seed in seeds] for arm in (better, baseline)), numbers=seeds
                )
                drawn.setdefault(setting, []).append(found_difference)
                told = overall([found_difference]).to_dict()
                unseen = statistics.mean(
                    one["test"][corpus]["unseen"]["recall"] - other["test"][corpus]["unseen"]["recall"]
                    for one, other in pairs
                )
                told |= {"unseen": round(unseen, 2)} | _other_places(pairs)
                comparisons.append({"setting": setting, "corpus": corpus, **names, **told})
        for group, settings in experiment.groups.items():
            there = [setting for setting in settings if setting in drawn]
            if there:
                every = [one for setting in there for one in drawn[setting]]
                told = overall(every).to_dict()
                of_group = [one for one in comparisons if one["setting"] in there and one.items() >= names.items()]
                unseen = statistics.mean(one["unseen"] for one in of_group)
                told |= {"unseen": round(unseen, 2)} | _other_places(
                    [pair for setting in there for pair in _pairs(by_cell, setting, better, baseline)]
                )
                groups.append({"group": group, "settings": there, **names, **told})
    places = Counter(one.get("place", "not recorded") for one in results)
    return {"rows": rows, "comparisons": comparisons, "groups": groups, "places": dict(places.most_common())}


def progress_of(experiment: Experiment, finished: Collection[str]) -> dict[str, Any]:
    """`missing`: trainings of a plan that are not among those finished; `example`: one that can be run by its name."""
    cells = experiment.cells()
    there = [cell for cell in cells if cell.name in finished]
    training = (cell.name for cell in [*there, *cells] if cell.trains and not cell.is_stage)
    return {
        "missing": [cell.name for cell in cells if cell.name not in finished],
        "example": next(training, cells[-1].name),
    }


def _redraw(
    cells: Cells, experiment: Experiment, setting: str, corpus: str
) -> tuple[dict[tuple[str, int], int], Redrawn]:
    """Of a setting's trainings that are compared, by arm and seed their places among what was drawn for all."""
    compared = {arm for better, baseline, *_ in experiment.compare for arm in (better, baseline)}
    keys = [key for arm in experiment.arms if arm in compared for key in _seeds(cells, setting, arm)]
    missed = sum(cells[keys[0]]["test"][corpus].get("skipped", {}).values())
    drawn = redraw([cells[key]["documents"][corpus] for key in keys], missed=missed)
    return {(arm, seed): place for place, (_, arm, seed) in enumerate(keys)}, drawn


def _pairs(cells: Cells, setting: str, better: str, baseline: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [
        (cells[key], cells[setting, baseline, key[2]])
        for key in _seeds(cells, setting, better)
        if (setting, baseline, key[2]) in cells
    ]


def _other_places(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, bool]:
    differ = any(one.get("place") != other.get("place") for one, other in pairs)
    return {"other_places": True} if differ else {}


def _seeds(cells: Iterable[tuple[str, str, int]], setting: str, arm: str) -> list[tuple[str, str, int]]:
    return sorted(key for key in cells if key[:2] == (setting, arm))


def _row(found: Sequence[Mapping[str, Any]], corpus: str) -> dict[str, Any]:
    tested = [one["test"][corpus] for one in found if corpus in one["test"]]  # none where arms are chosen on dev
    f1 = [one["f1"] for one in tested]
    unseen = [one["unseen"]["recall"] for one in tested]
    dev = [one["dev"][corpus] for one in found if corpus in one["dev"]]
    by_chance = len(f1) > 1 and not any(one["identity"].get("alone") for one in found)  # names alone are the same ones
    return {
        "f1": f1,
        "mean": round(statistics.mean(f1), 2) if f1 else None,
        "sd": round(statistics.stdev(f1), 2) if by_chance else None,
        "by_type": _by_type(tested),
        "unseen_recall": round(statistics.mean(unseen), 2) if unseen else None,
        "dev": round(statistics.mean(dev), 2) if dev else None,
        "seconds": round(statistics.mean(one["seconds"] for one in found)),
        "seeds": [one["cell"]["seed"] for one in found],
        "places": sorted({one.get("place", "not recorded") for one in found}),
        "revisions": sorted({one["revision"] for one in found}),
        "rules": _rules(found),
    }


def _by_type(tested: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean F1 of each type, of those that test asks for."""
    types = list(dict.fromkeys(kind for one in tested for kind in one.get("by_type", {})))
    return {kind: round(statistics.mean(one["by_type"][kind]["f1"] for one in tested), 2) for kind in types}


def _rules(found: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """By rule the numbers of those that decided these scores."""
    numbers: dict[str, set[int]] = {}
    for one in found:
        for name, number in rules(one["identity"]).items():
            numbers.setdefault(name, set()).add(number)
    return {name: sorted(those) for name, those in numbers.items()}
