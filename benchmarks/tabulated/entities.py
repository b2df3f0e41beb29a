"""Names that count by their entities: what the teacher's vectors know of them, beside the control."""

from __future__ import annotations

import statistics

from tabulated.markdown import NAMES, difference_with_p, result, table, where
from tabulated.plans import arms_and_differences

_ARMS = {
    "silver-domain": "reads alone",
    "names": "with names, all alike",
    "entities": "each by its entity",
    "entities-shuffled": "control: vectors of other entities",
    "entities-vocabulary": "control: of others of its vocabulary",
    "entities-text": "by text vectors alone (Z)",
    "entities-structure": "by structure alone (Z', Z'')",
    "entities-transr": "by TransR alone (Z'')",
}


_PARTS = (
    "all three over text vectors alone (95 %)",
    "structure alone over the first control",
    "TransR alone over the first control",
)


def entities() -> str:
    """The shipped model: a row for each corpus."""
    data = result("entities")
    variants = data["variants"]
    rows, parts = [], []
    for corpus, differences in data["differences"].items():
        f1 = {name: of["corpora"][corpus]["f1"] for name, of in variants.items()}
        controls = [
            statistics.mean(value for name, value in f1.items() if name.startswith(kind))
            for kind in ("shuffled-", "vocabulary-")
        ]
        figures = [f1["none"], f1["alike"], f1["entities"], *controls, f1["text"], f1["structure"], f1["transr"]]
        cells = [f"{value:.2f}" for value in figures]
        cells[2] = f"**{cells[2]}**"
        gains = map(
            difference_with_p, (differences[what] for what in ("by entity", "vectors", "vectors beyond vocabulary"))
        )
        rows.append([NAMES.get(corpus, corpus), *cells, *gains])
        if differences["by entity"]["interval"] != [0, 0]:
            said = map(
                difference_with_p, (differences[what] for what in ("structure beside text", "structure", "TransR"))
            )
            parts.append([NAMES.get(corpus, corpus), *said])
    header = [
        "corpus (test split)", "without names", *list(_ARMS.values())[1:], "by entity over alike (95 %)",
        "over the first control (95 %)", "over the second (95 %)",
    ]  # fmt: skip
    return (
        f"{table(header, rows)}\n"
        "F1, exact, of kogner-mini with agreement. Each column's weights are chosen on dev of all these corpora "
        "together; which entities annotators mark is learnt from their train documents. A control is the mean of "
        f"{data['controls']} draws. p and intervals: a paired bootstrap over documents, and of the controls' draws"
        f"{'' if 'documents' in data else ', of JNLPBA over sentences'}; of "
        "one student they say nothing of another training. All types count by their entities here, those of DNA too, "
        "which the shipped model leaves alike.\n\nWhich of the vectors it is:\n\n"
        f"{table(['corpus (test split)', *_PARTS], parts)}\n{where(data)}"
    )


def by_entity() -> str:
    """Students of few documents and of all: a row for each setting, and what the comparisons say."""
    data = result("by-entity")
    return arms_and_differences(
        data, _ARMS,
        "Test F1, exact, of students that learnt from names of the graph first. Which entities annotators mark is "
        "learnt from the same documents as the student; weights, and how much the entity adds, are chosen on dev.",
    )  # fmt: skip
