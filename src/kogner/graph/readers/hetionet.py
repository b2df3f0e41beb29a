"""Hetionet 1.0 as tables: hetionet-v1.0-nodes.tsv (id, name, kind) and hetionet-v1.0-edges.sif.gz.

Ids lose the kind in front and get the prefix of their vocabulary: `Disease::DOID:1612` is `DOID:1612`, `Gene::2157`
`NCBIGene:2157`, `Compound::DB00945` `DrugBank:DB00945`. Metaedges are spelt out by the table of the 24 that Hetionet
publishes (describe/edges/metaedges.tsv): `CbG` is `compound_binds_gene`.

Himmelstein et al. 2017, doi:10.7554/eLife.26726; github.com/hetio/hetionet (data: CC0, with parts of other licences).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kogner.errors import InputError
from kogner.graph.readers.columns import Coded
from kogner.graph.readers.opening import packed
from kogner.graph.readers.source import Source
from kogner.graph.readers.tables import batches
from kogner.graph.readers.vocabularies import local_id, type_of_kind
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.progress import counting
from kogner.records import Entity

NODES, EDGES = "hetionet-v1.0-nodes.tsv", "hetionet-v1.0-edges.sif"
METAEDGES = {
    "AdG": "anatomy_downregulates_gene",
    "AeG": "anatomy_expresses_gene",
    "AuG": "anatomy_upregulates_gene",
    "CbG": "compound_binds_gene",
    "CcSE": "compound_causes_side_effect",
    "CdG": "compound_downregulates_gene",
    "CpD": "compound_palliates_disease",
    "CrC": "compound_resembles_compound",
    "CtD": "compound_treats_disease",
    "CuG": "compound_upregulates_gene",
    "DaG": "disease_associates_gene",
    "DdG": "disease_downregulates_gene",
    "DlA": "disease_localizes_anatomy",
    "DpS": "disease_presents_symptom",
    "DrD": "disease_resembles_disease",
    "DuG": "disease_upregulates_gene",
    "GcG": "gene_covaries_gene",
    "GiG": "gene_interacts_gene",
    "GpBP": "gene_participates_biological_process",
    "GpCC": "gene_participates_cellular_component",
    "GpMF": "gene_participates_molecular_function",
    "GpPW": "gene_participates_pathway",
    "Gr>G": "gene_regulates_gene",
    "PCiC": "pharmacologic_class_includes_compound",
}


def read_hetionet(path: str | Path, *, rejected: Rejections) -> Source:
    """Nodes and edges of the folder that holds both tables.

    Left out and counted: ids without `Kind::`, nodes without a name, nodes that stand twice, edges of a metaedge that
    is none of the 24. Raises InputError (file) for a missing table or column and for a damaged file.
    """
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    nodes, edges = (_found(folder, name) for name in (NODES, EDGES))
    return Source(place.name, _entities(nodes, rejected), _triples(edges, rejected))


def is_hetionet(folder: Path) -> bool:
    """Whether a folder holds Hetionet's table of nodes."""
    return packed(folder / NODES) is not None


def kind_and_id(node: str) -> tuple[str, str] | None:
    """Type and identifier of `Kind::local`; None for anything else."""
    kind, colons, local = node.strip().partition("::")
    if not colons or not kind.strip() or not local.strip():
        return None
    kind = type_of_kind(kind)
    return kind, local_id(kind, local.strip())


def _found(folder: Path, name: str) -> Path:
    found = packed(folder / name)
    if found is None:
        raise InputError(f"has no {name} (or .gz); Hetionet is {NODES} and {EDGES}.gz", path=folder)
    return found


def _entities(file: Path, rejected: Rejections) -> Iterator[Entity]:
    seen: set[str] = set()
    with counting(f"reading {file.name}") as counter:
        for batch in batches(file, ("id", "name", "kind"), rejected, delimiter="\t", quoted=False):
            for node, name in zip(batch["id"].to_pylist(), batch["name"].to_pylist(), strict=True):
                parts = kind_and_id(node)
                if parts is None:
                    rejected.add("id without its kind", f"{file.name}: {node!r}")
                elif not name.strip():
                    rejected.add("empty name", f"{file.name}: {node}")
                elif parts[1] in seen:
                    rejected.add("duplicate id", f"{file.name}: {node}")
                else:
                    seen.add(parts[1])
                    yield Entity(parts[1], parts[0], " ".join(name.split()))
            counter.advance(len(batch))


def _triples(file: Path, rejected: Rejections) -> Iterator[TripleTable]:
    def node(text: str) -> str | None:
        parts = kind_and_id(text)
        return parts[1] if parts else None

    ends, relations = Coded(node), Coded(METAEDGES.get)
    with counting(f"reading {file.name}") as counter:
        for batch in batches(file, ("source", "metaedge", "target"), rejected, delimiter="\t", quoted=False):
            heads, tails = ends.numbers(batch["source"]), ends.numbers(batch["target"])
            relation = relations.numbers(batch["metaedge"])
            known = (heads >= 0) & (tails >= 0)
            for bad, reason in ((~known, "id without its kind"), (known & (relation < 0), "unknown metaedge")):
                if bad.any():
                    row = batch.slice(int(bad.argmax()), 1).to_pylist()[0]
                    rejected.add_many(reason, int(bad.sum()), [f"{file.name}: {' '.join(map(str, row.values()))}"])
            kept = known & (relation >= 0)
            yield TripleTable(ends.texts(heads[kept]), relations.texts(relation[kept]), ends.texts(tails[kept]))
            counter.advance(len(batch))
