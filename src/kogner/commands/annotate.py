"""`kogner annotate`: text in, entities out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

DEFAULT_MODEL = Path("models/kogner-mini")


@click.command("annotate")
@click.argument("source", metavar="FILE|-")
@click.option("--labels", required=True, help="Entity types to look for, separated by commas.")
@click.option("--model", default=str(DEFAULT_MODEL), show_default=True, help="Folder of a student.")
@click.option("--graph", default=None, help="Graph store: adds the id of each entity that its lexicon knows.")
@click.option("--format", "form", type=click.Choice(["table", "jsonl", "html"]), default=None, help="Default: a table on a terminal, JSON lines elsewhere.")  # fmt: skip  # noqa: E501
@click.option("--nested", is_flag=True, help="Also entities inside entities.")
@click.option("--threshold", type=float, default=None, help="Score from which an entity counts. Default: as fitted on dev data.")  # fmt: skip  # noqa: E501
@click.option("--label-threshold", "label_thresholds", multiple=True, metavar="LABEL=X", help="Threshold of one label; can be repeated.")  # fmt: skip  # noqa: E501
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 = all.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
def command(
    source: str,
    labels: str,
    model: str,
    graph: str | None,
    form: str | None,
    nested: bool,
    threshold: float | None,
    label_thresholds: tuple[str, ...],
    device: str,
    threads: int,
    precision: str,
) -> None:
    """Find the entities in FILE (or standard input): plain text, or JSON lines of {"id", "text"}.

    \b
    Offsets are half-open code points of the input text. Example:
      kogner annotate examples/abstract.txt --labels chemical,disease,gene
      kogner annotate notes.jsonl --labels disease --format jsonl --label-threshold disease=0.6
    """
    from kogner.annotate import output
    from kogner.annotate.predictor import Predictor, Settings, check_labels
    from kogner.annotate.texts import read_texts

    names = check_labels(labels.split(","))
    settings = Settings(
        threshold=threshold, thresholds=_thresholds(label_thresholds), nested=nested, precision=precision
    )
    linker = None
    if graph is not None:
        from kogner.data.linking import Linker
        from kogner.graph.store import GraphStore

        linker = Linker(GraphStore.open(graph))
    if threads:
        import torch

        torch.set_num_threads(threads)
    documents = read_texts(source)
    predictor = Predictor.load(model, device=device)
    annotated = predictor.predict(documents, labels=names, settings=settings)
    if linker is not None:
        annotated = (linker.link_document(document) for document in annotated)
    form = form or ("table" if sys.stdout.isatty() else "jsonl")
    if form == "jsonl":
        for document in annotated:
            click.echo(output.to_json(document))
    elif form == "html":
        for piece in output.to_html(annotated):
            click.echo(piece, nl=False)
    else:
        from rich.console import Console

        output.table(annotated, Console(width=None if sys.stdout.isatty() else 120))


def _thresholds(pairs: tuple[str, ...]) -> dict[str, float]:
    from kogner.errors import InputError

    found = {}
    for pair in pairs:
        label, _, value = pair.rpartition("=")
        try:
            found[label.strip()] = float(value)
        except ValueError:
            raise InputError(f"--label-threshold {pair!r} must look like LABEL=0.6") from None
    return found
