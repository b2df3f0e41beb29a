"""What the experiments answer, in a few sentences with their figures."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kogner.experiment.report import ALONE, BETTER, WORSE, by_earlier_rules, key, verdicts
from tabulated.markdown import NAMES, difference, is_there, result

_FEW, _ALL, _NONE = "few documents", "all documents", "no label"


def _mean(plan: str, group: str, better: str, baseline: str) -> dict[str, Any]:
    """Of the plan; raises FileNotFoundError where it has not that mean, with all seeds, yet."""
    data = result(plan)
    for one in data["groups"]:
        if (one["group"], one["arm"], one["baseline"], one["seeds"]) == (group, better, baseline, data["seeds"]):
            return one | {"shown": verdicts(data["groups"])[key(one)], "mark": _mark(data, one)}
    raise FileNotFoundError(f"{better} over {baseline} with {group} of {plan} was not measured with all seeds yet")


def _mark(data: dict[str, Any], one: dict[str, Any]) -> str:
    """What stands behind a difference of scores by rules before today's."""
    return "\\*" if by_earlier_rules(data, one) else ""


def gain(plan: str, group: str, better: str, baseline: str) -> str:
    """A mean difference: in bold where it holds among all of its plan, and said not to be shown where p is high."""
    one = _mean(plan, group, better, baseline)
    if one["shown"] in (BETTER, WORSE):
        return f"**{difference(one)}**{one['mark']}"
    if one["shown"] == ALONE:
        return difference(one) + one["mark"]
    return f"{difference(one).removesuffix(')')}; not shown){one['mark']}"


def _of_corpora(plan: str, setting: str, better: str, baseline: str) -> str:
    """The differences of a setting's corpora."""
    data = result(plan)
    found = [
        one
        for one in data["comparisons"]
        if (one["setting"], one["arm"], one["baseline"]) == (setting, better, baseline)
    ]
    said = [f"{difference(one)}{_mark(data, one)} on {NAMES.get(one['corpus'], one['corpus'])}" for one in found]
    return " and ".join(one for one in (", ".join(said[:-1]), said[-1]) if one)


def _from_one(plan: str, group: str, better: str, baseline: str, setting: str) -> str:
    """Of a mean the part that one of its settings has."""
    mean = _mean(plan, group, better, baseline)
    (one,) = [
        other
        for other in result(plan)["comparisons"]
        if (other["setting"], other["arm"], other["baseline"]) == (setting, better, baseline)
    ]
    return f"{one['difference'] / len(mean['settings']):.1f} of these {mean['difference']:.1f}"


def in_short() -> str:
    """A bullet for each answer."""
    both, train, read = "silver-domain-names", "silver-domain", "no-graph-names"
    told = [
        *_with_few(),
        "*Names of the graph help* with more documents too, here by earlier rules, which with 5 % understate what "
        "they are worth when the student reads. With 5 or 15 % of the documents (mean of five "
        f"settings) F1 changes by {gain('shares', _FEW, train, 'no-graph')} with names in training, as labels of "
        f"unlabelled text; by {gain('shares', _FEW, read, 'no-graph')} with names when the student reads; "
        f"by {gain('shares', _FEW, both, 'no-graph')} with both. With all documents of BC5CDR it is names when it "
        f"reads that help: {gain('shares', _ALL, read, 'no-graph')}; names in training: "
        f"{gain('shares', _ALL, train, 'no-graph')}.",
        "*Of what names in training give* there the larger part comes with where names stand, and with more text and "
        "steps: silver text in which entities have the types of others gives "
        f"{gain('shares', _FEW, 'silver-shuffled', 'no-graph')}. What they are names of adds "
        f"{gain('shares', _FEW, train, 'silver-shuffled')}.",
        "*The floor is high.* Where annotators marked what the graph names, as in BC5CDR, a scan for names alone is "
        "hard to beat with few documents; it stands beside each row. Over it the student of both has "
        f"{gain('shares', _FEW, both, 'names-alone')}, and "
        f"{_from_one('shares', _FEW, both, 'names-alone', 'bc2gm-15')} come from BC2GM, where names alone find little.",
        "*Without any annotation* a student of names, read with names that unlabelled text weighs, finds more than the "
        f"names alone: {_of_corpora('self-training', 'no-labels', 'silver-domain-trusted', 'names-alone')}. Without "
        "names when it reads it finds less; after a round of self-training it does so on BC5CDR alone.",
        "*Which entity a name is one of* helps where many documents are annotated: "
        f"{gain('by-entity', _ALL, 'entities', 'names')} with all documents of BC5CDR, "
        f"{gain('by-entity', _FEW, 'entities', 'names')} with few. Most of it is a memory of the annotated documents, "
        f"which needs no vectors: over a control of other vectors it is "
        f"{gain('by-entity', _ALL, 'entities', 'entities-shuffled')}, over one that keeps the vocabulary "
        f"{gain('by-entity', _ALL, 'entities', 'entities-vocabulary')}.",
        "*The teacher's vectors*, distilled as in the paper, have not been shown to help the student find more: "
        f"{gain('shares', _FEW, 'mse', 'no-graph')} with few documents, {gain('shares', _ALL, 'mse', 'no-graph')} "
        f"with all; over rows of other entities {gain('teacher-parts', _FEW, 'paper', 'paper-shuffled')} at 5 %, and "
        f"{gain('all-types', _NONE, 'mse', 'mse-shuffled')} without a label. This is of MiniLM students, our graph "
        "and our silver text; the intervals exclude large gains, not small ones. For [linking](concepts/linking.md) "
        "where no name fits, text vectors of the graph help; a distilled student's, added to them, help for "
        "entities of its training and do harm for others.",
    ]
    return (
        "".join(f"- {one}\n" for one in told)
        + "\nIn bold the means that hold after Holm's correction for all means of their plan, of which some have "
        "dozens; others have p < 0.05 by themselves, or are said not to be shown. Of single corpora see the tables. "
        "\\*: by rules before today's for "
        "thresholds, weights of names or what the scanner finds "
        "([which](howto/experiments.md#figures-by-earlier-rules)).\n"
    )


def _with_few() -> list[str]:
    """What the fewest documents say, as far as they were measured."""
    if not is_there("few-documents"):
        return []

    def said(group: str, better: str, baseline: str) -> str:
        return gain("few-documents", group, better, baseline)

    one, five, read, both = "one percent", "five percent", "no-graph-names", "silver-domain-names"
    nobody, trusted = "a type that nobody annotated", "silver-beside-trusted"

    def in_turn(better: str, baseline: str) -> str:
        return f"{said(one, better, baseline)} and {said(five, better, baseline)}"

    told = []
    with suppress(FileNotFoundError):
        told.append(
            "*With five or six documents* (1 %), and all of dev for thresholds and weights, reading with names "
            f"gives {said(one, read, 'no-graph')}, which leaves the student {said(one, read, 'names-alone')} from the "
            f"names alone; names in training too give {said(one, both, 'no-graph')}, which leaves it "
            f"{said(one, both, 'names-alone')}. With 25 to 30 (5 %) the first gives {said(five, read, 'no-graph')}, "
            f"both {said(five, both, 'no-graph')}, and the student then has {said(five, both, 'names-alone')} over the "
            "names alone."
        )
    with suppress(FileNotFoundError):
        told.append(
            "*What a name is a name of*, over controls that know where names stand and not of which type, gives with 1 "
            f"and 5 % of the documents, when the student reads, {in_turn(read, 'no-graph-untyped')}; in training "
            f"{in_turn('silver-domain', 'silver-shuffled')}; in both {in_turn(both, 'silver-shuffled-untyped')}."
        )
    with suppress(FileNotFoundError):
        told.append(
            "*The same unlabelled text without the graph*, labelled by the student of the annotated documents "
            f"(self-training), gives {said(five, 'self-taught', 'no-graph')} with 5 %; the graph's names as its labels "
            f"give {said(five, 'silver-domain', 'self-taught')} more to a student that reads without names, and "
            f"{said(five, both, 'self-taught-names')} to one that reads with them."
        )
    with suppress(FileNotFoundError):
        told.append(
            "*A type that nobody annotated* (diseases, beside 15 % of BC5CDR's chemicals): a student that keeps "
            "reading text labelled with names, and reads with names as much as raw text says, has "
            f"{said(nobody, trusted, 'names-alone')} over the names alone, and with names as by default "
            f"{said(nobody, 'silver-beside-names', 'names-alone')}; one without the graph finds next to none. Of "
            f"chemicals left out, by default: {gain('shares', nobody, 'silver-beside-names', 'names-alone')}."
        )
    return told
