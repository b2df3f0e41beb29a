"""A plan of trainings with all seeds: F1 of its arms, and what its comparisons say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kogner.experiment.parts import Setting
from kogner.experiment.plan import load
from kogner.experiment.report import corpora_of
from tabulated.evidence import figure, setting_name
from tabulated.markdown import difference_with_p, result, table, trained

_FEW_DOCUMENTS = {
    "names-alone": "names alone, no student",
    "no-graph": "no graph",
    "no-graph-names": "no graph, and names when it reads",
    "no-graph-untyped": "control: a name of any type counts for each",
    "silver-domain": "graph's names in training",
    "silver-domain-names": "and when it reads",
    "silver-shuffled": "control: types of other entities in training",
    "silver-shuffled-untyped": "control: and a name of any type counts for each when it reads",
    "self-taught": "control: labels of the student without the graph in training (self-training)",
    "self-taught-names": "and names when it reads",
    "silver-beside": "names in training, and silver kept beside the others",
    "silver-beside-names": "and names when it reads",
    "no-graph-trusted": "no graph, and names as much as raw text says",
    "silver-beside-trusted": "silver kept beside, and names as much as raw text says",
}


def few_documents() -> str:
    """The fewest documents, half of them, and types that nobody annotated."""
    return arms_and_differences(
        result("few-documents"), _FEW_DOCUMENTS,
        "Test F1, exact; thresholds and weights of names from dev; of a type that was never annotated, which alone is "
        "scored then, by default, or as much as raw text says. 1 %: five or six documents, 5 %: 25 to 30, 50 %: 250, "
        "and 15 % where a type is left out. Students that read names first go on at a quarter of the rates.",
    )  # fmt: skip


_ALL_TYPES = {
    "names-alone": "names alone, no student",
    "silver": "names of the graph as labels",
    "silver-trusted": "and names when it reads, weighed by raw text",
    "mse": "names as labels, and distilled (the paper's)",
    "mse-shuffled": "control: rows of other entities of the type",
}


def all_types() -> str:
    """Names of all types that a corpus asks for and the graph has, scored on eight corpora."""
    return arms_and_differences(
        result("all-types"), _ALL_TYPES,
        "Test F1, exact; without a label thresholds are 0.5, and of JNLPBA and GENIA proteins alone are scored. "
        "Silver text asks for chemicals, diseases and genes in the training texts of BC5CDR, NCBI-disease and BC2GM, "
        "for species in those of Linnaeus, BC5CDR and JNLPBA, for proteins in a part of JNLPBA's; of GNormPlus, GENIA "
        "and NLM-Chem nothing was read. The scanner's lists of common words were chosen on annotated train splits.",
    )  # fmt: skip


_ALL_DOCUMENTS = {
    "longer": "no graph, eight epochs",
    "longer-names": "and names when it reads",
    "unfrozen": "no graph, four epochs, word embeddings learn",
    "unfrozen-names": "and names when it reads, after these",
}


def all_documents() -> str:
    """Other ways of training on all documents without the graph, and names beside them."""
    return arms_and_differences(
        result("all-documents"), _ALL_DOCUMENTS,
        "Test F1, exact; weights of names and thresholds from dev. One seed: p and intervals know nothing of another "
        "training.",
    )  # fmt: skip


_VECTORS = {
    "no-graph": "no graph",
    "mse": "text vectors of all-mpnet-base-v2, MSE",
    "mse-shuffled": "control: rows of other entities of the type",
    "cosine": "the same vectors, cosine",
    "mse-by-names": "MSE, mentions linked by names alone",
    "mse-minilm": "text vectors of the student's own encoder, MSE",
}


def vectors() -> str:
    """Which vectors, by which loss and links, say something where little is annotated."""
    return arms_and_differences(
        result("vectors"), _VECTORS,
        "Test F1, exact. Linked by names alone: without the annotators' ids, which are supervision that the student "
        "without the graph lacks.",
    )  # fmt: skip


_PARTS = {
    "no-graph": "no graph",
    "paper": "the teacher's three parts, MSE (the paper's)",
    "paper-shuffled": "control: rows of other entities of the type",
    "text": "Z alone",
    "neighbours": "Z' alone",
    "transr": "Z'' alone",
    "structure": "Z' and Z''",
}


def teacher_parts() -> str:
    """The paper's distillation, and each part of the teacher's vectors by itself."""
    return arms_and_differences(
        result("teacher-parts"), _PARTS,
        "Test F1, exact. Z: text vectors of the student's own encoder, Z': the Graph Transformer's, Z'': TransR's.",
    )  # fmt: skip


def arms_and_differences(data: dict[str, Any], arms: Mapping[str, str], note: str) -> str:
    """A row for each setting, and one for each comparison that has all of the plan's seeds: of its mean, where it is
    in one.

    arms: their names in words, in order.
    """
    least, settings = data["seeds"], load(data["plan"]).settings
    means = [(corpora_of(one, data["comparisons"]), one) for one in data["groups"] if one["seeds"] >= least]
    means = [(of, one) for of, one in means if of > 1]
    covered = {(setting, one["arm"], one["baseline"]) for _, one in means for setting in one["settings"]}
    differences = [
        [setting_name(settings, one["setting"], one["corpus"]), *_said(one)]
        for one in data["comparisons"]
        if one["seeds"] >= least and (one["setting"], one["arm"], one["baseline"]) not in covered
    ]
    differences += [[f"mean of {of}, {one['group']}", *_said(one)] for of, one in means]
    unseen = (
        "Unseen names: those of no annotated document in training, all where there is none. p: each by itself"
        f"{'; of each corpus: [results](results.md)' if covered else ''}."
    )
    second = table(["where", "what", "difference (95 %)", "gain in recall on unseen names"], differences)
    return f"{_by_arm(data, settings, arms)}\n{second if differences else ''}\n{note} {unseen}\n\n{trained(data)}"


def _by_arm(data: dict[str, Any], settings: Mapping[str, Setting], arms: Mapping[str, str]) -> str:
    """F1 of each setting and corpus; in a table of their own those without a type, to which other arms belong."""
    cells = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    places = list(dict.fromkeys(place[:2] for place in cells if place[0] != "stage"))
    tables = []
    for apart in (False, True):
        own = [place for place in places if bool(settings[place[0]].train and settings[place[0]].without) == apart]
        shown = [arm for arm in arms if any((*place, arm) in cells for place in own)]
        rows = []
        for place in own:
            found = [cells.get((*place, arm)) for arm in shown]
            if all(row is None or row["arm"] == "names-alone" for row in found):
                continue  # the floor of what is not measured yet
            figures = ["" if row is None else figure(row, data["seeds"]) for row in found]
            rows.append([setting_name(settings, *place), *figures])
        if rows:
            tables.append(table(["corpus, share of its train split", *(arms[arm] for arm in shown)], rows))
    return "\n".join(tables)


def _said(one: dict[str, Any]) -> list[str]:
    of = f"{one['of']}: `{one['arm']}` over `{one['baseline']}`"
    return [of, difference_with_p(one), f"{one['unseen']:+.1f}"]
