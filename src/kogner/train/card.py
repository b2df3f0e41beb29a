"""The model card, written by the program from what it knows: data, recipe, scores."""

from __future__ import annotations

import itertools
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
MARK = "<!-- by kogner -->"  # below the title of a section that KoGNER wrote
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
        "for. Scores below are of types that their corpora annotate; others were not measured.",
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

    KoGNER's own sections (with MARK, or any of ORDER in a card that says it is KoGNER's) come in that order, where the
    first of them stood; all else in the card stays as it is. without: titles of own sections that go.
    """
    parts = _sections(card)
    own: dict[str, list[str]] = {}
    for name, body in parts:
        if name is not None and name not in without:
            own.setdefault(name, []).append(body)
    own[title] = [said] if instead else [*own.get(title, ()), said]
    ours = [f"## {name}\n{MARK}\n\n" + "\n\n".join(own[name]) for name in ORDER if name in own]
    first = next((number for number, (name, _) in enumerate(parts) if name is not None), len(parts))
    before, after = ([body for name, body in some if name is None] for some in (parts[:first], parts[first:]))
    lead = "\n".join(before).rstrip("\n")
    said = "\n\n".join(filter(None, [lead, *ours, "\n".join(after).rstrip("\n")])) + "\n"
    card.write_text(said, encoding="utf-8")


def rows_of(card: Path, title: str) -> set[str]:
    """The first cells of the tables in a section of KoGNER's, without those of headers."""
    found: set[str] = set()
    for lines in (body.split("\n") for name, body in _sections(card) if name == title):
        for line, below in itertools.zip_longest(lines, lines[1:], fillvalue=""):
            if line.startswith("|") and not _RULE.match(line) and not _RULE.match(below):
                found.add(line.split("|")[1].strip())
    return found


def columns_of(card: Path, title: str) -> set[str]:
    """The headers of the tables in a section of KoGNER's."""
    rows = itertools.chain.from_iterable(
        itertools.pairwise(body.split("\n")) for name, body in _sections(card) if name == title
    )
    return {cell.strip() for line, below in rows if _RULE.match(below) for cell in line.strip("|").split("|")}


_RULE = re.compile(r"\|[ :|-]+\|$")
_FENCE = re.compile(r" {0,3}(`{3,}(?!.*`)|~{3,})")


def _sections(card: Path) -> list[tuple[str | None, str]]:
    """The parts of a card in order: titles of KoGNER's own with what stands below them, and all else, with None, whole.

    A heading in a code block, a comment or the front matter is none.
    """
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    lines = text.split("\n")
    parts: list[list[str]] = [[]]
    front, fence, comment = lines[0] == "---", "", False
    for number, line in enumerate(lines):
        mark = None if front or comment else _FENCE.match(line)
        if re.match(r"#{1,2} ", line) and not (front or fence or comment):
            parts.append([])
        parts[-1].append(line)
        if front:
            front = number == 0 or line != "---"
        elif mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip(f" {fence[0]}"):
            fence = ""
        elif not fence:
            opened, closed = line.rfind("<!--"), line.rfind("-->")
            comment = opened > closed if max(opened, closed) >= 0 else comment
    kogners = bool(re.match(r"---\n(?:(?!---$).*\n)*?library_name: kogner\n", text))
    return [_own(part, kogners) for part in parts if part]


def _own(lines: Sequence[str], kogners: bool) -> tuple[str | None, str]:
    title = lines[0].removeprefix("## ").strip() if lines[0].startswith("## ") else ""
    marked = len(lines) > 1 and lines[1] == MARK
    if title not in ORDER or not (marked or kogners):
        return None, "\n".join(lines)
    return title, "\n".join(lines[1 + marked :]).strip("\n")
