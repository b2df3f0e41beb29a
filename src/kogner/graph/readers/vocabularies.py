"""One spelling for the identifiers and types of the vocabularies that sources name each in their own way."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Spelling of a prefix elsewhere, case-folded, and ours.
_PREFIXES = {
    "cas": "CAS",
    "chebi": "CHEBI",
    "drugbank": "DrugBank",
    "entrez": "NCBIGene",
    "entrezgene": "NCBIGene",
    "hpo": "HP",
    "icd-10": "ICD10",
    "icd-9": "ICD9",
    "inchikey": "INCHIKEY",
    "mesh": "MESH",
    "mim": "OMIM",
    "msh": "MESH",
    "ncbi_gene": "NCBIGene",
    "ncbigene": "NCBIGene",
    "ncbitaxon": "NCBITaxon",
    "nci": "NCIT",
    "omim": "OMIM",
    "ordo": "ORPHANET",
    "orpha": "ORPHANET",
    "orphanet": "ORPHANET",
    "pubchem": "PubChem",
    "reactome": "Reactome",
    "snomed_ct": "SCTID",
    "snomedct": "SCTID",
    "snomedct_us": "SCTID",
    "umls_cui": "UMLS",
    "unii": "UNII",
    "uniprot": "UNIPROT",
    "uniprotkb": "UNIPROT",
    "wikipathways": "WikiPathways",
}
# Prefixes of ontologies to entity types; GO's depends on the namespace.
_TYPES = {
    "CHEBI": "Chemical",
    "CL": "CellType",
    "CLO": "CellLine",
    "DOID": "Disease",
    "DRON": "Chemical",
    "DrugBank": "Chemical",
    "FMA": "Anatomy",
    "HGNC": "Gene",
    "HP": "Phenotype",
    "MONDO": "Disease",
    "MP": "Phenotype",
    "NCBIGene": "Gene",
    "NCBITaxon": "Organism",
    "OMIM": "Disease",
    "ORPHANET": "Disease",
    "PATO": "Quality",
    "PR": "Protein",
    "SO": "SequenceFeature",
    "UBERON": "Anatomy",
}
_NAMESPACES = {
    "biological_process": "BiologicalProcess",
    "cellular_component": "CellularComponent",
    "molecular_function": "MolecularFunction",
}
# Kinds of nodes in Hetionet, DRKG and PrimeKG, without blanks and case-folded, to entity types.
_KINDS = {
    "anatomy": "Anatomy",
    "atc": "DrugClass",
    "biologicalprocess": "BiologicalProcess",
    "cellularcomponent": "CellularComponent",
    "compound": "Chemical",
    "disease": "Disease",
    "drug": "Chemical",
    "effect/phenotype": "Phenotype",
    "exposure": "Exposure",
    "gene": "Gene",
    "gene/protein": "Gene",
    "molecularfunction": "MolecularFunction",
    "pathway": "Pathway",
    "pharmacologicclass": "PharmacologicClass",
    "sideeffect": "SideEffect",
    "symptom": "Symptom",
    "tax": "Organism",
}
# MeSH tree letters (F03: mental disorders) to entity types; the first that a record stands in decides.
_TREES = (
    (("C", "F03"), "Disease"),
    (("D",), "Chemical"),
    (("B",), "Organism"),
    (("A",), "Anatomy"),
    (("E",), "Procedure"),
    (("G",), "Phenomenon"),
    (("F",), "Psychiatry"),
)
OTHER = "Other"
# What a bare local id of a kind belongs to, in Hetionet and in what was made from it.
_BARE = {
    "Gene": ((r"\d+", "NCBIGene"),),
    "Chemical": ((r"DB\d{5}", "DrugBank"), (r"[CD]\d{6,9}", "MESH"), (r"CHEMBL\d+", "ChEMBL")),
    "Disease": ((r"[CD]\d{6,9}", "MESH"),),
    "Symptom": ((r"[CD]\d{6,9}", "MESH"),),
    "SideEffect": ((r"C\d{7}", "UMLS"),),
    "PharmacologicClass": ((r"N\d{10}", "NDFRT"),),
    "Pathway": ((r"WP\d+.*", "WikiPathways"), (r"R-[A-Z]{3}-\d+", "Reactome"), (r"PC\d+_\d+", "PathwayCommons")),
    "Organism": ((r"\d+", "NCBITaxon"),),
    "DrugClass": ((r"[A-Z](\d{2}[A-Z0-9]*)?", "ATC"),),
}


def prefixed(namespace: str, local: str) -> str:
    """`PREFIX:LOCAL` with one spelling per vocabulary; a local id that carries its prefix keeps it once."""
    prefix = _PREFIXES.get(namespace.casefold(), namespace)
    return local if local.startswith(f"{prefix}:") else f"{prefix}:{local}"


def uniform(identifier: str) -> str:
    """An identifier with its prefix in our spelling; as it is where it has none."""
    namespace, colon, local = identifier.partition(":")
    return prefixed(namespace, local) if colon and local else identifier


def type_of(identifier: str, namespace: str = "") -> str | None:
    """Entity type of an ontology's term by its prefix, GO's by its namespace; None for a prefix that is not known."""
    prefix = identifier.partition(":")[0]
    return _NAMESPACES.get(namespace) if prefix == "GO" else _TYPES.get(prefix)


def type_of_kind(kind: str) -> str:
    """Entity type of a kind of node as another graph calls it; a kind that is not known is kept as it is."""
    return _KINDS.get("".join(kind.split()).replace("_", "").casefold(), kind)


def local_id(kind: str, local: str) -> str:
    """Identifier of what another graph calls `local` among its nodes of this type, as `PREFIX:LOCAL`, no blanks in it.

    `("Gene", "2157")` is `NCBIGene:2157`, `("Disease", "DOID:1612")` is `DOID:1612`. Where no vocabulary is known,
    the type stands for it: `Disease:SARS-CoV2_E`.
    """
    if ":" in local:
        return "_".join(uniform(local).split())
    for pattern, prefix in _BARE.get(kind, ()):
        if re.fullmatch(pattern, local):
            return f"{prefix}:{local}"
    return "_".join(f"{kind}:{local}".split())


def mesh_type(places: Iterable[str]) -> str:
    """Entity type of a MeSH record by its tree numbers, `Other` where none of them says."""
    places = tuple(places)
    return next((kind for starts, kind in _TREES if any(place.startswith(starts) for place in places)), OTHER)
