"""What students learn without a label, in rounds, and on corpora that nobody annotated for them."""

from __future__ import annotations

from typing import Any

from kogner.experiment.rules import by_today
from tabulated.evidence import figure
from tabulated.markdown import NAMES, difference_with_p, floor, result, table, trained

_UNSEEN = {
    "no-graph": "no graph",
    "no-graph-names": "and names when it reads",
    "silver-domain": "names in training",
    "silver-domain-names": "and names when it reads",
}


def unseen() -> str:
    """Corpora of which no document was annotated in training or dev: F1 of the arms, and what the comparisons say."""
    data = result("unseen-corpora")
    cells = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    arms = [arm for arm in _UNSEEN if any(name == arm for *_, name in cells)]
    rows = []
    for setting, corpus in dict.fromkeys(place[:2] for place in cells):
        own = [cells.get((setting, corpus, arm)) for arm in arms]
        figures = ["" if row is None else figure(row, data["seeds"]) for row in own]
        annotated = f"{setting.rpartition('-')[2]} % of BC5CDR"
        rows.append([NAMES.get(corpus, corpus), annotated, floor(data, setting, corpus), *figures])
    header = ["scored on", "annotated", "names alone, no student", *(_UNSEEN[arm] for arm in arms)]
    differences = [
        [
            NAMES.get(one["corpus"], one["corpus"]),
            f"{one['of']}: `{one['arm']}` over `{one['baseline']}`",
            difference_with_p(one, 1),
            f"{one['unseen']:+.1f}",
        ]
        for one in data["comparisons"]
        if one["seeds"] == data["seeds"]
    ]
    differs = ["scored on", "what", "difference (95 %)", "gain in recall on unseen names"]
    return (
        f"{table(header, rows)}\n{table(differs, differences)}\n"
        "Test F1, exact. Thresholds and weights of names are from BC5CDR's dev documents. Of NCBI-disease the texts of "
        "the train split were read without their annotation where names are in training, of NLM-Chem nothing; its "
        f"passages are drawn by article.\n\n{trained(data)}"
    )


_FIRST, _AS_LONG = "names of the graph", "names, and as many steps more of them"
_LABELS, _ALONE = "names, then its own labels, made with names", "names, then its own labels, made without names"
_BY, _READS = ("", "-names", "-trusted"), ("alone", "with names", "with names, weighed by raw text")
_ROUNDS = {
    f"{arm}{by}": (learnt, reads)
    for arm, learnt in (
        ("silver-domain", _FIRST),
        ("silver-longer", _AS_LONG),
        ("taught", _LABELS),
        ("taught-alone", _ALONE),
    )
    for by, reads in zip(_BY, _READS, strict=True)
}


def self_training() -> str:
    """A row for each corpus: F1 of both rounds, without any label; and what the second adds."""
    data = result("self-training")
    earlier = "; they are of an earlier rule, by which names counted that no span of a student reaches"
    earlier = "" if all(by_today(row.get("rules"), "trust") for row in data["rows"]) else earlier
    said = (
        "Test F1, exact; differences with 95 % intervals and p; of one seed they say nothing of another training. "
        "Nothing was trained or fitted on annotated documents; the scanner's lists of common words were chosen on "
        "annotated train splits, and that weights from raw text are of use was seen on dev documents of these corpora "
        f"first{earlier}. More steps of names are taken on the sentences that names were found in; a student labels "
        f"all sentences of these texts, and spans in doubt teach nothing.\n\n{trained(data)}"
    )
    return "\n".join([_rounds(data), _gains_of(data), said])


def _rounds(data: dict[str, Any]) -> str:
    """F1 of the arms, a row for each, and above them the names alone."""
    cells = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"] if row["setting"] != "stage"}
    places = list(dict.fromkeys(place[:2] for place in cells))
    rows = [["nothing: names alone, no student", "", *(floor(data, *place) for place in places)]]
    for arm, (learnt, reads) in _ROUNDS.items():
        own = [cells.get((*place, arm)) for place in places]
        if any(own):
            figures = ["" if row is None else figure(row, data["seeds"]) for row in own]
            rows.append([learnt, reads, *figures])
    return table(["learnt from", "reads", *(NAMES.get(corpus, corpus) for _, corpus in places)], rows)


def _gains_of(data: dict[str, Any]) -> str:
    """A row for each comparison: its difference in each corpus, and in their mean."""
    corpora = list(dict.fromkeys(one["corpus"] for one in data["comparisons"]))
    rows = []
    for mean in data["groups"]:
        pair = mean["arm"], mean["baseline"]
        own = {one["corpus"]: one for one in data["comparisons"] if (one["arm"], one["baseline"]) == pair}
        title = f"{mean['of']}: `{pair[0]}` over `{pair[1]}`" + (
            f" (seeds: {mean['seeds']})" if mean["seeds"] < data["seeds"] else ""
        )
        differences = [difference_with_p(own[corpus], 1) if corpus in own else "" for corpus in corpora]
        rows.append([title, *differences, difference_with_p(mean, 1), f"{mean['unseen']:+.1f}"])
    return table(["what", *(NAMES.get(corpus, corpus) for corpus in corpora), "mean", "gain in recall"], rows)
