"""What `kogner data check` says of its corpus to a reader: a card (Markdown) and a page of counts (HTML)."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kogner.data.related import MODEL as TEXT

MANY = 12  # bars of a histogram
_MADE_UP = (
    "The sentences are made up: they hold what the language model wrote, true or not, and are to train and score",
    "entity recognition with, not to learn facts from.",
)
_REAL = (
    "The sentences are taken from texts as they stand there, and the rights of these texts hold for them; the id of",
    "each names its document. Mentions are the graph's names, found by a program: nobody has read them.",
)


def card(figures: Mapping[str, Any]) -> str:
    """What a reader of the folder has to know, as Markdown."""
    models = ", ".join(f"{name} ({count:,})" for name, count in figures["models"].items()) or "none"
    prompts = ", ".join(f"{name} ({count:,})" for name, count in figures["prompts"].items()) or "none"
    sizes = ", ".join(f"{name} {count:,}" for name, count in figures["splits"].items())
    real = set(figures["models"]) == {TEXT}
    kept = f"{figures['kept']:,} of {figures['rows']:,} {'' if real else 'written '}sentences were kept: {sizes}"
    written = [f"- Written by: {models}", f"- Prompts: {prompts}"]
    lines = [
        f"# Sentences {'of texts that name' if real else 'written about'} pairs of a knowledge graph",
        "",
        f"{kept} (split by {figures['split_by']}).",
        "",
        *([] if real else written),
        f"- Graph: {figures['graph'] or 'none was used for names beyond the pairs'}",
        f"- Mentions: {', '.join(f'{name} {count:,}' for name, count in figures['mentions'].items())}",
        f"- Entities of dev and test whose ids or names stand in training too: {figures['seen_in_training']:,}"
        + (" (none of them of a pair)" if figures["unseen"] == "pairs" else ""),
        "",
        *(_REAL if real else _MADE_UP),
        "What was left out, and why, is in `rejected.jsonl` and `report.html`; `provenance.jsonl` holds "
        + ("the pair of each" if real else "pair, prompt,"),
        "sentence."
        if real
        else "model and request of each sentence, with the hash of the prompt's template, and how it was asked.",
        "",
    ]
    return "\n".join(lines)


def page(figures: Mapping[str, Any]) -> str:
    """The counts as one HTML page that needs nothing from the net."""
    reasons = {"kept": figures["kept"], **figures["rejected"]}
    relations = {
        name: f"{counts.get('kept', 0):,} of {counts['rows']:,}" for name, counts in figures["by_relation"].items()
    }
    sections = [
        _bars("What became of the rows", reasons),
        _bars("Words of a kept sentence", binned(figures["words"])),
        _bars("Mentions by type", figures["mentions"]),
        _table("Kept by relation type", relations),
    ]
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        ":root{color-scheme:light dark}"
        "table{border-collapse:collapse}td{padding:.1rem .6rem .1rem 0;vertical-align:middle}"
        ".bar{background:#3a7ca5;height:.9rem;min-width:1px}.n{text-align:right;font-variant-numeric:tabular-nums}"
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Checked sentences</title>"
        f"<style>{style}</style><h1>Checked sentences</h1>{''.join(sections)}</html>\n"
    )


def binned(lengths: Mapping[Any, int]) -> dict[str, int]:
    """Counts of lengths in at most MANY steps of equal width."""
    counts = Counter({int(length): count for length, count in lengths.items()})
    if not counts:
        return {}
    step = max(1, -(-(max(counts) + 1) // MANY))
    binned: dict[str, int] = {}
    for low in range(0, max(counts) + 1, step):
        label = str(low) if step == 1 else f"{low} to {low + step - 1}"
        binned[label] = sum(counts[length] for length in range(low, low + step))
    return binned


def _bars(title: str, counts: Mapping[str, int]) -> str:
    most = max(counts.values(), default=0) or 1
    rows = "".join(
        f"<tr><td>{html.escape(str(name))}<td class=n>{count:,}"
        f'<td style="width:28rem"><div class=bar style="width:{100 * count / most:.1f}%"></div>'
        for name, count in counts.items()
    )
    return f"<h2>{html.escape(title)}</h2><table>{rows}</table>"


def _table(title: str, cells: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><td>{html.escape(name)}<td class=n>{html.escape(cell)}" for name, cell in cells.items())
    return f"<h2>{html.escape(title)}</h2><table>{rows}</table>"
