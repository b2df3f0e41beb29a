"""How good it is: F1, evidence, ids, names."""

from __future__ import annotations

from typing import Any

from tabulated.markdown import NAMES, difference_with_p, result, table, where


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
        f1 = [_with_interval(data[arm]["corpora"][name]) for arm in arms]
        alone = data.get("with names", {}).get("corpora", {}).get(name, {}).get("names_alone", {}).get("f1")
        types = ", ".join(sorted(found["by_type"]))
        row = [name, types, "yes" if name in trained else "no", *f1, _goal(name, found["f1"])]
        row += [f"{found['relaxed']['f1']:.1f}", "" if alone is None else f"{alone:.1f}", f"{found['ece']:.1f}"]
        rows.append(
            [*row, f"{found['gold']:,}", "" if found["left_out"] is None else str(sum(found["left_out"].values()))]
        )
    means = ["" if (mean := data[arm]["mean_f1_of_six"]) is None else f"{mean:.1f}" for arm in arms]
    rows.append(["mean of the six that are trained on", "", "", *means, *[""] * 6])
    for name, why in data["model"]["missing"].items():
        rows.append([name, f"not scored: {why}", "", *[""] * len(arms), *[""] * 6])
    header = ["corpus (test split)", "types", "trained on", *["F1", "with names of the graph"][: len(arms)]]
    left_out = (
        "\nLeft out: test documents that a train or dev split holds as well; what is scored is the rest, of so many "
        "gold mentions. ECE: expected calibration error of the scores, in points."
    )
    if any("interval" in of for of in data["model"]["corpora"].values()):
        left_out += (
            " Behind F1: its 95 % interval, documents drawn again (sentences of BC2GM, whose documents are not known)."
        )
    if "documents" in data["model"]["missing"].get("GENIA", ""):  # it is here, and training held it
        left_out += " GENIA's sentences stand in JNLPBA's dev split, by which thresholds were chosen."
    seconds = [sum(of["cost"]["seconds"] for of in data[arm]["corpora"].values()) for arm in arms]
    left_out += f" All of it was read in {' s, with names in '.join(f'{one:.0f}' for one in seconds)} s, once "
    left_out += "each.\n\n"
    header += ["our goal", "F1, any overlap", "names alone", "ECE", "gold mentions", "left out"]
    return table(header, rows) + left_out + where(data)


def suite_in_short() -> str:
    """The README's columns of it, of the corpora that were scored."""
    data = result("suite")
    rows = []
    for name, found in data["model"]["corpora"].items():
        named = data["with names"]["corpora"][name]
        trained = "" if name in {NAMES[one] for one in data["trained_on"]} else ", of which it learnt nothing"
        alone = f"{named['names_alone']['f1']:.1f}"
        rows.append([name + trained, _with_interval(found), _with_interval(named), alone, _goal(name, found["f1"])])
    means = [f"{data[arm]['mean_f1_of_six']:.1f}" for arm in ("model", "with names")]
    rows.append(["mean of the six that it learnt from", *means, "", ""])
    header = ["corpus (test split)", "F1 (95 %)", "with names of the graph", "names alone, no student", "our goal"]
    return f"{table(header, rows)}\nExact spans and types. All columns: [start](docs/start.md).\n"


def ages() -> str:
    """Why GNormPlus reads otherwise on dev than on test, in a sentence."""
    data = result("ages")
    dev, test = data["dev"], data["test"]

    def said(of: dict[str, Any]) -> str:
        return "{} ({:.0f} to {:.0f})".format(f"{of['f1']:.0f}", *of["interval"])

    count = {split: sum(of["documents"] for of in data[split].values()) for split in ("dev", "test")}
    return (
        f"{dev['older']['documents']} of {NAMES[data['corpus']]}'s {count['dev']} dev documents are abstracts from "
        f"before PMID {data['pmid']:,}, about 1998, and {test['older']['documents']} of {count['test']} of its test "
        f"documents. Older ones are the harder ones: F1 {said(dev['older'])} on dev, {said(test['older'])} on test; "
        f"newer ones: {said(dev['newer'])} and {said(test['newer'])} (`make ages`).\n"
    )


def _with_interval(of: dict[str, Any]) -> str:
    return f"{of['f1']:.1f}" + (" ({:.1f} to {:.1f})".format(*of["interval"]) if "interval" in of else "")


# What their authors report on the same corpora: numbers of the sources in docs/comparison.md.
_PUBLISHED = {
    "scispaCy's model of the corpus [3]": {"BC5CDR": 84.28, "JNLPBA": 72.06},
    "BERN2 [14]": {"NCBI-disease": 88.6, "BC2GM": 83.7, "Linnaeus": 92.7},
}


def published() -> str:
    """F1 of kogner-mini on test splits, beside what others report."""
    data = result("suite")
    names = ("BC5CDR", "NCBI-disease", "BC2GM", "JNLPBA", "Linnaeus")
    rows = []
    for arm, said in (("model", "kogner-mini"), ("with names", "kogner-mini with names of the graph")):
        rows.append([said, *(_with_interval(data[arm]["corpora"][name]) for name in names)])
    rows += [[said, *(f"{of[name]:g}" if name in of else "" for name in names)] for said, of in _PUBLISHED.items()]
    return table(["F1, exact", *names], rows) + "\n" + where(data)


GOALS = {"BC5CDR": 86, "NCBI-disease": 84, "BC2GM": 77, "JNLPBA": 72, "Linnaeus": 85}  # exact F1 on test


def _goal(name: str, f1: float) -> str:
    """Our goal, and whether it is reached."""
    if name not in GOALS:
        return ""
    return f"{GOALS[name]}" if f1 >= GOALS[name] else f"{GOALS[name]}, missed"


def names() -> str:
    data = result("names")
    alone = data["names_alone"]

    rows = []
    for said in data["models"].values():
        for corpus, of in said["corpora"].items():
            weights = ", ".join(
                f"{kind} {of['agreement'][kind]:g}, {weight:g}" for kind, weight in of["weights"].items()
            )
            figures = [
                f"{of['sentences']['f1']:.2f}",
                f"{of['without']['f1']:.2f}",
                difference_with_p(of["difference_of_agreement"]),
            ]
            figures += [f"**{of['with']['f1']:.2f}**", difference_with_p(of["difference"])]
            rows.append([NAMES.get(corpus, corpus), f"{alone[corpus]['f1']:.1f}", *figures, weights])
    header = ["corpus (test split)", "names alone", "each sentence for itself", "with agreement", "difference (95 %)"]
    header += ["and with names", "difference (95 %)", "agreement, weight of names"]
    below = (
        "\nF1 of exact spans and types; agreement, weights (logits) and thresholds from dev. Names count "
        "by their entities. p and intervals: a paired bootstrap over documents.\n"
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
        below += f" F1 of spans that kogner-mini finds, with their id, type and borders right: {ends}; mentions whose "
        below += "id the graph lacks count nowhere."
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


def thresholds() -> str:
    """Thresholds from few documents: the best of them on these, or what they leave possible."""
    data = result("thresholds")
    header = ["corpus", "documents", "the best on them", "0.5", "what they leave possible", "gain", "better in"]
    rows = [
        [
            NAMES.get(corpus, corpus),
            count,
            *(f"{found['f1'][rule]:.2f} ± {found['sd'][rule]:.2f}" for rule in ("best", "0.5", "mean")),
            f"{found['gain']:+.2f}",
            f"{100 * found['better']:.0f} %",
        ]
        for corpus, sizes in data["corpora"].items()
        for count, found in sizes.items()
    ]
    below = (
        f"Exact F1 on the dev documents that were not drawn, mean and standard deviation over {data['draws']} draws; "
        "temperatures are fitted to the drawn ones as well."
    )
    return table(header, rows) + f"\n{below}\n\n" + where(data)
