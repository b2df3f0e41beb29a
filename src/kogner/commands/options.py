"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.errors import ConfigError
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
