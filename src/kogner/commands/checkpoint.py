"""`kogner export` and `kogner convert-checkpoint`: students as GLiNER checkpoints, old checkpoints as safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("export")
@click.option("--to", "form", type=click.Choice(["gliner"]), required=True, help="Format to write.")
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
def export(form: str, model: str, out: Path) -> None:
    """Write the student MODEL (a folder, or a hub id) to the folder OUT as `gliner` reads it, strictly and offline.

    A label encoder that is shared with the text is written twice, because GLiNER has none. Thresholds and types, which
    GLiNER cannot hold, go to kogner.json beside it; read back by KoGNER the student is the same.

    \b
    Example:
      kogner export --to gliner models/kogner-mini build/kogner-mini-gliner
    """
    from kogner import artifacts
    from kogner.student import gliner
    from kogner.student.checkpoint import open_student

    artifacts.check_replaceable(out, kind=gliner.KIND)
    student, info = open_student(model)
    with artifacts.writing(out, kind=gliner.KIND, version=gliner.FORMAT) as folder:
        gliner.save(student, info, folder)
    click.echo(json.dumps({"format": form, "out": str(out), "architecture": student.config.architecture}))


@click.command("convert-checkpoint")
@click.argument("source", metavar="IN")
@click.argument("out", type=click.Path(path_type=Path))
def convert(source: str, out: Path) -> None:
    """Write the GLiNER checkpoint IN (a folder, or a hub id), whose weights are a pickle, to OUT as safetensors.

    Nothing in the pickle is run: it may hold tensors only.

    \b
    Example:
      kogner convert-checkpoint downloads/gliner_old build/gliner_old
    """
    from kogner import artifacts, hub
    from kogner.student import gliner, layout

    artifacts.check_replaceable(out, kind=gliner.KIND)
    place = hub.fetch(source, also=(layout.PICKLED,))
    with artifacts.writing(out, kind=gliner.KIND, version=gliner.FORMAT) as folder:
        tensors = gliner.convert_pickle(place, folder)
    click.echo(json.dumps({"out": str(out), "tensors": tensors}))
