"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kogner.errors import ConfigError
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.data.corpora import Corpus


def named_paths(pairs: Sequence[str]) -> list[tuple[str, Path]]:
    """`NAME=DIR` options as (name, existing folder). Raises ConfigError for another form or a doubled name."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, separator, place = pair.partition("=")
        if not separator or not name or not place:
            raise ConfigError(f"--data {pair!r} must look like NAME=DIR, e.g. bc5cdr=corpora/bc5cdr")
        if name in found:
            raise ConfigError(f"--data names {name!r} twice")
        if not Path(place).exists():
            raise ConfigError(f"--data {pair!r}: {place} does not exist")
        found[name] = Path(place)
    return list(found.items())


def say_report(corpus: Corpus) -> None:
    """Say on standard error what the reader skipped and repaired in a corpus, one line per reason."""
    for line in corpus.report.lines():
        note(f"{corpus.name} {corpus.split}: {line}")
