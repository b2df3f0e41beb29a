"""BioMedGraphica as its authors release it: a CSV file per entity type and per relation type, or two merged ones.

    Entity/<Type>/BioMedGraphica_<Type>.csv                names and identifiers
    Entity/<Type>/BioMedGraphica_<Type>_Description_Combined.csv   descriptions, where there are any
    Relation/<A>-<B>/BioMedGraphica_<A>_<B>.csv            From_ID, To_ID, Type, in any order of columns
    Entity/BioMedGraphica_Entity.csv                       merged; both are read for what has no file of its own, and
    Relation/BioMedGraphica_Relation.csv                   compared with the files of the others: those may be cut

Columns, separators and oddities are those of the notebooks that write the files (commit 8a617a4 of
github.com/FuhaiLiAiLab/BioMedGraphica). An entity keeps its BMG id; its type is the folder's name, and so is a
relation's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kogner.errors import InputError
from kogner.graph.readers.opening import packed
from kogner.graph.readers.source import good_id
from kogner.graph.readers.tables import batches, header_of
from kogner.graph.readers.vocabularies import prefixed, uniform
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.progress import counting, note
from kogner.records import Entity

ID = "BioMedGraphica_ID"
_ONLY_MERGED = "id of the merged file alone, of a type with a file of its own: is that cut?"
BAR, SEMICOLON = " | ", ";"


@dataclass(frozen=True)
class EntityKind:
    """How the file of an entity type is read.

    code: the two letters in its ids (`BMG_DS000001`). names: columns of names, the first that is filled in gives the
    name. separator: between several names of a cell. ids: columns of identifiers in other vocabularies, with their
    prefix; "" where an identifier carries its own. ending: put behind every name, as the authors' companion files do.
    """

    code: str
    names: tuple[str, ...]
    separator: str
    ids: dict[str, str]
    ending: str = ""


_GENE_IDS = {
    "NCBI_Gene_ID": "NCBIGene", "Ensembl_Gene_ID": "ENSEMBL", "HGNC_ID": "", "RefSeq_ID": "RefSeq", "OMIM_ID": "OMIM",
}  # fmt: skip

# Names in the order of the authors' Display_Name. Cells of identifiers are joined by semicolons everywhere.
KINDS = {
    "Promoter": EntityKind("PM", ("HGNC_Symbol", "Gene_Name"), SEMICOLON, {}, " Promoter"),
    "Gene": EntityKind("GN", ("HGNC_Symbol", "Gene_Name"), SEMICOLON, _GENE_IDS),
    "Transcript": EntityKind(
        "TS",
        ("Transcript_Name",),  # its HGNC_Symbol names the gene
        SEMICOLON,
        {"Ensembl_Transcript_ID": "ENSEMBL", "RefSeq_ID": "RefSeq", "RNACentral_ID": "RNAcentral"},
    ),
    "Protein": EntityKind(
        "PT",
        ("HGNC_Symbol", "UniProt_Name"),
        SEMICOLON,
        {"Uniprot_ID": "UniProtKB", "Ensembl_Protein_ID": "ENSEMBL", "RefSeq_ID": "RefSeq"},
    ),
    "Pathway": EntityKind(
        "PW",
        ("PO_Name", "Reactome_Name", "WikiPathways_Name", "KEGG_Name"),
        SEMICOLON,
        {"PO_ID": "", "Reactome_ID": "Reactome", "WikiPathways_ID": "WikiPathways", "KEGG_ID": "KEGG"},
    ),
    "Metabolite": EntityKind(
        "MT",
        ("HMDB_Name", "IUPAC_Name", "ChEBI_Name"),
        SEMICOLON,
        {
            "HMDB_ID": "HMDB", "PubChem_CID": "PubChem", "CAS_RN": "CAS", "ChEBI_ID": "CHEBI", "KEGG_ID": "KEGG",
            "ChemSpider_ID": "ChemSpider", "PDB_ID": "PDB-CCD", "InChIKey": "INCHIKEY",
        },
    ),
    "Microbiota": EntityKind(
        "MC",
        ("NCBI_Taxonomy_Name",),
        SEMICOLON,
        {"NCBI_Taxonomy_ID": "NCBITaxon", "GTDB_ID": "GTDB"},
    ),
    "Exposure": EntityKind("EP", ("Exposure_Name",), "", {"MeSH_ID": "MESH", "CAS_RN": "CAS"}),
    "Phenotype": EntityKind("PH", ("HPO_Name",), SEMICOLON, {"HPO_ID": "", "UMLS_ID": "UMLS"}),
    "Disease": EntityKind(
        "DS",
        ("UMLS_Name", "SNOMEDCT_Name", "MONDO_Name", "DO_Name", "MeSH_Name", "ICD11_Title"),
        BAR,
        {
            "UMLS_ID": "UMLS", "MeSH_ID": "MESH", "MONDO_ID": "", "DO_ID": "", "OMIM_ID": "OMIM",
            "SNOMEDCT_ID": "SCTID", "ICD11_ID": "ICD11", "ICD10_ID": "ICD10",
        },
    ),
    "Drug": EntityKind(
        "DG",
        ("IUPAC_Name", "PubChem_Name", "UNII_Name", "DrugBank_Name", "PubChem_Synonym"),
        BAR,
        {"PubChem_CID": "PubChem", "DrugBank_ID": "DrugBank", "CAS_RN": "CAS", "UNII": "UNII", "InChIKEY": "INCHIKEY"},
    ),
}  # fmt: skip
# Columns whose names are joined in another way than their type's: strings of one UMLS concept by semicolons, PubChem's
# synonyms by bare bars, and by semicolons where rows were merged. A semicolon inside a name cannot be told from these.
_SEPARATORS = {"UMLS_Name": re.compile(r";| \| "), "PubChem_Synonym": re.compile(r"[|;]")}
_NUMBERS = frozenset({"NCBI_Gene_ID", "PubChem_CID", "ChEBI_ID", "ChemSpider_ID", "NCBI_Taxonomy_ID"})

# The relation types of the release.
_RELATIONS = (
    "Promoter-Gene", "Gene-Transcript", "Transcript-Protein", "Protein-Protein", "Protein-Pathway", "Protein-Phenotype",
    "Protein-Disease", "Pathway-Protein", "Pathway-Drug", "Pathway-Exposure", "Metabolite-Protein",
    "Metabolite-Pathway", "Metabolite-Metabolite", "Metabolite-Disease", "Microbiota-Disease", "Microbiota-Drug",
    "Exposure-Gene", "Exposure-Pathway", "Exposure-Disease", "Phenotype-Phenotype", "Phenotype-Disease",
    "Disease-Phenotype", "Disease-Disease", "Drug-Protein", "Drug-Pathway", "Drug-Metabolite", "Drug-Microbiota",
    "Drug-Phenotype", "Drug-Disease", "Drug-Drug",
)  # fmt: skip


def is_biomedgraphica(folder: Path) -> bool:
    """Whether a folder looks like BioMedGraphica's: it has Entity and Relation in it."""
    return (folder / "Entity").is_dir() and (folder / "Relation").is_dir()


def read_entities(folder: str | Path, *, rejected: Rejections) -> Iterator[Entity]:
    """Entities of all types that have a file, then those that stand in the merged file alone.

    An entity without a name gets its first identifier for one, or its own id, and is counted in a note. Left out and
    counted: rows with an empty id, blanks in it, or the id of another type, rows of another width, descriptions that
    are empty or of no entity, folders of Entity that are of no known type or without their file, and ids that the
    merged file alone has of a type with a file of its own. Raises InputError (file) where there is no entity file, or
    one lacks its columns or is damaged.
    """
    place = _checked(folder)
    merged = packed(place / "Entity" / "BioMedGraphica_Entity.csv")
    done: list[str] = []
    seen: set[str] = set()  # where there is a merged file; 67 MB for the ids of the release
    unnamed = 0
    for folder_name in sorted(path.name for path in (place / "Entity").iterdir() if path.is_dir()):
        if folder_name not in KINDS:
            rejected.add("entity folder of an unknown type", f"{folder_name}; known are {', '.join(KINDS)}")
    for kind in KINDS:
        file = place / "Entity" / kind / f"BioMedGraphica_{kind}.csv"
        there = packed(file)
        if there is None:
            if file.parent.is_dir():
                rejected.add("entity folder without its file", f"{kind}/{file.name}")
            continue
        done.append(kind)
        for entity in _of_kind(there, kind, rejected):
            unnamed += entity.name in (entity.id, *entity.xrefs[:1])
            if merged is not None:
                seen.add(entity.id)
            yield entity
    if merged is not None:
        for identifier, kind in _merged(merged, set(done), seen, rejected):
            unnamed += 1
            yield Entity(identifier, kind, identifier)
    elif not done:
        files = ", ".join(f"{kind}/BioMedGraphica_{kind}.csv" for kind in KINDS)
        raise InputError(
            f"holds no entity file; BioMedGraphica has {files}, or BioMedGraphica_Entity.csv", path=place / "Entity"
        )
    if unnamed:
        note(f"{unnamed:,} entities have no name; their first identifier stands for it")


def read_triples(folder: str | Path, *, rejected: Rejections) -> Iterator[TripleTable]:
    """Triples of all relation types that have a file, then those that stand in the merged file alone.

    An edge that lies the other way round than its type's name (all of Pathway-Exposure) is turned, and counted in a
    note. Left out and counted: a folder of Relation without its file, edges of the merged file without a type. Of a
    type with a file of its own the merged file is not read, but where it has more rows, a remark counts them: which
    ones they are would take all 27 million in memory. Errors as in `read_entities`.
    """
    place = _checked(folder) / "Relation"
    done: dict[str, int] = {}
    for sub in sorted(path for path in place.iterdir() if path.is_dir()):
        file = sub / f"BioMedGraphica_{sub.name.replace('-', '_')}.csv"
        there = packed(file)
        if there is None:
            rejected.add("relation folder without its file", f"{sub.name}/{file.name}")
            continue
        if sub.name not in _RELATIONS:
            note(f"{sub.name} is no relation type of BioMedGraphica's release; it is read like the others")
        done[sub.name] = 0
        for table in _edges(there, sub.name, {}, rejected):
            done[sub.name] += len(table.heads)
            yield table
    mirrored = [name for name in done if name > (other := "-".join(reversed(name.split("-")))) and other in done]
    if mirrored:
        note(f"types in both directions are kept as two relations, with their mirror each: {', '.join(mirrored)}")
    merged = packed(place / "BioMedGraphica_Relation.csv")
    if merged is not None:
        yield from _edges(merged, None, done, rejected)
    elif not done:
        raise InputError(
            "holds no relation file; BioMedGraphica has <A>-<B>/BioMedGraphica_<A>_<B>.csv, or "
            "BioMedGraphica_Relation.csv",
            path=place,
        )


def _checked(folder: str | Path) -> Path:
    place = Path(folder)
    if not is_biomedgraphica(place):
        raise InputError("is not BioMedGraphica's folder: it needs Entity and Relation in it", path=place)
    return place


def _of_kind(file: Path, name: str, rejected: Rejections) -> Iterator[Entity]:
    kind = KINDS[name]
    header = header_of(file)
    columns = [column for column in (*kind.names, *kind.ids) if column in header]
    missing = [column for column in (ID, *kind.names[:1]) if column not in header]
    if missing:
        raise InputError(f"no column {', '.join(missing)}; the first line has: {', '.join(header)}", path=file, line=1)
    absent = [column for column in (*kind.names, *kind.ids) if column not in header]
    if absent:
        note(f"{file.name}: has no column {', '.join(absent)}; entities are built without")
    start = f"BMG_{kind.code}"
    descriptions = _descriptions(file, start, rejected)
    unused = set(descriptions)
    with counting(f"reading {file.name}") as counter:
        for table in batches(file, [ID, *columns], rejected):
            cells = {column: table[column].to_pylist() for column in columns}
            for row, identifier in enumerate(table[ID].to_pylist()):
                if not _good(identifier, start, file, rejected):
                    continue
                names = _names(kind, cells, row)
                xrefs = _xrefs(kind, cells, row)
                first, *more = names or xrefs[:1] or [identifier]
                yield Entity(identifier, name, first, tuple(more), tuple(xrefs), descriptions.get(identifier, ""))
                unused.discard(identifier)
            counter.advance(len(table))
    if unused:
        rejected.add_many("description of an entity that is not there", len(unused), sorted(unused)[:3])


def _good(identifier: str, start: str, file: Path, rejected: Rejections) -> bool:
    if not good_id(identifier, f"{file.name}: {identifier!r}", rejected):
        return False
    if not identifier.startswith(start):
        rejected.add("id of another entity type", f"{file.name}: {identifier}")
        return False
    return True


def _names(kind: EntityKind, cells: dict[str, list[str]], row: int) -> list[str]:
    found: dict[str, None] = {}
    for column in kind.names:
        cell = cells[column][row] if column in cells else ""
        for part in _SEPARATORS[column].split(cell) if column in _SEPARATORS else _split(cell, kind.separator):
            name = part.strip()
            if name:
                found[name + kind.ending] = None
    return list(found)


def _split(cell: str, separator: str) -> list[str]:
    return cell.split(separator) if separator else [cell]


def _xrefs(kind: EntityKind, cells: dict[str, list[str]], row: int) -> list[str]:
    found: dict[str, None] = {}
    for column, prefix in kind.ids.items():
        cell = cells[column][row] if column in cells else ""
        for part in cell.split(SEMICOLON) if cell else ():
            identifier = part.strip()
            if column in _NUMBERS:
                identifier = identifier.removesuffix(".0")  # once floating-point; ICD's E10.0 is another thing
            if identifier:
                found[prefixed(prefix, identifier) if prefix else uniform(identifier)] = None
    return list(found)


def _descriptions(file: Path, start: str, rejected: Rejections) -> dict[str, str]:
    """By id, what the companion file says, the first of two; {} where there is none. start: of the type's ids."""
    companion = packed(file.parent / f"{file.name.partition('.csv')[0]}_Description_Combined.csv")
    if companion is None:
        return {}
    found: dict[str, str] = {}
    for table in batches(companion, [ID, "Description"], rejected):
        for identifier, text in zip(table[ID].to_pylist(), table["Description"].to_pylist(), strict=True):
            if not _good(identifier, start, companion, rejected):
                continue
            if not text.strip():
                rejected.add("empty description", f"{companion.name}: {identifier}")
            elif found.setdefault(identifier, text.strip()) != text.strip():
                rejected.add("second description", f"{companion.name}: {identifier}")
    return found


def _merged(file: Path, done: set[str], seen: set[str], rejected: Rejections) -> Iterator[tuple[str, str]]:
    """Id and type of the rows of the merged file whose type has no file of its own.

    seen: ids of the types in `done`; what the merged file has beside them is counted, and added.
    """
    for table in batches(file, [ID, "Type"], rejected):
        for identifier, kind in zip(table[ID].to_pylist(), table["Type"].to_pylist(), strict=True):
            if kind in done and identifier in seen:
                continue
            code = KINDS[kind].code if kind in KINDS else ""
            if not kind.strip():
                rejected.add("empty type", f"{file.name}: {identifier}")
            elif _good(identifier, f"BMG_{code}", file, rejected):
                if kind not in done:
                    yield identifier, kind
                    continue
                seen.add(identifier)
                rejected.add(_ONLY_MERGED, f"{kind} {identifier}")


def _edges(file: Path, name: str | None, done: Mapping[str, int], rejected: Rejections) -> Iterator[TripleTable]:
    """name: the relation's, None for the merged file, of which the types in `done`, with their rows, are left out."""
    import pyarrow
    import pyarrow.compute as pc

    turned = other = 0
    passed: Counter[str] = Counter()
    with counting(f"reading {file.name}") as counter:
        for table in batches(file, ["From_ID", "To_ID", "Type"], rejected):
            counter.advance(len(table))
            heads, tails, kinds = (table[column] for column in ("From_ID", "To_ID", "Type"))
            if name is not None:
                other += pc.sum(pc.not_equal(kinds, name)).as_py() or 0
                kinds = pyarrow.repeat(pyarrow.scalar(name), len(table))
            else:
                blank = pc.equal(pc.utf8_trim_whitespace(kinds), "")
                if count := pc.sum(blank).as_py():
                    at = pc.index(blank, True).as_py()
                    rejected.add_many("empty relation", count, [f"{file.name}: {heads[at]} {tails[at]}"])
                theirs = pc.is_in(kinds, value_set=pyarrow.array(sorted(done), type=pyarrow.string()))
                for one in pc.value_counts(kinds.filter(theirs)).to_pylist():
                    passed[one["values"]] += one["counts"]
                mine = pc.invert(pc.or_(theirs, blank))
                heads, tails, kinds = (column.filter(mine) for column in (heads, tails, kinds))
            wrong = _lies_backwards(heads, tails, kinds)
            turned += pc.sum(wrong).as_py() or 0
            heads, tails = pc.if_else(wrong, tails, heads), pc.if_else(wrong, heads, tails)
            yield TripleTable(heads, kinds, tails)
    for kind, rows in sorted(passed.items()):
        if rows > done[kind]:
            rejected.remark(
                f"row that {file.name} has more than the file of its type, which alone was read: is that cut?",
                rows - done[kind],
                f"{kind}: {rows:,}, not {done[kind]:,}",
            )
    if turned:
        note(f"{file.name}: {turned:,} edges lie the other way round than their type says, and were turned")
    if other:
        note(f"{file.name}: {other:,} rows name another type; the folder's was taken")


def _lies_backwards(heads: Any, tails: Any, kinds: Any) -> Any:
    """Whether an edge leads from the second entity type of its relation's name to the first."""
    import pyarrow
    import pyarrow.compute as pc

    codes = [pc.utf8_slice_codeunits(column, 4, 6) for column in (heads, tails)]  # DS of BMG_DS000001
    wrong = pyarrow.array([False] * len(heads), type=pyarrow.bool_())
    for kind in pc.unique(kinds).to_pylist():
        first, _, second = (kind or "").partition("-")
        if first in KINDS and second in KINDS and first != second:
            backwards = pc.and_(pc.equal(codes[0], KINDS[second].code), pc.equal(codes[1], KINDS[first].code))
            wrong = pc.or_(wrong, pc.and_(pc.equal(kinds, kind), backwards))
    return wrong
