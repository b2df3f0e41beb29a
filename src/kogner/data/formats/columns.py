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
        """Numbers of both columns of a table, in any case; the second is None where there are no ids.

        Raises InputError for a column that is not there.
        """
        folded = [name.strip().casefold() for name in header]
        for name in (self.text, *(() if self.id is None else (self.id,))):
            if name.casefold() not in folded:
                missing = f"has no column {name!r}; its columns: {', '.join(header)[:200]}"
                if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
                    raise InputError(f"{missing}; cells are separated by commas, in .tsv by tabs", path=path, line=1)
                kind = "parquet" if path.suffix == ".parquet" else "csv"
                raise InputError(f"{missing}; {ask_for(kind)}", path=path, line=1)
        own = (self.id or ID).casefold()
        return folded.index(self.text.casefold()), folded.index(own) if own in folded else None


def ask_for(kind: str) -> str:
    """What a user is told whose texts stand elsewhere. kind: the format's name."""
    return f"say which holds the texts, and which the ids: --from {kind}:TEXT or --from {kind}:TEXT,ID"
