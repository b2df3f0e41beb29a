"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kogner.errors import ConfigError


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
