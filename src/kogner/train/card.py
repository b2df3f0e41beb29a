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

TESTS = TEST, TEST_WITH_NAMES = "Test", "Test, with names of the graph"
CALIBRATION, NAMES, SCORES, AVERAGE = "Calibration", "Weights of names", "Scores", "Average"
ORDER = (*TESTS, CALIBRATION, NAMES, SCORES, AVERAGE, "Data", "Recipe")  # of a card's sections


def write_card(folder: Path, *, recipe: Recipe, info: StudentInfo, metrics: dict[str, Any], distilled: bool) -> None:
    """Write README.md into a student's folder."""
    teacher = (
        f"with distillation of {', '.join(recipe.distil.parts)} from a graph teacher "
        f"(weight {recipe.loss.dist_weight:g})"
        if distilled
        else "without a teacher's vectors (language loss only)"
    )
    labels = ",".join(info.types)
    initial = f", going on from the student `{Path(recipe.student.initial).name}`" if recipe.student.initial else ""
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
        f"## {SCORES}",
        "",
        "Exact match of start, end and type. Thresholds were fitted on the dev documents below, so dev is the "
        "optimistic side; `kogner evaluate --card` writes the test figures here.",
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
    """Write a section into a card, where ORDER has it, behind what one of its title says, or instead of that.

    without: titles of sections that go.
    """
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    known: dict[str, str] = {}
    for section in sections:
        name, _, body = section.removeprefix("## ").partition("\n")
        known[name.rstrip()] = "\n\n".join(filter(None, (known.get(name.rstrip()), body.strip())))
    for name in without:
        known.pop(name, None)
    known[title] = said if instead or title not in known else f"{known[title]}\n\n{said}"
    order = {name: number for number, name in enumerate(ORDER)}
    titles = sorted(known, key=lambda name: order.get(name, len(order)))  # stable
    parts = [head.rstrip(), *(f"## {name}\n\n{known[name]}" for name in titles)]
    card.write_text("\n\n".join(part for part in parts if part.strip()) + "\n", encoding="utf-8")


def rows_of(card: Path, title: str) -> set[str]:
    """The first cells of the table in a section of a card, its header's apart."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| *([^|]*?) *\|", section[1], flags=re.MULTILINE) if section else []
    return {cell for cell in cells[1:] if set(cell) - {"-"}}
