"""`kogner annotate`: text in, entities out."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.api import DEFAULT_MODEL
from kogner.commands.options import engine_options
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.student.decode import OVERLAPS

if TYPE_CHECKING:
    from kogner.data.report import Report
    from kogner.records import Document


@click.command("annotate")
@click.argument("source", metavar="FILE|-")
@click.option(
    "--labels", required=True, help="Entity types to look for, separated by commas; one with a comma in double quotes."
)
@click.option(
    "--model",
    default=str(DEFAULT_MODEL),
    show_default=True,
    help="A student, a GLiNER checkpoint or an ONNX export: folder, or hub id (owner/name, owner/name@revision).",
)
@click.option("--graph", default=None, help="Graph store: adds ids; its names count for spans, see --name-weight.")
@click.option("--name-weight", type=float, default=None, help="Logits that a name of the graph adds to a span's score; "
              "0 for none. Default: as fitted by 'kogner calibrate --graph', else 1.")  # fmt: skip
@click.option("--link-to", default=None, metavar="PREFIX,...", help="Vocabularies that ids are wanted of, best first, "
              "such as MESH,OMIM. Default: any.")  # fmt: skip
@click.option("--aliases", multiple=True, metavar="DIR", help="Corpus with linked mentions, whose names for entities "
              "count beside the graph's; can be repeated.")  # fmt: skip
@click.option("--bank", default=None, help="Bank of the teacher: finds entities that no name fits by their vectors.")
@click.option("--nil", type=float, default=0.5, show_default=True, help="Score below which an entity has no id.")
@click.option("--explain", is_flag=True, help="Show what else an entity may be in the graph, and why.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "html"]),
    default=None,
    help="Default: a table on a terminal, JSON lines elsewhere.",
)
@click.option("--out", help="File or BRAT folder to write instead of standard output: .jsonl, .html, .pubtator, "
              ".bioc.xml, .bioc.json, .spacy, or NAME/ for BRAT; also with .gz, .xz, .zst behind it.")  # fmt: skip
@click.option("--from", "from_", help="Format of FILE, as of 'kogner convert'. Default: told by its content.")
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
@engine_options(batch_tokens=4096)
@click.option("--compile", "compiled", is_flag=True, help="Compile the encoder first: pays on long input only.")
@click.option(
    "--engine",
    type=click.Choice(["torch", "onnx", "openvino"]),
    default=None,
    help="What runs the model; onnx and openvino need one that 'kogner export --to onnx' wrote. Default: what it is.",
)
@click.option(
    "--label-cache",
    type=click.Path(),
    default=None,
    help="File that keeps the vectors of labels between runs; of a folder, each checkpoint has a file in it.",
)
def command(
    source: str,
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
    device: str,
    threads: int,
    precision: str,
    batch_tokens: int,
    compiled: bool,
    engine: str | None,
    label_cache: str | None,
) -> None:
    """Find the entities in FILE (or standard input): plain text, or JSON lines of {"id", "text"}.

    A FILE may also be PubTator, BioC (XML, JSON), a BRAT folder, PubMed's XML, JATS, CoNLL, a DocBin of spaCy, or a
    table (CSV, TSV, Parquet) with a column `text`; what is annotated in it is not looked at.

    \b
    Offsets are half-open code points of the input text. Example:
      kogner annotate examples/abstract.txt --labels chemical,disease,gene
      kogner annotate notes.jsonl --labels disease --format jsonl --label-threshold disease=0.6
      kogner annotate abstracts.bioc.xml --labels disease --graph build/graph --out found.bioc.xml
      kogner annotate notes.jsonl --labels disease --precision auto --threads 4 --label-cache build/labels/
    """
    from kogner.annotate import output
    from kogner.annotate.label_check import check_labels
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.annotate.texts import STDIN, read_texts, unhurried
    from kogner.progress import note

    try:
        names = check_labels(next(csv.reader([labels], skipinitialspace=True), []))
    except csv.Error as error:
        raise InputError(f"--labels cannot be read ({error}); separate labels by commas, in one line") from None
    page = form == "html" or (form is None and out is not None and out.lower().endswith((".html", ".htm")))
    if page and overlap == "all":
        raise InputError("--format html cannot show entities that cross (--overlap all); take jsonl or table")
    if Path(model) == DEFAULT_MODEL and not DEFAULT_MODEL.exists():
        raise ArtifactError(f"{DEFAULT_MODEL}, the default model, does not exist here; give --model DIR")
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
    )
    linker = of_graph = None
    if graph is not None:
        from kogner.annotate.names import Names
        from kogner.link.linker import EntityLinker, LinkSettings

        wanted = tuple(part.strip() for part in link_to.split(",") if part.strip()) if link_to else ()
        linker = EntityLinker.open(graph, LinkSettings(wanted, nil=nil), aliases=aliases, bank=bank)
        of_graph = Names(linker.store)
    elif link_to or aliases or bank or explain or name_weight is not None:
        raise ConfigError("--link-to, --aliases, --bank, --explain and --name-weight are of no use without --graph")
    if from_ is not None and source == STDIN:
        raise ConfigError("--from is of no use with standard input, which is text or JSON lines")
    writer = None if out is None else _writer(out, form, explain=explain)
    documents = read_texts(source) if source == STDIN else _documents(Path(source), from_)
    predictor = Predictor.load(model, device=device, engine=engine, label_cache=label_cache)
    untrained = [name for name in names if name.lower() not in {kind.lower() for kind in predictor.info.types}]
    if untrained and predictor.info.types:
        known = ", ".join(predictor.info.types)
        note(f"not among the types this model was trained on ({known}): {', '.join(untrained)}; expect less of them")
    annotated = predictor.predict(
        unhurried(documents) if source == STDIN else documents, labels=names, settings=settings, names=of_graph
    )
    if linker is not None:
        annotated = linker.link_documents(annotated, block=1 if source == STDIN else None)
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


def _documents(path: Path, name: str | None) -> Iterator[Document]:
    """Documents of a file of any format; what its reader met is said at the end."""
    from kogner.annotate.texts import read_texts
    from kogner.data.formats.registry import by_name, of_input
    from kogner.data.report import Report
    from kogner.progress import note

    form = by_name(name) if name is not None else of_input(path)
    if form.name in ("text", "jsonl"):
        yield from read_texts(str(path))
        return
    if form.read is None:
        raise ConfigError(f"format {form.name} is written only")
    report = Report()
    yield from form.read(path, report=report)
    for line in report.lines():
        note(f"{path}: {line}")
    for reason, count in sorted(report.noted.items()):
        note(f"{path}: {count:,} x {reason}")


def _writer(out: str, form: str | None, *, explain: bool) -> Callable[..., None]:
    """What writes annotated documents to a file, all or nothing. Raises ConfigError where the ending tells nothing."""
    from kogner.annotate import output
    from kogner.artifacts import write_lines
    from kogner.data.formats.files import without_packing
    from kogner.data.formats.registry import of_output

    def lines(path: Path, documents: Iterable[Document], *, report: Report) -> None:
        write_lines(path, (output.to_json(document, explain=explain) for document in documents))

    def page(path: Path, documents: Iterable[Document], *, report: Report) -> None:
        write_lines(path, output.to_html(documents))

    if form == "table":
        raise ConfigError("--format table goes to a terminal; leave --out, or take jsonl or html")
    if form == "html" or (form is None and without_packing(out).lower().endswith((".html", ".htm"))):
        return page
    found = None if form == "jsonl" else of_output(out)
    if found is None or found.name == "jsonl":
        return lines
    assert found.write is not None
    return found.write


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
