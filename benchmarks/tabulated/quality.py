"""How good it is: F1, evidence, ids, names."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from kogner.experiment.report import BETTER, WORSE, key, verdicts
from tabulated.markdown import NAMES, is_there, result, table, where


def mini() -> str:
    data = result("kogner-mini")
    rows = []
    for name, splits in data["scores"].items():
        test, dev = splits["test"], splits["dev"]
        figures = [f"{test[key]:.1f}" for key in ("precision", "recall")] + [f"**{test['f1']:.1f}**"]
        goal = _goal(NAMES.get(name, name), test["f1"])
        rows.append([NAMES.get(name, name), *figures, goal, f"{dev['f1']:.1f}", f"{test['gold']:,}"])
    header = ["corpus (test split)", "precision", "recall", "F1", "our goal", "F1 on dev", "gold mentions"]
    return table(header, rows) + "\n" + where(data)


def suite() -> str:
    data = result("suite")
    arms = [arm for arm in ("model", "with names") if arm in data]
    trained = {NAMES[name] for name in data["trained_on"]}
    rows = []
    for name, found in data["model"]["corpora"].items():
        f1 = [f"{data[arm]['corpora'][name]['f1']:.1f}" for arm in arms]
        alone = data.get("with names", {}).get("corpora", {}).get(name, {}).get("names_alone", {}).get("f1")
        types = ", ".join(sorted(found["by_type"]))
        row = [name, types, "yes" if name in trained else "no", *f1, _goal(name, found["f1"])]
        row += [f"{found['relaxed']['f1']:.1f}", "" if alone is None else f"{alone:.1f}", f"{found['ece']:.1f}"]
        rows.append([*row, f"{found['gold']:,}", str(sum(found["left_out"].values()))])
    means = [f"{data[arm]['mean_f1_of_six']:.1f}" for arm in arms]
    rows.append(["mean of the six that are trained on", "", "", *means, *[""] * 6])
    for name, why in data["model"]["missing"].items():
        rows.append([name, f"not scored: {why}", "", *[""] * len(arms), *[""] * 6])
    header = ["corpus (test split)", "types", "trained on", *["F1", "with names of the graph"][: len(arms)]]
    left_out = (
        "\nLeft out: test documents that a train or dev split holds as well; what is scored is the rest, of so many "
        "gold mentions. ECE: expected calibration error of the scores, in points.\n\n"
    )
    header += ["our goal", "F1, any overlap", "names alone", "ECE", "gold mentions", "left out"]
    return table(header, rows) + left_out + where(data)


def overlaps() -> str:
    """What changes without test documents whose text stands in the train split too."""
    data = result("overlaps")
    left_out = ", ".join(
        f"{found['left_out']} of {found['of']:,} of {NAMES.get(name, name)}"
        for name, found in data["corpora"].items()
        if found["left_out"]
    )
    few = [one for one in data["groups"] if one["group"] == "low-resource"]
    said = "; ".join(
        f"{one['of']} {one['difference']:+.2f} F1, and {one['without']['difference']:+.2f} without them" for one in few
    )
    most = max(abs(one["difference"] - one["without"]["difference"]) for one in data["groups"])
    return (
        f"Test documents that share 60 letters or more with the train split: {left_out}. Over the low-resource "
        f"settings: {said}. No mean of a group moves by more than {most:.2f}.\n\n" + where(data)
    )


GOALS = {"BC5CDR": 86, "NCBI-disease": 84, "BC2GM": 77, "JNLPBA": 72, "Linnaeus": 85}  # exact F1 on test


def _goal(name: str, f1: float) -> str:
    """Our goal, and whether it is reached."""
    if name not in GOALS:
        return ""
    return f"{GOALS[name]}" if f1 >= GOALS[name] else f"{GOALS[name]}, missed"


def distilled() -> str:
    """What the paper's distillation adds in each setting of the plan, beside the same training without it."""
    data = result("shares")
    means = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    rows = []
    for one in data["comparisons"]:
        if (one["arm"], one["baseline"]) == ("mse", "no-graph"):
            figures = []
            for arm in ("no-graph", "mse"):
                row = means[one["setting"], one["corpus"], arm]
                figures.append(f"{row['mean']:.1f}" + (f" ± {row['sd']:.1f}" if row["sd"] is not None else ""))
            low, high = one["interval"]
            difference = f"{one['difference']:+.2f} ({low:+.2f} to {high:+.2f}), p {one['p']:.4f}"
            rows.append([_setting(one["setting"], one["corpus"]), *figures, difference, str(one["seeds"])])
    header = ["corpus, share of its train split", "no graph", "distilled", "difference (95 %)", "seeds"]
    return table(header, rows) + "\n" + where(data)


_EVIDENCE = {
    "no-graph": "no graph",
    "mse": "distilled (the paper's)",
    "silver-shuffled": "control: names of shuffled types",
    "silver-domain": "graph's names in training",
    "silver-domain-names": "and when it reads",
}
# What stands in the places of arms in a row of its own: names that stay beside the annotated documents.
_BESIDE = {"silver-domain": "silver-beside", "silver-domain-names": "silver-beside-names"}


def low_resource() -> str:
    """A row for each setting and corpus: F1 of the arms, what the best of the graph's adds, and the means of groups."""
    found = [_without(result("shares"), {})]
    if is_there("low-resource"):
        found.insert(0, _without(result("low-resource"), found[0]))
    rows = [row for data in found for row in _evidence_rows(data)]
    rows.sort(key=lambda row: row[0])
    header = [
        "corpus, share of its train split",
        *_EVIDENCE.values(),
        "difference (95 %)",
        "recall on unseen names",
        "seeds",
    ]
    missing = len(found[-1]["missing"])
    left = f"{missing} trainings of the plan are not done yet. " if missing else ""
    note = (
        "Test F1, exact; difference: the rightmost arm that was run, against no graph, by a paired bootstrap over "
        "documents, with Student's t for seeds. Unseen names: those of no annotated document in training. "
        f"{left}"
        "Without a label names of three types were read (chemical, disease, gene); JNLPBA and Linnaeus have none. "
        "The lists of common words that keep names apart were chosen on annotated train splits, also for the rows "
        "without a label. Students that read names first take an epoch of unlabelled text more, and then go on at a "
        "quarter of the rates. All arms, controls and intervals: [docs/results.md](docs/results.md).\n\n"
    )
    places = Counter[str]()
    for data in found:
        places.update(data["places"])
    trained = ", ".join(f"{count} on {place}" for place, count in places.most_common())
    measured = f"\nTrainings: {trained}; summed up {max(data['date'] for data in found)[:10]}.\n"
    return table(header, [cells for _, cells in rows]) + "\n" + _worth(found[-1]) + note + _gains(found) + measured


def _gains(found: Sequence[dict[str, Any]]) -> str:
    """What each comparison showed, in the mean of each group's settings; of the last plan that has it."""
    groups = list(dict.fromkeys(one["group"] for one in found[-1]["groups"]))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    titles: dict[tuple[str, str], str] = {}
    for data in reversed(found):
        own: dict[tuple[str, str], dict[str, str]] = {}
        shown = verdicts(data["groups"])
        for one in data["groups"]:
            low, high = one["interval"]
            said = f"{one['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
            if shown.get(key(one)) in (BETTER, WORSE):
                said = f"**{said}**"
            count = len(one["settings"])
            few = f", {one['seeds']} seed{'s' if one['seeds'] > 1 else ''}" if one["seeds"] < data["seeds"] else ""
            said += f" in {count}{few}" if count > 1 or few else ""
            pair = one["arm"], one["baseline"]
            titles.setdefault(pair, f"{one['of']}: `{pair[0]}` over `{pair[1]}`")
            own.setdefault(pair, {})[one["group"]] = said
        rows |= {pair: cells for pair, cells in own.items() if pair not in rows}
    header = ["what helped", *(f"{group}, F1 (95 %)" for group in groups)]
    body = [[titles[pair], *(cells.get(group, "") for group in groups)] for pair, cells in rows.items()]
    return table(header, body) + (
        "\nBold: a difference at p < 0.05 after Holm's correction over all of them, two seeds at least. Several "
        "settings: their mean, `in` how many.\n"
    )


def _worth(shares: dict[str, Any]) -> str:
    """A sentence on what a part of the documents with the graph gives, and all of them without it."""
    found = {(row["setting"], row["arm"]): row for row in shares["rows"] if len(row["f1"]) == shares["seeds"]}
    part, whole = found.get(("bc5cdr-15", "silver-domain-names")), found.get(("bc5cdr-100", "no-graph"))
    if part is None or whole is None:
        return ""
    return (
        f"With the graph's names 15 % of BC5CDR's annotated train documents give {part['mean']:.1f} F1, all of them "
        f"without the graph {whole['mean']:.1f}; either way its dev documents decide thresholds and how much names "
        "count.\n\n"
    )


def _without(data: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """An experiment without the settings, and the means, that the other has in all seeds of as many arms at least."""

    def arms(rows: list[dict[str, Any]], setting: str) -> set[str]:
        return {row["arm"] for row in rows if row["setting"] == setting and len(row["f1"]) >= data["seeds"]}

    if not other:
        return data
    twice = {
        row["setting"]
        for row in data["rows"]
        if arms(other["rows"], row["setting"]) & set(_EVIDENCE) >= arms(data["rows"], row["setting"]) & set(_EVIDENCE)
    }
    groups = [
        one
        for one in data["groups"]
        if not any(
            (of["arm"], of["baseline"]) == (one["arm"], one["baseline"])
            and set(of["settings"]) >= set(one["settings"])
            and of["seeds"] >= one["seeds"]
            for of in other["groups"]
        )
    ]
    rows = [row for row in data["rows"] if row["setting"] not in twice]
    comparisons = [one for one in data["comparisons"] if one["setting"] not in twice]
    return data | {"rows": rows, "comparisons": comparisons, "groups": groups}


def _evidence_rows(data: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Rows with what they are ordered by: settings without labels, then by share, then those without a type."""
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
        most = max(one["mean"] for one in own if one is not None)
        seeds = max(len(one["f1"]) for one in own if one is not None)
        figures = []
        for one in own:
            text = ""
            if one is not None:
                few = len(one["f1"])
                text = f"{one['mean']:.1f}" + (f" ± {one['sd']:.1f}" if few > 1 else "")
                text += f" (seeds: {few} of {seeds})" if few < seeds else ""
            figures.append(f"**{text}**" if one is not None and one["mean"] == most else text)
        best = next((gains[setting, corpus, arm] for arm in reversed(arms) if (setting, corpus, arm) in gains), None)
        difference = unseen = ""
        if best is not None:
            low, high = best["interval"]
            difference = f"{best['difference']:+.1f} ({low:+.1f} to {high:+.1f}), p {best['p']:.4f}"
            unseen, seeds = f"{best['unseen']:+.1f}", best["seeds"]
        percent = setting.rpartition("-")[2]
        order = 0 if setting.startswith("no-labels") else int(percent) if percent.isdigit() else 101
        said = _setting(setting, corpus) + (", silver kept beside the others" if beside else "")
        yield order, [said, *figures, difference, unseen, str(seeds)]


def _setting(setting: str, corpus: str) -> str:
    """A setting of the plans in words."""
    share = f"{setting.rpartition('-')[2]} %"
    if setting.startswith("no-labels"):
        share = "no label at all"
    elif setting.startswith("no-"):
        share = f"{setting.removeprefix('no-')} never annotated"
    return f"{NAMES.get(corpus, corpus)}, {share}"


def names() -> str:
    data = result("names")
    alone = data["names_alone"]

    def gain(found: dict[str, Any]) -> str:
        low, high = found["interval"]
        return f"{found['difference']:+.2f} ({low:+.2f} to {high:+.2f}), p {found['p']:.4f}"

    rows = []
    for said in data["models"].values():
        for corpus, of in said["corpora"].items():
            weights = ", ".join(
                f"{kind} {of['agreement'][kind]:g}, {weight:g}" for kind, weight in of["weights"].items()
            )
            figures = [
                f"{of['sentences']['f1']:.2f}",
                f"{of['without']['f1']:.2f}",
                gain(of["difference_of_agreement"]),
            ]
            figures += [f"**{of['with']['f1']:.2f}**", gain(of["difference"])]
            rows.append([NAMES.get(corpus, corpus), f"{alone[corpus]['f1']:.1f}", *figures, weights])
    header = ["corpus (test split)", "names alone", "each sentence for itself", "with agreement", "difference (95 %)"]
    header += ["and with names", "difference (95 %)", "agreement, weight of names"]
    below = (
        "\nF1 of exact spans and types; agreement, weights (logits) and thresholds from dev; p and intervals: a paired "
        "bootstrap over documents.\n"
    )
    return table(header, rows) + below + "\n" + where(data)


def link() -> str:
    data = result("link")
    labels = {
        "casefolded look-up": "first entity of that name, any case",
        "names": "names and short forms",
        "names, vocabulary": "and ids of MeSH, OMIM wanted",
        "names, vocabulary, vectors": "and vectors where no name fits",
        "names, vocabulary, aliases": "and names from the train and dev documents",
        "all": "all of it",
    }
    rows = []
    for arm, label in labels.items():
        found = [data[corpus]["arms"].get(arm) for corpus in ("bc5cdr", "ncbi")]
        if all(found):
            rows.append(
                [label]
                + [
                    f"{of['top1']:.1f} / {of['top5']:.1f}" if "top5" in of else f"{of['top1']:.1f}"
                    for of in found
                    if of
                ]
            )
    below = "\nOf mentions whose id is in the graph, gold spans, top-1 / top-5."
    if "predicted" in data["bc5cdr"]:
        both = {NAMES[corpus]: data[corpus]["predicted"] for corpus in ("bc5cdr", "ncbi")}
        ends = ", ".join(f"{name} {of['f1']:.1f} (spans alone {of['f1_of_spans']:.1f})" for name, of in both.items())
        below += f" F1 of spans that kogner-mini finds, with their id, type and borders right: {ends}."
    if "composite" in data["bc5cdr"]:
        both = {NAMES[corpus]: data[corpus]["composite"] for corpus in ("bc5cdr", "ncbi")}
        named = ", ".join(f"{name} {of['all']:.0f} % of {of['mentions']}" for name, of in both.items())
        below += f" Of spans such as `A and B` with several ids all of these are given, and no other: {named}."
    return table(["", "BC5CDR test", "NCBI-disease test"], rows) + below + "\n\n" + where(data)


def spans() -> str:
    """Vectors that distillation taught a student, beside those of the mention's text."""
    data = result("spans")
    groups = {
        "entity in training": "linked to in training",
        "entity not in training": "not",
        "no name fits": "no name of the graph fits",
    }
    rows = []
    for model, corpora in data["models"].items():
        for corpus, found in corpora.items():
            for group, label in groups.items():
                if group in found:
                    own = found[group]
                    figures = [
                        f"{own[way]['top1']:.1f} / {own[way]['top5']:.1f}" for way in ("text, Z", "span vector", "sum")
                    ]
                    rows.append([model, NAMES[corpus], label, str(own["sum"]["spans"]), *figures])
    header = ["distilled by", "corpus", "entities", "spans", "Z of the text", "span vector, mapped", "both"]
    return (
        table(header, rows)
        + "\nTop-1 / top-5 of all entities of a fitting type with an id of MeSH or OMIM.\n\n"
        + where(data)
    )


def judged() -> str:
    data = result("judged")
    low, high = data["mentions"]["interval"]
    wrong = ", ".join(f"{count} {what}" for what, count in data["wrong"].items())
    return (
        f"Of {data['mentions']['judged']} entities in {data['rows']['judged']} random sentences of 5,000 related ones, "
        f"read one by one, {data['mentions']['percent']:.1f} % are right in boundary, type and id (95 % interval "
        f"{low:.0f} to {high:.0f}, the two of a sentence taken as independent); in {data['rows']['right']} of "
        f"{data['rows']['judged']} both are. Wrong: {wrong}. Documents, offsets, ids and verdicts: "
        "`benchmarks/judged/related.jsonl`.\n\n" + where(data)
    )


def scanner() -> str:
    data = result("scanner")
    names = {"bc5cdr": "BC5CDR", "ncbi": "NCBI-disease"}
    rows = [
        [names[corpus], label, *(f"{found[key]:.1f}" for key in ("precision", "recall", "f1"))]
        for corpus, arms in data["scores"]["dev"].items()
        for label, found in arms.items()
        if label in ("naive", "guard, rivals, abbreviations")
    ]
    speed = data["speed"]
    below = (
        "\nDev splits, exact spans and types; no gold mention was seen, but the guard was tuned on train splits. One "
        f"core reads {speed['first_pass_characters_per_cpu_s'] / 1e6:.1f} MB of new abstracts a second, "
        f"{max(speed['next_passes_characters_per_cpu_s']) / 1e6:.1f} MB where it has met the words.\n"
    )
    return table(["corpus", "names of the graph", "precision", "recall", "F1"], rows) + below + "\n" + where(data)


def inside() -> str:
    data = result("inside-gliner")
    f1 = data["f1"]
    rows = [
        ["KoGNER", f"{f1['ours']:.1f}"],
        ["gliner 0.2.29, given our words", f"{f1['gliner_our_words']:.1f}"],
        ["gliner 0.2.29", f"{f1['gliner']:.1f}"],
    ]
    return table(["kogner-mini on BC5CDR test, read by", "F1"], rows) + "\n" + where(data)
