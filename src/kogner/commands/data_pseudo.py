"""`kogner data pseudo-label`: raw text with what a student and the graph's names find in it, to train another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands.options import engine_options, model_option, raw_text_options, split_labels
from kogner.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kogner.records import Document


@click.command("pseudo-label")
@model_option
@raw_text_options
@click.option("--labels", "groups", multiple=True, required=True, metavar="TYPE,...",
              help="Types to find, separated by commas; given again, types that may overlap those before.")  # fmt: skip
@click.option("--documents", type=click.IntRange(min=1), default=None, help="At most this many. Default: all.")
@click.option("--min-names", type=click.IntRange(min=0), default=0, show_default=True,
              help="Leave out texts with fewer different names of the labels' graph types; needs --graph.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which documents are taken.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Corpus folder to write: OUT/train.jsonl.")
@click.option("--keep", type=float, default=0.5, show_default=True, help="Score from which what is found is a mention; "
              "below it is in doubt.")  # fmt: skip
@click.option("--doubt", type=float, default=0.15, show_default=True, help="Score from which a span that is not found "
              "is in doubt.")  # fmt: skip
@click.option("--graph", help="Graph store whose names count for spans, see --name-weight.")
@click.option("--name-weight", type=float, help="Logits that a name of the graph adds to a span's score. Default: as "
              "fitted by 'kogner calibrate --graph', else 1.")  # fmt: skip
@engine_options(batch_tokens=8192)
def command(
    model: str,
    texts: tuple[str, ...],
    unlabelled: tuple[Path, ...],
    groups: tuple[str, ...],
    exclude: tuple[Path, ...],
    documents: int | None,
    min_names: int,
    seed: int,
    out: Path,
    keep: float,
    doubt: float,
    graph: str | None,
    name_weight: float | None,
    device: str,
    threads: int,
    precision: str,
    batch_tokens: int,
) -> None:
    """Make training documents from raw text: what a student finds in them, with --graph aided by the graph's names.

    \b
    A student that learns from them, beside annotated documents, can find alone what this one needs the names for. What
    it is not sure of is in doubt: neither a mention nor none. The last line printed is one JSON object. Example:
      kogner data pseudo-label --model runs/mine --graph build/graph --text pubmed20n0014.xml.gz --documents 3000 \\
        --labels chemical,disease --exclude corpora/bc5cdr --out build/pseudo
      kogner train --data bc5cdr=corpora/bc5cdr --data pseudo=build/pseudo --set 'train.beside={pseudo: 1.0}' \\
        --out runs/next
    """
    from kogner import artifacts
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.commands.data import excluded_documents, raw_texts
    from kogner.data.formats import jsonl
    from kogner.data.overlap import Overlap
    from kogner.data.pseudo import KIND, VERSION, PseudoSettings, check_groups, chosen, label
    from kogner.graph.store import GraphStore
    from kogner.progress import counting, note

    settings = PseudoSettings(keep=keep, doubt=doubt)
    wanted = [split_labels(group) for group in groups]
    labels = check_groups(wanted)
    if not texts and not unlabelled:
        raise ConfigError("nothing to read: give --text, --corpus or both")
    if graph is None and (min_names or name_weight is not None):
        raise ConfigError("--min-names and --name-weight are of no use without --graph")
    artifacts.check_replaceable(out, kind=KIND)
    names = None if graph is None else Names(GraphStore.open(graph))
    predictor = Predictor.load(model, device=device)
    parents = {} if names is None else {"graph": names.store.artifact.hash}
    if predictor.folder is not None and (predictor.folder / artifacts.MANIFEST).is_file():
        parents["student"] = artifacts.read_manifest(predictor.folder).hash
    reports: dict[str, Any] = {}
    excluded = excluded_documents(exclude, unlabelled)
    left_out: Counter[str] = Counter()
    taken = chosen(
        raw_texts(texts, unlabelled, reports), labels, documents_at_most=documents, seed=seed, names=names,
        min_names=min_names, excluded=Overlap(excluded), left_out=left_out,
    )  # fmt: skip
    for name, report in reports.items():
        for line in report.lines():
            note(f"{name}: {line}")
    for reason, count in sorted(left_out.items()):
        note(f"left out: {count:,} x {reason}")
    if not taken:
        raise InputError("no document is left to label; nothing was written")
    if documents is not None and len(taken) < documents:
        note(f"only {len(taken):,} of {documents:,} documents were found; give more text")
    reading = Settings(token_budget=batch_tokens, threads=threads, precision=precision, name_weight=name_weight)
    counts: Counter[str] = Counter()
    mentions: Counter[str] = Counter()

    def counted() -> Iterator[Document]:
        found = label(taken, predictor, wanted, names=names, settings=settings, reading=reading, counts=counts)
        with counting("documents labelled", len(taken)) as counter:
            for document in found:
                mentions.update(one.type for one in document.mentions)
                counter.advance()
                yield document

    result: dict[str, Any] = {}
    with artifacts.writing(
        out,
        kind=KIND,
        version=VERSION,
        recipe={
            "student": str(model),
            "labels": wanted,
            "settings": vars(settings),
            "name_weight": name_weight,
            "precision": precision,
            "documents": documents,
            "seed": seed,
            "min_names": min_names,
            "texts": [str(one) for one in (*texts, *unlabelled)],
            "exclude": [str(one) for one in exclude],
        },
        parents=parents,
        metrics=result,
    ) as folder:
        jsonl.write(folder / "train.jsonl", counted())
        result |= {
            "documents": len(taken),
            "spans": dict(sorted(counts.items())),
            "mentions": dict(sorted(mentions.items())),
            "left_out": dict(sorted(left_out.items())),
            "excluded_documents": len(excluded),
        }
    read = {name: report.to_dict() for name, report in reports.items()}
    click.echo(json.dumps({"out": str(out), "hash": artifacts.read_manifest(out).hash, **result, "read": read}))
