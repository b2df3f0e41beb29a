"""`kogner data pairs`, `check`: sentences about related entities of the graph, from drawing to training data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--graph", required=True, type=click.Path(path_type=Path), help="A folder of 'kogner graph build'.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File of JSON lines to write.")
@click.option("--one-in", type=click.IntRange(min=1), default=10_000, show_default=True,
              help="Of so many rows of a relation type one is drawn, rounded down.")  # fmt: skip
@click.option("--minimum", type=click.IntRange(min=1), default=1, show_default=True, help="Of each relation type.")
@click.option("--number", type=click.IntRange(min=1), help="Of each relation type, instead of a share.")
@click.option("--cap", type=click.IntRange(min=1), help="Of each relation type at most.")
@click.option("--relation", "relations", multiple=True, help="Only this relation type; can be repeated.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw.")
def pairs(
    graph: Path,
    out: Path,
    one_in: int,
    minimum: int,
    number: int | None,
    cap: int | None,
    relations: tuple[str, ...],
    seed: int,
) -> None:
    """Draw pairs of entities that the graph relates, by relation type.

    \b
    The last line printed is one JSON object. Example:
      kogner data pairs --graph build/graph --out pairs.jsonl
    """
    from kogner.artifacts import write_atomic
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.data.pairs import PairSettings, draw
    from kogner.graph.store import GraphStore
    from kogner.progress import note

    settings = PairSettings(one_in=one_in, minimum=minimum, number=number, cap=cap, seed=seed)
    store = GraphStore.open(graph)
    found = draw(store, settings, relations=relations or None)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, "".join(f"{json.dumps(pair.to_dict(), ensure_ascii=False)}\n" for pair in found.pairs))
    table = new_table("relation", "rows", "drawn", numbers=("rows", "drawn"))
    for name, counts in found.relations.items():
        add_row(table, name, f"{counts['rows']:,}", f"{counts['drawn']:,}")
        if counts["drawn"] < counts["wanted"]:
            note(f"{name}: only {counts['drawn']:,} of {counts['wanted']:,} pairs have usable names")
    show_rich(table)
    for reason, count in found.left_out.most_common():
        note(f"drawn again: {count:,} x {reason}")
    click.echo(json.dumps({"out": str(out), "graph": store.artifact.hash, **found.to_dict()}))


@click.command()
@click.argument("sources", metavar="ROWS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Corpus folder to write.")
@click.option("--graph", type=click.Path(path_type=Path), help="Graph whose other names in a sentence are added.")
@click.option("--index", type=click.Path(path_type=Path), help="Folder of the scan index. Default: GRAPH.scan.")
@click.option("--paper", is_flag=True, help="The paper's check and nothing else.")
@click.option("--without", multiple=True, help="Leave out a rule: all-places, variants, apart, types, leaked, similar, "
              "further; can be repeated.")  # fmt: skip
@click.option("--split", "how", type=click.Choice(["entity", "relation"]), default="entity", show_default=True,
              help="What train, dev and test have not in common.")  # fmt: skip
@click.option("--shares", default="0.8,0.1,0.1", show_default=True, help="Of train, dev and test.")
@click.option("--also", "formats", multiple=True, help="Further format of each split: gliner, bmg; can be repeated.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the splits.")
def check(
    sources: tuple[Path, ...],
    out: Path,
    graph: Path | None,
    index: Path | None,
    paper: bool,
    without: tuple[str, ...],
    how: str,
    shares: str,
    formats: tuple[str, ...],
    seed: int,
) -> None:
    """Make a corpus of written sentences: those in which both entities are, and nothing that should not be.

    Every row of ROWS is kept, or stands in rejected.jsonl with its reason. OUT is a corpus that 'kogner train' reads.

    \b
    The last line printed is one JSON object; kept and rejected add up to the rows. Example:
      kogner data check rows.jsonl --graph build/graph --out build/bmg
    """
    from dataclasses import fields, replace

    from kogner import artifacts
    from kogner.data import checked
    from kogner.data.apart import DEV, TEST, TRAIN
    from kogner.data.check import Checker, CheckSettings
    from kogner.data.rows import read
    from kogner.errors import ConfigError, InputError
    from kogner.progress import note

    settings = CheckSettings.paper() if paper else CheckSettings()
    rules = {one.name.replace("_", "-"): one.name for one in fields(settings) if one.type == "bool"}
    for rule in without:
        if rule not in rules:
            raise ConfigError(f"--without {rule}: there is no such rule; there are {', '.join(rules)}")
        settings = replace(settings, **{rules[rule]: False})
    split_shares = _shares(shares, (TRAIN, DEV, TEST))
    artifacts.check_replaceable(out, kind=checked.KIND)
    scanner: Any = None
    if graph is not None:
        from kogner.graph.scan import Scanner
        from kogner.graph.store import GraphStore

        scanner = Scanner(GraphStore.open(graph), index=index)
    checker = Checker(settings, scanner=scanner)
    corpus = checked.collect((row for source in sources for _, row in read(source)), checker)
    if not checker.counts.rows:
        raise InputError("hold no row of 'kogner data write'", path=", ".join(map(str, sources)))
    where = checked.splits(corpus, how, split_shares, seed=seed)
    figures: dict[str, Any] = {
        **checker.counts.to_dict(),
        "splits": {name: where.count(name) for name in split_shares},
        "split_by": how,
        "seen_in_training": checked.seen_in_training(corpus, where),
        "models": dict(Counter(row.model for row in corpus.rows).most_common()),
        "prompts": dict(Counter(row.prompt for row in corpus.rows).most_common()),
        "graph": None if scanner is None else scanner.store.artifact.hash,
    }
    with artifacts.writing(
        out,
        kind=checked.KIND,
        version=checked.VERSION,
        recipe={"settings": vars(settings), "split": how, "shares": split_shares, "seed": seed},
        parents={} if scanner is None else {"graph": scanner.store.artifact.hash},
        metrics=figures,
    ) as folder:
        checked.write(folder, corpus, where, figures, formats)
    for reason, count in figures["rejected"].items():
        note(f"rejected: {count:,} x {reason}")
    for remark, count in figures["remarks"].items():
        note(f"left out of kept sentences: {count:,} x {remark}")
    short = {name: figures[name] for name in ("rows", "kept", "rejected", "splits", "mentions")}
    click.echo(json.dumps({"out": str(out), "hash": artifacts.read_manifest(out).hash, **short}))


def _shares(text: str, names: tuple[str, ...]) -> dict[str, float]:
    from kogner.errors import ConfigError

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != len(names):
        raise ConfigError(f"--shares {text!r} must be {len(names)} numbers that add up to 1, such as 0.8,0.1,0.1")
    return dict(zip(names, found, strict=True))
