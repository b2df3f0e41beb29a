"""What commands print: tables for a person, and one JSON object as the last line for a script."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

JSON = click.option("--json", "only_json", is_flag=True, help="Only the JSON line on stdout, no table.")


def new_table(*columns: str, numbers: tuple[str, ...] = ("number",)) -> Table:
    """A table with these columns. numbers: those that are set to the right."""
    from rich.table import Table

    made = Table()
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made


def add_row(to: Table, *cells: str) -> None:
    """Add cells as plain text: names of chemicals are full of brackets, which rich would take for markup."""
    from rich.text import Text

    to.add_row(*(Text(cell) for cell in cells))


def show_rich(what: Any) -> None:
    """Print something of rich, at a fixed width where the output is no terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(what)


def echo_json(result: dict[str, Any]) -> None:
    """Print the JSON object that ends a command's output."""
    click.echo(json.dumps(result, ensure_ascii=False))
