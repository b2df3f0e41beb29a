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

TEST, TEST_WITH_NAMES = "Test", "Test, with names of the graph"
TESTS = (TEST, TEST_WITH_NAMES)
CALIBRATION, NAMES, SCORES, AVERAGE = "Calibration", "Weights of names", "Scores", "Average"
ORDER = (*TESTS, CALIBRATION, NAMES, SCORES, AVERAGE, "Data", "Recipe")  # of the sections that KoGNER writes


def write_card(folder: Path, *, recipe: Recipe, info: StudentInfo, metrics: dict[str, Any], distilled: bool) -> None:
    """Write README.md into a student's folder."""
    teacher = (
        f"with distillation of {', '.join(recipe.distil.parts)} from a graph teacher "
        f"(weight {recipe.loss.dist_weight:g})"
        if distilled
        else "without a teacher's vectors (language loss only)"
    )
    labels = ",".join(info.types)
    initial = f", going on from the student `{said_of(recipe.student.initial)}`" if recipe.student.initial else ""
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
        "optimistic side; `kogner evaluate --card` writes test figures into this card.",
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


def said_of(student: str) -> str:
    """What a card calls another student: the name of its folder, not where that lies, or its hub id."""
    return Path(student).resolve().name if Path(student).exists() else student


def add_section(card: Path, title: str, said: str, *, instead: bool = False, without: Sequence[str] = ()) -> None:
    """Write a section of ORDER into a card, behind what one of its title says, or instead of that.

    Sections of ORDER come in that order, where the first of them stood; all else in the card stays as it is.
    without: titles of sections that go.
    """
    parts = _sections(card.read_text(encoding="utf-8") if card.is_file() else "")
    own: dict[str, list[str]] = {}
    for name, body in parts:
        if name in ORDER and name not in without:
            own.setdefault(name, []).append(body)
    own[title] = [said] if instead else [*own.get(title, ()), said]
    ours = [f"## {name}\n\n" + "\n\n".join(own[name]) for name in ORDER if name in own]
    first = next((number for number, (name, _) in enumerate(parts) if name in ORDER), len(parts))
    before, after = (
        [body if name is None else f"## {name}\n\n{body}" for name, body in some if name not in ORDER]
        for some in (parts[:first], parts[first:])
    )
    card.write_text("\n\n".join(filter(None, [*before, *ours, *after])) + "\n", encoding="utf-8")


def rows_of(card: Path, title: str) -> set[str]:
    """The first cells of the tables in a section of a card, their headers apart."""
    parts = _sections(card.read_text(encoding="utf-8") if card.is_file() else "")
    cells = [re.findall(r"^\| *([^|]*?) *\|", body, flags=re.MULTILINE) for name, body in parts if name == title]
    return {cell for some in cells for cell in some[1:] if set(cell) - {"-"}}


def _sections(text: str) -> list[tuple[str | None, str]]:
    """Titles, None before the first, and what stands below them, in order. `## ` inside a code block is no title."""
    found: list[tuple[str | None, list[str]]] = [(None, [])]
    fence = ""
    for line in text.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip(f" {fence[0]}"):
            fence = ""
        if line.startswith("## ") and not fence:
            found.append((line.removeprefix("## ").strip(), []))
        else:
            found[-1][1].append(line)
    return [(name, "\n".join(lines).strip("\n")) for name, lines in found if name is not None or any(lines)]
