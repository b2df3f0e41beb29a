"""Nodes and edges as tab-separated text, plain or packed with gzip or xz.

nodes: id, type, name, and where the file has them synonyms (`|`), xrefs (`|`), description.
edges: head, relation, tail.

Columns are found by their names in the first line, in any order. There is no quoting: a field ends at a tab, a row at
a line end. A file that is not what it should be is an error; a row that is not is counted and left out.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kogner.errors import InputError
from kogner.graph.rejections import Rejections
from kogner.progress import counting, note
from kogner.records import Entity, Triple

NODE_NEEDED = ("id", "type", "name")
NODE_OPTIONAL = ("synonyms", "xrefs", "description")
EDGE_NEEDED = ("head", "relation", "tail")
PROGRESS_EVERY = 1000

_PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz"}
_UNREADABLE = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed with bzip2",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"PAR1": "a Parquet file",
}
_DELIMITERS = {",": "commas", ";": "semicolons", "|": "bars", " ": "blanks"}


def read_entities(path: str | Path, *, rejected: Rejections) -> Iterator[Entity]:
    """Read the entities of a node table, in the file's order.

    Left out and counted: rows with a wrong number of fields, an empty id, type or name, blanks in the id, or an id that
    an earlier row has. Raises InputError (file and line) for a missing column, a wrong delimiter, bytes that are not
    UTF-8, a binary file, and a file that is cut short.
    """
    path = Path(path)
    seen: set[str] = set()
    for place, fields in _rows(path, NODE_NEEDED, NODE_OPTIONAL, rejected):
        identifier, kind, name, synonyms, xrefs, description = fields
        if not identifier:
            rejected.add("empty id", place)
        elif len(identifier.split()) != 1 or identifier != identifier.strip():
            rejected.add("id with blanks", place)
        elif identifier in seen:
            rejected.add("duplicate id", place)
        elif not kind.strip():
            rejected.add("empty type", place)
        elif not name.strip():
            rejected.add("empty name", place)
        else:
            seen.add(identifier)
            yield Entity(
                identifier, kind.strip(), name.strip(), _items(synonyms), _items(xrefs), description.strip()
            )  # fmt: skip


def read_triples(path: str | Path, *, rejected: Rejections) -> Iterator[Triple]:
    """Read the triples of an edge table, in the file's order. Counts and errors as in `read_entities`."""
    path = Path(path)
    for place, (head, relation, tail) in _rows(path, EDGE_NEEDED, (), rejected):
        head, relation, tail = head.strip(), relation.strip(), tail.strip()
        if head and relation and tail:
            yield Triple(head, relation, tail)
        else:
            empty = "head" if not head else "relation" if not relation else "tail"
            rejected.add(f"empty {empty}", place)


def _items(field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for part in field.split("|") if (item := part.strip()))) if field else ()


def _rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...], rejected: Rejections
) -> Iterator[tuple[str, list[str]]]:
    """Yield (file:line, the fields in the order of `needed` + `optional`, "" for an optional column that is absent)."""
    lines = _lines(path)
    first = next(lines, None)
    if first is None or not first[1].strip():
        raise InputError(f"is empty; a first line with the columns {', '.join(needed)} is needed", path=path, line=1)
    header = [name.strip() for name in first[1].split("\t")]
    _check_header(header, first[1], path, needed, optional)
    absent = [name for name in optional if name not in header]
    unknown = [name for name in header if name not in needed + optional]
    if absent:
        note(f"{path}: has no column {', '.join(absent)}; entities are built without")
    if unknown:
        note(f"{path}: unknown columns are not used: {', '.join(unknown)}")
    width = len(header)
    order = [header.index(name) if name in header else width for name in needed + optional]
    with counting(f"reading {path.name}") as counter:
        for number, line in lines:
            if not number % PROGRESS_EVERY:
                counter.advance(PROGRESS_EVERY)
            fields = line.split("\t")
            if len(fields) != width:
                reason = "wrong number of fields" if line.strip() else "blank line"
                rejected.add(reason, f"{path.name}:{number}")
                continue
            fields.append("")
            yield f"{path.name}:{number}", [fields[place] for place in order]


def _check_header(header: list[str], line: str, path: Path, needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in header]
    columns = ", ".join(needed) + (f" (and optionally {', '.join(optional)})" if optional else "")
    if missing:
        for delimiter, word in _DELIMITERS.items():
            names = {name.strip().strip('"') for name in line.split(delimiter)}
            if names.issuperset(needed):
                raise InputError(f"columns are separated by {word}; tabs are needed", path=path, line=1)
        found = ", ".join(name[:40] for name in header[:12]) + (", ..." if len(header) > 12 else "")
        raise InputError(
            f"no column named {', '.join(missing)}; the first line has: {found}; needed: {columns}", path=path, line=1
        )
    twice = sorted({name for name in needed + optional if header.count(name) > 1})
    if twice:
        raise InputError(f"the column {', '.join(twice)} stands twice in the first line", path=path, line=1)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based line number, line without its end), whatever the packing, byte-order mark and line ends."""
    number = 0
    packing = "plain"
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
            packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), "plain")
            what = next((name for magic, name in _UNREADABLE.items() if start.startswith(magic)), None)
            if what:
                raise InputError(f"is {what}; tab-separated text is needed, plain or as .gz or .xz", path=path)
            raw.seek(0)
            stream: IO[bytes] = raw
            if packing == "gzip":
                stream = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
            elif packing == "xz":
                stream = lzma.LZMAFile(raw)  # noqa: SIM115
            for data in stream:
                number += 1
                if b"\x00" in data:
                    raise InputError(
                        "is binary or UTF-16 (it has a NUL byte); tab-separated UTF-8 text is needed",
                        path=path,
                        line=number,
                    )
                if number == 1:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                yield number, data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not UTF-8 text: byte 0x{error.object[error.start]:02x} at byte {error.start + 1} of the line; "
            "save the file as UTF-8",
            path=path,
            line=number,
        ) from error
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"the {packing} file is cut short or damaged after line {number} ({error}); fetch or pack it again",
            path=path,
            line=number + 1,
        ) from error
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
