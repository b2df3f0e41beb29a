"""What the graph is worth, arm against arm."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from kogner.experiment.parts import Setting
from kogner.experiment.plan import load
from kogner.experiment.report import BETTER, WORSE, corpora_of, key, verdicts
from kogner.experiment.rules import by_today
from tabulated.markdown import (
    NAMES,
    difference,
    difference_with_p,
    floor,
    result,
    table,
    trained,
    where,
)


def overlaps() -> str:
    """What changes without test documents whose text stands in the train split too."""
    data = result("overlaps")
    counts: dict[str, str] = {}
    moves = []
    for plan, of in data["plans"].items():
        data_of_plan = result(plan)
        whole = {key(one): one["difference"] for one in data_of_plan["groups"]}
        if whole != {key(one): one["difference"] for one in of["groups"]}:
            raise ValueError(f"overlaps.json is of other scores than {plan}.json; run: make overlaps")
        finished = [one for one in of["groups"] if one["seeds"] == data_of_plan["seeds"]]
        moves += [abs(one["difference"] - one["without"]["difference"]) for one in finished]
        counts |= {
            name: f"{found['left_out']} of {found['of']:,} of {NAMES.get(name, name)}"
            for name, found in of["corpora"].items()
            if found["left_out"]
        }
    return (
        f"Test documents that share 60 letters or more with the train split: {', '.join(counts.values())}. Without "
        f"them no mean difference of a group of settings of {' and '.join(f'`{plan}`' for plan in data['plans'])} "
        f"moves by more than {max(moves):.2f}.\n\n" + where(data)
    )


def distilled() -> str:
    """What the paper's distillation adds in each setting of the plan, beside the same training without it."""
    data = result("shares")
    settings = load(data["plan"]).settings
    means = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    rows = []
    for one in data["comparisons"]:
        if (one["arm"], one["baseline"]) == ("mse", "no-graph"):
            figures = []
            for arm in ("no-graph", "mse"):
                row = means[one["setting"], one["corpus"], arm]
                figures.append(f"{row['mean']:.1f}" + (f" ± {row['sd']:.1f}" if row["sd"] is not None else ""))
            where_of = setting_name(settings, one["setting"], one["corpus"])
            rows.append([where_of, *figures, difference_with_p(one), str(one["seeds"])])
    header = ["corpus, share of its train split", "no graph", "distilled", "difference (95 %)", "seeds"]
    return f"{table(header, rows)}\n{trained(data)}"


def baseline() -> str:
    """Other ways of training without a graph, and of the student of names, on dev."""
    data = result("baseline")
    dev = {(row["arm"], row["setting"], row["corpus"]): row["dev"] for row in data["rows"] if row["setting"] != "stage"}
    places = list(dict.fromkeys((setting, corpus) for _, setting, corpus in dev))
    rows = [
        [data["arms"][arm], *(f"{dev[one]:.1f}" if (one := (arm, *place)) in dev else "" for place in places)]
        for arm in dict.fromkeys(arm for arm, *_ in dev)
    ]
    said = (
        "F1 on dev, exact, one seed; without the graph but where names come first (`kogner experiment run baseline`)."
    )
    settings = load(data["plan"]).settings
    return f"{table(['trained', *(setting_name(settings, *place) for place in places)], rows)}\n{said}\n"


_LOSSES = {"mse": "MSE", "cosine": "cosine", "contrastive": "contrastive", "relational": "relational"}


def tried() -> str:
    """Ways of distilling that were tried on dev, beside the same training without; both on one kind of machine."""
    data, beside = result("tune"), result("low-resource-gpu")
    experiment = load(data["plan"])
    without = {
        (row["setting"], row["arm"]): row
        for row in beside["rows"]
        if row["arm"] in ("no-graph", "silver-domain") and row["places"] == list(data["places"])
    }
    dev = {(row["setting"], row["arm"]): row["dev"] for row in data["rows"]}
    rows = []
    for stages, title, base in (
        (False, "beside annotated documents", "no-graph"),
        (True, "with names first", "silver-domain"),
    ):
        figures = [f"{without[setting, base]['dev']:.1f}" for setting in experiment.settings]
        rows.append([title, "none", "", *figures, str(len(without["bc5cdr-5", base]["f1"]))])
        for name, arm in experiment.arms.items():
            if (arm.initial is not None) != stages:
                continue
            said = arm.set if arm.initial is None else experiment.stages[arm.initial].set
            values = dict(one.split("=", 1) for one in said)
            loss = _LOSSES[values.get("distil.loss", "mse")]
            loss += ", to a whitened projection of the bank" if values.get("distil.target") == "pca" else ""
            figures = [f"{dev[setting, name]:.1f}" for setting in experiment.settings]
            rows.append([title, loss, values["loss.dist_weight"], *figures, str(data["seeds"])])
    settings = experiment.settings
    corpora = [setting_name(settings, setting, plan.train[0]) for setting, plan in settings.items()]
    header = ["vectors are taught", "how", "weight", *corpora, "seeds"]
    places = ", ".join(f"{count} on {place}" for place, count in data["places"].items())
    return table(header, rows) + f"\nF1 on dev, exact. Trainings of these ways: {places}; {data['date'][:10]}.\n"


_EVIDENCE = {
    "no-graph": "no graph",
    "mse": "distilled (the paper's)",
    "silver-shuffled": "control: names of shuffled types",
    "silver-domain": "graph's names in training",
    "silver-domain-names": "and when it reads",
}
# What stands in the places of arms in a row of its own: names that stay beside the annotated documents.
_BESIDE = {"silver-domain": "silver-beside", "silver-domain-names": "silver-beside-names"}


def few_and_all() -> str:
    """A row for each setting and corpus: F1 of the arms, what the best of the graph's adds, and the means of groups."""
    data = result("shares")
    rows = sorted(_evidence_rows(data), key=lambda row: row[0])
    header = [
        "corpus, share of its train split",
        "names alone, no student",
        *_EVIDENCE.values(),
        "difference (95 %)",
        "gain in recall on unseen names",
        "seeds",
    ]
    earlier = (
        ""
        if all(by_today(row.get("rules"), "weighing") for row in data["rows"])
        else "A name adds at most 4 to a span's logit here, which with few documents was often chosen; later rules are "
        "told in [experiments](howto/experiments.md#figures-by-earlier-rules). "
    )
    note = (
        "Test F1, exact; difference: the rightmost arm that was run, against no graph, by a paired bootstrap over "
        "documents, with Student's t for seeds. Unseen names: those of no annotated document in training. Without a "
        "label names of three types were read (chemical, disease, gene), and the lists of common words that keep names "
        "apart were chosen on annotated train splits. Students that read names first take an epoch of unlabelled text "
        "more, 16,528 sentences, where 5 % of BC5CDR are about 216, each read 16 times, and then go on at a quarter of "
        f"the rates. {earlier}All arms, controls and intervals: [results](results.md).\n\n"
    )
    body = table(header, [cells for _, cells in rows])
    return f"{body}\n{note}{_gains(data)}\n{trained(data)}"


def _gains(data: dict[str, Any]) -> str:
    """What each comparison showed, in the mean of each group's settings."""
    groups = list(dict.fromkeys(one["group"] for one in data["groups"]))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    titles: dict[tuple[str, str], str] = {}
    shown = verdicts(data["groups"])
    for one in data["groups"]:
        said = difference(one)
        if shown.get(key(one)) in (BETTER, WORSE):
            said = f"**{said}**"
        count = corpora_of(one, data["comparisons"])
        few = f", {one['seeds']} seed{'s' if one['seeds'] > 1 else ''}" if one["seeds"] < data["seeds"] else ""
        said += f" in {count}{few}" if count > 1 or few else ""
        pair = one["arm"], one["baseline"]
        titles[pair] = f"{one['of']}: `{pair[0]}` over `{pair[1]}`"
        rows.setdefault(pair, {})[one["group"]] = said
    header = ["what helped", *(f"{group}, F1 (95 %)" for group in groups)]
    body = [[titles[pair], *(cells.get(group, "") for group in groups)] for pair, cells in rows.items()]
    return table(header, body) + (
        "\nBold: a difference at p < 0.05 after Holm's correction over all of them, two seeds at least. Several "
        "settings: their mean, `in` how many.\n"
    )


def _evidence_rows(data: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Rows with what they are ordered by: settings without labels, then by share, then those without a type."""
    settings = load(data["plan"]).settings
    cells = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    gains = {
        (one["setting"], one["corpus"], one["arm"]): one for one in data["comparisons"] if one["baseline"] == "no-graph"
    }
    places = dict.fromkeys(place[:2] for place in cells)
    for (setting, corpus), beside in itertools.product(places, (False, True)):
        if beside and (setting, corpus, "silver-beside") not in cells:
            continue
        arms = [_BESIDE.get(arm, arm) if beside else arm for arm in _EVIDENCE]
        own = [cells.get((setting, corpus, arm)) for arm in arms]
        if setting == "stage" or sum(one is not None for one in own) < 2:
            continue
        alone = floor(data, setting, corpus, left_out(settings[setting]))
        if any(one is not None and one["mean"] is None for one in own):
            continue  # scored on dev alone
        most = max(float(alone or 0), *(one["mean"] for one in own if one is not None))
        seeds = max(len(one["f1"]) for one in own if one is not None)
        figures = []
        for one in own:
            text = "" if one is None else figure(one, seeds)
            figures.append(f"**{text}**" if one is not None and one["mean"] == most else text)
        best = next((gains[setting, corpus, arm] for arm in reversed(arms) if (setting, corpus, arm) in gains), None)
        gained = unseen = ""
        if best is not None:
            gained = difference_with_p(best, 1)
            unseen, seeds = f"{best['unseen']:+.1f}", best["seeds"]
        plan = settings[setting]
        order = 0 if not plan.train else 101 if plan.without else round(100 * plan.share)
        said = setting_name(settings, setting, corpus) + (", silver kept beside the others" if beside else "")
        alone = f"**{alone}**" if alone and float(alone) == most else alone
        yield order, [said, alone, *figures, gained, unseen, str(seeds)]


def figure(row: dict[str, Any], seeds: int) -> str:
    """Mean and deviation of a row's F1, and how many seeds it has where that is fewer."""
    count = len(row["f1"])
    if row["arm"] == "names-alone":
        return f"{row['mean']:.1f}"  # the same with any seed
    text = f"{row['mean']:.1f}" + (f" ± {row['sd']:.1f}" if count > 1 else "")
    return text + (f" (seeds: {count} of {seeds})" if count < seeds else "")


def left_out(setting: Setting) -> str | None:
    """The type that nobody annotated in a setting, which alone is scored there."""
    return next(iter(setting.without), None)


def setting_name(settings: Mapping[str, Setting], setting: str, corpus: str) -> str:
    """A setting of a plan in words."""
    plan = settings[setting]
    kind = left_out(plan)
    if not plan.train:
        share = "no label at all" if kind is None else f"{kind}s, no label at all"
    else:
        share = f"{100 * plan.share:g} %" if kind is None else f"{kind} never annotated"
    return f"{NAMES.get(corpus, corpus)}, {share}"
