"""The model card, written by the program from what it knows: data, recipe, scores."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kogner import __version__
from kogner.config import Recipe
from kogner.mapping import to_mapping
from kogner.student.checkpoint import StudentInfo
from kogner.student.layout import CARD


def write_card(folder: Path, *, recipe: Recipe, info: StudentInfo, metrics: dict[str, Any], distilled: bool) -> None:
    """Write README.md into a student's folder."""
    teacher = (
        f"with distillation of {', '.join(recipe.distil.parts)} from a graph teacher "
        f"(weight {recipe.loss.dist_weight:g})"
        if distilled
        else "without a teacher's vectors (language loss only)"
    )
    labels = ",".join(info.types)
    initial = f", going on from the student `{recipe.student.initial}`" if recipe.student.initial else ""
    lines = [
        "---",
        "library_name: kogner",
        "pipeline_tag: token-classification",
        "tags: [biomedical, named-entity-recognition, knowledge-graph, distillation]",
        "---",
        f"# KoGNER student ({recipe.name})",
        "",
        f"A span-based biomedical NER model, fine-tuned from `{info.base}`{initial}, {teacher}, by KoGNER "
        f"{__version__}.",
        "",
        f"Entity types it was trained on: {', '.join(f'`{name}`' for name in info.types)}. Other labels can be asked "
        "for; nothing was measured for them.",
        "",
        "```sh",
        f"kogner annotate TEXT --model DIR --labels {shlex.quote(labels)}",
        "```",
        "",
        "## Scores",
        "",
        "Exact match of start, end and type. Thresholds were fitted on the dev documents below, so dev is the "
        "optimistic side; `kogner evaluate --split test` gives the test figures.",
        "",
        "| corpus (dev) | precision | recall | F1 | gold |",
        "|---|---|---|---|---|",
    ]
    for name, result in metrics["dev"].items():
        lines.append(
            f"| {name} | {result['precision']:.2f} | {result['recall']:.2f} | {result['f1']:.2f} | {result['gold']} |"
        )
    lines += ["", "## Data", ""]
    for name, sizes in metrics["corpora"].items():
        lines.append(f"- {name}: {sizes['train']} training and {sizes['dev']} dev documents")
    used = ", ".join(f"{key} {value:,}" for key, value in metrics["training_data"].items())
    lines += ["", f"Mentions in training: {used}.", "", "## Recipe", "", "```yaml"]
    shown = {key: value for key, value in to_mapping(recipe).items() if distilled or key != "teacher"}
    lines += [yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip(), "```", ""]
    (folder / CARD).write_text("\n".join(lines), encoding="utf-8")


def add_section(card: Path, title: str, said: str, *, instead: bool = False, without: Sequence[str] = ()) -> None:
    """Write a section behind all else in a card; instead: of those before it with this title, and of those without."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    gone = {f"## {one}" for one in ([title, *without] if instead else without)}
    kept = [one for one in sections if one.partition("\n")[0].rstrip() not in gone]
    parts = [part.rstrip() for part in (head, *kept, f"## {title}\n\n{said}") if part.strip()]
    card.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
