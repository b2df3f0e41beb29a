"""What a student gains where names count by their entities, beside names that all count alike and the control; p.

Each variant learns from the train documents, has its weights chosen on dev and is scored once on test; dev and test are
read by the student once for all of them. Variants: names alike; by entity (the bank's rows); the control, in which each
entity has the row of another of its label, several times, and the same within a vocabulary; text vectors alone (Z); the
graph's structure alone (Z', Z''), and of that TransR's vectors alone (Z''), which take minutes to make.
Thresholds, temperatures and agreement are the checkpoint's.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/kogner-mini"))
    parser.add_argument("--graph", type=Path, default=Path("build/graph"))
    parser.add_argument("--bank", type=Path, default=Path("build/bank"))
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR", help="train and dev splits")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=DIR", help="the same corpora's test")
    parser.add_argument("--controls", type=int, default=3, help="how often rows are shuffled")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "entities.json")
    args = parser.parse_args()

    from kogner.annotate.engine import threads
    from kogner.annotate.entity_weights import EntityWeights
    from kogner.annotate.names import Names
    from kogner.artifacts import read_manifest
    from kogner.commands.options import named_paths
    from kogner.data import corpora
    from kogner.evaluate.significance import document_counts, paired_bootstrap
    from kogner.evaluate.spans import score, with_lost
    from kogner.graph.store import GraphStore
    from kogner.student.checkpoint import open_student
    from kogner.teacher.bank import Bank
    from kogner.train.entity_weights import learn
    from kogner.train.name_evidence import best_name_evidence
    from kogner.train.splits import Split, to_split, training_corpora
    from kogner.train.thresholds import by_entity, found_at, scored_dev

    names, bank = Names(GraphStore.open(args.graph)), Bank.open(args.bank)
    student, info = open_student(args.model)
    splits = [to_split(name, *training_corpora(name, Path(path))) for name, path in named_paths(args.data)]
    loaded = {name: corpora.load(name, path, "test") for name, path in named_paths(args.test, option="--test")}
    types = tuple(dict.fromkeys(kind for split in splits for kind in split.types))
    tested = [Split(name, (), corpus.documents, tuple(sorted(corpus.types))) for name, corpus in loaded.items()]
    with threads(args.threads):
        dev = scored_dev(student, splits, types, names=names, agreement=True)
        test = scored_dev(student, tested, types, names=names, agreement=True)

    variants: dict[str, dict[str, Any] | None] = {"none": None, "alike": {}, "entities": {}}
    for control in ("shuffled", "vocabulary"):
        variants |= {f"{control}-{seed}": {"control": control, "seed": seed} for seed in range(args.controls)}
    variants |= {"text": {"parts": ["Z"]}, "structure": {"parts": ["Z'", "Z''"]}, "transr": {"parts": ["Z''"]}}
    told: dict[str, Any] = {}
    counts: dict[str, dict[str, Any]] = {name: {} for name in loaded}
    for variant, how in variants.items():
        said: dict[str, Any] = {}
        weights = EntityWeights()
        if how is not None and variant != "alike":
            learnt = learn(splits, types, names=names, bank=bank, **how)
            weights, said["learnt"] = learnt.weights, learnt.told
        after, found = replace(info, name_weights={}, name_losses={}), test
        if how is not None:
            evidence = best_name_evidence(by_entity(dev, splits, types, names, weights), splits, types, after)
            after = replace(after, name_weights=evidence.weights, name_losses=evidence.losses)
            found = by_entity(test, tested, types, names, weights.scaled(evidence.scales))
            said |= {"weights": evidence.weights, "scales": evidence.scales}
        predicted = found_at(found, tested, types, after)
        said["corpora"] = {}
        for name, corpus in loaded.items():
            own = corpus.documents
            scores = with_lost(score(own, predicted[name], types=corpus.types), corpus.lost).to_dict()
            said["corpora"][name] = {key: scores[key] for key in ("precision", "recall", "f1", "gold")}
            counts[name][variant] = document_counts(own, predicted[name], types=sorted(corpus.types))
        told[variant] = said
        print(variant, {name: of["f1"] for name, of in said["corpora"].items()}, flush=True)
    controls, stricter = (
        [name for name in variants if name.startswith(f"{control}-")] for control in ("shuffled", "vocabulary")
    )
    differences: dict[str, Any] = {}
    for name, of in counts.items():
        pairs = {
            "by entity": (["entities"], ["alike"]), "names": (["alike"], ["none"]), "all": (["entities"], ["none"]),
            "vectors": (["entities"] * len(controls), controls),
            "vectors beyond vocabulary": (["entities"] * len(stricter), stricter),
            "remembered": (controls, ["alike"] * len(controls)),
            "structure beside text": (["entities"], ["text"]), "structure": (["structure"] * len(controls), controls),
            "TransR": (["transr"] * len(controls), controls),
        }  # fmt: skip
        differences[name] = {
            what: paired_bootstrap(
                [of[one] for one in better], [of[one] for one in base], missed=sum(loaded[name].lost.values())
            ).to_dict()
            for what, (better, base) in pairs.items()
        }
    result = {
        "model": read_manifest(args.model).hash, "bank": bank.artifact.hash, "graph": names.store.artifact.hash,
        "controls": len(controls), "variants": told, "differences": differences,
        "documents": {name: len(of["none"]) for name, of in counts.items()},
    }  # fmt: skip
    record.write(args.out, result)
    print(json.dumps({name: {what: one["difference"] for what, one in of.items()} for name, of in differences.items()}))


if __name__ == "__main__":
    main()
