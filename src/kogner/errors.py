"""Errors a user can cause and mend. The CLI prints them without a traceback and exits with code 2.

Each message names the file or argument, the value, the limit and the way out; that is why all of them are built
from a finished sentence rather than from codes.
"""

from __future__ import annotations

from pathlib import Path


class KognerError(Exception):
    """Base of every error that a user can cause; anything else is a defect of ours."""


class ConfigError(KognerError):
    """A recipe, flag or configuration file holds something we do not understand."""


class InputError(KognerError):
    """A file or text given by the user cannot be read as what it was said to be.

    path: the file, line: 1-based line number, document: the document's id; each shown when known.
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None, document: str | None = None
    ) -> None:
        self.path, self.line, self.document = path, line, document
        where = str(path) if path is not None else ""
        if line is not None:
            where += f":{line}"
        if document is not None:
            where += f"{' ' if where else ''}(document {document})"
        super().__init__(f"{where}: {message}" if where else message)


class ArtifactError(KognerError):
    """A saved folder is missing, incomplete, damaged, or of another kind or version than expected."""


class ShapeError(KognerError):
    """Vectors that do not belong together, such as label vectors of another span head."""


class MissingExtraError(KognerError):
    """An optional dependency is not installed; the message carries the line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'. Install it with: pip install 'kogner[{extra}]'")


class ModelError(KognerError):
    """A language model that cannot be asked at all: no key, a refused key, a wrong address, an empty account."""


class BudgetError(KognerError):
    """The next request could cost more than the user allows; what was answered so far is kept."""
