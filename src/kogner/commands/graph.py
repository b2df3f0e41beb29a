"""`kogner graph`: say what is in a graph store, find entities by name or in a text, show one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands.graph_build import build, fetch
from kogner.commands.printing import JSON, add_row, echo_json, new_table, show_rich
from kogner.errors import InputError
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.graph.store import GraphStore

GRAPH = click.option("--graph", required=True, type=click.Path(path_type=Path), help="A graph that 'build' wrote.")


@click.group()
def command() -> None:
    """Build and query a knowledge graph.

    \b
    Example:
      kogner graph build --from-packages --out graph
      kogner graph find aspirin --graph graph
    """


command.add_command(build)
command.add_command(fetch)


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@JSON
def info(folder: Path, only_json: bool) -> None:
    """Say how many entities of each type and triples of each relation a graph has.

    \b
    Example:
      kogner graph info graph
    """
    import numpy as np

    store = _open(folder)
    types = _counts(store.types, np.bincount(store.type_codes, minlength=len(store.types)))
    relations = _counts(store.relations, np.bincount(store.triples[:, 1], minlength=len(store.relations)))
    if not only_json:
        for title, counts in (("type", types), ("relation", relations)):
            listed = new_table(title, "number")
            for name, count in counts.items():
                add_row(listed, name, f"{count:,}")
            show_rich(listed)
    echo_json(
        {
            "entities": len(store),
            "triples": store.n_triples,
            "names": len(store.lexicon),
            "types": types,
            "relations": relations,
            "hash": store.artifact.hash,
            "source": store.artifact.recipe,
        }
    )


@command.command()
@click.argument("name")
@GRAPH
@click.option("--type", "types", multiple=True, help="Only entities of this type; may be given several times.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most this many entities.")
@JSON
def find(name: str, graph: Path, types: tuple[str, ...], limit: int, only_json: bool) -> None:
    """Find the entities that bear a name, best first.

    Tiers: exact, casefold (upper and lower case), normalised (hyphens, Greek letters, inverted names, plural s); where
    there is none of these, fuzzy: names that differ in one letter or two.

    \b
    Example:
      kogner graph find aspirin --graph graph
      kogner graph find "type 2 diabetes mellitus" --type Disease --graph graph
    """
    store = _open(graph)
    unknown = [kind for kind in types if kind not in store.types]
    if unknown:
        raise InputError(f"the graph has no type {', '.join(unknown)}; its types: {', '.join(store.types)}", path=graph)
    matches = store.lexicon.lookup(name, types=types or None)
    written: dict[int, str] = {}
    if not matches:
        near = store.lexicon.similar(name, types=types or None, limit=100)
        near.sort(key=lambda one: (one[2], int(store.indptr[one[0].row]) - int(store.indptr[one[0].row + 1])))
        matches = [match for match, _, _ in near]
        written = {match.row: key for match, key, _ in near}
        if near:
            note(f"no entity bears the name {name!r}; these bear one like it")
    found = []
    for match in matches[:limit]:
        entity = store.entity(match.row)
        found.append(
            {
                "id": entity.id,
                "type": entity.type,
                "name": entity.name,
                "tier": match.tier,
                "preferred": match.preferred,
                **({"like": written[match.row]} if match.row in written else {}),
                "xrefs": list(entity.xrefs),
            }
        )
    if not only_json and found:
        listed = new_table("id", "type", "name", "tier", "matched")
        for item in found:
            matched = str(item.get("like") or ("name" if item["preferred"] else "synonym"))
            add_row(listed, str(item["id"]), str(item["type"]), str(item["name"]), str(item["tier"]), matched)
        show_rich(listed)
    if not matches:
        note(f"no entity bears the name {name!r}" + (f" among the types {', '.join(types)}" if types else ""))
    elif len(matches) > limit:
        note(f"{len(matches) - limit} more; raise --limit to see them")
    echo_json({"name": name, "found": len(matches), "matches": found})


@command.command()
@click.argument("identifier", metavar="ID")
@GRAPH
@click.option("--limit", default=10, show_default=True, type=click.IntRange(min=0), help="Neighbours per relation.")
@JSON
def show(identifier: str, graph: Path, limit: int, only_json: bool) -> None:
    """Show an entity: names, type, xrefs, description, what was made one with it, and its neighbours by relation.

    ID is an entity's own id or an xref of it. `->` walks a relation from head to tail, `<-` from tail to head.

    \b
    Example:
      kogner graph show MESH:D001241 --graph graph
      kogner graph show OMIM:114480 --graph graph --limit 3
    """
    from rich.text import Text

    from kogner.graph.merging import read_report

    store = _open(graph)
    rows = store.resolve(identifier)
    if not rows:
        raise InputError(
            f"no entity has the id or xref {identifier!r}; look for a name with: "
            f"kogner graph find {identifier!r} --graph {graph}",
            path=graph,
        )
    entity = store.entity(rows[0])
    others = store.ids(rows[1:])
    neighbours = _neighbours(store, rows[0], limit)
    merges = read_report(store.path, entity.id)
    if not only_json:
        head = f"{entity.id}  {entity.type}  {entity.name}\n"
        for title, values in (("synonyms", entity.synonyms), ("xrefs", entity.xrefs)):
            head += f"{title}: {', '.join(values)}\n" if values else ""
        show_rich(Text(head + entity.description))
        for one in merges:
            show_rich(Text(f"made one with {one.id}{f' of {one.source}' if one.source else ''}: {one.rule}, {one.why}"))
        listed = new_table("relation", "number", "neighbours")
        for group in neighbours:
            arrow = "->" if group["direction"] == "out" else "<-"
            names = "; ".join(f"{item['name']} ({item['id']})" for item in group["entities"])
            add_row(listed, f"{arrow} {group['relation']}", f"{group['count']:,}", names)
        show_rich(listed)
    if others:
        note(f"{identifier} is an xref of {len(others)} more: {', '.join(others[:10])}")
    echo_json(
        {
            "id": entity.id,
            "type": entity.type,
            "name": entity.name,
            "synonyms": list(entity.synonyms),
            "xrefs": list(entity.xrefs),
            "description": entity.description,
            "also": others,
            "merged": [{"id": one.id, "rule": one.rule, "why": one.why, "source": one.source} for one in merges],
            "neighbours": neighbours,
        }
    )


@command.command()
@click.argument("source", metavar="FILE|-")
@GRAPH
@click.option("--type", "types", multiple=True, help="Only entities of this type; may be given several times.")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(min=1), help="At most this many a name.")
@click.option("--no-guard", is_flag=True, help="Also short, common and general names, whatever their case.")
@click.option("--index", type=click.Path(path_type=Path), help="Folder of the scan index. Default: GRAPH.scan.")
def scan(source: str, graph: Path, types: tuple[str, ...], limit: int, no_guard: bool, index: Path | None) -> None:
    """Find the graph's names in FILE (or standard input): plain text, or JSON lines of {"id", "text"}.

    The longest name wins, at word edges, whatever its hyphens, case (but for symbols), Greek letters and plural s.
    Each line of output is one name: document, start, end (half-open code points), text, type, and the entities it may
    mean, best first: the entity's own name before a synonym, the same case before another, then more triples. The
    first scan of a graph builds an index beside it.

    \b
    Example:
      kogner graph scan examples/abstract.txt --graph graph --type Chemical --type Disease
    """
    from kogner.annotate.texts import read_texts
    from kogner.graph.identifiers import is_text
    from kogner.graph.scan import Scanner

    documents = read_texts(source)
    scanner = Scanner(_open(graph), types or None, guard=not no_guard, abbreviations=not no_guard, index=index)
    for document in documents:
        for found in scanner.scan(document.text):
            readings = found.readings[:limit]
            ids = scanner.store.ids([reading.row for reading in readings])
            text = document.text[found.start : found.end]
            click.echo(
                json.dumps(
                    {
                        "document": document.id,
                        "start": found.start,
                        "end": found.end,
                        "text": text,
                        "type": found.type,
                        "entities": [
                            {"id": own, "type": one.type, "name": one.name, "preferred": one.preferred}
                            for own, one in zip(ids, readings, strict=True)
                        ],
                    },
                    ensure_ascii=not is_text(text),
                )
            )


def _neighbours(store: GraphStore, row: int, limit: int) -> list[dict[str, Any]]:
    """Neighbours of a row by (relation, direction): how many, and the first `limit` of each."""
    import numpy as np

    place = slice(int(store.indptr[row]), int(store.indptr[row + 1]))
    ends, relations = store.neighbours[place], store.edge_relations[place]
    groups: list[dict[str, Any]] = []
    for code in np.unique(relations).tolist():
        rows = ends[relations == code]
        shown = rows[:limit]
        texts = store.texts(shown)
        groups.append(
            {
                "relation": store.relations[code % len(store.relations)],
                "direction": "out" if code < len(store.relations) else "in",
                "count": len(rows),
                "entities": [{"id": own, "name": name} for own, (name, _) in zip(store.ids(shown), texts, strict=True)],
            }
        )
    return groups


def _open(folder: Path) -> GraphStore:
    from kogner.graph.store import GraphStore

    return GraphStore.open(folder)


def _counts(names: tuple[str, ...], numbers: Any) -> dict[str, int]:
    return dict(sorted(zip(names, numbers.tolist(), strict=True), key=lambda item: (-item[1], item[0])))
