"""`kogner evaluate`: exact span scores of a student on corpora."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kogner.evaluate.spans import SpanScores


@click.command("evaluate")
@click.option("--model", required=True, help="Folder of a student.")
@click.option("--data", "data", multiple=True, required=True, metavar="NAME=DIR", help="A corpus; can be repeated.")
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "dev", "test"]))
@click.option("--threshold", type=float, default=None, help="One threshold for all types. Default: the checkpoint's.")
@click.option("--nested", is_flag=True, help="Predict nested entities.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON line only.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
def command(
    model: str,
    data: tuple[str, ...],
    split: str,
    threshold: float | None,
    nested: bool,
    as_json: bool,
    device: str,
    precision: str,
) -> None:
    """Score a student: exact match of start, end and type, micro and per type; gold is every mention in the file.

    A mention that the reader had to skip counts as missed; what was skipped, and why, is said and stands in the JSON.

    \b
    Example:
      kogner evaluate --model models/kogner-mini --data bc5cdr=corpora/bc5cdr --data ncbi=corpora/ncbi_disease --json
    """
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.evaluate.spans import score
    from kogner.progress import counting

    settings = Settings(threshold=threshold, nested=nested, precision=precision, token_budget=8192)
    loaded = [corpora.load(name, path, split) for name, path in named_paths(data)]
    for corpus in loaded:
        say_report(corpus)
    predictor = Predictor.load(model, device=device)
    results = {}
    for corpus in loaded:
        predicted = []
        types = sorted(corpus.types)
        with counting(f"annotating {corpus.name}", len(corpus.documents)) as counter:
            for document in predictor.predict(corpus.documents, labels=types, settings=settings):
                predicted.append(document)
                counter.advance()
        scores = with_lost(score(corpus.documents, predicted, types=types), corpus.lost)
        results[corpus.name] = {**scores.to_dict(), "skipped": dict(sorted(corpus.report.skipped.items()))}
    if not as_json:
        _table(results, split)
    click.echo(json.dumps(results))


def with_lost(scores: SpanScores, lost: Mapping[str, int]) -> SpanScores:
    """Scores with the mentions of scored types that a reader had to skip (`Corpus.lost`) as gold that was missed."""
    by_type = {kind: replace(of, gold=of.gold + lost.get(kind, 0)) for kind, of in scores.by_type.items()}
    return replace(scores, gold=sum(of.gold for of in by_type.values()), by_type=by_type)


def _table(results: dict[str, Any], split: str) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=f"exact span scores, {split} split", title_justify="left")
    for name in ("corpus", "type", "precision", "recall", "F1", "gold", "predicted"):
        grid.add_column(name, justify="left" if name in ("corpus", "type") else "right")
    for name, result in results.items():
        for kind, row in [("all", result), *result["by_type"].items()]:
            figures = [f"{row[key]:.2f}" for key in ("precision", "recall", "f1")]
            grid.add_row(name, kind, *figures, f"{row['gold']:,}", f"{row['predicted']:,}")
    Console().print(grid)
