"""Linking gold spans, and spans the shipped model finds, to the graph: top-1 and top-5 against a look-up of names.

A gold span counts where one of its ids is in the graph; it is right where the entity has one of them. Names for
entities that other text taught (`aliases`) come from the train and dev documents of both corpora, without any that
shares its id or a run of its text with a test document. Ids of MESH, then OMIM are asked for, as the corpora give.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import record

CORPORA = {"bc5cdr": "bc5cdr", "ncbi": "ncbi_disease"}
VOCABULARIES = ("MESH", "OMIM")
STEPS = (0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("KOGNER_SHARED", "../shared")) / "corpora")
    parser.add_argument("--split", default="test")
    parser.add_argument("--bank", type=Path, help="bank of the teacher; without one no vectors are compared")
    parser.add_argument("--model", type=Path, help="student for the spans it finds; without one only gold spans count")
    parser.add_argument("--documents", type=int, help="of each corpus at most")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "link.json")
    args = parser.parse_args()

    from kogner.data import corpora
    from kogner.data.overlap import Overlap
    from kogner.graph.store import GraphStore
    from kogner.link.aliases import Aliases
    from kogner.link.linker import EntityLinker, LinkSettings
    from kogner.link.vectors import Vectors
    from kogner.teacher.bank import Bank

    store = GraphStore.open(args.graph)
    scored = {
        name: corpora.load(name, args.corpora / folder, args.split).documents[: args.documents]
        for name, folder in CORPORA.items()
    }
    overlap = Overlap([document for documents in scored.values() for document in documents])
    others = [split for split in ("train", "dev") if split != args.split]
    teaching = [
        document
        for name, folder in CORPORA.items()
        for split in others
        for document in corpora.load(name, args.corpora / folder, split).documents
        if overlap.found(document) is None
    ]
    aliases = Aliases.collect(teaching, store)
    vectors = Vectors(Bank.open(args.bank), store) if args.bank else None
    settings = LinkSettings(VOCABULARIES, nil=0)
    linkers = {
        "names": EntityLinker(store, LinkSettings(nil=0)),
        "names, vocabulary": EntityLinker(store, settings),
        "names, vocabulary, aliases": EntityLinker(store, settings, aliases=aliases),
    }
    if vectors is not None:
        linkers["names, vocabulary, vectors"] = EntityLinker(store, settings, vectors=vectors)
        linkers["all"] = EntityLinker(store, settings, aliases=aliases, vectors=vectors)
    results: dict[str, Any] = {}
    for name, documents in scored.items():
        arms = {"casefolded look-up": floor(documents, store)}
        for arm, linker in linkers.items():
            begun = time.perf_counter()
            arms[arm] = tops(documents, linker)
            arms[arm]["mentions_per_s"] = round(arms[arm]["mentions"] / (time.perf_counter() - begun))
        best = arms.get("all", arms["names, vocabulary, aliases"])
        results[name] = {"top1": best["top1"], "top5": best["top5"], "names_only": arms["casefolded look-up"]["top1"]}
        results[name]["arms"] = arms
        results[name]["composite"] = composites(documents, list(linkers.values())[-1])
        results[name]["nil"] = without_entity(documents, list(linkers.values())[-1])
        if args.model:
            results[name]["predicted"] = predicted(documents, args.model, list(linkers.values())[-1])
    about = {
        "vocabularies": VOCABULARIES,
        "aliases": len(aliases),
        "documents_with_aliases": len(teaching),
        "left_out_of_aliases": "documents that share their id or text with a scored one",
    }
    result = {"command": command(args), **results, "split": args.split, **about}
    record.write(args.out, result)
    shown = {
        name: {key: found[key] for key in ("top1", "top5", "names_only", "predicted") if key in found}
        for name, found in results.items()
    }
    print(json.dumps(shown))


def command(args: argparse.Namespace) -> str:
    """The command line that gives the figures, without where the corpora lie."""
    given = {"--split": args.split, "--bank": args.bank, "--model": args.model, "--documents": args.documents}
    said = " ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    return f"python benchmarks/link.py {said}"


def floor(documents: Sequence[Any], store: Any) -> dict[str, Any]:
    """The first entity that bears the mention's text for a name, whatever its case."""
    from kogner.data.linking import graph_types

    right = total = 0
    for document in documents:
        for mention in document.mentions:
            gold = {row for one in mention.ids for row in store.resolve(one)}
            if not gold:
                continue
            total += 1
            found = store.lexicon.lookup(mention.text, types=graph_types(mention.type, store.types))
            named = [match.row for match in found if match.tier in ("exact", "casefold")]
            right += named[:1] != [] and named[0] in gold
    return {"top1": percent(right, total), "mentions": total}


def tops(documents: Sequence[Any], linker: Any) -> dict[str, Any]:
    """Top-1 and top-5 of gold spans."""
    bare = [strip(document, document.mentions) for document in documents]
    first = five = total = 0
    for document, links in zip(documents, linker.links(bare), strict=True):
        for mention, found in zip(document.mentions, links, strict=True):
            gold = {row for one in mention.ids for row in linker.store.resolve(one)}
            if not gold:
                continue
            total += 1
            right = [linker.store.resolve(link.id)[0] in gold for link in found[:5]]
            first += right[:1] == [True]
            five += any(right)
    return {"top1": percent(first, total), "top5": percent(five, total), "mentions": total}


def composites(documents: Sequence[Any], linker: Any) -> dict[str, Any]:
    """Of gold spans that join names (`A and B`), with several ids that the graph has: how often all these are given,
    and no other; or one at least. alone_with_several: spans with one id that get several.
    """
    from kogner.link.candidates import conjuncts

    every = some = total = alone = 0
    for document in documents:
        bare = strip(document, document.mentions)
        for mention, found in zip(document.mentions, linker.link_document(bare).mentions, strict=True):
            named = [set(linker.store.resolve(one)) for one in mention.ids]
            given = {linker.store.resolve(one)[0] for one in found.ids or filter(None, [found.entity])}
            if len(named) < 2:
                alone += len(given) > 1
                continue
            if all(named) and conjuncts(mention.text):
                total += 1
                every += len(given) == len(named) and all(one & given for one in named)
                some += any(one & given for one in named)
    return {"mentions": total, "all": percent(every, total), "some": percent(some, total), "alone_with_several": alone}


def without_entity(documents: Sequence[Any], linker: Any) -> dict[str, Any]:
    """What the least score does to gold spans whose id the graph lacks, which should stay without an entity.

    accuracy, by least score: share of all spans that are right; one that the graph lacks is where it gets no entity.
    at: of the default, also which share of the absent gets none, and which share of the others loses its right one.
    """
    from kogner.link.linker import LinkSettings

    cases: list[tuple[bool, bool, float]] = []  # in the graph, right entity, score of the entity
    for document, links in zip(documents, linker.links([strip(one, one.mentions) for one in documents]), strict=True):
        for mention, found in zip(document.mentions, links, strict=True):
            gold = {row for one in mention.ids for row in linker.store.resolve(one)}
            right = bool(found) and linker.store.resolve(found[0].id)[0] in gold
            cases.append((bool(gold), right, found[0].score if found else -1.0))
    least = LinkSettings().nil
    absent = [score for there, _, score in cases if not there]
    present = [score for there, right, score in cases if there and right]
    return {
        "absent": len(absent),
        "mentions": len(cases),
        "accuracy": {
            str(step): percent(sum(right and score >= step if there else score < step for there, right, score in cases),
                               len(cases))
            for step in STEPS
        },
        "at": {
            "least": least,
            "absent_without": percent(sum(score < least for score in absent), len(absent)),
            "right_lost": percent(sum(score < least for score in present), len(present)),
        },
    }  # fmt: skip


def strip(document: Any, mentions: Sequence[Any]) -> Any:
    """The document with mentions that have neither ids nor entities."""
    return replace(document, mentions=tuple(replace(one, ids=(), entity=None) for one in mentions))


def predicted(documents: Sequence[Any], model: Path, linker: Any) -> dict[str, Any]:
    """Precision, recall and F1 of spans with their entity, as the student finds and the linker links them."""
    from kogner.annotate.predictor import Predictor

    labels = sorted({one.type for document in documents for one in document.mentions})
    found = list(Predictor.load(str(model)).predict([strip(one, ()) for one in documents], labels=labels))
    right = guessed = total = spans = 0
    for document, guess, links in zip(documents, found, linker.links(found), strict=True):
        gold = {
            one.key: rows
            for one in document.mentions
            if (rows := {row for own in one.ids for row in linker.store.resolve(own)})
        }
        unknown = {one.key for one in document.mentions} - set(gold)  # spans whose id the graph lacks count nowhere
        total += len(gold)
        for mention, linked in zip(guess.mentions, links, strict=True):
            if mention.key in unknown:
                continue
            guessed += 1
            spans += mention.key in gold
            right += bool(linked) and linker.store.resolve(linked[0].id)[0] in gold.get(mention.key, ())
    both = {"precision": percent(right, guessed), "recall": percent(right, total)}
    both["f1"] = percent(2 * right, guessed + total)
    return both | {"f1_of_spans": percent(2 * spans, guessed + total)}


def percent(part: int, whole: int) -> float:
    return round(100 * part / max(whole, 1), 2)


if __name__ == "__main__":
    main()
