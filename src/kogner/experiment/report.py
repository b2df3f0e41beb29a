"""What an experiment showed, for a reader: a page of Markdown, and a picture of its differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kogner.errors import MissingExtraError
from kogner.evaluate.significance import holm
from kogner.experiment.rules import by_today

CERTAIN = 0.05
BETTER, WORSE, UNSHOWN = "better", "worse", "no difference is shown"
ALONE = "a difference by itself, not among so many"  # p below CERTAIN, and not after the correction
_MARKS = {
    " \\*": "of scores by rules before today's, for thresholds, weights of names or what the scanner finds, whose "
    "numbers stand in the rows of the JSON; to train again gives those of today's",
    " †": "between trainings on different machines, where the same training need not come out the same",
}

_METHOD = (
    "F1 is of exact spans and types, on test, as mean ± standard deviation over seeds; each seed also draws other "
    "train documents. The same documents, order, student and number of steps in each arm, unless it says "
    "otherwise. Intervals and p: a paired bootstrap over test documents, with Student's t for the seeds; of one "
    "seed they say nothing of another training. Better or worse is what is so after Holm's correction over all "
    f"means of a plan; a difference by itself has p < {CERTAIN} before it, as the blue ones of the pictures have. "
    "A stage that all seeds share is one training, whose chance is in no interval. Unseen: recall on names that "
    "the annotated documents in training have not; a first stage may have met them in unlabelled text.\n"
)


def check_plotting() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a plot of results", "plot") from error


def page(summaries: Sequence[Mapping[str, Any]], pictures: Sequence[str]) -> str:
    """Markdown of what `kogner experiment run` or `show` wrote, in order. pictures: addresses, one of each."""
    parts = ["# Results\n"]
    if said := opening(summaries):
        parts.append(said + "\n")
    parts.append(_METHOD)
    for summary, picture in zip(summaries, pictures, strict=True):
        parts.append(_section(summary, picture))
    return "\n".join(parts)


def opening(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The sentence that the numbers carry, of the plan's first comparison where that shows a difference, and then what
    was better, what worse, and of what no difference is shown, after the correction or at all.

    Of the first experiment that compares arms on test with two seeds at least, with the names of the others; empty
    where there is none.
    """
    names = [one["experiment"] for one in summaries]
    for summary in summaries:
        told = [one for one in summary["groups"] if one["seeds"] > 1]
        if not told:
            continue
        shown = verdicts(summary["groups"])
        of_first = [one for one in told if key(one)[1:] == key(told[0])[1:]]
        first = [one for one in of_first if shown[key(one)] in (BETTER, WORSE)] or of_first
        parts = []
        for one in first:
            low, high = one["interval"]
            of_mean = f"{one['difference']:+.1f} F1 ({low:+.1f} to {high:+.1f})"
            parts.append(f"{of_mean} with {one['group']}{_marks(summary, one)}")
        called = _called(told[0])
        said = [f"**{called[0].upper()}{called[1:]}: {', '.join(parts)}.**\n"]
        others = ", ".join(f"[{one}](#{one})" for one in names if one != summary["experiment"])
        said.append(f"Of `{summary['experiment']}`{f'; the others below: {others}' if others else ''}.\n")
        alone = f"A difference at p < {CERTAIN} by itself, but not after the correction over all of them"
        titles = ((BETTER, "Better"), (WORSE, "Worse"), (ALONE, alone), (UNSHOWN, "No difference is shown"))
        for verdict, title in titles:
            by_name: dict[str, list[str]] = {}
            for one in told:
                if shown[key(one)] == verdict:
                    by_name.setdefault(_called(one), []).append(
                        f"{round(one['difference'], 1) + 0.0:+.1f} F1 with {one['group']}"  # never -0.0
                        + _marks(summary, one)
                    )
            if by_name:
                said.append(f"- {title}:")
                said += [f"  - {name} {', '.join(them)}" for name, them in by_name.items()]
        return "\n".join([*said, *_explained("\n".join(said))])
    return ""


def _called(group: Mapping[str, Any]) -> str:
    return f"{group.get('of') or group['arm']} (`{group['arm']}` over `{group['baseline']}`)"


def by_earlier_rules(summary: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether rules before today's decided a score of one of its comparisons, or of its means of a group."""
    settings = one["settings"] if "group" in one else (one["setting"],)
    return not all(
        by_today(row.get("rules"))
        for row in summary.get("rows", ())
        if row["setting"] in settings and row["arm"] in (one["arm"], one["baseline"])
    )


def _marks(summary: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    earlier, places = _MARKS
    return (earlier if by_earlier_rules(summary, one) else "") + (places if one.get("other_places") else "")


def _explained(text: str) -> list[str]:
    """What the marks in it say; lines."""
    told = [f"{mark.strip()}: {said}." for mark, said in _MARKS.items() if mark in text]
    return ["", *told] if told else []


def verdicts(groups: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], str]:
    """What each mean difference of two seeds at least shows, all of them taken together: after the correction of Holm
    (1979), so that the chance that any of them is called a difference and is none stays below CERTAIN.
    """
    told = [one for one in groups if one["seeds"] > 1]
    found = {}
    for one, corrected in zip(told, holm([one["p"] for one in told]), strict=True):
        which = BETTER if one["difference"] > 0 else WORSE
        found[key(one)] = which if corrected < CERTAIN else ALONE if one["p"] < CERTAIN else UNSHOWN
    return found


def key(group: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a mean difference from the others of its experiment."""
    return group["group"], group["arm"], group["baseline"]


def means(summary: Mapping[str, Any]) -> list[str]:
    """A table of the mean differences of an experiment's groups, with intervals, p and what they show; lines."""
    shown = verdicts(summary["groups"])
    lines = []
    if summary["groups"]:
        lines = [
            "| difference of means | where | F1 (95 %) | p | unseen | seeds | shows |",
            "|---|---|---|---|---|---|---|",
        ]
    for one in by_breadth(summary["groups"]):
        low, high = one["interval"]
        lines.append(
            f"| {_called(one)} | {_where(one, summary['comparisons'])} | {one['difference']:+.2f} ({low:+.2f} to "
            f"{high:+.2f}){_marks(summary, one)} | {one['p']:.4f} | {one['unseen']:+.1f} | {one['seeds']} | "
            f"{shown.get(key(one), 'nothing yet, of one seed')} |"
        )
    return lines + _explained("\n".join(lines))


def corpora_of(group: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> int:
    """Of how many corpora a group's mean is, each in each of its settings."""
    pair = (group["arm"], group["baseline"])
    return sum((one["arm"], one["baseline"]) == pair and one["setting"] in group["settings"] for one in comparisons)


def _where(group: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> str:
    settings, corpora = group["settings"], corpora_of(group, comparisons)
    said = ", ".join(settings)
    if corpora > len(settings):
        return f"mean of {corpora} corpora ({said})"
    return f"mean of {len(settings)} settings ({said})" if len(settings) > 1 else said


def by_breadth(groups: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Mean differences with those over most settings first, else in the order of the plan."""
    return sorted(groups, key=lambda one: -len(one["settings"]))


def short(revision: str) -> str:
    """A revision in seven digits, and whether the tree was changed after it.

    >>> short("dffa01c5e0-dirty")
    'dffa01c-dirty'
    """
    digits, dash, changed = revision.partition("-")
    return digits[:7] + dash + changed


def _section(summary: Mapping[str, Any], picture: str) -> str:
    places = ", ".join(f"{count} on {place}" for place, count in summary["places"].items())
    picture_of = [f"![Differences of the arms with their intervals]({picture})\n"] if summary["comparisons"] else []
    revisions = sorted({short(one) for row in summary["rows"] for one in row["revisions"]})
    missing = summary.get("missing") or []
    about = [
        one for one in (summary.get("about"), f"{len(missing)} trainings are not done yet." if missing else "") if one
    ]
    scored = any(row["f1"] for row in summary["rows"])
    by_type = any(len(row.get("by_type") or ()) > 1 for row in summary["rows"])
    told = means(summary)
    lines = [
        f"\n## {summary['experiment']}\n",
        *([" ".join(about) + "\n"] if about else []),
        *([] if scored else ["F1 on dev alone: nothing here was scored on test.\n"]),
        *([*told, ""] if told else []),
        *picture_of,
        f"Summed up {summary['date'][:10]} at revision {short(summary['revision'])}. Trainings: {places}; at revisions "
        f"{', '.join(revisions)}.\n",
        f"| setting | corpus | arm | F1 |{' by type |' if by_type else ''} unseen | dev | seeds | minutes | on |",
        f"|---|---|---|---|{'---|' if by_type else ''}---|---|---|---|---|",
    ]
    for row in summary["rows"]:
        dev = "" if row["dev"] is None else f"{row['dev']:.1f}"
        setting = row["setting"]
        deviation = "" if row["sd"] is None else f" ± {row['sd']:.2f}"
        of_types = row.get("by_type") or {}
        types = ", ".join(f"{kind} {f1:.1f}" for kind, f1 in of_types.items()) if len(of_types) > 1 else ""
        between = f" | {types} | " if by_type else " | "
        tested = between
        if row["mean"] is not None:
            earlier = "" if by_today(row.get("rules")) else next(iter(_MARKS))
            tested = f"{row['mean']:.2f}{deviation}{earlier}{between}{row['unseen_recall']:.1f}"
        lines.append(
            f"| {setting} | {row['corpus']} | {row['arm']} | {tested} | {dev} | {len(row['seeds'])} | "
            f"{row['seconds'] / 60:.1f} | {', '.join(place.partition(',')[0] for place in row['places'])} |"
        )
    if summary["comparisons"]:
        lines += ["", "| setting | corpus | difference | F1 | 95 % | p | unseen | seeds |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
    for one in summary["comparisons"]:
        low, high = one["interval"]
        lines.append(
            f"| {one['setting']} | {one['corpus']} | {one['arm']} - {one['baseline']} | {one['difference']:+.2f} | "
            f"{low:+.2f} to {high:+.2f}{_marks(summary, one)} | {one['p']:.4f} | {one['unseen']:+.1f} | "
            f"{one['seeds']} |"
        )
    there = {row["arm"] for row in summary["rows"]}
    arms = [f"- `{name}`: {about}" for name, about in summary["arms"].items() if about and name in there]
    lines += ["", *(["Arms:", "", *arms, ""] if arms else [])]
    lines += [
        "Any one training again, by today's code and rules (at one of the revisions above by those of then): `kogner "
        f"experiment run {summary['plan']} --cell SETTING-ARM-SEED`, e.g. `--cell {summary['example']}`.\n"
    ]
    return "\n".join(lines)


def plot(summary: Mapping[str, Any], file: Path) -> None:
    """A picture of an experiment's differences with their 95 % intervals, one panel a comparison."""
    check_plotting()
    from matplotlib.figure import Figure

    pairs = list(dict.fromkeys((one["arm"], one["baseline"]) for one in summary["comparisons"]))
    places = list(dict.fromkeys((one["setting"], one["corpus"]) for one in summary["comparisons"]))
    figure = Figure(figsize=(8, 1.2 + 0.45 * max(1, len(places)) * max(1, len(pairs)) * 0.8), layout="constrained")
    axes = figure.subplots(max(1, len(pairs)), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (arm, baseline) in zip(axes, pairs, strict=False):
        own = [one for one in summary["comparisons"] if (one["arm"], one["baseline"]) == (arm, baseline)]
        for height, one in enumerate(reversed(own)):
            low, high = one["interval"]
            certain = one["p"] < CERTAIN and one["seeds"] > 1
            axis.plot([low, high], [height, height], color="#2b6cb0" if certain else "#8a8f98", linewidth=2.5)
            axis.plot(one["difference"], height, "o", color="#2b6cb0" if certain else "#8a8f98")
        labels = [
            one["setting"] if one["corpus"] in one["setting"] else f"{one['setting']} {one['corpus']}" for one in own
        ]
        axis.set_yticks(range(len(own)), labels=labels[::-1])
        axis.set_ylim(-0.6, len(own) - 0.4)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(f"{arm} - {baseline}", loc="left", fontsize=10)
    axes[-1].set_xlabel("difference of test F1, with 95 % interval")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, metadata={"Software": None})
