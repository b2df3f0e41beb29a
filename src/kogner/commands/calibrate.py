"""`kogner calibrate`: thresholds and temperatures for a student that is already there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands.options import split_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kogner.annotate.entity_weights import EntityWeights
    from kogner.annotate.names import Names
    from kogner.artifacts import Artifact
    from kogner.records import Document
    from kogner.student.checkpoint import StudentInfo
    from kogner.student.model import Student
    from kogner.train.entity_weights import Learnt
    from kogner.train.splits import Split
    from kogner.train.thresholds import Scored

WITH_NAMES = "with names of the graph"  # a column of the card


@click.command("calibrate")
@click.option("--data", multiple=True, metavar="NAME=DIR", help="Corpus to fit to; may be repeated.")
@click.option("--split", help="Split of --data to fit to; never the one you report. Default: dev.")
@click.option(
    "--graph",
    help="Graph store: also fit how much a name of it counts for a span, and what a span loses that is none "
    "(kogner annotate --graph).",
)
@click.option("--bank", help="With --graph and --data: also learn from their train documents which of the graph's "
              "entities annotators mark, by the teacher's vectors in this bank (kogner teacher build).")  # fmt: skip
@click.option("--entities-of", metavar="TYPES", help="With --bank: only names of these types count by their entities; "
              "each type adds five bytes for each entity of the graph.  [default: all]")  # fmt: skip
@click.option("--text", "texts", multiple=True, metavar="FILE", help="Instead of --data, texts that nobody annotated: "
              "plain text, JSON lines of {id, text}, or a PubMed file (.xml, .xml.gz); may be repeated.")  # fmt: skip
@click.option("--corpus", "unlabelled", multiple=True, metavar="DIR", type=click.Path(path_type=Path),
              help="The same: a corpus whose training texts are taken without their annotation.")  # fmt: skip
@click.option("--documents", type=click.IntRange(min=1),
              help="Of each --text and --corpus the first so many. Default: 1000.")  # fmt: skip
@click.option("--labels", help="Labels to fit with --text or --corpus; default: the types of MODEL.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 = all.")
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
def command(
    data: tuple[str, ...],
    split: str | None,
    graph: str | None,
    bank: str | None,
    entities_of: str | None,
    texts: tuple[str, ...],
    unlabelled: tuple[Path, ...],
    documents: int | None,
    labels: str | None,
    threads: int,
    model: str,
    out: Path,
) -> None:
    """Fit threshold, temperature and agreement of each type on dev documents, and write MODEL with them to OUT.

    MODEL is a KoGNER student or a GLiNER checkpoint (a folder, or a hub id); its weights stay as they are. After it a
    score says how often an entity of the type is right, and kogner annotate keeps what gave the best F1. The agreement
    says how much other places of the same text in a document count (0: nothing, as without documents). Types that the
    corpora do not annotate keep what they had. The figures before and after are of the documents that were fitted to,
    the optimistic side; score another split with kogner evaluate.

    With --bank a name counts by which entity it is one of: annotators mark drugs and not proteins, say, and kindred
    entities have kindred vectors. OUT holds a number for each entity; the bank is not needed to annotate.

    Where nobody has annotated anything, give --graph and raw text: how much a name counts is then fitted to how names
    and the student's scores go together, and nothing else is. It is meant for students that learnt from names
    (kogner data silver).

    \b
    Example:
      kogner calibrate --data mine=corpora/mine downloads/gliner_small build/gliner_small_mine
      kogner calibrate --data mine=corpora/mine --graph build/graph runs/mine build/mine-with-names
      kogner calibrate --data mine=corpora/mine --graph build/graph --bank build/bank runs/mine build/mine-by-entity
      kogner calibrate --text abstracts.jsonl --graph build/graph runs/silver build/silver-with-names
    """
    from kogner import artifacts, hub
    from kogner.annotate.engine import threads as with_threads
    from kogner.annotate.entity_weights import EntityWeights
    from kogner.errors import ConfigError
    from kogner.student import checkpoint, gliner, layout

    raw = bool(texts or unlabelled)
    if raw == bool(data):
        raise ConfigError("give --data, annotated documents to fit to, or instead --text or --corpus with --graph")
    if raw and graph is None:
        raise ConfigError("--text and --corpus say how much a name of the graph counts; give --graph")
    for option, value in (("--labels", labels), ("--documents", documents)):
        if value is not None and not raw:
            raise ConfigError(f"{option} goes with --text or --corpus; --data is read whole, and has its own types")
    if bank is not None and (graph is None or raw or split == "train"):
        raise ConfigError("--bank goes with --graph and --data, of whose train split it learns; fit to another split")
    if entities_of is not None and bank is None:
        raise ConfigError("--entities-of goes with --bank, of whose entities it speaks")
    if split is not None and raw:
        raise ConfigError("--split goes with --data; of a --corpus the training texts are taken")
    place = hub.fetch(model)
    theirs = layout.is_gliner(place)
    kind, version = (gliner.KIND, gliner.FORMAT) if theirs else (checkpoint.KIND, checkpoint.VERSION)
    artifacts.check_replaceable(out, kind=kind)
    student, info = checkpoint.open_student(place)
    names = None
    if graph is not None:
        from kogner.annotate.names import Names
        from kogner.graph.store import GraphStore

        names = Names(GraphStore.open(graph))
    entities = EntityWeights.read(place)
    with with_threads(threads):
        if raw:
            wanted = split_labels(labels) if labels is not None else list(info.types)
            first = _documents(texts, unlabelled, documents or 1000)
            after, result = _fit_to_texts(student, info, first, wanted, names, model=model)
            entities = entities.without(list(result["name_weights"]))
        else:
            learnt = None if names is None or bank is None else _learn(data, names, bank, entities_of)
            after, result, fitted, types = _fit_to_corpora(student, info, data, split or "dev", names, learnt)
            entities = entities.without(types).joined(fitted)
    known = (place / artifacts.MANIFEST).is_file()  # a GLiNER checkpoint of another hand has none
    artifact = artifacts.open_artifact(place, kind=kind, version=version) if known else None
    with artifacts.writing(
        out,
        kind=kind,
        version=version,
        recipe=artifact.recipe if artifact else None,
        parents=_parents(artifact),
        metrics={**(artifact.metrics if artifact else {}), "calibration": result},
    ) as folder:
        copy_checkpoint(place, folder)
        entities.save(folder)
        if theirs:
            gliner.write_side(student, after, folder)
        else:
            checkpoint.describe(student, after, folder)
        _add_to_card(folder / "README.md", split or "dev", layout.SIDE if theirs else layout.STUDENT, result)
    click.echo(json.dumps({"out": str(out), **result}))


def _parents(artifact: Artifact | None) -> dict[str, str] | None:
    """Those of what was calibrated, and itself; but not `scored`, since test scores in its card go."""
    if artifact is None:
        return None
    return {name: of for name, of in artifact.parents.items() if name != "scored"} | {"calibrated": artifact.hash}


def _learn(data: Sequence[str], names: Names, bank: str, of: str | None) -> Learnt:
    """Which entities annotators mark, from the train documents of the corpora; `of` these types, all where None.

    Raises ConfigError for a type that none of the corpora has.
    """
    from kogner.commands.options import named_paths
    from kogner.data import corpora
    from kogner.errors import ConfigError
    from kogner.teacher.bank import Bank
    from kogner.train.entity_weights import learn
    from kogner.train.splits import Split

    loaded = [corpora.load(name, path, "train") for name, path in named_paths(data)]
    splits = [Split(corpus.name, corpus.documents, (), tuple(sorted(corpus.types))) for corpus in loaded]
    types = tuple(dict.fromkeys(name for one in splits for name in one.types))
    wanted = types if of is None else tuple(split_labels(of))
    if strange := [name for name in wanted if name not in types]:
        raise ConfigError(f"--entities-of: no corpus has {', '.join(strange)}; they have {', '.join(types)}")
    return learn(splits, wanted, names=names, bank=Bank.open(bank))


def _fit_to_corpora(
    student: Student,
    info: StudentInfo,
    data: Sequence[str],
    split: str,
    names: Names | None,
    learnt: Learnt | None,
) -> tuple[StudentInfo, dict[str, Any], EntityWeights, tuple[str, ...]]:
    """What the student's checkpoint says after it, what is told of it, what is kept of `learnt`, and the types."""
    from kogner.annotate.entity_weights import EntityWeights
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.train.agreement import best_agreement
    from kogner.train.name_evidence import best_name_evidence
    from kogner.train.splits import Split
    from kogner.train.thresholds import by_entity, fit_to, scored_dev

    loaded = [corpora.load(name, path, split) for name, path in named_paths(data)]
    for corpus in loaded:
        say_report(corpus)
    splits = [Split(corpus.name, (), corpus.documents, tuple(sorted(corpus.types))) for corpus in loaded]
    types = tuple(dict.fromkeys(name for one in splits for name in one.types))
    weights = EntityWeights() if learnt is None else learnt.weights
    dev = scored_dev(student, splits, types, names=names, agreement=True)
    fitted = fit_to(dev, types)
    after = replace(
        info,
        thresholds={**_without(info.thresholds, types), **fitted.thresholds},
        temperatures={**_without(info.temperatures, types), **fitted.temperatures},
        name_weights=_without(info.name_weights, types),  # they held at the old thresholds
        name_losses=_without(info.name_losses, types),
        agreement=_without(info.agreement, types),
    )
    agreement = best_agreement(dev, splits, types, _nameless(after))
    if names is not None:
        weighed = by_entity(dev, splits, types, names, weights)
        evidence = best_name_evidence(weighed, splits, types, after)
        after = replace(
            after,
            name_weights={**after.name_weights, **evidence.weights},
            name_losses={**after.name_losses, **evidence.losses},
        )
        weighed, weights = evidence.applied(weighed, types), weights.scaled(evidence.scales)
    alone = _nameless(after)
    after = replace(after, agreement={**after.agreement, **agreement})
    result: dict[str, Any] = {
        "thresholds": dict(fitted.thresholds),
        "temperatures": dict(fitted.temperatures),
        "agreement": agreement,
        "before": _scores(dev, splits, types, _nameless(info)),
        "after_alone": _scores(dev, splits, types, alone),
        "after": _scores(dev, splits, types, _nameless(after)),
    }
    if names is not None:
        result |= {"name_weights": evidence.weights, "name_losses": evidence.losses}
        result["with_names"] = _scores(weighed, splits, types, after)
    if names is not None and learnt is not None:
        result["entity_weights"] = {
            name: told | {"scale": evidence.scales.get(name, 0.0)} for name, told in learnt.told.items()
        }
        result["learnt_from"] = learnt.origin
    return after, result, weights, types


def _fit_to_texts(
    student: Student,
    info: StudentInfo,
    documents: Sequence[Document],
    labels: Sequence[str],
    names: Names | None,
    *,
    model: str,
) -> tuple[StudentInfo, dict[str, Any]]:
    """The same where nobody annotated: weights of names alone. Raises ConfigError where there is nothing to fit."""
    from kogner.errors import ConfigError
    from kogner.progress import note
    from kogner.train.trust import LEAST, weights_of_texts

    assert names is not None
    if not labels:
        raise ConfigError(f"{model} does not say its types; give --labels")
    if not documents:
        raise ConfigError("the texts hold no document")
    if known := [label for label in labels if info.name_weight(label, 0)]:
        note(
            f"{model} has weights of names for {', '.join(known)} already; those that dev documents gave are better "
            "than what texts say"
        )
    weights = weights_of_texts(student, info, documents, labels, names=names)
    if not weights:
        raise ConfigError(
            f"fewer than {LEAST} names of {', '.join(labels)} each stand in {len(documents):,} documents: give more "
            "text, or labels that the graph has types for (kogner graph info)"
        )
    after = replace(
        info,
        name_weights={**_without(info.name_weights, list(weights)), **weights},
        name_losses=_without(info.name_losses, list(weights)),
    )
    left = [label for label in labels if label not in weights]
    return after, {"name_weights": weights, "documents": len(documents), "too_few_names": left}


def _documents(texts: tuple[str, ...], unlabelled: tuple[Path, ...], most: int) -> list[Document]:
    """The first documents of each text and corpus."""
    from kogner.commands.data import raw_texts
    from kogner.progress import note

    reports: dict[str, Any] = {}
    found = [one for text in texts for one in islice(raw_texts((text,), (), reports), most)]
    found += [one for folder in unlabelled for one in islice(raw_texts((), (folder,), reports), most)]
    for name, report in reports.items():
        for line in report.lines():
            note(f"{name}: {line}")
    return found


def _without(values: Any, types: Sequence[str]) -> dict[str, float]:
    """What a checkpoint says of other types than these, whatever their case."""
    fitted = {name.lower() for name in types}
    return {name: value for name, value in values.items() if name.lower() not in fitted}


def _nameless(info: StudentInfo) -> StudentInfo:
    """The same where no graph is read."""
    return replace(info, name_weights={}, name_losses={})


def _scores(dev: Scored, splits: Sequence[Split], types: Sequence[str], info: StudentInfo) -> dict[str, Any]:
    """F1 and calibration error by corpus, in percent."""
    from kogner.evaluate.calibration import calibration_errors
    from kogner.evaluate.spans import score
    from kogner.train.thresholds import found_at

    found = found_at(dev, splits, types, info)
    scores: dict[str, Any] = {}
    for split in splits:
        error = calibration_errors(split.dev, found[split.name], types=split.types)[None]
        f1 = score(split.dev, found[split.name], types=split.types).f1
        scores[split.name] = {"f1": round(100 * f1, 2), "ece": None if error is None else round(100 * error, 2)}
    return scores


def copy_checkpoint(source: Path, folder: Path) -> None:
    """The files that a checkpoint may have, bit for bit, without its manifest: nothing that only a pickle can be."""
    from kogner.artifacts import MANIFEST
    from kogner.hub import FILES

    def ignored(place: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name.startswith(".")
            or name == MANIFEST
            or not (Path(place, name).is_dir() or any(fnmatch(name, pattern) for pattern in FILES))
        ]

    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=ignored)


def _add_to_card(card: Path, split: str, file: str, result: dict[str, Any]) -> None:
    """Say in the model card where its thresholds are from and what they give, instead of an earlier calibration."""
    from kogner.annotate.entity_weights import FILE as ENTITIES
    from kogner.train.card import CALIBRATION, NAMES, SCORES, TEST_WITH_NAMES, TESTS, add_section, columns_of, rows_of

    if "documents" in result:  # texts that nobody annotated
        weights = ", ".join(f"{name} {weight:g}" for name, weight in result["name_weights"].items())
        told = (
            f"How much a name of the graph counts (logits, in `{file}`) was fitted to {result['documents']:,} texts "
            f"without annotation by `kogner calibrate`: {weights}."
        )
        if WITH_NAMES in columns_of(card, CALIBRATION):
            told += f" What is said under {CALIBRATION} of names, and scores with them, is from before."
        add_section(card, NAMES, told, instead=True, without=[TEST_WITH_NAMES])
        return
    said = [
        f"Thresholds, temperatures and agreement (what other places of the same text in a document count) were fitted "
        f"again, on {split} documents, by `kogner calibrate`{{before}}. All stand in `{file}`. "
        "Exact F1 on the documents that were fitted to, the optimistic side:",
        "",
        f"| corpus ({split}) | F1 | {WITH_NAMES} |" if "with_names" in result else f"| corpus ({split}) | F1 |",
        "|---|---|---|" if "with_names" in result else "|---|---|",
    ]
    for name, scores in result["after"].items():
        row = [name, f"{scores['f1']:.2f}"]
        if "with_names" in result:
            row.append(f"{result['with_names'][name]['f1']:.2f}")
        said.append(f"| {' | '.join(row)} |")
    by_entity = [name for name, of in result.get("entity_weights", {}).items() if of["scale"]]
    if by_entity:
        said += ["", f"Names of {', '.join(by_entity)} count by their entities (`{ENTITIES}`): which of the graph's "
                 "entities annotators mark was learnt from the train documents of these corpora."]  # fmt: skip
    stale, earlier = [NAMES, *TESTS], rows_of(card, SCORES)  # these weights are fitted again
    if split == "dev" and earlier and earlier <= set(result["after"]):
        stale.append(SCORES)
        earlier = set()
    said[0] = said[0].format(before=f"; what stands under {SCORES} is from before" if earlier else "")
    add_section(card, CALIBRATION, "\n".join(said), instead=True, without=stale)
