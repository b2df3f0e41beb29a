"""Terms of an OBO 1.2/1.4 file: only what a graph needs (id, name, definition, synonyms, xrefs, is_a)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kogner.errors import InputError

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*([A-Z]*)')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(slots=True)
class OboTerm:
    """A `[Term]` stanza. synonyms: (text, scope) with scope EXACT, BROAD, NARROW or RELATED. parents: is_a targets."""

    id: str = ""
    name: str = ""
    definition: str = ""
    synonyms: list[tuple[str, str]] = field(default_factory=list)
    xrefs: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    obsolete: bool = False


def read_terms(path: Path) -> Iterator[OboTerm]:
    """Read the terms of an OBO file in its order, obsolete ones too.

    Raises InputError (file and line) for bytes that are not UTF-8, a term without an id, and a file without terms.
    """
    term: OboTerm | None = None
    found, number = 0, 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                line = line.strip()
                if line.startswith("["):
                    if term is not None:
                        yield _checked(term, path, number)
                    term = OboTerm() if line == "[Term]" else None
                    found += term is not None
                elif term is not None and line:
                    _take(term, line)
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text ({error.reason})", path=path, line=number + 1) from error
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error
    if term is not None:
        yield _checked(term, path, number)
    if not found:
        raise InputError("has no [Term]; an OBO file is needed", path=path)


def _take(term: OboTerm, line: str) -> None:
    tag, _, value = line.partition(": ")
    if tag == "id":
        term.id = _bare(value)
    elif tag == "name":
        term.name = value.strip()
    elif tag == "def" and (match := _QUOTED.match(value)):
        term.definition = _ESCAPE.sub(r"\1", match[1])
    elif tag == "synonym" and (match := _QUOTED.match(value)):
        term.synonyms.append((_ESCAPE.sub(r"\1", match[1]), match[2] or "RELATED"))
    elif tag == "xref":
        term.xrefs.append(_bare(value))
    elif tag == "is_a":
        term.parents.append(_bare(value))
    elif tag == "alt_id":
        term.alternatives.append(_bare(value))
    elif tag == "is_obsolete":
        term.obsolete = value.strip() == "true"


def _bare(value: str) -> str:
    """The identifier at the start of a value, without `! comment`, `{qualifiers}` or a quoted description."""
    return value.split(maxsplit=1)[0] if value.strip() else ""


def _checked(term: OboTerm, path: Path, line: int) -> OboTerm:
    if not term.id:
        raise InputError("the [Term] before this line has no id", path=path, line=line)
    return term
