"""`kogner data`: look at corpora, and link their mentions to a graph."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.data.corpora import Corpus

KIND, VERSION = "corpora", 1

data_option = click.option(
    "--data", "data", multiple=True, required=True, metavar="NAME=DIR", help="A corpus folder; can be repeated."
)


@click.group("data")
def command() -> None:
    """Read corpora and link their mentions to the graph.

    \b
    A corpus is a folder with a train, dev and test file (PubTator, CoNLL, GENIA or KoGNER JSON lines; .gz and .xz too).
    Example:
      kogner data info --data bc5cdr=corpora/bc5cdr
      kogner data link --graph build/graph --data bc5cdr=corpora/bc5cdr --out build/linked
    """


@command.command("link")
@click.option("--graph", required=True, help="Folder of a graph that 'kogner graph build' wrote.")
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to: OUT/NAME/SPLIT.jsonl.")
@click.option("--strict", is_flag=True, help="Stop at the first thing that would be skipped or repaired.")
def link(graph: str, data: tuple[str, ...], out: Path, strict: bool) -> None:
    """Link mentions to entities: by the corpus' own ids first, by name second.

    \b
    The written folders are corpora themselves. The last line printed is one JSON object with all shares. Example:
      kogner data link --graph build/graph --data bc5cdr=corpora/bc5cdr --data mine=notes/ --out build/linked
    """
    from kogner import artifacts
    from kogner.commands.options import named_paths, say_report
    from kogner.data import corpora
    from kogner.data.formats import jsonl
    from kogner.data.linking import Linker, LinkReport, link_corpus
    from kogner.graph.store import GraphStore
    from kogner.progress import counting

    named = named_paths(data)
    for name, _ in named:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ConfigError(f"--data name {name!r} becomes a folder's name; use letters, digits, '-', '_' and '.'")
    artifacts.check_replaceable(out, kind=KIND)
    files = [(name, path, split) for name, path in named for split in corpora.splits(path)]
    store = GraphStore.open(graph)
    linker = Linker(store)
    results: dict[str, Any] = {name: {} for name, _ in named}
    rows: list[tuple[str, ...]] = []
    total = LinkReport()
    with (
        artifacts.writing(
            out,
            kind=KIND,
            version=VERSION,
            recipe={"strict": strict},
            parents={"graph": store.artifact.hash},
            metrics=results,
        ) as folder,
        counting("linking splits", len(files)) as counter,
    ):
        for name, path, split in files:
            corpus = corpora.load(name, path, split, strict=strict)
            say_report(corpus)
            linked, report = link_corpus(corpus, linker)
            total += report
            (folder / name).mkdir(exist_ok=True)
            jsonl.write(folder / name / f"{split}.jsonl", linked.documents)
            results[name][split] = {"documents": len(corpus), **report.to_dict(), **corpus.report.to_dict()}
            for kind, counts in [("all", report.to_dict()), *report.to_dict()["by_type"].items()]:
                shares = [f"{100 * counts[key]:.1f} %" for key in ("share_by_id", "share_by_name", "share_linked")]
                rows.append((name, split, kind, f"{counts['mentions']:,}", *shares))
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


def _by_type(corpus: Corpus, counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {counts.get(kind, 0):,}" for kind in corpus.types)


def _table(title: str, names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for name in names:
        grid.add_column(name, justify="left" if name in ("corpus", "split", "type", "by type") else "right")
    for row in rows:
        grid.add_row(*row)
    Console().print(grid)
