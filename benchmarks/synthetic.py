"""A graph of BioMedGraphica's size and shape, made up: its CSV files with its counts per entity and relation type.

Counts and columns are those of BioMedGraphica's release (github.com/FuhaiLiAiLab/BioMedGraphica, commit 8a617a4);
names, identifiers, descriptions and edges are random. Some cells hold several names, PubChem's synonyms six. Degrees
are skewed: a few entities of each type have most of its edges. One row in a thousand is broken, as rows are in practice
(cells too few or too many, an empty id), and in files of relations as many stand twice.

Used by `benchmarks/graph.py`; alone: python benchmarks/synthetic.py --out FOLDER --share 0.1
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Entities and digits of their numbers.
ENTITIES = {
    "Promoter": (230_358, 6), "Gene": (230_358, 6), "Transcript": (412_326, 6), "Protein": (173_978, 6),
    "Pathway": (6_793, 4), "Metabolite": (218_335, 6), "Microbiota": (621_882, 6), "Exposure": (1_159, 4),
    "Phenotype": (19_532, 5), "Disease": (118_814, 6), "Drug": (273_386, 6),
}  # fmt: skip
RELATIONS = {
    "Protein-Protein": 16_484_820, "Drug-Drug": 3_882_582, "Metabolite-Protein": 2_804_430, "Exposure-Disease": 979_780,
    "Protein-Phenotype": 478_279, "Gene-Transcript": 427_810, "Pathway-Exposure": 301_448, "Exposure-Pathway": 301_448,
    "Promoter-Gene": 230_358, "Phenotype-Disease": 181_192, "Disease-Phenotype": 181_192, "Pathway-Protein": 176_133,
    "Protein-Pathway": 152_912, "Transcript-Protein": 152_585, "Protein-Disease": 143_394, "Drug-Phenotype": 93_826,
    "Drug-Protein": 84_859, "Drug-Disease": 39_977, "Exposure-Gene": 28_982, "Metabolite-Disease": 24_970,
    "Phenotype-Phenotype": 23_427, "Microbiota-Disease": 22_371, "Metabolite-Pathway": 12_198,
    "Disease-Disease": 12_006,
    "Drug-Metabolite": 3_589, "Drug-Pathway": 3_065, "Pathway-Drug": 1_795, "Metabolite-Metabolite": 931,
    "Drug-Microbiota": 866, "Microbiota-Drug": 866,
}  # fmt: skip
# Share of the entities of a type that have no name, where it is not small.
UNNAMED = {"Protein": 0.4, "Transcript": 0.28, "Disease": 0.05, "Metabolite": 0.001}
BACKWARDS = "Pathway-Exposure"
BROKEN = DOUBLED = 0.001
UNDESCRIBED = ("Promoter", "Microbiota")  # types without a file of descriptions; of the others 6 in 10 have one
SKEW = 3.0
SYLLABLES = (
    "al be co da er fi gu ha in jo ka lu me no or pi qua ri so ta ul vo xe yl zo cin dro phos tri meth ben chlor "
    "gly ox ster amin ase ose cyt neur card derm hep ren"
)


def write(folder: Path, share: float, *, seed: int = 0) -> dict[str, int]:
    """Write the release; share: of every count (at least 2). Returns entities, rows of relations and broken rows."""
    from kogner.graph.readers.biomedgraphica import KINDS

    rng = np.random.default_rng(seed)
    sizes = {name: max(2, round(count * share)) for name, (count, _) in ENTITIES.items()}
    broken = 0
    sentences = np.array(["Made up: " + " ".join(_names(rng, 14).tolist()) + "." for _ in range(2000)])
    for name, count in sizes.items():
        kind = KINDS[name]
        ids = _ids(kind.code, ENTITIES[name][1], np.arange(1, count + 1))
        columns: dict[str, Any] = {"BioMedGraphica_ID": ids}
        first, *others = kind.names
        named = rng.random(count) >= UNNAMED.get(name, 0.0)
        columns[first] = np.where(named, _names(rng, count), "")
        for other in others:
            cells = _names(rng, count)
            for _ in range(5 if other == "PubChem_Synonym" else 1):
                bar = "|" if other == "PubChem_Synonym" else kind.separator
                more = np.char.add(np.char.add(cells, bar), _names(rng, count))
                cells = np.where(rng.random(count) < (1.0 if bar == "|" else 0.3), more, cells) if bar else cells
            columns[other] = np.where(named & (rng.random(count) < 0.4), cells, "")
        for column in kind.ids:
            numbers = rng.integers(1, 10_000_000, count).astype(str)
            columns[column] = np.where(rng.random(count) < 0.6, np.char.add(column[:3].upper(), numbers), "")
        broken += _write(folder / "Entity" / name / f"BioMedGraphica_{name}.csv", columns, rng)
        if name not in UNDESCRIBED:
            described = ids[rng.random(count) < 0.6]
            texts = sentences[rng.integers(0, len(sentences), len(described))]
            file = folder / "Entity" / name / f"BioMedGraphica_{name}_Description_Combined.csv"
            broken += _write(file, {"BioMedGraphica_ID": described, "Description": texts}, rng)
    total = 0
    for relation, head, tail, ends in edges(rng, sizes, share):
        count = len(ends[0])
        names = [
            _ids(KINDS[kind].code, ENTITIES[kind][1], rows + 1) for kind, rows in zip((head, tail), ends, strict=True)
        ]
        if relation == BACKWARDS:
            names.reverse()
        columns = {"BioMedGraphica_ID": _ids("ED_", 9, np.arange(1, count + 1)), "From_ID": names[0], "To_ID": names[1]}
        columns |= {"Source": np.full(count, "made up"), "Type": np.full(count, relation)}
        file = folder / "Relation" / relation / f"BioMedGraphica_{relation.replace('-', '_')}.csv"
        doubled = round(count * DOUBLED)
        columns = {column: np.concatenate([values, values[:doubled]]) for column, values in columns.items()}
        broken += _write(file, columns, rng) + doubled
        total += count
    (folder / "Relation" / "Microbiota-Phenotype(unfinished)").mkdir(parents=True, exist_ok=True)
    return {"entities": sum(sizes.values()), "relations": total, "broken": broken}


def _ids(code: str, digits: int, numbers: Any) -> Any:
    return np.char.add(f"BMG_{code}", np.char.zfill(numbers.astype(str), digits))


def _names(rng: np.random.Generator, count: int) -> Any:
    """Words of three to five syllables, one or two to a name."""
    syllables = np.array(SYLLABLES.split())
    drawn = syllables[rng.integers(0, len(syllables), (8, count))]
    word = drawn[0]
    for place in range(1, 4):
        word = np.char.add(word, drawn[place])
    second = np.char.add(np.char.add(" ", drawn[4]), np.char.add(drawn[5], drawn[6]))
    return np.char.add(word, np.where(rng.random(count) < 0.5, second, ""))


def edges(
    rng: np.random.Generator, sizes: dict[str, int], share: float
) -> Iterator[tuple[str, str, str, tuple[Any, Any]]]:
    """Relation, types of its two ends, and the numbers of the entities there, for `share` of each relation's edges."""
    for relation, full in RELATIONS.items():
        head, tail = relation.split("-")
        count = min(max(2, round(full * share)), sizes[head] * sizes[tail] // 2)
        yield relation, head, tail, _edges(rng, sizes[head], sizes[tail], count)


def _edges(rng: np.random.Generator, heads: int, tails: int, count: int) -> tuple[Any, Any]:
    """Distinct pairs; the number of an entity to the power of 1 / SKEW is uniform, so that small numbers have most."""
    keys = np.zeros(0, np.int64)
    while len(keys) < count:
        missing = count - len(keys)
        pairs = [(size * rng.random(missing + missing // 4 + 8) ** SKEW).astype(np.int64) for size in (heads, tails)]
        flat = rng.random(len(pairs[0])) < 0.5  # half of the edges anywhere, or the hubs would be full
        for place, size in enumerate((heads, tails)):
            pairs[place][flat] = rng.integers(0, size, int(flat.sum()))
        keys = np.unique(np.concatenate([keys, pairs[0] * tails + pairs[1]]))
    keys = rng.permutation(keys)[:count]
    return keys // tails, keys % tails


def _write(file: Path, columns: dict[str, Any], rng: np.random.Generator) -> int:
    """A CSV file with broken rows at its end; returns how many."""
    import pyarrow
    import pyarrow.csv

    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()}), file)
    count = round(len(next(iter(columns.values()))) * BROKEN)
    width = len(columns)
    with file.open("a", encoding="utf-8") as stream:
        for choice in rng.integers(0, 3, count):
            if choice == 0:
                stream.write(",".join(["x"] * (width + 1)) + "\n")
            elif choice == 1:
                stream.write(",".join(["x"] * (width - 1)) + "\n")
            else:
                stream.write("," * (width - 1) + "\n")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of every count")
    args = parser.parse_args()
    print(json.dumps(write(args.out, args.share)))


if __name__ == "__main__":
    main()
