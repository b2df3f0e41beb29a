"""The counts of `kogner data check` as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kogner.data.check_page import binned
from kogner.errors import MissingExtraError


def require() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a picture of the counts", "plot") from error


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Write a PNG: what became of the rows, the lengths of kept sentences, their mentions by type."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    bars = {
        "rows": {"kept": figures["kept"], **figures["rejected"]},
        "words of a kept sentence": binned(figures["words"]),
        "mentions by type": figures["mentions"],
    }
    canvas, axes = pyplot.subplots(3, 1, figsize=(9, 10), layout="constrained")
    for axis, (title, counts) in zip(axes, bars.items(), strict=True):
        names = [str(name).replace("$", r"\$") for name in counts]
        axis.barh(names[::-1], list(counts.values())[::-1], color="#3a7ca5")
        axis.set_title(title)
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)
