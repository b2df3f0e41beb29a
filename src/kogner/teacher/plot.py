"""A picture of a bank: points coloured by type, as PNG and as one HTML page that shows what a point is.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which the colour-blind can tell apart; there are
eight, so further types share a grey. Rare types are drawn last, on top of the common ones.
"""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kogner.artifacts import write_atomic
from kogner.errors import InputError, MissingExtraError
from kogner.teacher.plot_page import page

if TYPE_CHECKING:
    from kogner.teacher.points import Points

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
GREY = "#999999"


@dataclass(frozen=True)
class Group:
    """What one colour stands for. members: indices into `Points.type_names`."""

    label: str
    colour: str
    members: tuple[int, ...]
    count: int


def groups(points: Points) -> list[Group]:
    """Types by number of points, most first; where colours are fewer, the rarest types share the last group."""
    counts = points.counts()
    alone = len(counts) if len(counts) <= len(COLOURS) else len(COLOURS)
    made = [Group(points.type_names[n], COLOURS[n], (n,), counts[n]) for n in range(alone)]
    rest = tuple(range(alone, len(counts)))
    if rest:
        made.append(Group(", ".join(points.type_names[n] for n in rest), GREY, rest, sum(counts[n] for n in rest)))
    return made


def title(points: Points) -> str:
    """What the picture shows, in a line."""
    shown = f"{len(points.ids):,} of " if len(points.ids) < points.of else ""
    return f"{shown}{points.of:,} entities, {' + '.join(points.parts)}, {points.method.upper()}"


def require() -> None:
    """Raise MissingExtraError where matplotlib is not installed; for the start of long work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("plotting", "plot") from error


def check_name(out: Path) -> None:
    """Raise InputError where a picture cannot be written under this name; for the start of long work."""
    if out.suffix.lower() != ".png":
        raise InputError("must end in .png; the page is written beside it as .html", path=out)


def write_plot(points: Points, out: Path) -> tuple[Path, Path]:
    """Write the picture to `out` (.png) and the page beside it (.html); returns both paths.

    Raises InputError for another ending, and where they cannot be written; MissingExtraError without matplotlib.
    """
    check_name(out)
    html = out.with_suffix(".html")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            _draw(points, temporary)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
        write_atomic(html, page(points, groups(points), title(points)))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", path=out) from error
    return out, html


def _draw(points: Points, file: Path) -> None:
    require()
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.add_subplot()
    size = min(30.0, max(5.0, 100_000 / len(points.ids)))
    handles = []
    for group in groups(points):
        x, y = points.xy[np.isin(points.types, group.members)].T
        axes.scatter(x, y, s=size, c=group.colour, alpha=0.55, linewidths=0, rasterized=True)
        label = _plain(textwrap.fill(f"{group.label} ({group.count:,})", 26))
        handles.append(Line2D([], [], marker="o", linestyle="", color=group.colour, label=label))
    axes.set_title(_plain(title(points)), loc="left")
    axes.set_xlabel(points.axes[0])
    axes.set_ylabel(points.axes[1])
    axes.spines[["top", "right"]].set_visible(False)
    if points.method != "pca":  # only distances mean something there, and only near ones
        axes.set_xticks([])
        axes.set_yticks([])
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    figure.savefig(file, format="png", dpi=150)


def _plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
