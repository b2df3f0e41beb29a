"""Tables of nodes and of edges: tab-separated text, CSV, or Parquet, told by content and by the ending `.csv`.

nodes: id, type, name, and where the file has them synonyms (`|`), xrefs (`|`), description.
edges: head, relation, tail.

Columns are found by their names, in any order. Text may be packed with gzip or xz. Tab-separated text has no quoting:
a field ends at a tab, a row at a line end; CSV has. Parquet may hold synonyms and xrefs as lists. A file that is not
what it should be is an error; a row that is not is counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kogner.errors import InputError
from kogner.graph.readers.opening import lines, packing_of
from kogner.graph.readers.source import good_id
from kogner.graph.readers.tables import batches, header_of
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.progress import counting, note
from kogner.records import Entity, Triple

NODE_NEEDED = ("id", "type", "name")
NODE_OPTIONAL = ("synonyms", "xrefs", "description")
EDGE_NEEDED = ("head", "relation", "tail")
PROGRESS_EVERY = 1000

_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}
_TABS, _COMMAS = "tabs are needed (or an ending .csv for commas)", "commas are needed (or an ending .tsv for tabs)"


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
        if not good_id(identifier, place, rejected):
            continue
        if identifier in seen:
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


def read_triples(path: str | Path, *, rejected: Rejections) -> Iterator[Triple | TripleTable]:
    """Read the triples of an edge table, in the file's order. Counts and errors as in `read_entities`.

    CSV and Parquet give a table of triples at a time.
    """
    path = Path(path)
    if _is_table(path):
        yield from _triple_tables(path, rejected)
        return
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
    if _is_table(path):
        yield from _table_rows(path, needed, optional, rejected)
        return
    numbered = lines(path)
    first = next(numbered, None)
    if first is None or not first[1].strip():
        raise InputError(f"is empty; a first line with the columns {', '.join(needed)} is needed", path=path, line=1)
    header = [name.strip() for name in first[1].split("\t")]
    _check_header(header, first[1], path, needed, optional, wanted=_TABS)
    _say_columns(header, path, needed, optional)
    width = len(header)
    order = [header.index(name) if name in header else width for name in needed + optional]
    with counting(f"reading {path.name}") as counter:
        for number, line in numbered:
            if not number % PROGRESS_EVERY:
                counter.advance(PROGRESS_EVERY)
            fields = line.split("\t")
            if len(fields) != width:
                reason = "wrong number of fields" if line.strip() else "blank line"
                rejected.add(reason, f"{path.name}:{number}")
                continue
            fields.append("")
            yield f"{path.name}:{number}", [fields[place] for place in order]


def _is_table(path: Path) -> bool:
    name = path.name.casefold().removesuffix(".gz").removesuffix(".xz")
    return packing_of(path) == "parquet" or name.endswith(".csv")


def _table_rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...], rejected: Rejections
) -> Iterator[tuple[str, list[str]]]:
    """Rows as `_rows` gives them; a place counts rows, as a cell of CSV may hold line ends."""
    header = header_of(path)
    _check_header(header, ",".join(header), path, needed, optional, wanted=_COMMAS)
    _say_columns(header, path, needed, optional)
    columns = [name for name in needed + optional if name in header]
    number = 0
    with counting(f"reading {path.name}") as counter:
        for batch in batches(path, columns, rejected):
            cells = [
                batch[name].to_pylist() if name in columns else [""] * len(batch) for name in needed + optional
            ]  # fmt: skip
            for fields in zip(*cells, strict=True):
                number += 1
                yield f"{path.name} row {number}", list(fields)
            counter.advance(len(batch))


def _triple_tables(path: Path, rejected: Rejections) -> Iterator[TripleTable]:
    import pyarrow.compute as pc

    header = header_of(path)
    _check_header(header, ",".join(header), path, EDGE_NEEDED, (), wanted=_COMMAS)
    with counting(f"reading {path.name}") as counter:
        for batch in batches(path, EDGE_NEEDED, rejected):
            columns = [pc.utf8_trim_whitespace(batch[name]) for name in EDGE_NEEDED]
            keep = pc.is_valid(columns[0])
            for name, column in zip(EDGE_NEEDED, columns, strict=True):
                empty = pc.and_(keep, pc.equal(column, ""))
                if count := pc.sum(empty).as_py():
                    rejected.add_many(f"empty {name}", count, [path.name])
                keep = pc.and_not(keep, empty)
            yield TripleTable(*(column.filter(keep) for column in columns))
            counter.advance(len(batch))


def _say_columns(header: list[str], path: Path, needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    absent = [name for name in optional if name not in header]
    unknown = [name for name in header if name not in needed + optional]
    if absent:
        note(f"{path}: has no column {', '.join(absent)}; entities are built without")
    if unknown:
        note(f"{path}: unknown columns are not used: {', '.join(unknown)}")


def _check_header(
    header: list[str], line: str, path: Path, needed: tuple[str, ...], optional: tuple[str, ...], *, wanted: str
) -> None:
    """Raise InputError for columns that are missing or stand twice. line: the first. wanted: says what it needs."""
    missing = [name for name in needed if name not in header]
    columns = ", ".join(needed) + (f" (and optionally {', '.join(optional)})" if optional else "")
    if missing:
        for delimiter, word in _DELIMITERS.items():
            names = {name.strip().strip('"') for name in line.split(delimiter)}
            if names.issuperset(needed):
                raise InputError(f"columns are separated by {word}; {wanted}", path=path, line=1)
        found = ", ".join(name[:40] for name in header[:12]) + (", ..." if len(header) > 12 else "")
        raise InputError(
            f"no column named {', '.join(missing)}; the first line has: {found}; needed: {columns}", path=path, line=1
        )
    twice = sorted({name for name in needed + optional if header.count(name) > 1})
    if twice:
        raise InputError(f"the column {', '.join(twice)} stands twice in the first line", path=path, line=1)
