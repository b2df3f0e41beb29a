"""`kogner average`: the mean of two students' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

AVERAGE = "\n## Average\n"


@click.command("average")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="Of OTHER in the mean.")  # fmt: skip
@click.argument("model")
@click.argument("other")
@click.argument("out", type=click.Path(path_type=Path))
def command(share: float, model: str, other: str, out: Path) -> None:
    """Write MODEL to OUT with the mean of its weights and those of OTHER, a student that one was trained from.

    Students of one training and its continuation are often better between each other than at either end (model soups,
    Wortsman et al. 2022, arXiv 2203.05482). All else is MODEL's; thresholds held at its weights, so fit them again
    with 'kogner calibrate', and choose the share on dev documents.

    \b
    Example:
      kogner average --share 0.4 runs/second runs/first runs/mean
      kogner calibrate --data mine=corpora/mine runs/mean runs/calibrated
    """
    from safetensors.torch import save_file

    from kogner import artifacts
    from kogner.commands.calibrate import copy_checkpoint
    from kogner.hub import fetch
    from kogner.student import checkpoint
    from kogner.student.layout import WEIGHTS

    places = [fetch(model), fetch(other)]
    mine, others = (
        artifacts.open_artifact(place, kind=checkpoint.KIND, version=checkpoint.VERSION) for place in places
    )
    artifacts.check_replaceable(out, kind=checkpoint.KIND)
    first, second = (checkpoint.read_weights(place / WEIGHTS) for place in places)
    weights = mean(first, second, share, places)
    metrics = {**mine.metrics, "average": {"share": share, "of": others.hash}}
    with artifacts.writing(
        out, kind=checkpoint.KIND, version=checkpoint.VERSION, recipe=mine.recipe,
        parents={**mine.parents, "averaged": mine.hash, "averaged_with": others.hash}, metrics=metrics,
    ) as folder:  # fmt: skip
        copy_checkpoint(places[0], folder)
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        _add_to_card(folder / "README.md", str(other), share)
    click.echo(json.dumps({"out": str(out), "hash": artifacts.read_manifest(out).hash, "share": share}))


def mean(
    mine: Mapping[str, Tensor], others: Mapping[str, Tensor], share: float, places: list[Path]
) -> dict[str, Tensor]:
    """Each weight's mean, reckoned in float32, stored as the first has it. Raises ConfigError for unlike students."""
    unlike = sorted(mine.keys() ^ others.keys())
    unlike += sorted(name for name in mine.keys() & others.keys() if mine[name].shape != others[name].shape)
    if unlike:
        raise ConfigError(
            f"{places[0]} and {places[1]} are no students of one kind: {unlike[0]} is in one alone, or of another shape"
        )
    return {
        name: value.float().lerp(others[name].float(), share).to(value.dtype)
        if value.is_floating_point()
        else value.clone()
        for name, value in mine.items()
    }


def _add_to_card(card: Path, other: str, share: float) -> None:
    before = card.read_text(encoding="utf-8").rstrip() if card.is_file() else ""
    said = (
        f"Its weights are the mean of the student that is described above, {1 - share:.2g} of it, and `{other}`, "
        f"{share:.2g}, by `kogner average`; scores above are from before."
    )
    card.write_text(f"{before}\n{AVERAGE}\n{said}\n".lstrip("\n"), encoding="utf-8")
