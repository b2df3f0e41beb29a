"""Options that several subcommands share."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kogner.errors import ConfigError, InputError
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.data.corpora import Corpus


def engine_options(*, batch_tokens: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Where and how a student runs: --device, --threads, --precision and --batch-tokens with this default."""
    options = (
        click.option("--device", default="cpu", show_default=True, help="cpu or cuda."),
        click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 = all."),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            default="fp32",
            show_default=True,
            help="auto: bf16 where the device is fast at it, else fp32. fp16 needs a GPU.",
        ),
        click.option(
            "--batch-tokens",
            type=click.IntRange(min=1),
            default=batch_tokens,
            show_default=True,
            help="Sub-tokens read at a time, padding included; memory grows with it.",
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


model_option = click.option(
    "--model",
    default="models/kogner-mini",
    show_default=True,
    help="A student, a GLiNER checkpoint or an ONNX export: folder, or hub id (owner/name, owner/name@revision).",
)


def graph_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a graph is used for at inference, the fields of `kogner.annotate.annotator.GraphUse`."""
    options = (
        click.option("--graph", help="Graph store: adds ids; its names count for spans, see --name-weight."),
        click.option("--name-weight", type=float, help="Logits that any name of the graph adds to a span's score; 0: "
                     "none. Default: as fitted by 'kogner calibrate --graph', else 1."),
        click.option("--link-to", metavar="PREFIX,...", help="Vocabularies that ids are wanted of, best first, such as "
                     "MESH,OMIM. Default: any."),
        click.option("--aliases", multiple=True, metavar="DIR", help="Corpus with linked mentions, whose names for "
                     "entities count beside the graph's; can be repeated."),
        click.option("--bank", help="Bank of the teacher: finds entities that no name fits by their vectors."),
        click.option("--nil", type=float, default=0.5, show_default=True, help="Score below which an entity has no "
                     "id."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def raw_text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Texts without annotation, --text and --corpus, and what is left out of them, --exclude."""
    options = (
        click.option("--text", "texts", multiple=True, metavar="FILE", help="Plain text, JSON lines of {id, text}, or "
                     "a PubMed file (.xml, .xml.gz); can be repeated."),
        click.option("--corpus", "unlabelled", multiple=True, metavar="DIR", type=click.Path(path_type=Path),
                     help="Corpus whose training texts are taken without their annotation; can be repeated."),
        click.option("--exclude", multiple=True, metavar="DIR", type=click.Path(path_type=Path), help="Corpus whose "
                     "documents are left out, by id and by shared text; of a --corpus its dev and test documents. Can "
                     "be repeated."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def split_labels(text: str) -> list[str]:
    """Labels of `chemical,"gene, or protein"`, checked. Raises InputError for text that is no such line."""
    from kogner.annotate.label_check import check_labels

    try:
        return check_labels(next(csv.reader([text], skipinitialspace=True), []))
    except csv.Error as error:
        raise InputError(f"--labels cannot be read ({error}); separate labels by commas, in one line") from None


_FOLDER = "Where --out is a folder: "
FOLDER_OPTIONS = ("processes", "shard", "max_characters", "document_timeout", "retry_failed")


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a folder of any number of documents is annotated."""
    options = (
        click.option("--processes", type=click.IntRange(min=1), help=_FOLDER + "how many. Default: one a core."),
        click.option("--shard", type=click.IntRange(min=1), default=1000, show_default=True,
                     help=_FOLDER + "documents of one file in it."),
        click.option("--max-characters", type=click.IntRange(min=1), default=2_000_000, show_default=True,
                     help=_FOLDER + "of a document; a longer one is a failure."),
        click.option("--document-timeout", type=click.FloatRange(min=1), default=900.0, show_default=True,
                     help=_FOLDER + "seconds without a document, or without 100,000 characters of several, after which "
                     "a process is ended; a document that this happens at twice is a failure."),
        click.option("--retry-failed", is_flag=True, help=_FOLDER + "annotate shards with failures again."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def refuse_folder_options(context: click.Context, spread: str | None) -> None:
    """Raise ConfigError where an option was given that is for a folder alone."""
    given = [name for name in FOLDER_OPTIONS if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    name = f"--engine {spread}" if spread is not None else f"--{given[0].replace('_', '-')}" if given else None
    if name is not None:
        raise ConfigError(f"{name} needs a folder to write to, --out DIR/, and none of --format brat")


def named_paths(pairs: Sequence[str], *, option: str = "--data") -> list[tuple[str, Path]]:
    """`NAME=DIR` values of an option as (name, existing folder).

    Raises ConfigError that names the option for another form, a doubled name, or a folder that is not there.
    """
    found: dict[str, Path] = {}
    for pair in pairs:
        name, separator, place = pair.partition("=")
        if not separator or not name or not place:
            raise ConfigError(f"{option} {pair!r} must look like NAME=DIR, e.g. bc5cdr=corpora/bc5cdr")
        if name in found:
            raise ConfigError(f"{option} names {name!r} twice")
        if not Path(place).exists():
            raise ConfigError(f"{option} {pair!r}: {place} does not exist")
        found[name] = Path(place)
    return list(found.items())


def say_report(corpus: Corpus) -> None:
    """Say on standard error what the reader skipped and repaired in a corpus, one line per reason."""
    for line in corpus.report.lines():
        note(f"{corpus.name} {corpus.split}: {line}")


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file or folder that is there."""
    return Path(one).exists() and Path(other).exists() and Path(one).samefile(other)
