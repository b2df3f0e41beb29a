"""Tables on standard output, for the commands that show some."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def table(*columns: str, numbers: tuple[str, ...] = ("number",)) -> Table:
    """An empty table. numbers: columns that are set to the right."""
    made = Table()
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made


def row(table: Table, *cells: str) -> None:
    """Add cells as plain text: names of chemicals are full of brackets, which rich would take for markup."""
    table.add_row(*(Text(cell) for cell in cells))


def show(what: Any) -> None:
    """Print it, 140 columns wide where standard output is no terminal."""
    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(what)
