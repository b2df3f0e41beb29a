"""`kogner evaluate --card`: test scores in the model card of a student."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.artifacts import Artifact


def student_to_describe(model: str, split: str, *, sampled: bool) -> Artifact:
    """The student whose card is written. Raises ConfigError where scores of this kind do not belong into a card."""
    from kogner import artifacts
    from kogner.student import layout

    if split != "test" or sampled:
        raise ConfigError("--card is for the whole test split; leave out --split and --sentences")
    if not (Path(model) / layout.STUDENT).is_file():
        raise ConfigError(f"--card writes into the folder of a KoGNER student, and {model} is none")
    return artifacts.open_artifact(Path(model), kind=layout.KIND, version=layout.VERSION)


def describe(student: Artifact, results: Mapping[str, Mapping[str, Any]], *, with_names: bool) -> str:
    """Write the student anew with these scores in its card, all else bit for bit, and return its new hash."""
    from kogner import artifacts
    from kogner.commands.calibrate import copy_checkpoint
    from kogner.student import layout
    from kogner.train.card import TEST, TEST_WITH_NAMES, add_section

    unseen = any("unseen" in one for one in results.values())
    columns = ["corpus", "precision", "recall", "F1", "95 %", *(["recall on unseen names"] if unseen else [])]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, one in results.items():
        row = [
            name,
            *(f"{one[of]:.2f}" for of in ("precision", "recall", "f1")),
            "{:.1f} to {:.1f}".format(*one["interval"]),
        ]
        if unseen:
            row.append(f"{one['unseen']['recall']:.2f}" if "unseen" in one else "")
        lines.append(f"| {' | '.join(row)} |")
    said = (
        "Exact match of start, end and type on test splits, by `kogner evaluate`; the interval is of documents drawn "
        "again."
    )
    with artifacts.writing(
        student.path, kind=layout.KIND, version=layout.VERSION, recipe=student.recipe,
        parents={**student.parents, "scored": student.hash}, metrics=dict(student.metrics),
    ) as folder:  # fmt: skip
        copy_checkpoint(student.path, folder)
        title = TEST_WITH_NAMES if with_names else TEST
        add_section(folder / layout.CARD, title, "\n".join([said, "", *lines]), instead=True)
    return artifacts.read_manifest(student.path).hash
