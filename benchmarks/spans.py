"""What the vectors that a student learnt by distillation add to linking: gold spans against all entities of the bank.

A span's vector, through the map that distillation learnt, is compared with every entity of a fitting type that has an
id of MESH or OMIM; so is Z of the mention's text, without a student. Sum: both cosines together. Apart: spans whose
entity some training mention was linked to, and those that no name of the graph fits, where a vector has to decide.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet

import record
from kogner.annotate.embed import embed_spans
from kogner.data import corpora
from kogner.data.linking import graph_types
from kogner.errors import InputError
from kogner.graph.store import GraphStore
from kogner.link.candidates import VECTOR, Candidates
from kogner.link.vectors import Vectors
from kogner.student import checkpoint
from kogner.student.maps import Maps
from kogner.teacher.bank import Bank
from link import CORPORA, VOCABULARIES, percent

PIECE, BLOCK = 65_536, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--bank", type=Path, default=Path("build/bank"))
    parser.add_argument("--corpora", type=Path, default=Path("../shared/corpora"))
    parser.add_argument("--trained-on", type=Path, default=Path("build/linked/bc5cdr"), help="with its links")
    parser.add_argument("--model", action="append", required=True, metavar="NAME=DIR", help="a student with its maps")
    parser.add_argument("--split", default="test")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    store, bank = GraphStore.open(args.graph), Bank.open(args.bank)
    seen = {
        row
        for one in corpora.load("bc5cdr", args.trained_on, "train").documents
        for mention in one.mentions
        if mention.entity is not None
        for row in store.resolve(mention.entity)
    }
    wanted = has_wanted(store)
    result: dict[str, Any] = {"split": args.split, "models": {}}
    cases = {
        name: gold_spans(corpora.load(name, args.corpora / folder, args.split).documents[: args.documents], store)
        for name, folder in CORPORA.items()
    }
    texts = Vectors(bank, store)
    unnamed = {name: without_name(found, store) for name, found in cases.items()}
    for named in args.model:
        model, _, folder = named.partition("=")
        maps = Maps.load(Path(folder))
        if maps.bank != bank.artifact.hash:
            raise SystemExit(f"{folder} was taught by another bank than {args.bank}")
        student, _, _ = checkpoint.load(Path(folder))
        ranges = bank.ranges(maps.parts)
        rows = np.concatenate(
            [
                maps.of_rows(
                    np.concatenate([bank.vectors[at : at + PIECE, slice(*columns)] for columns in ranges.values()], 1)
                )
                for at in range(0, len(bank), PIECE)
            ]
        )
        result["models"][model] = {
            name: score(found, student, maps, rows, texts, store, wanted, seen, unnamed[name])
            for name, found in cases.items()
        }
        print(json.dumps({model: result["models"][model]}), flush=True)
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


def has_wanted(store: GraphStore) -> np.ndarray:
    """(entities,) bool: whether an entity has an id of the corpora's vocabularies."""
    columns = pyarrow.parquet.read_table(store.path / "entities.parquet", columns=["id", "xrefs"])
    starts = tuple(f"{name}:" for name in VOCABULARIES)
    ids, xrefs = columns["id"].to_pylist(), columns["xrefs"].to_pylist()
    return np.array(
        [any(one.startswith(starts) for one in (own, *others)) for own, others in zip(ids, xrefs, strict=True)]
    )


def gold_spans(documents: Sequence[Any], store: GraphStore) -> list[tuple[Any, Any, set[int]]]:
    """(document, mention, rows of its ids) of mentions whose id the graph has."""
    found = []
    for document in documents:
        for mention in document.mentions:
            gold = {row for one in mention.ids for row in store.resolve(one)}
            if gold:
                found.append((document, mention, gold))
    return found


def without_name(cases: Sequence[tuple[Any, Any, set[int]]], store: GraphStore) -> list[bool]:
    """Of each span, whether no whole name of the graph is it."""
    look = Candidates(store)
    none = []
    for _, mention, _ in cases:
        found = look.of(mention.text, graph_types(mention.type, store.types))
        none.append(not any(one.score >= 0.9 and one.how != VECTOR for one in found))
    return none


def score(
    cases: Sequence[tuple[Any, Any, set[int]]], student: Any, maps: Maps, rows: np.ndarray, texts: Vectors,
    store: GraphStore, wanted: np.ndarray, seen: set[int], unnamed: Sequence[bool],
) -> dict[str, Any]:  # fmt: skip
    """Top-1 and top-5 of the spans by each way of comparing them."""
    spans, skipped = vectors_of(cases, student, maps)
    hits: dict[str, dict[str, list[tuple[bool, bool]]]] = {}
    for kind in sorted({mention.type for _, mention, _ in cases}):
        types = [store.types.index(one) for one in graph_types(kind, store.types)]
        places = np.flatnonzero(wanted & np.isin(store.type_codes, types))
        mapped, plain = rows[places], texts.rows(places)
        own = [number for number in sorted(spans) if cases[number][1].type == kind]
        for at in range(0, len(own), BLOCK):
            block = own[at : at + BLOCK]
            by = {"span vector": np.stack([spans[number] for number in block]) @ mapped.T}
            by["text, Z"] = texts.queries([cases[number][1].text for number in block]) @ plain.T
            by["sum"] = by["span vector"] + by["text, Z"]
            for way, likeness in by.items():
                for number, one in zip(block, likeness, strict=True):
                    best = np.argpartition(-one, 5)[:5]
                    best = places[best[np.argsort(-one[best], kind="stable")]]
                    gold = cases[number][2]
                    right = [int(row) in gold for row in best]
                    groups = ["all", "entity in training" if gold & seen else "entity not in training"]
                    for group in [*groups, *(["no name fits"] if unnamed[number] else [])]:
                        hits.setdefault(group, {}).setdefault(way, []).append((right[0], any(right)))
    return {"skipped": skipped} | {
        group: {
            way: {"top1": percent(sum(a for a, _ in own), len(own)), "top5": percent(sum(b for _, b in own), len(own)),
                  "spans": len(own)}
            for way, own in ways.items()
        }
        for group, ways in hits.items()
    }  # fmt: skip


def vectors_of(
    cases: Sequence[tuple[Any, Any, set[int]]], student: Any, maps: Maps
) -> tuple[dict[int, np.ndarray], int]:
    """Mapped vectors by the number of the span, and how many spans have none (off word edges)."""
    found, skipped = {}, 0
    by_document: dict[str, list[int]] = {}
    for number, (document, _, _) in enumerate(cases):
        by_document.setdefault(document.id, []).append(number)
    for numbers in by_document.values():
        text = cases[numbers[0]][0].text
        for number, vector in _embedded(student, text, [(n, (cases[n][1].start, cases[n][1].end)) for n in numbers]):
            if vector is None:
                skipped += 1
            else:
                found[number] = maps.of_spans(vector[None])[0]
    return found, skipped


def _embedded(student: Any, text: str, spans: list[tuple[int, tuple[int, int]]]) -> list[tuple[int, np.ndarray | None]]:
    try:
        made = embed_spans(student, text, [span for _, span in spans])
        return [(number, vector) for (number, _), vector in zip(spans, made, strict=True)]
    except InputError:
        if len(spans) == 1:
            return [(spans[0][0], None)]
        return [one for span in spans for one in _embedded(student, text, [span])]


if __name__ == "__main__":
    main()
