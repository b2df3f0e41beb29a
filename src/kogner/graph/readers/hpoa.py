"""HPO's annotation files: phenotype.hpoa, genes_to_phenotype.txt, genes_to_disease.txt.

Columns are found by name, with or without `#` and underscores, so that files of older releases are read too. Diseases
and genes become entities with the names the files give them; phenotypes too where genes_to_phenotype.txt names them.

Format: obophenotype.github.io/human-phenotype-ontology/annotations/introduction
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kogner.errors import InputError
from kogner.graph.readers.opening import lines, plain_and_packed
from kogner.graph.readers.source import Source, good_id
from kogner.graph.readers.vocabularies import prefixed, uniform
from kogner.graph.rejections import Rejections
from kogner.records import Entity, Triple

FILES = ("phenotype.hpoa", "genes_to_phenotype.txt", "genes_to_disease.txt")
NOTHING_NEW = "annotation that says nothing new"
NO_PHENOTYPE = "annotation that is no phenotype (onset, inheritance, course)"


def read_hpoa(path: str | Path, *, rejected: Rejections) -> Source:
    """One of the three files, or those of them that a folder holds.

    Triples: disease `has_phenotype` phenotype, gene `gene_associated_with_disease`, gene `associated_with_phenotype`.
    Left out and counted: negated annotations, annotations that are no phenotype (onset, inheritance, course), rows that
    say nothing new, ids that can be none, rows of another width; and as entities, though triples may name them, what no
    row has a name for. Raises InputError (file) for a file that lacks its columns.
    """
    place = Path(path)
    files = hpoa_files(place) if place.is_dir() else [place]
    if not files:
        raise InputError(f"holds none of {', '.join(FILES)}", path=place)
    triples: dict[Triple, None] = {}
    return Source(place.name, _entities(files, triples, rejected), triples)


def hpoa_files(folder: Path) -> list[Path]:
    """HPO's annotation files in a folder."""
    return [file for name in FILES for file in plain_and_packed(folder / name)]


def phenotypes(path: Path, rejected: Rejections, others: set[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield (disease id, disease name, phenotype id) of phenotype.hpoa. Raises and counts as `read_hpoa` does.

    others: is filled with the ids of what is no phenotype.
    """
    rows = _rows(path, ("databaseid", "qualifier", "hpoid", "aspect"), ("diseasename",), rejected)
    for place, (disease, qualifier, phenotype, aspect, name) in rows:
        if qualifier == "NOT":
            rejected.add("negated phenotype annotation", place)
        elif aspect != "P":
            rejected.add(NO_PHENOTYPE, place)
            if others is not None:
                others.add(uniform(phenotype))
        elif good_id(disease, place, rejected) and good_id(phenotype, place, rejected):
            yield uniform(disease), name, uniform(phenotype)


def genes(path: Path, rejected: Rejections) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (gene id, symbol, phenotype id, phenotype name, disease id) of genes_to_phenotype or genes_to_disease.

    What a file does not have is "". Raises and counts as `read_hpoa` does.
    """
    needed, optional = ("ncbigeneid", "diseaseid"), ("genesymbol", "hpoid", "hponame")
    for place, (gene, disease, symbol, phenotype, name) in _rows(path, needed, optional, rejected):
        if good_id(gene, place, rejected) and good_id(disease, place, rejected):
            yield prefixed("NCBIGene", gene), symbol, uniform(phenotype), name, uniform(disease)


def _entities(files: Sequence[Path], triples: dict[Triple, None], rejected: Rejections) -> Iterator[Entity]:
    seen: set[str] = set()
    others: set[str] = set()
    nameless: dict[str, str] = {}

    def new(own: str, kind: str, name: str) -> Iterator[Entity]:
        if own in seen:
            return
        if name and name != "-":
            seen.add(own)
            nameless.pop(own, None)
            yield Entity(own, kind, name)
        else:
            nameless[own] = kind

    def said(where: str, *found: Triple) -> None:
        if all(triple in triples for triple in found):
            rejected.add(NOTHING_NEW, where)
        triples.update(dict.fromkeys(found))

    for file in files:
        if file.name.startswith(FILES[0]) or _of_diseases(file):
            for disease, name, phenotype in phenotypes(file, rejected, others):
                yield from new(disease, "Disease", name)
                said(f"{file.name}: {disease} {phenotype}", Triple(disease, "has_phenotype", phenotype))
            continue
        for gene, symbol, phenotype, name, disease in genes(file, rejected):
            yield from new(gene, "Gene", symbol)
            found = [Triple(gene, "gene_associated_with_disease", disease)]
            if phenotype in others:
                rejected.add(NO_PHENOTYPE, f"{file.name}: {gene} {phenotype}")
                triples[found[0]] = None
                continue
            if phenotype:
                yield from new(phenotype, "Phenotype", name)
                found.append(Triple(gene, "associated_with_phenotype", phenotype))
            said(f"{file.name}: {gene} {phenotype} {disease}", *found)
    for own, kind in nameless.items():
        rejected.add(f"{kind.lower()} without a name", own)


def _of_diseases(path: Path) -> bool:
    """Whether a file of another name has the columns of phenotype.hpoa."""
    for _, line in lines(path):
        if "databaseid" in line.replace("_", "").casefold():
            return True
        if not line.startswith("#"):
            return False
    return False


def _rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...], rejected: Rejections
) -> Iterator[tuple[str, list[str]]]:
    """Yield (file:line, cells of `needed` + `optional`, "" for an optional column that is absent)."""
    order: list[int] | None = None
    width = 0
    for number, line in lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if order is None:
            header = [cell.lstrip("#").replace("_", "").casefold() for cell in cells]
            if needed[0] in header:
                missing = [name for name in needed if name not in header]
                if missing:
                    raise InputError(
                        f"no column {', '.join(missing)}; the line has: {', '.join(cells)}", path=path, line=number
                    )
                width = len(header)
                order = [header.index(name) if name in header else width for name in needed + optional]
            elif not line.startswith("#"):
                break
        elif len(cells) != width:
            rejected.add("wrong number of fields" if line.strip() else "blank line", f"{path.name}:{number}")
        else:
            cells.append("")
            yield f"{path.name}:{number}", [cells[place] for place in order]
    if order is None:
        raise InputError(f"has no line of columns with {', '.join(needed)}; a file of HPO's annotations is needed",
                         path=path)  # fmt: skip
