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

    from kogner.artifacts import Artifact

_FREE = {"encoder", "initial", "dropout"}  # of a student's configuration: names, and what training alone has


@click.command("average")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="Of OTHER in the mean.")  # fmt: skip
@click.argument("model")
@click.argument("other")
@click.argument("out", type=click.Path(path_type=Path))
def command(share: float, model: str, other: str, out: Path) -> None:
    """Write MODEL to OUT with the mean of its weights and those of OTHER, its kin: one was trained from the other, or
    both from a third.

    A student and its own continuation are sometimes better between each other than at either end (WiSE-FT, Wortsman et
    al. 2022, arXiv 2109.01903), and so are continuations of one student (model soups, arXiv 2203.05482). All else is
    MODEL's; thresholds held at its weights, so fit them again with 'kogner calibrate', and choose the share on dev
    documents.

    \b
    Example:
      kogner average --share 0.4 runs/second runs/first runs/mean
      kogner calibrate --data mine=corpora/mine runs/mean runs/calibrated
    """
    from safetensors.torch import save_file

    from kogner import artifacts
    from kogner.commands.calibrate import copy_checkpoint
    from kogner.hub import fetch
    from kogner.progress import note
    from kogner.student import checkpoint
    from kogner.student.layout import WEIGHTS

    places = [fetch(model), fetch(other)]
    mine, others = (
        artifacts.open_artifact(place, kind=checkpoint.KIND, version=checkpoint.VERSION) for place in places
    )
    artifacts.check_replaceable(out, kind=checkpoint.KIND)
    check_alike(mine, others)
    if not _kin(mine, others):
        note(
            f"neither of {model} and {other} says that it came from the other, nor both that they came from one "
            "student: means of students that began apart fail"
        )
    first, second = (checkpoint.read_weights(place / WEIGHTS) for place in places)
    weights = mean(first, second, share, places)
    metrics = {**mine.metrics, "average": {"share": share, "of": others.hash}}
    with artifacts.writing(
        out, kind=checkpoint.KIND, version=checkpoint.VERSION, recipe=mine.recipe,
        parents={**_unscored(mine), "averaged": mine.hash, "averaged_with": others.hash}, metrics=metrics,
    ) as folder:  # fmt: skip
        copy_checkpoint(places[0], folder)
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        _add_to_card(folder / "README.md", str(other), share)
    click.echo(json.dumps({"out": str(out), "hash": artifacts.read_manifest(out).hash, "share": share}))


def _unscored(student: Artifact) -> dict[str, str]:
    """Its parents, but for what says of whom the scores in its card are, which go."""
    return {name: of for name, of in student.parents.items() if name != "scored"}


def _kin(mine: Artifact, others: Artifact) -> bool:
    """Whether one says that it came from the other, or both from the same student."""
    if others.hash in mine.parents.values() or mine.hash in others.parents.values():
        return True
    return mine.parents.get("initial") is not None and mine.parents.get("initial") == others.parents.get("initial")


def check_alike(mine: Artifact, others: Artifact) -> None:
    """Raise ConfigError for students that read differently: another tokeniser, or another form of spans or labels."""
    from kogner.mapping import to_mapping
    from kogner.student.layout import STUDENT, read_student

    for file in sorted(mine.files.keys() | others.files.keys()):
        if "tokenizer" in file and mine.files.get(file) != others.files.get(file):
            raise ConfigError(f"{mine.path} and {others.path} are no students of one kind: {file} differs")
    first, second = (to_mapping(read_student(one.path / STUDENT)[0]) for one in (mine, others))
    for name in sorted(first.keys() - _FREE):
        if first[name] != second[name]:
            raise ConfigError(
                f"{mine.path} and {others.path} are no students of one kind: {name} is {first[name]!r} and "
                f"{second[name]!r}"
            )


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
    from kogner.train.card import AVERAGE, CALIBRATION, NAMES, SCORES, TESTS, add_section, said_of

    said = (
        f"Its weights are the mean of the student that was trained as told here, {1 - share:.2g} of it, and "
        f"`{said_of(other)}`, {share:.2g}, by `kogner average`. "
        "Thresholds and weights of names, where it has any, are those of that student."
    )
    add_section(card, AVERAGE, said, without=[*TESTS, CALIBRATION, NAMES, SCORES])
