"""`kogner annotate`: text in, entities out."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.commands.options import (
    engine_options,
    folder_options,
    graph_options,
    model_option,
    refuse_folder_options,
    same_file,
    split_labels,
)
from kogner.errors import ConfigError, InputError
from kogner.student.decode import OVERLAPS

if TYPE_CHECKING:
    from kogner.data.report import Report
    from kogner.records import Document

REMEMBERED = 1_000_000
RUNTIMES = ("torch", "onnx", "openvino")
SPREADS = ("local", "ray")
SHARD_FORMATS = ("jsonl", "pubtator", "bioc-xml", "bioc-json")


@click.command("annotate")
@click.argument("sources", nargs=-1, required=True, metavar="FILE...|-")
@click.option(
    "--labels", required=True, help="Entity types to look for, separated by commas; one with a comma in double quotes."
)
@model_option
@graph_options
@click.option("--explain", is_flag=True, help="Show what else an entity may be in the graph, and why.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "html", *SHARD_FORMATS, "brat"]),
    default=None,
    help="Default: as --out ends; else a table on a terminal, JSON lines elsewhere.",
)
@click.option("--out", help="File to write instead of standard output: .jsonl, .html, .pubtator, .bioc.xml, "
              ".bioc.json, .spacy, also with .gz, .xz, .zst behind it. Or a folder: for any number of documents, in "
              "shards, by several processes, resumable; with --format brat a BRAT folder.")  # fmt: skip
@click.option(
    "--from",
    "from_",
    help="Format of FILE or standard input, as of 'kogner convert'; csv:TEXT,ID (or parquet:, jsonl:) also says which "
    "columns texts and ids stand in. Default: told by its content.",
)
@click.option("--nested", is_flag=True, help="Also entities inside entities.")
@click.option("--multi-label", is_flag=True, help="Also several types for one span.")
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default="score",
    show_default=True,
    help="Which of overlapping spans wins: the best score, the longest, the first in the text, the set without overlap "
    "of the largest summed score, or all of them.",
)
@click.option(
    "--threshold", type=float, default=None, help="Score from which an entity counts. Default: as fitted on dev data."
)
@click.option(
    "--label-threshold",
    "label_thresholds",
    multiple=True,
    metavar="LABEL=X",
    help="Threshold of one label; can be repeated.",
)
@click.option(
    "--agreement",
    type=float,
    help="How much other places of the same text in a document count, from 0 to below 1. "
    "Default: as fitted on dev data ('kogner calibrate').",
)
@engine_options(batch_tokens=4096)
@click.option("--compile", "compiled", is_flag=True, help="Compile the encoder first: pays on long input only.")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice([*RUNTIMES, *SPREADS]),
    help="What runs the model: torch, onnx or openvino (these need one that 'kogner export --to onnx' wrote; default: "
    "what it is). Where --out is a folder also what it runs in: local processes, or ray, a cluster. Can be repeated.",
)
@click.option(
    "--label-cache",
    type=click.Path(),
    default=None,
    help="File that keeps the vectors of labels between runs; of a folder, each checkpoint has a file in it.",
)
@folder_options
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[str, ...],
    labels: str,
    model: str,
    graph: str | None,
    name_weight: float | None,
    link_to: str | None,
    aliases: tuple[str, ...],
    bank: str | None,
    nil: float,
    explain: bool,
    form: str | None,
    out: str | None,
    from_: str | None,
    nested: bool,
    multi_label: bool,
    overlap: str,
    threshold: float | None,
    label_thresholds: tuple[str, ...],
    agreement: float | None,
    device: str,
    threads: int,
    precision: str,
    batch_tokens: int,
    compiled: bool,
    engines: tuple[str, ...],
    label_cache: str | None,
    processes: int | None,
    shard: int,
    max_characters: int,
    document_timeout: float,
    retry_failed: bool,
) -> None:
    """Find the entities in FILEs (or standard input): plain text, or JSON lines of {"id", "text"}.

    A FILE may also be PubTator, BioC (XML, JSON), a BRAT folder, PubMed's XML, JATS, CoNLL, a DocBin of spaCy, or a
    table (CSV, TSV, Parquet) with a column `text`, or the one that --from says; mentions in it are not used, but have
    to be whole.

    \b
    Offsets are half-open code points of the input text. Example:
      kogner annotate examples/abstract.txt --labels chemical,disease,gene
      kogner annotate notes.jsonl --labels disease --format jsonl --label-threshold disease=0.6
      kogner annotate abstracts.csv --from csv:abstract,pmid --labels disease,gene --out found.jsonl
      kogner annotate abstracts.bioc.xml --labels disease --graph build/graph --out found.bioc.xml
      kogner annotate notes.jsonl --labels disease --precision auto --threads 4 --label-cache build/labels/
      kogner annotate pubmed/*.xml.gz --labels chemical,disease --graph build/graph --out annotated/
    """
    from kogner.annotate import output
    from kogner.annotate.annotator import Annotator, GraphUse
    from kogner.annotate.predictor import Settings
    from kogner.annotate.texts import STDIN, unhurried
    from kogner.bulk.inputs import files_of
    from kogner.bulk.shards import Cut
    from kogner.bulk.worker import WorkPlan
    from kogner.commands.annotate_folder import annotate_folder
    from kogner.progress import note

    names = split_labels(labels)
    page = form == "html" or (form is None and out is not None and out.lower().endswith((".html", ".htm")))
    if page and overlap == "all":
        raise InputError("--format html cannot show entities that cross (--overlap all); take jsonl or table")
    settings = Settings(
        threshold=threshold,
        thresholds=_thresholds(label_thresholds),
        nested=nested,
        multi_label=multi_label,
        overlap=overlap,
        precision=precision,
        token_budget=batch_tokens,
        threads=threads,
        compile=compiled,
        name_weight=name_weight,
        agreement=agreement,
    )
    if graph is None and explain:
        raise ConfigError("--explain is of no use without --graph")
    used = GraphUse(graph, link_to, aliases, bank, nil, name_weight, likeness=explain and bank is not None)
    runtime, spread = _engines(engines)
    if out is not None and form != "brat" and _is_folder(out):
        work = WorkPlan(
            model, tuple(names), settings, used, device, runtime, label_cache, form=form or "jsonl", explain=explain
        )
        annotate_folder(
            work, sources, Path(out), spread=spread, processes=processes, form=from_, again=retry_failed,
            limits=Cut(shard, longest=max_characters), silence=document_timeout,
        )  # fmt: skip
        return
    refuse_folder_options(context, spread)
    if STDIN in sources and len(sources) > 1:
        raise InputError("standard input (-) is annotated by itself; give files, or - alone")
    source = sources[0]
    if out is None and form not in (None, "table", "jsonl", "html"):
        raise ConfigError(f"--format {form} is written to a file: give --out")
    writer = None if out is None else _writer(out, form, explain=explain)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    files = [source] if source == STDIN else [str(file) for file in files_of(sources)]
    if out is not None and any(same_file(file, out) for file in files):
        raise ConfigError(f"--out {out} is the file to annotate; write to another")
    documents = _noted(itertools.chain.from_iterable(_documents(file, from_) for file in files))
    annotator = Annotator.open(model, used, device=device, engine=runtime, label_cache=label_cache)
    untrained = annotator.untrained(names)
    if untrained:
        note(untrained)
    annotated = annotator.annotate(
        unhurried(documents) if source == STDIN else documents,
        labels=names,
        settings=settings,
        block=1 if source == STDIN else None,
    )
    annotated = _counted(annotated)
    if out is not None and writer is not None:
        from kogner.data.formats.files import packed
        from kogner.data.report import Report

        report = Report()
        with packed(Path(out), folder=out.endswith("/") or Path(out).is_dir()) as place:
            writer(place, annotated, report=report)
        for reason, count in sorted(report.noted.items()):
            note(f"{out}: {count:,} x {reason}")
        for line in report.lines():
            note(line)
        return
    form = form or ("table" if sys.stdout.isatty() else "jsonl")
    if form == "jsonl":
        for document in annotated:
            click.echo(output.to_json(document, explain=explain))
    elif form == "html":
        for piece in output.to_html(annotated):
            click.echo(piece, nl=False)
    else:
        from rich.console import Console

        output.table(annotated, Console(width=None if sys.stdout.isatty() else 120), explain=explain)


def _engines(names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """What runs the model, and what it runs in, of the values of --engine."""
    found = []
    for known in (RUNTIMES, SPREADS):
        chosen = list(dict.fromkeys(name for name in names if name in known))
        if len(chosen) > 1:
            raise ConfigError(f"--engine {chosen[0]} and --engine {chosen[1]} exclude each other")
        found.append(chosen[0] if chosen else None)
    return found[0], found[1]


def _is_folder(out: str) -> bool:
    return out.endswith("/") or Path(out).is_dir() or not Path(out).suffix


def _documents(source: str, form: str | None) -> Iterator[Document]:
    """Documents of a file of any format, or of standard input; what its reader met is said at the end."""
    from kogner.annotate.texts import STDIN, read_documents, read_stdin
    from kogner.data.report import Report
    from kogner.progress import note

    report = Report()
    if source == STDIN:
        yield from read_stdin(form, report=report)
    else:
        yield from read_documents(Path(source), form, report=report)
    for line in report.lines():
        note(f"{source}: {line}")
    for reason, count in sorted(report.noted.items()):
        note(f"{source}: {count:,} x {reason}")


def _noted(documents: Iterator[Document]) -> Iterator[Document]:
    """The same documents; ids that come again, among the first REMEMBERED, are said at the end."""
    from kogner.progress import note

    seen, again, example = set[str](), 0, ""
    for document in documents:
        if document.id in seen:
            again, example = again + 1, example or document.id
        elif len(seen) < REMEMBERED:
            seen.add(document.id)
        yield document
    if again:
        note(f"{again:,} documents have the id of an earlier one, such as {example}; the results keep them")


def _writer(out: str, form: str | None, *, explain: bool) -> Callable[..., None]:
    """What writes annotated documents to a file, all or nothing. Raises ConfigError where the ending tells nothing."""
    from kogner.annotate import output
    from kogner.artifacts import write_lines
    from kogner.data.formats.files import without_packing
    from kogner.data.formats.registry import by_name, of_output

    def lines(path: Path, documents: Iterable[Document], *, report: Report) -> None:
        write_lines(path, (output.to_json(document, explain=explain) for document in documents))

    def page(path: Path, documents: Iterable[Document], *, report: Report) -> None:
        write_lines(path, output.to_html(documents))

    if form == "table":
        raise ConfigError("--format table goes to a terminal; leave --out, or take jsonl or html")
    if form == "html" or (form is None and without_packing(out).lower().endswith((".html", ".htm"))):
        return page
    found = of_output(out) if form is None else by_name(form)
    if found is None or found.name == "jsonl":
        return lines
    assert found.write is not None
    into, write = found, found.write

    def lossy(path: Path, documents: Iterable[Document], *, report: Report) -> None:
        def noted() -> Iterator[Document]:
            for document in documents:
                for what, count in into.not_kept(document):
                    report.note(what, count)
                yield document

        write(path, noted(), report=report)

    return lossy


def _counted(documents: Iterator[Document]) -> Iterator[Document]:
    if sys.stdout.isatty():  # results and bar would overwrite each other
        yield from documents
        return
    from kogner.progress import counting

    with counting("documents annotated") as counter:
        for document in documents:
            yield document
            counter.advance()


def _thresholds(pairs: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        label, _, value = pair.rpartition("=")
        try:
            found[label.strip()] = float(value)
        except ValueError:
            raise InputError(f"--label-threshold {pair!r} must look like LABEL=0.6") from None
    return found
