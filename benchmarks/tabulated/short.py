"""The README's short tables; the pages in docs/ have the whole ones."""

from __future__ import annotations

from typing import Any

from tabulated.markdown import NAMES, is_there, result, table

# Plan, setting, arms without the graph, with its names in training, and when it reads too, and how the row is called.
_BESIDE = ("silver-beside", "silver-beside-names")
_ROWS = (
    ("self-training", "no-labels", (None, "taught", "taught-names"), "none at all, two rounds"),
    ("shares", "bc5cdr-5", ("no-graph", "silver-domain", "silver-domain-names"), "5 % of the train split"),
    ("shares", "ncbi-5", ("no-graph", "silver-domain", "silver-domain-names"), "5 %"),
    ("shares", "bc5cdr-15", ("no-graph", "silver-domain", "silver-domain-names"), "15 %"),
    ("shares", "ncbi-15", ("no-graph", "silver-domain", "silver-domain-names"), "15 %"),
    ("shares", "bc2gm-15", ("no-graph", "silver-domain", "silver-domain-names"), "15 %"),
    ("shares", "bc5cdr-100", ("no-graph", "silver-domain", "silver-domain-names"), "all"),
    ("shares", "no-chemical", ("no-graph", *_BESIDE), "15 %, chemicals never: scored are these"),
    ("unseen-corpora", "bc5cdr-15", ("no-graph", "silver-domain", "silver-domain-names"), "15 % of BC5CDR instead"),
)


def helps() -> str:
    """F1 without the graph, with its names in training, and when it reads too."""
    rows, places = [], list[str]()
    for plan, setting, arms, said in _ROWS:
        if not is_there(plan):
            continue
        data = result(plan)
        places += [place for place in data["places"] if place not in places]
        found = {(row["corpus"], row["arm"]): row for row in data["rows"] if row["setting"] == setting}
        gains = {
            one["corpus"]: one
            for one in data["comparisons"]
            if (one["setting"], one["arm"], one["baseline"]) == (setting, arms[2], arms[0])
        }
        for corpus in dict.fromkeys(corpus for corpus, _ in found):
            own = [found.get((corpus, arm)) for arm in arms if arm is not None]
            if any(one is None or len(one["f1"]) < data["seeds"] for one in own):
                continue
            figures = [f"{one['mean']:.1f} ± {one['sd']:.1f}" for one in own if one is not None]
            figures = [""] * (len(arms) - len(figures)) + [*figures[:-1], f"**{figures[-1]}**"]
            gain = ""
            if corpus in gains:
                low, high = gains[corpus]["interval"]
                gain = f"{gains[corpus]['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
            rows.append([NAMES.get(corpus, corpus), said, *figures, gain])
    header = ["scored on", "annotated for training", "no graph", "its names in training", "and when it reads"]
    body = table([*header, "difference (95 %)"], rows)
    return f"{body}\nTest F1, exact, three seeds each. {_vectors()} Measured on {' and '.join(places)}.\n"


def _vectors() -> str:
    """What the paper's own way adds, which is no row of the table."""
    means = {
        one["group"]: one for one in result("shares")["groups"] if (one["arm"], one["baseline"]) == ("mse", "no-graph")
    }
    said = []
    for group, one in means.items():
        low, high = one["interval"]
        said.append(f"{one['difference']:+.1f} F1 ({low:+.1f} to {high:+.1f}) in the mean of {group}")
    return (
        "Distilling the teacher's vectors, the paper's way, costs nothing at inference either, and no gain of it is "
        f"shown: {', '.join(said)}."
    )


def speed() -> str:
    """How many times as fast as gliner kogner-mini is read, over numbers of labels up to 60, by processor."""
    rows, same = [], list[float]()
    for name in ("annotate", "annotate-zen4", "annotate-avx2"):
        if not is_there(name):
            continue
        data = result(name)
        row = [_processor(data)]
        for kind in ("sentences", "long"):
            races = [
                race
                for key, race in data["by_labels"].items()
                if key.startswith(kind) and int(key.rpartition("_")[2]) <= 60
            ]
            same += [race["identical"] for race in races]
            for precision in ("fp32", "bf16"):
                ratios = [race[f"{precision}_over_gliner_cached"] for race in races if precision in data["f1"]]
                speeds = [race["texts_per_second"].get(f"ours_{precision}", 0) for race in races]
                text = f"{min(speeds):.0f} texts/s, **{min(ratios):.1f}x to {max(ratios):.1f}x**" if ratios else ""
                row.append(text)
        rows.append(row)
    header = [
        "processor, two threads",
        "sentences, fp32",
        "sentences, bf16",
        "384-word texts, fp32",
        "384-word texts, bf16",
    ]
    told = f"in fp32 the same spans in {100 * min(same):g} % of the texts"
    return table(header, rows) + f"\nOver 2, 20 and 60 labels; texts/s: the least of them; {told}.\n"


def _processor(data: dict[str, Any]) -> str:
    about = data["machine"]
    family = f" family {about['family']}" if about.get("family") else ""
    instructions = (
        f", {about['instructions']}" if about.get("instructions") else ", with bfloat16" if "bf16" in data["f1"] else ""
    )
    return f"{about['processor']}{family}{instructions} ({data['date'][:10]})"
