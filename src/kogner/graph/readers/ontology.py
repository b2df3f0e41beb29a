"""Any ontology as an OBO file (1.2, 1.4) or as OBO-graph JSON: MONDO, HPO, GO, ChEBI, DOID, CL, UBERON ...

The syntax is left to `fastobo`, which takes all of a document or nothing. It is therefore given one stanza (one node
and its edges) at a time, with only the clauses that a graph has use for: a clause that it refuses costs that clause,
is counted, and the rest of the file is read. Memory holds the relations of the terms, not the file; JSON is read whole.

What MONDO says of an xref (the same, or only related) stands in its OBO; in JSON only where the conversion kept
annotations of xrefs (`meta`), as newer ones by obographs do and older ones do not. Take MONDO as .obo.

Formats: OBO Flat File Format 1.4 (owlcollab.github.io/oboformat), OBO Graphs (github.com/geneontology/obographs).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.errors import InputError, MissingExtraError
from kogner.graph.readers.opening import lines, opened
from kogner.graph.readers.source import Source, distinct, good_id
from kogner.graph.readers.vocabularies import prefixed, type_of, uniform
from kogner.graph.rejections import Rejections
from kogner.progress import counting
from kogner.records import Entity, Triple

SCOPES = ("EXACT", "RELATED", "BROAD", "NARROW")
KEPT_SCOPES = SCOPES[:2]
_EDGE = ("sub", "pred", "obj")
_TAGS = ("id", "name", "namespace", "def", "synonym", "xref", "is_a", "relationship", "alt_id", "is_obsolete")
_PROPERTIES = ("hasOBONamespace", "hasAlternativeId")
# How MONDO marks the strength of an xref, in its `source`.
_SAME = frozenset({"equivalentTo", "equivalentObsolete", "obsoleteEquivalent"})
_LOOSE = frozenset(
    {"relatedTo", "superClassOf", "subClassOf", "directSiblingOf", "otherHierarchy", "includedEntryInOMIM"}
)
# Types of ChEBI's older synonyms that are structures, no names.
_STRUCTURES = ("InChI", "InChIKey", "SMILES", "FORMULA")
_STANZAS = ("[Term]", "[Typedef]", "[Instance]")


@dataclass
class Term:
    """A term (or, without `is_term`, a relation) as it stands in an ontology; identifiers in one spelling."""

    id: str
    is_term: bool = True
    name: str = ""
    namespace: str = ""
    definition: str = ""
    synonyms: list[tuple[str, str]] = field(default_factory=list)
    xrefs: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)  # xrefs to what is not the same
    addresses: list[str] = field(default_factory=list)
    relations: list[tuple[str, str]] = field(default_factory=list)
    obsolete: bool = False


def read_ontology(
    path: str | Path, *, rejected: Rejections, kind: str | None = None, scopes: tuple[str, ...] = KEPT_SCOPES
) -> Source:
    """Terms of an ontology as entities, `is_a` and the other relations between them as triples.

    kind: type of terms whose prefix says nothing; the ontology's name when None. scopes: of the synonyms that are kept.
    alt_ids and InChIKeys become xrefs. Left out and counted: obsolete terms, terms without a name, synonyms of other
    scopes and those that are structures, xrefs that are no identifiers or, as MONDO marks them, to related concepts,
    clauses that are no OBO. Terms in a circle of `is_a` are kept and counted as a remark.
    Raises InputError (file, line) for a file that is no ontology or damaged, MissingExtraError without `fastobo`.
    """
    path = Path(path)
    triples: list[Triple] = []
    return Source(path.name, _entities(path, triples, rejected, kind, scopes), triples)


def is_ontology(path: Path) -> bool:
    """Whether a file is an ontology by its name, or, if it is JSON, by its first bytes."""
    name = path.name.casefold().removesuffix(".gz").removesuffix(".xz")
    if not name.endswith(".json"):
        return name.endswith(".obo")
    try:
        with opened(path) as stream:
            return b'"graphs"' in stream.read(4096)
    except InputError:
        return False


def _entities(
    path: Path, triples: list[Triple], rejected: Rejections, kind: str | None, scopes: tuple[str, ...]
) -> Iterator[Entity]:
    relations: list[tuple[str, str, str]] = []
    called: dict[str, str] = {}
    seen: set[str] = set()
    header: dict[str, str] = {}
    terms = 0
    with counting(f"reading {path.name}") as counter:
        for term in _terms(path, header, rejected):
            counter.advance()
            if not term.is_term:
                called[term.id] = term.name
                continue
            terms += 1
            if not good_id(term.id, f"{path.name}: {term.id!r}", rejected):
                continue
            if term.obsolete:
                rejected.add("obsolete term", term.id)
            elif not term.name:
                rejected.add("term without a name", term.id)
            elif term.id in seen:
                rejected.add("duplicate id", f"{path.name}: {term.id}")
            else:
                seen.add(term.id)
                relations.extend((term.id, relation, tail) for relation, tail in term.relations)
                yield _entity(term, kind or _ontology_name(header, path), scopes, rejected)
    if not terms:
        raise InputError("has no term; an ontology as OBO or as OBO-graph JSON is needed", path=path)
    triples.extend(Triple(head, _relation(relation, called), tail) for head, relation, tail in relations)


def _entity(term: Term, kind: str, scopes: tuple[str, ...], rejected: Rejections) -> Entity:
    synonyms = []
    for text, scope in term.synonyms:
        if scope in scopes:
            synonyms.append(text)
        else:
            rejected.add(f"{scope.lower()} synonym", f"{term.id} {text}")
    for xref in term.loose:
        rejected.add("xref to a related concept", f"{term.id} {xref}")
    for address in term.addresses:
        rejected.add("xref that is no identifier", f"{term.id} {address}")
    return Entity(
        term.id,
        type_of(term.id, term.namespace) or kind,
        " ".join(term.name.split()),
        distinct(synonyms, term.name),
        distinct(term.xrefs, term.id),
        " ".join(term.definition.split()),
    )


def _relation(relation: str, called: dict[str, str]) -> str:
    """A relation's name with underscores: `part_of` where the file calls it `BFO:0000050`, named `part of`."""
    return "_".join((relation if ":" not in relation else called.get(relation) or relation).split())


def _ontology_name(header: dict[str, str], path: Path) -> str:
    name = header.get("ontology") or path.name
    return name.rpartition("/")[2].partition(".")[0]


def _terms(path: Path, header: dict[str, str], rejected: Rejections) -> Iterator[Term]:
    try:
        import fastobo
    except ImportError as error:
        raise MissingExtraError("reading an ontology", "ontologies") from error
    with opened(path, wanted="an ontology as OBO or JSON") as stream:
        is_json = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    yield from (_json_terms if is_json else _obo_terms)(path, header, rejected, fastobo)


def _obo_terms(path: Path, header: dict[str, str], rejected: Rejections, fastobo: Any) -> Iterator[Term]:
    stanza: list[tuple[int, str]] = []
    found = 0
    for number, line in lines(path, wanted="an ontology as OBO or JSON"):
        line = line.strip()
        if line.startswith("["):
            if line not in _STANZAS:
                rejected.add("stanza of an unknown kind", f"{path.name}:{number} {line[:40]}")
            yield from _stanza(stanza, path, rejected, fastobo)
            stanza = [(number, line)]
            found += line == "[Term]"
        elif stanza:
            tag = line.partition(":")[0]
            if tag in _TAGS or (tag == "property_value" and _is_inchikey(line.split()[1:2])):
                stanza.append((number, line))
        elif line:
            tag, _, value = line.partition(":")
            header[tag] = value.strip()
    yield from _stanza(stanza, path, rejected, fastobo)
    if not found:
        raise InputError("has no [Term]; an ontology as OBO or as OBO-graph JSON is needed", path=path)


def _stanza(stanza: list[tuple[int, str]], path: Path, rejected: Rejections, fastobo: Any) -> Iterator[Term]:
    """The term of a stanza's lines, without the lines that are no OBO."""
    if not stanza or stanza[0][1] not in _STANZAS[:2]:
        return
    kept = stanza
    while len(kept) > 1:
        try:
            yield _term(fastobo.loads("\n".join(line for _, line in kept) + "\n", threads=1)[0])
            return
        except SyntaxError as error:
            bad = min(max(1, (error.lineno or 1) - 1), len(kept) - 1)
            number, line = kept[bad]
            if bad == 1:  # without its id a stanza is nothing
                rejected.add("term without a proper id", f"{path.name}:{number} {line[:60]}")
                return
            rejected.add("clause that is no OBO", f"{path.name}:{number} {line[:60]}")
            kept = [*kept[:bad], *kept[bad + 1 :]]
    rejected.add("term without a proper id", f"{path.name}:{stanza[0][0]}")


def _json_terms(path: Path, header: dict[str, str], rejected: Rejections, fastobo: Any) -> Iterator[Term]:
    with opened(path) as stream:
        try:
            graphs = json.loads(stream.read())["graphs"]
            if not all(isinstance(graph, dict) for graph in graphs):
                raise TypeError("a graph is no object")
            nodes = [node for graph in graphs for node in graph.get("nodes", ())]
            edges = [edge for graph in graphs for edge in graph.get("edges", ())]
            header["ontology"] = str(graphs[0].get("id") or "") if graphs else ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"is no OBO-graph JSON ({type(error).__name__}: {error})", path=path) from error
    outward: dict[str, list[Any]] = {}
    for edge in edges:
        if isinstance(edge, dict) and all(isinstance(edge.get(end), str) and edge[end] for end in _EDGE):
            outward.setdefault(edge["sub"], []).append({end: edge[end] for end in _EDGE})
        else:
            rejected.add("edge without its ends", f"{path.name}: {str(edge)[:60]}")
    for node in nodes:
        yield from _node(node, outward, path, rejected, fastobo)
    known = {node["id"] for node in nodes if isinstance(node, dict) and isinstance(node.get("id"), str)}
    for subject, left in outward.items():
        if subject not in known:
            rejected.add_many("triple with an unknown end", len(left), [subject])


def _node(
    node: Any, outward: dict[str, list[Any]], path: Path, rejected: Rejections, fastobo: Any
) -> Iterator[Term]:  # fmt: skip
    if not isinstance(node, dict) or not isinstance(node.get("id"), str):
        rejected.add("term without a proper id", f"{path.name}: {str(node)[:60]}")
        return
    if node.get("type") == "INDIVIDUAL":
        rejected.add("individual (no term)", str(node["id"]))
        return
    meta = _object(node, "meta")

    def listed(key: str, *fields: str, also: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        given = meta.get(key) or []
        given = given if isinstance(given, list) else [given]
        whole = [one for one in given if isinstance(one, dict) and all(one.get(name) for name in fields)]
        if bad := len(given) - len(whole):
            rejected.add_many(f"{key} of a term that are no OBO", bad, [str(node["id"])])
        return [{name: one[name] for name in (*fields, *also) if name in one} for one in whole]

    xrefs = listed("xrefs", "val", also=("meta",))
    slim: dict[str, Any] = {
        "definition": {"val": _object(meta, "definition").get("val") or "", "xrefs": []},
        "synonyms": listed("synonyms", "pred", "val"),
        "xrefs": [{"val": one["val"]} for one in xrefs if not _is_loose(_sources(one))],
        "basicPropertyValues": [
            one
            for one in listed("basicPropertyValues", "pred", "val")
            if str(one["pred"]).rpartition("#")[2] in _PROPERTIES or _is_inchikey([str(one["pred"])])
        ],
        "deprecated": bool(meta.get("deprecated")),
    }
    if not slim["definition"]["val"]:
        del slim["definition"]
    plain = {"id": node["id"], "lbl": node.get("lbl") or "", "type": node.get("type") or "CLASS"}
    edges = outward.get(node["id"], [])

    def frames(meta: dict[str, Any], outgoing: list[Any]) -> list[Any] | None:
        document = {"graphs": [{"id": "x", "nodes": [{**plain, "meta": meta}], "edges": outgoing}]}
        try:
            return list(fastobo.load_graph(io.BytesIO(json.dumps(document).encode())))
        except (SyntaxError, ValueError, TypeError):
            return None

    def good(key: str, given: list[Any]) -> list[Any]:
        kept = [one for one in given if (frames({}, [one]) if key == "edges" else frames({key: [one]}, [])) is not None]
        if bad := len(given) - len(kept):
            rejected.add_many(f"{key} of a term that are no OBO", bad, [str(node["id"])])
        return kept

    found = frames(slim, edges)
    if found is None:  # one part of it is at fault
        for key in ("xrefs", "synonyms", "basicPropertyValues"):
            slim[key] = good(key, slim[key])
        found = frames(slim, good("edges", edges))
    if found is None:
        rejected.add("term that is no OBO", str(node["id"]))
        return
    # An edge's other end may get a frame of its own.
    for term in map(_term, found[:1]):
        term.loose += [str(one["val"]) for one in xrefs if _is_loose(_sources(one))]
        yield term


def _sources(xref: dict[str, Any]) -> list[str]:
    """The `source` annotations of an xref of OBO-graph JSON; [] where the file has none."""
    given = _object(xref, "meta").get("basicPropertyValues")
    whole = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return [str(one.get("val")) for one in whole if str(one.get("pred")).rpartition("#")[2] == "source"]


def _is_loose(sources: Iterable[str]) -> bool:
    """Whether MONDO marks an xref as one to another concept (`{source="MONDO:relatedTo"}`), not to the same."""
    said = [one.removeprefix("MONDO:") for one in sources if one.startswith("MONDO:")]
    return any(one in _LOOSE for one in said) and not any(one in _SAME for one in said)


def _is_inchikey(relation: list[str]) -> bool:
    """Whether a property is ChEBI's InChIKey: `.../chebi/inchikey`, later `chemrof:inchi_key_string`."""
    return bool(relation) and "inchikey" in relation[0].casefold().replace("_", "")


def _object(of: dict[str, Any], key: str) -> dict[str, Any]:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _term(frame: Any) -> Term:
    """A frame of fastobo as a term. The clause's class name says what it is."""
    term = Term(uniform(str(frame.id)), is_term=type(frame).__name__ == "TermFrame")
    for clause in frame:
        kind = type(clause).__name__
        if kind == "NameClause":
            term.name = clause.name
        elif kind == "NamespaceClause":
            term.namespace = str(clause.namespace)
        elif kind == "DefClause":
            term.definition = clause.definition
        elif kind == "SynonymClause":
            sort = str(clause.synonym.type)
            if sort == "InChIKey":
                term.xrefs.append(prefixed("INCHIKEY", clause.synonym.desc.removeprefix("InChIKey=")))
            scope = "STRUCTURE" if sort in _STRUCTURES else clause.synonym.scope
            term.synonyms.append((clause.synonym.desc, scope))
        elif kind == "XrefClause":
            namespace, colon, local = str(clause.xref.id).partition(":")
            qualifiers = clause.qualifiers or ()
            if _is_loose(str(one.value).strip('"') for one in qualifiers if str(one.key) == "source"):
                term.loose.append(str(clause.xref.id))
            elif colon and local and not local.startswith("//"):
                term.xrefs.append(prefixed(namespace, local))
            else:
                term.addresses.append(str(clause.xref.id))
        elif kind == "PropertyValueClause":
            if _is_inchikey([str(clause.property_value.relation)]):
                term.xrefs.append(prefixed("INCHIKEY", str(clause.property_value.value).strip('"')))
        elif kind == "AltIdClause":
            term.xrefs.append(uniform(str(clause.alt_id)))
        elif kind == "IsAClause":
            term.relations.append(("is_a", uniform(str(clause.term))))
        elif kind == "RelationshipClause":
            term.relations.append((str(clause.typedef), uniform(str(clause.term))))
        elif kind == "IsObsoleteClause":
            term.obsolete = clause.obsolete
    return term
