"""Results as they were written, and the pieces of a table in Markdown."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
NAMES = {
    "bc5cdr": "BC5CDR", "ncbi": "NCBI-disease", "bc2gm": "BC2GM", "jnlpba": "JNLPBA", "gnormplus": "GNormPlus",
    "linnaeus": "Linnaeus", "nlm-chem": "NLM-Chem", "genia": "GENIA",
}  # fmt: skip


def is_there(name: str) -> bool:
    """Whether a result was written."""
    return (RESULTS / f"{name}.json").is_file()


def result(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def names_alone(corpus: str, kind: str | None = None) -> str:
    """F1 on test of the graph's names, or of those of a type; empty where the suite has not scored them."""
    found = result("suite").get("with names", {}).get("corpora", {}) if is_there("suite") else {}
    alone = found.get(NAMES.get(corpus, corpus), {}).get("names_alone", {})
    f1 = (alone if kind is None else alone.get("by_type", {}).get(kind, {})).get("f1")
    return "" if f1 is None else f"{f1:.1f}"


def floor(data: dict[str, Any], setting: str, corpus: str, kind: str | None = None) -> str:
    """F1 on test of names alone, as a plan scored them, with which its arms are compared; else as `names_alone`."""
    for row in data["rows"]:
        if (row["setting"], row["corpus"], row["arm"]) == (setting, corpus, "names-alone") and row["f1"]:
            return f"{row['mean']:.1f}"
    return names_alone(corpus, kind)


def trained(data: dict[str, Any]) -> str:
    """Where the trainings of a plan ran, when they were summed up, and how many are not done."""
    left = f"; {len(data['missing'])} of the plan are not done yet" if data["missing"] else ""
    places = ", ".join(f"{count} on {place}" for place, count in data["places"].items())
    return f"Trainings and scorings: {places}; summed up {data['date'][:10]}{left}.\n"


def difference(one: dict[str, Any], digits: int = 1) -> str:
    """A difference in F1 and its 95 % interval."""
    low, high = one["interval"]
    return f"{one['difference']:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def difference_with_p(one: dict[str, Any], digits: int = 2) -> str:
    """The same and its p, by itself."""
    return f"{difference(one, digits)}, p {one['p']:.4f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" for _ in header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def where(data: dict[str, Any]) -> str:
    about = data["machine"]
    processor = about["processor"] + (f" family {about['family']}" if about.get("family") else "")
    machine = about["gpu"] or processor + (f" ({about['instructions']})" if "instructions" in about else "")
    revisions = " and ".join(data.get("revisions") or [data["revision"]])
    return f"Measured {data['date'][:10]} at revision {revisions} on {machine}.\n"


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
