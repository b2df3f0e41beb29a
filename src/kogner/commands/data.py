"""`kogner data`: look at corpora, link their mentions to a graph, make silver sentences from raw text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.commands import data_bmg, data_pseudo, data_refine
from kogner.commands.options import raw_text_options
from kogner.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kogner.data.corpora import Corpus
    from kogner.records import Document

KIND, VERSION = "corpora", 1

data_option = click.option(
    "--data", "data", multiple=True, required=True, metavar="NAME=DIR", help="A corpus folder; can be repeated."
)


@click.group("data")
def command() -> None:
    """Read corpora and link their mentions to the graph.

    \b
    A corpus is a folder with a train, dev and test file (PubTator, CoNLL, GENIA or KoGNER JSON lines; .gz, .xz, .zst).
    Example:
      kogner data info --data bc5cdr=corpora/bc5cdr
      kogner data link --graph build/graph --data bc5cdr=corpora/bc5cdr --out build/linked
      kogner data silver --graph build/graph --text abstracts.jsonl --types disease=Disease --out build/silver
    """


command.add_command(data_bmg.pairs)
command.add_command(data_bmg.write)
command.add_command(data_bmg.check)
command.add_command(data_refine.hide)
command.add_command(data_refine.refine)
command.add_command(data_pseudo.command)


@command.command("link")
@click.option("--graph", required=True, help="Folder of a graph that 'kogner graph build' wrote.")
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to: OUT/NAME/SPLIT.jsonl.")
@click.option(
    "--apart",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Corpus whose test documents train and dev must not hold, by id or by shared text; can be repeated.",
)
@click.option(
    "--dev-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Where a corpus has no dev split, take this share of its train documents for one.",
)
@click.option("--names-only", is_flag=True, help="Do not look at the corpus' own ids, which are annotation as well.")
@click.option("--strict", is_flag=True, help="Stop at the first thing that would be skipped or repaired.")
def link(
    graph: str,
    data: tuple[str, ...],
    out: Path,
    apart: tuple[Path, ...],
    dev_share: float | None,
    names_only: bool,
    strict: bool,
) -> None:
    """Link mentions to entities: by the corpus' own ids first, by name second.

    \b
    The written folders are corpora themselves. The last line printed is one JSON object with all shares. Example:
      kogner data link --graph build/graph --data bc5cdr=corpora/bc5cdr --data mine=notes/ --out build/linked
    For one model that several corpora train and others score, with nothing of a test split in its training:
      kogner data link --graph build/graph --data bc5cdr=corpora/bc5cdr --data genes=corpora/gnormplus \
        --apart corpora/bc5cdr --apart corpora/nlmchem --dev-share 0.1 --out build/joint
    """
    from kogner import artifacts
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.data.apart import with_dev
    from kogner.data.formats import jsonl
    from kogner.data.linking import Linker, LinkReport, link_corpus
    from kogner.data.overlap import Overlap, without
    from kogner.graph.store import GraphStore
    from kogner.progress import counting, note

    named = named_paths(data)
    for name, _ in named:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ConfigError(f"--data name {name!r} becomes a folder's name; use letters, digits, '-', '_' and '.'")
    artifacts.check_replaceable(out, kind=KIND)
    files = [(name, path, split) for name, path in named for split in corpora.splits(path)]
    tests = [corpora.load(path.name, path, "test") for path in apart]
    overlap = Overlap(document for corpus in tests for document in corpus.documents)
    store = GraphStore.open(graph)
    linker = Linker(store, names_only=names_only)
    results: dict[str, Any] = {name: {} for name, _ in named}
    rows: list[tuple[str, ...]] = []
    total = LinkReport()
    with (
        artifacts.writing(
            out,
            kind=KIND,
            version=VERSION,
            recipe={
                "strict": strict,
                "apart": [path.name for path in apart],
                "dev_share": dev_share,
                "names_only": names_only,
            },
            parents={"graph": store.artifact.hash},
            metrics=results,
        ) as folder,
        counting("linking splits", len(files)) as counter,
    ):
        for name, path, split in files:
            corpus = corpora.load(name, path, split, strict=strict)
            say_report(corpus)
            left_out: dict[str, int] = {}
            if split != "test":
                corpus, left_out = without(corpus, overlap)
            for reason, count in left_out.items():
                note(f"{name} ({split}): left out {count:,} x {reason}")
            parts = {split: corpus}
            if split == "train" and dev_share is not None and "dev" not in corpora.splits(path):
                parts = with_dev(corpus, dev_share)
            for part, documents in parts.items():
                linked, report = link_corpus(documents, linker)
                total += report
                (folder / name).mkdir(exist_ok=True)
                jsonl.write(folder / name / f"{part}.jsonl", linked.documents)
                results[name][part] = {"documents": len(linked), **report.to_dict()}
                if part == split:  # what its file held and lost is told once, of what was made of it not again
                    results[name][part] |= {**corpus.report.to_dict(), "left_out": left_out}
                for kind, counts in [("all", report.to_dict()), *report.to_dict()["by_type"].items()]:
                    shares = [f"{100 * counts[key]:.1f} %" for key in ("share_by_id", "share_by_name", "share_linked")]
                    rows.append((name, part, kind, f"{counts['mentions']:,}", *shares))
            counter.advance()
    _table("mentions linked to the graph", ("corpus", "split", "type", "mentions", "by id", "by name", "linked"), rows)
    click.echo(json.dumps({"out": str(out), "graph": store.artifact.hash, "all": total.to_dict(), "corpora": results}))


@command.command("info")
@data_option
@click.option("--strict", is_flag=True, help="Stop at the first thing that would be skipped or repaired.")
def info(data: tuple[str, ...], strict: bool) -> None:
    """Count documents, sentences and mentions, and the gold mentions that a span model cannot reach.

    \b
    The last line printed is one JSON object with all counts. Example:
      kogner data info --data bc5cdr=corpora/bc5cdr --data mine=notes/
    """
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.data.summary import WIDTHS, Summary
    from kogner.text import CROSSES_SENTENCES, OFF_WORD_EDGES

    results: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = []
    for name, path in named_paths(data):
        results[name] = {}
        for split in corpora.splits(path):
            corpus = corpora.load(name, path, split, strict=strict)
            say_report(corpus)
            summary = Summary.of(corpus.documents)
            results[name][split] = {**summary.to_dict(), **corpus.report.to_dict()}
            rows.append(
                (
                    name,
                    split,
                    *(f"{n:,}" for n in (summary.documents, summary.sentences, corpus.mentions)),
                    _by_type(corpus, summary.by_type),
                    *(f"{summary.unreachable[reason]:,}" for reason in (OFF_WORD_EDGES, CROSSES_SENTENCES)),
                    " / ".join(f"{summary.wider[limit]:,}" for limit in WIDTHS),
                    f"{corpus.report.skipped.total():,}",
                    f"{corpus.report.repaired.total():,}",
                )
            )
    wide = f"wider than {' / '.join(map(str, WIDTHS))}"
    names = ("corpus", "split", "documents", "sentences", "mentions", "by type", "off words", "across", wide)
    _table("corpora", (*names, "skipped", "repaired"), rows)
    click.echo(json.dumps(results))


@command.command("silver")
@click.option("--graph", required=True, help="Folder of a graph that 'kogner graph build' wrote.")
@raw_text_options
@click.option(
    "--types",
    required=True,
    metavar="TYPE=GRAPHTYPE,...",
    help="Our types and the graph's: chemical=Chemical,disease=Disease+Phenotype.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Corpus folder to write: OUT/train.jsonl.")
@click.option("--sentences", type=click.IntRange(min=1), default=None, help="At most this many. Default: all.")
@click.option("--empty-share", type=float, default=0.1, show_default=True, help="Share of sentences without a name.")
@click.option("--related", is_flag=True, help="Only sentences that name two entities which the graph relates; "
              "OUT/rows.jsonl has them for 'kogner data check'.")  # fmt: skip
@click.option("--doubts", is_flag=True, help="Names of several types, and those that the scanner leaves out as common "
              "words or symbols, are neither mentions nor none.")  # fmt: skip
@click.option("--shuffle-types", is_flag=True, help="A control for experiments: give each entity the type of another.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which documents are taken.")
@click.option("--index", type=click.Path(path_type=Path), help="Folder of the scan index. Default: GRAPH.scan.")
def silver(
    graph: str,
    texts: tuple[str, ...],
    unlabelled: tuple[Path, ...],
    types: str,
    out: Path,
    sentences: int | None,
    empty_share: float,
    related: bool,
    doubts: bool,
    shuffle_types: bool,
    seed: int,
    exclude: tuple[Path, ...],
    index: Path | None,
) -> None:
    """Make training sentences from raw text: the graph's names are the mentions, no annotator needed.

    \b
    OUT is a corpus that 'kogner train --data NAME=OUT' reads. The last line printed is one JSON object. Example:
      kogner data silver --graph build/graph --text pubmed20n0014.xml.gz --types chemical=Chemical,disease=Disease \\
        --sentences 12000 --exclude corpora/bc5cdr --out build/silver
      kogner data silver --graph build/graph --text notes.txt --types chemical=Chemical,disease=Disease --related \
        --out build/related
    """
    import time

    from kogner import artifacts
    from kogner.data.formats import jsonl
    from kogner.data.overlap import Overlap
    from kogner.data.related import row
    from kogner.data.silver import KIND as SILVER
    from kogner.data.silver import VERSION as SILVER_VERSION
    from kogner.data.silver import SilverSettings, make, parse_types
    from kogner.errors import InputError
    from kogner.graph.scan import Scanner
    from kogner.graph.store import GraphStore
    from kogner.progress import note

    started = time.monotonic()
    settings = SilverSettings(
        sentences=sentences,
        empty_share=empty_share,
        seed=seed,
        related=related,
        shuffle_types=shuffle_types,
        doubts=doubts,
    )
    mapping = parse_types(types)
    artifacts.check_replaceable(out, kind=SILVER)
    store = GraphStore.open(graph)
    scanner = Scanner(store, [kind for kinds in mapping.values() for kind in kinds], index=index)
    if not texts and not unlabelled:
        raise ConfigError("nothing to read: give --text, --corpus or both")
    excluded = excluded_documents(exclude, unlabelled)
    reports: dict[str, Any] = {}
    found = make(raw_texts(texts, unlabelled, reports), scanner, mapping, settings=settings, excluded=Overlap(excluded))
    for name, report in reports.items():
        for line in report.lines():
            note(f"{name}: {line}")
    for reason, count in sorted(found.left_out.items()):
        note(f"left out: {count:,} x {reason}")
    for reason, count in sorted(found.unsure.items()):
        note(f"in doubt: {count:,} x name {reason}")
    if not found.sentences:
        raise InputError(f"no sentence with a name of the types {types} was found; nothing was written")
    counts = found.to_dict() | {"excluded_documents": len(excluded)}
    recipe = {"types": {name: list(kinds) for name, kinds in mapping.items()}, "settings": vars(settings)}
    with artifacts.writing(
        out,
        kind=SILVER,
        version=SILVER_VERSION,
        recipe=recipe,
        parents={"graph": store.artifact.hash},
        metrics=counts,
    ) as folder:
        jsonl.write(folder / "train.jsonl", found.sentences)
        if related:
            both = zip(found.sentences, found.pairs, strict=True)
            artifacts.write_lines(folder / "rows.jsonl", (row(one, pairs, mapping).to_line() for one, pairs in both))
    if sentences is not None and len(found.sentences) < sentences:
        note(f"only {len(found.sentences):,} of {sentences:,} sentences were found; give more text")
    written = artifacts.read_manifest(out).hash
    read = {name: report.to_dict() for name, report in reports.items()}
    seconds = max(time.monotonic() - started, 1e-3)
    rates = {"seconds": round(seconds, 1), "sentences_per_s": round(len(found.sentences) / seconds, 1)}
    rates["documents_per_s"] = round(found.scanned / seconds, 1)
    click.echo(json.dumps({"out": str(out), "hash": written, **counts, "read": read, **rates}))


def excluded_documents(exclude: tuple[Path, ...], unlabelled: tuple[Path, ...]) -> list[Document]:
    """Documents of the corpora that are left out, but for the training texts of those that are read without labels."""
    from kogner.commands.options import say_report
    from kogner.data import corpora

    own = {folder.resolve() for folder in unlabelled}
    found: list[Document] = []
    for folder in exclude:
        for split in corpora.splits(folder):
            if split == "train" and folder.resolve() in own:
                continue
            corpus = corpora.load(folder.name, folder, split)
            say_report(corpus)
            found.extend(corpus.documents)
    return found


def raw_texts(sources: tuple[str, ...], unlabelled: tuple[Path, ...], reports: dict[str, Any]) -> Iterator[Document]:
    """Documents of text files, then those of corpora; what the readers of files met is put into `reports`."""
    from kogner.annotate.texts import read_texts
    from kogner.commands.options import say_report
    from kogner.data import corpora
    from kogner.data.formats import pubmed
    from kogner.data.formats.files import without_packing
    from kogner.data.report import Report
    from kogner.records import Document

    for source in sources:
        path = Path(source)
        if without_packing(path.name).endswith(".xml"):
            reports[source] = report = Report()
            yield from pubmed.read(path, report=report)
        else:
            yield from read_texts(source)
    for folder in unlabelled:
        corpus = corpora.load(folder.name, folder, "train")
        say_report(corpus)
        for document in corpus.documents:
            yield Document(f"{folder.name}:{document.id}", document.text)


def _by_type(corpus: Corpus, counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {counts.get(kind, 0):,}" for kind in corpus.types)


def _table(title: str, names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    from kogner.commands.printing import show_rich

    grid = Table(title=title, title_justify="left")
    for name in names:
        grid.add_column(name, justify="left" if name in ("corpus", "split", "type", "by type") else "right")
    for row in rows:
        grid.add_row(*row)
    show_rich(grid)
