"""Where texts and ids stand in tables and in JSON lines of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kogner.errors import ConfigError, InputError

TEXT, ID = "text", "id"


@dataclass(frozen=True)
class Columns:
    """Names of the columns, or keys, of texts and of ids. id: where None, `id` if there is one."""

    text: str = TEXT
    id: str | None = None

    @classmethod
    def of(cls, said: str) -> Columns:
        """Columns as `TEXT` or `TEXT,ID`. Raises ConfigError for anything else.

        >>> Columns.of("abstract,pmid")
        Columns(text='abstract', id='pmid')
        """
        names = [name.strip() for name in said.split(",")]
        if not all(names) or len(names) > 2:
            raise ConfigError(f"columns {said!r} must be the one of the texts, or that and the one of the ids: TEXT,ID")
        return cls(*names)

    def places(self, header: Sequence[str], path: Path) -> tuple[int, int | None]:
        """Numbers of both columns of a table; the second is None where there are no ids.

        Where none has the very name, one that differs in case only is taken. Raises InputError for a column that is not
        there, and where several could be meant.
        """
        text, own = (_place(name, header, path) for name in (self.text, self.id or ID))
        if text is None:
            raise _missing(self.text, header, path)
        if own is None and self.id is not None:
            raise _missing(self.id, header, path)
        return text, own


def _missing(wanted: str, header: Sequence[str], path: Path) -> InputError:
    says = f"has no column {wanted!r}; its columns: {', '.join(header)[:200]}"
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        return InputError(f"{says}; cells are separated by commas, in .tsv by tabs", path=path, line=1)
    return InputError(f"{says}; {ask_for(_kind(path))}", path=path, line=1)


def _place(wanted: str, header: Sequence[str], path: Path) -> int | None:
    """Which column has a name; None where no one has. Raises InputError where several have."""
    names = [name.strip() for name in header]
    alike = [place for place, name in enumerate(names) if name.casefold() == wanted.casefold()]
    fitting = [place for place in alike if names[place] == wanted] or alike
    if len(fitting) > 1:
        found = ", ".join(names[place] for place in fitting)
        way_out = ask_for(_kind(path)) if len({names[place] for place in fitting}) > 1 else "give each its own name"
        raise InputError(f"has {len(fitting)} columns for {wanted!r}: {found}; {way_out}", path=path, line=1)
    return fitting[0] if fitting else None


def _kind(path: Path) -> str:
    return "parquet" if path.suffix == ".parquet" else "csv"


def ask_for(kind: str) -> str:
    """What a user is told whose texts stand elsewhere. kind: the format's name."""
    return f"say which holds the texts, and which the ids: --from {kind}:TEXT or --from {kind}:TEXT,ID"
