"""`kogner evaluate --card`: test scores in the model card of a student."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.artifacts import Artifact


def student_to_describe(model: str, chosen: Collection[str]) -> Artifact:
    """The student whose card is written.

    chosen: options that were given and change what is scored, or how.
    Raises ConfigError where such scores do not belong into a card, or where it cannot be written.
    """
    from kogner import artifacts
    from kogner.student import layout

    if chosen:
        raise ConfigError(
            f"--card tells how the student reads the whole test split by default; leave out {', '.join(chosen)}"
        )
    folder = Path(model).resolve()  # what is written takes the place of the folder, not of a link to it
    if not (folder / layout.STUDENT).is_file():
        raise ConfigError(f"--card writes into the folder of a KoGNER student, and {model} is none")
    if not os.access(folder.parent, os.W_OK):
        raise ConfigError(f"--card cannot write beside {model}; copy the student to a folder of your own first")
    return artifacts.open_artifact(folder, kind=layout.KIND, version=layout.VERSION)


def describe(
    student: Artifact,
    results: Mapping[str, Mapping[str, Any]],
    *,
    graph: str | None,
    apart: bool,
    nested: Collection[str] = (),
) -> str:
    """Write the student anew with these scores in its card, all else in its folder bit for bit; returns its new hash.

    graph: hash of the graph whose names counted, None without. apart: whether test documents that training holds were
    looked for and left out. nested: corpora that were read with entities in one another.
    """
    from kogner import artifacts
    from kogner.student import layout
    from kogner.train.card import TEST, TEST_WITH_NAMES, add_section

    unseen = any("unseen" in one for one in results.values())
    columns = ["corpus", "precision", "recall", "F1", "95 %", "gold mentions"]
    columns += (["documents left out"] if apart else []) + (["recall on unseen names"] if unseen else [])
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, one in results.items():
        row = [name + (" (nested)" if name in nested else "")]
        row += [f"{one[of]:.2f}" for of in ("precision", "recall", "f1")]
        row += ["{:.1f} to {:.1f}".format(*one["interval"]), f"{one['gold']:,}"]
        if apart:
            row.append(f"{sum(one['left_out'].values()):,}")
        if unseen:
            row.append(f"{one['unseen']['recall']:.2f}" if "unseen" in one else "")
        lines.append(f"| {' | '.join(row)} |")
    precisions = ", ".join(sorted({one["cost"]["precision"] for one in results.values()}))
    said = (
        f"Exact match of start, end and type on test splits, by `kogner evaluate` in {precisions}; the interval is of "
        "documents drawn again. "
    )
    said += (
        "Left out are documents that a train or dev split holds as well."
        if apart
        else "Whether training held test documents was not looked for."
    )
    if graph is not None:
        said += f" Names of the graph {graph[:12]} counted."
    with artifacts.writing(
        student.path, kind=layout.KIND, version=layout.VERSION, recipe=student.recipe,
        parents={"scored": student.hash, **student.parents}, metrics=dict(student.metrics),
    ) as folder:  # fmt: skip
        shutil.copytree(
            student.path,
            folder,
            dirs_exist_ok=True,
            ignore=lambda place, _: [artifacts.MANIFEST] if Path(place) == student.path else [],
        )
        title = TEST if graph is None else TEST_WITH_NAMES
        add_section(folder / layout.CARD, title, "\n".join([said, "", *lines]), instead=True)
    return artifacts.read_manifest(student.path).hash
