"""`kogner export` and `kogner convert-checkpoint`: students for other runtimes, old checkpoints as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.annotate.predictor import Predictor
    from kogner.data.corpora import Corpus


@click.command("export")
@click.option("--to", "form", type=click.Choice(["gliner", "onnx"]), default=None, help="Format to write.")
@click.option("--int8", is_flag=True, help="Round the text encoder of an ONNX export to 8 bits, if F1 stays.")
@click.option("--check", multiple=True, metavar="NAME=DIR", help="With --int8: a corpus whose dev F1 must stay.")
@click.option("--max-drop", type=click.FloatRange(min=0), default=0.3, show_default=True, help="F1 that int8 may cost.")
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
def export(form: str | None, int8: bool, check: tuple[str, ...], max_drop: float, model: str, out: Path) -> None:
    """Write the student MODEL (a folder, or a hub id) to the folder OUT for another runtime.

    gliner: as `gliner` reads it, strictly and offline. A label encoder that is shared with the text is written twice,
    because GLiNER has none. Thresholds and types, which GLiNER cannot hold, go to kogner.json beside it; read back by
    KoGNER the student is the same.

    onnx: graphs that give the same spans in ONNX Runtime; kogner annotate and kogner evaluate take OUT as a --model.
    With --int8 the dev split of each --check corpus is scored before and after, and nothing is written where F1 drops
    by more than --max-drop; both figures stand in the artefact. --int8 alone means --to onnx.

    \b
    Example:
      kogner export --to gliner models/kogner-mini build/kogner-mini-gliner
      kogner export --to onnx models/kogner-mini build/kogner-mini-onnx
      kogner export --int8 --check bc5cdr=corpora/bc5cdr models/kogner-mini build/kogner-mini-int8
    """
    form = form or ("onnx" if int8 else None)
    if form is None:
        raise ConfigError("say what to write: --to gliner or --to onnx")
    if int8 and form != "onnx":
        raise ConfigError(f"--int8 is of ONNX exports; it does not go with --to {form}")
    if int8 and not check:
        raise ConfigError(
            "--int8 can cost accuracy and is written only with --check NAME=DIR, a corpus with a dev split"
        )
    if check and not int8:
        raise ConfigError("--check belongs to --int8; any other export gives the same spans")
    if form == "gliner":
        result = _to_gliner(model, out)
    else:
        result = _to_onnx(model, out, check=check, max_drop=max_drop)
    click.echo(json.dumps({"format": form, "out": str(out), **result}))


def _to_gliner(model: str, out: Path) -> dict[str, object]:
    from kogner import artifacts, hub
    from kogner.annotate.entity_weights import EntityWeights
    from kogner.progress import note
    from kogner.student import gliner
    from kogner.student.checkpoint import open_student

    artifacts.check_replaceable(out, kind=gliner.KIND)
    student, info = open_student(model)
    with artifacts.writing(out, kind=gliner.KIND, version=gliner.FORMAT) as folder:
        gliner.save(student, info, folder)
        EntityWeights.read(hub.fetch(model)).save(folder)
    if student.config.words == "kogner":
        note(
            "gliner cuts text into other words than this student was trained on and finds less with them; README.md in "
            f"{out} says how to give it ours"
        )
    return {"architecture": student.config.architecture}


def _to_onnx(model: str, out: Path, *, check: tuple[str, ...], max_drop: float) -> dict[str, object]:
    """Write an ONNX export; with corpora to check, in int8 behind the gate."""
    from kogner import artifacts
    from kogner.annotate import onnx, onnx_export
    from kogner.annotate.predictor import Predictor
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora

    artifacts.check_replaceable(out, kind=onnx.KIND)
    loaded = [corpora.load(name, path, "dev") for name, path in named_paths(check, option="--check")]
    for corpus in loaded:
        say_report(corpus)
    predictor = Predictor.load(model, engine="torch")
    metrics: dict[str, object] = {"precision": "int8" if check else "fp32"}
    with artifacts.writing(out, kind=onnx.KIND, version=onnx.VERSION, metrics=metrics) as folder:
        onnx_export.export_onnx(predictor.student, predictor.info, folder)
        predictor.entity_weights.save(folder)
        if check:
            before = _dev_f1(predictor, loaded)
            onnx_export.quantise(folder)
            exported = onnx.OnnxStudent(folder)
            after = _dev_f1(Predictor(exported, exported.info), loaded)
            onnx_export.check_drop(before, after, max_drop=max_drop)
            metrics |= {"dev_f1": {name: {"fp32": before[name], "int8": after[name]} for name in before}}
    return {"architecture": predictor.config.architecture, **metrics}


def _dev_f1(predictor: Predictor, loaded: list[Corpus]) -> dict[str, float]:
    """Exact span F1 by corpus, in percent."""
    from kogner.annotate.predictor import Settings
    from kogner.evaluate.spans import score, with_lost
    from kogner.progress import counting

    found = {}
    for corpus in loaded:
        types, predicted = sorted(corpus.types), []
        with counting(f"annotating {corpus.name} dev", len(corpus.documents)) as counter:
            for document in predictor.predict(corpus.documents, labels=types, settings=Settings(token_budget=8192)):
                predicted.append(document)
                counter.advance()
        scores = with_lost(score(corpus.documents, predicted, types=types), corpus.lost)
        found[corpus.name] = float(scores.to_dict()["f1"])
    return found


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
    place = hub.fetch(source, files=(*hub.FILES, layout.PICKLED))
    with artifacts.writing(out, kind=gliner.KIND, version=gliner.FORMAT) as folder:
        tensors = gliner.convert_pickle(place, folder)
    click.echo(json.dumps({"out": str(out), "tensors": tensors}))
