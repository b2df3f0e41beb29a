"""`kogner evaluate`: span scores of a student on corpora."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands.evaluate_card import describe, student_to_describe
from kogner.commands.evaluate_llm import evaluate_llm, llm_table
from kogner.commands.llm_options import llm_options
from kogner.commands.options import engine_options
from kogner.errors import ConfigError
from kogner.student.decode import OVERLAPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data.corpora import Corpus
    from kogner.data.overlap import Overlap
    from kogner.evaluate.suite import Suite
    from kogner.records import Document


@click.command("evaluate")
@click.option("--model", default=None, help="Folder, or hub id, of a student.")
@click.option("--llm", default=None, metavar="MODEL", help="A language model instead: openai:MODEL, anthropic:MODEL, "
              "http://host/v1:MODEL, local.")  # fmt: skip
@click.option("--data", "data", multiple=True, metavar="NAME=DIR", help="A corpus; can be repeated.")
@click.option("--suite", default=None, help="Corpora that belong together: biomed, or a YAML file.")
@click.option("--corpora", type=click.Path(path_type=Path), help="Folder of a suite's corpora.  [default: "
              "$KOGNER_SHARED/corpora, else ../shared/corpora]")  # fmt: skip
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "dev", "test"]))
@click.option("--graph", default=None, help="Graph store: its names count for spans, as in 'kogner annotate --graph'.")
@click.option(
    "--train",
    "train",
    multiple=True,
    metavar="NAME=DIR",
    help="A corpus trained on; can be repeated. Adds recall on names that its train split has and has not, and leaves "
    "test documents out that it shares.",
)
@click.option("--sentences", type=click.IntRange(min=1), help="Only so many sentences of each corpus, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --sentences.")
@click.option("--threshold", type=float, default=None, help="One threshold for all types. Default: the checkpoint's.")
@click.option("--nested", is_flag=True, help="Predict nested entities.")
@click.option("--multi-label", is_flag=True, help="Predict several types for one span.")
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default="score",
    show_default=True,
    help="Which of overlapping spans wins.",
)
@click.option("--card", is_flag=True, help="Write the test scores into the student's model card, which gives it "
              "another hash.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the JSON line only.")
@click.option(
    "--cache", type=click.Path(path_type=Path), default="llm-answers.cache", show_default=True, help="Of --llm."
)
@click.option(
    "--temperature", type=float, default=0.0, show_default=True, help="Of --llm; below 0: as the model has it."
)
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Of an answer of --llm."
)
@llm_options
@engine_options(batch_tokens=8192)
def command(
    model: str | None,
    llm: str | None,
    data: tuple[str, ...],
    suite: str | None,
    corpora: Path | None,
    split: str,
    train: tuple[str, ...],
    graph: str | None,
    sentences: int | None,
    seed: int,
    threshold: float | None,
    nested: bool,
    multi_label: bool,
    overlap: str,
    card: bool,
    as_json: bool,
    device: str,
    threads: int,
    precision: str,
    batch_tokens: int,
    cache: Path,
    **limits: Any,  # those of llm_options, temperature and max_tokens
) -> None:
    """Score a student: exact match of start, end and type, micro and per type; gold is every mention in the file.

    Beside it stand the 95 % interval of F1 (documents drawn again), the relaxed score (any overlap), those of left and
    right boundaries, and the expected calibration error of the entities found (ECE; 15 bins of equal mass), all in
    percent; the JSON holds what reading took, too (`cost`). A mention that the reader skipped counts as missed (not
    with --sentences, a sample), and so does one that the student cannot reach: wider than its limit, off word edges,
    across sentences. How many there are, and why, is said and stands in the JSON.

    With --train test documents that its train or dev split holds as well are left out, and counted; of a corpus of
    sentences all of an article of which it holds one.

    With --llm a language model is asked for the entities of each document (--sentences keeps that affordable), given
    the corpus' types and nothing else; what of its answers cannot be used is counted by reason. Keys, limits and the
    cache of paid answers are those of 'kogner data write'.

    With --suite corpora that are not there are marked as missing, and with --graph its names alone are scored as well.

    \b
    Example:
      kogner evaluate --model models/kogner-mini --data bc5cdr=corpora/bc5cdr --data ncbi=corpora/ncbi_disease --json
      kogner evaluate --model models/kogner-mini --suite biomed --graph build/graph --json
      kogner evaluate --model runs/mine --data bc5cdr=corpora/bc5cdr --train bc5cdr=corpora/bc5cdr
      kogner evaluate --llm openai:gpt-4o-mini --data bc5cdr=corpora/bc5cdr --sentences 100
    """
    if llm is not None:
        _refuse_options_of_students()
    if (model is None) == (llm is None):
        raise ConfigError("give either --model, a student, or --llm, a language model")
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.commands.options import say_report
    from kogner.evaluate.sample import sampled
    from kogner.graph.store import GraphStore
    from kogner.progress import note
    from kogner.student.layout import CARD

    settings = Settings(
        threshold=threshold,
        nested=nested,
        multi_label=multi_label,
        overlap=overlap,
        precision=precision,
        token_budget=batch_tokens,
        threads=threads,
    )
    described = student_to_describe(str(model), _given(_OF_SCORES)) if card else None
    chosen = _Chosen.load(data, suite, corpora, split)
    if sentences is not None:
        chosen.corpora = [sampled(corpus, sentences, seed=seed) for corpus in chosen.corpora]
    for corpus in chosen.corpora:
        say_report(corpus)
    if llm is not None:
        inside = {corpus.name for corpus in chosen.corpora} if nested else chosen.nested
        said = evaluate_llm(llm, chosen.corpora, cache, limits, nested=inside)
        if chosen.suite is not None:
            said["missing"] = chosen.missing
    else:
        assert model is not None
        seen = _Seen.load(train)  # before the model, since it may be wrong
        if chosen.suite is not None and seen.names is None:
            note("whether training held any of these documents is not looked for; name what it learnt from (--train)")
        names = None if graph is None else Names(GraphStore.open(graph))
        said = scored = _scored(Predictor.load(model, device=device), chosen, settings, seen, names)
    if not as_json and llm is not None:
        llm_table(said, split)
    elif not as_json:
        _table(said, split)
    for name, reason in chosen.missing.items():
        note(f"{name} is not scored: {reason}")
    if llm is None and chosen.suite is not None:
        mean = chosen.suite.mean({name: result["f1"] for name, result in said.items()})
        trained = [one.partition("=")[0] for one in train] or None  # not said, so that what training held is scored too
        said = {"suite": chosen.suite.name, "mean_f1_of_six": mean, "trained_on": trained, "corpora": said}
        said["missing"] = chosen.missing
    click.echo(json.dumps(said))
    if described is not None:
        of_graph = None if names is None else names.store.artifact.hash
        after = describe(described, scored, graph=of_graph, apart=bool(train), nested=chosen.nested)
        note(f"the scores stand in {described.path / CARD}; the student's hash is now {after}")


@dataclass
class _Chosen:
    """What is scored.

    missing: corpora of the suite that are not there, and why. nested: names of those whose mentions lie in one another.
    """

    corpora: list[Corpus]
    suite: Suite | None = None
    missing: dict[str, str] = field(default_factory=dict)
    nested: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, data: tuple[str, ...], suite: str | None, folder: Path | None, split: str) -> _Chosen:
        from kogner.commands.options import named_paths
        from kogner.data.corpora import load
        from kogner.evaluate.suite import folder_of_corpora, open_member, open_suite

        if not data and suite is None:
            raise ConfigError("nothing to score: give --data NAME=DIR, or --suite")
        chosen = cls([load(name, path, split) for name, path in named_paths(data)])
        chosen.suite = None if suite is None else open_suite(suite)
        for name, member in chosen.suite.corpora.items() if chosen.suite is not None else ():
            found = open_member(name, member, folder_of_corpora(folder), split)
            if isinstance(found, str):
                chosen.missing[name] = found
                continue
            if name in {one.name for one in chosen.corpora}:
                raise ConfigError(f"--data {name} has the name of a corpus of suite {suite}; give it another one")
            chosen.corpora.append(found)
            if member.nested:
                chosen.nested.add(name)
        if not chosen.corpora:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in chosen.missing.items())
            raise ConfigError(f"none of the corpora of the suite is there ({reasons}); where are they? --corpora DIR")
        return chosen


@dataclass(frozen=True)
class _Seen:
    """What the student met in training. names: of its train splits; None where no corpus is given.

    documents: also those of dev, which chose the step and thresholds.
    """

    names: set[tuple[str, str]] | None
    documents: Overlap

    @classmethod
    def load(cls, train: tuple[str, ...]) -> _Seen:
        from kogner.commands.options import named_paths
        from kogner.data.overlap import Overlap
        from kogner.evaluate.novelty import names
        from kogner.train.splits import training_corpora

        known = set[tuple[str, str]]()
        documents: list[Document] = []
        for name, path in named_paths(train, option="--train"):
            training, dev = training_corpora(name, path)
            known |= names(training.documents)
            documents += [*training.documents, *(dev.documents if dev is not None else ())]
        return cls(known if documents else None, Overlap(documents))


def _scored(
    predictor: Predictor, chosen: _Chosen, settings: Settings, seen: _Seen, names: Names | None
) -> dict[str, dict[str, Any]]:
    """Results by corpus. left_out: None where nobody said what training held."""
    from kogner.data.overlap import without
    from kogner.evaluate.suite import names_alone
    from kogner.progress import counting

    results: dict[str, dict[str, Any]] = {}
    for whole in chosen.corpora:
        corpus, left_out = (whole, None) if seen.names is None else without(whole, seen.documents, articles=True)
        if left_out and not corpus.documents:
            chosen.missing[whole.name] = (
                f"a train or dev split holds each of its {len(whole.documents):,} documents or their articles"
            )
            continue
        here = replace(settings, nested=True) if corpus.name in chosen.nested else settings
        predicted, types = [], sorted(corpus.types)
        if names is not None:
            names.spans("", types)  # its scanner is built outside of what is timed
        started = time.perf_counter()
        with counting(f"annotating {corpus.name}", len(corpus.documents)) as counter:
            for document in predictor.predict(corpus.documents, labels=types, settings=here, names=names):
                predicted.append(document)
                counter.advance()
        cost = _cost(corpus, time.perf_counter() - started, predictor, settings)
        results[corpus.name] = _result(corpus, predicted, predictor, seen.names) | {"left_out": left_out, "cost": cost}
        if chosen.suite is not None and names is not None:
            results[corpus.name]["names_alone"] = names_alone(corpus, names)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in chosen.missing.items())
        raise ConfigError(f"nothing is left to score: {reasons}")
    return results


def _cost(corpus: Corpus, seconds: float, predictor: Predictor, settings: Settings) -> dict[str, Any]:
    """What reading took: wall time from text to entities, without loading model and graph."""
    import torch

    from kogner.annotate.engine import resolved
    from kogner.text import words

    count = sum(len(words(document.text)) for document in corpus.documents)
    return {
        "seconds": round(seconds, 2),
        "documents": len(corpus.documents),
        "words": count,
        "words_per_s": round(count / max(seconds, 1e-6)),
        "threads": settings.threads or torch.get_num_threads(),
        "device": predictor.device,
        "precision": resolved(settings.precision, predictor.device),
    }


_OF_SCORES = ("split", "sentences", "threshold", "nested", "multi_label", "overlap")
_OF_STUDENTS = (
    "threshold", "multi_label", "overlap", "train", "graph", "device", "threads", "precision", "batch_tokens", "card",
)  # fmt: skip


def _given(names: Iterable[str]) -> list[str]:
    """Those of these options that stand on the command line, as they are written there."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return [f"--{name.replace('_', '-')}" for name in names if context.get_parameter_source(name) is source]


def _refuse_options_of_students() -> None:
    """Raise ConfigError for an option that a language model does nothing with."""
    for option in _given(_OF_STUDENTS):
        raise ConfigError(f"{option} is for students and does nothing with --llm; leave it out")


def _result(
    corpus: Corpus, predicted: list[Document], predictor: Predictor, known: set[tuple[str, str]] | None
) -> dict[str, Any]:
    """Everything that is said of one corpus, as plain data."""
    from kogner.evaluate.boundaries import forgiving
    from kogner.evaluate.calibration import calibration_errors
    from kogner.evaluate.novelty import recall_by_novelty
    from kogner.evaluate.reach import unreachable
    from kogner.evaluate.significance import document_counts, f1_interval
    from kogner.evaluate.spans import score, with_lost
    from kogner.progress import note
    from kogner.text import splitter

    gold, types = corpus.documents, sorted(corpus.types)
    config = predictor.config
    result = with_lost(score(gold, predicted, types=types), corpus.lost).to_dict()
    counts = document_counts(gold, predicted, types=types)
    lost = result["gold"] - sum(one[0] for one in counts)
    result["interval"] = [round(edge, 2) for edge in f1_interval(counts, missed=lost)]
    rows: dict[str | None, dict[str, Any]] = {None: result, **result["by_type"]}
    for name, scores in forgiving(gold, predicted, types=types).items():
        scores = with_lost(scores, corpus.lost)
        for kind, row in rows.items():
            figures = (scores if kind is None else scores.by_type[kind]).to_dict()
            row[name] = {key: figures[key] for key in ("precision", "recall", "f1")}
    for kind, error in calibration_errors(gold, predicted, types=types).items():
        rows[kind]["ece"] = None if error is None else round(100 * error, 2)
    missed = unreachable(
        gold, types=types, max_width=config.max_width, context=config.context, splitter=splitter(config.words)
    )
    for kind, row in rows.items():
        of = [reasons for name, reasons in missed.items() if kind in (None, name)]
        row["unreachable"] = {reason: sum(r[reason] for r in of) for reason in sorted({key for r in of for key in r})}
        if kind is not None and of:
            note(
                f"{corpus.name} {corpus.split}: {sum(row['unreachable'].values()):,} of {row['gold']:,} mentions of "
                f"type {kind} are out of this student's reach and count as missed: {row['unreachable']}"
            )
    if known is not None:
        result |= recall_by_novelty(gold, predicted, known, types=types)
    return result | {"skipped": dict(sorted(corpus.report.skipped.items()))}


def _table(results: dict[str, Any], split: str) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    grid = Table(title=f"exact span scores, {split} split; relaxed, left and right: F1", title_justify="left")
    columns = ("P", "R", "F1", "95 %", "relaxed", "left", "right", "ECE", "gold", "found", "no reach")
    for name in ("corpus", "type", *columns):
        grid.add_column(name, justify="left" if name in ("corpus", "type") else "right", no_wrap=True)
    for name, result in results.items():
        for kind, row in [("all", result), *result["by_type"].items()]:
            exact, other = [row[of] for of in ("precision", "recall", "f1")], ("relaxed", "left", "right")
            interval = "{:.1f}-{:.1f}".format(*row["interval"]) if "interval" in row else ""
            error = "-" if row["ece"] is None else f"{row['ece']:.2f}"
            counts = (row["gold"], row["predicted"], sum(row["unreachable"].values()))
            figures = [*(f"{x:.2f}" for x in exact), interval, *(f"{row[of]['f1']:.2f}" for of in other)]
            grid.add_row(name, kind, *figures, error, *(f"{x:,}" for x in counts))
        for side in ("seen", "unseen"):
            if side in result:
                of = result[side]
                grid.add_row(name, f"names {side}", "", f"{of['recall']:.2f}", *[""] * 6, f"{of['gold']:,}", "", "")
    Console(width=None if sys.stdout.isatty() else 120).print(grid)
