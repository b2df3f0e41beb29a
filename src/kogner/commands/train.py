"""`kogner train`: linked corpora and a bank in, a student out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("train")
@click.option("--recipe", default="small", show_default=True, help="YAML file, or the name of a shipped recipe.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the recipe.")
@click.option("--data", "data", multiple=True, required=True, metavar="NAME=DIR", help="A corpus; can be repeated.")
@click.option("--bank", default=None, help="Bank of the teacher; needed unless loss.dist_weight is 0.")
@click.option("--graph", default=None, help="The graph; needed only where the recipe has train.kinds.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the student.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1), help="Processes (GPUs) that share each step."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop after so many minutes with the state saved in OUT.work; the same command goes on.",
)
def command(
    recipe: str,
    overrides: tuple[str, ...],
    data: tuple[str, ...],
    bank: str | None,
    graph: str | None,
    out: Path,
    device: str,
    processes: int,
    minutes: float | None,
) -> None:
    """Train a student on the train splits of corpora, choosing by their dev splits; test splits are never read.

    \b
    A killed run goes on where it was when the same command is given again. A step takes train.batch_size sentences
    per process; --processes starts them on this machine, `accelerate launch -m kogner.cli train ...` on several. Where
    --minutes are up before the end, the last line says `"finished": false`.
    Example:
      kogner train --recipe small --data bc5cdr=build/linked/bc5cdr --bank build/bank --out runs/mine
      kogner train --data bc5cdr=build/linked/bc5cdr --set loss.dist_weight=0 --out runs/no-graph
    """
    from kogner.commands.options import named_paths, say_report
    from kogner.graph.store import GraphStore
    from kogner.recipe import load_recipe
    from kogner.teacher.bank import Bank
    from kogner.train.loop import train
    from kogner.train.processes import hush, launch
    from kogner.train.splits import to_split, training_corpora

    plan = load_recipe(recipe, overrides)
    if processes > 1:
        values = [("--recipe", recipe), ("--out", str(out)), ("--device", device)]
        values += [("--set", item) for item in overrides] + [("--data", item) for item in data]
        given = (("--bank", bank), ("--graph", graph), ("--minutes", minutes))
        values += [(name, str(value)) for name, value in given if value is not None]
        context = click.get_current_context().find_root()
        flags = [f"--{name}" for name in ("quiet", "debug") if context.params.get(name)]
        sys.exit(launch([*flags, "train", *(part for pair in values for part in pair)], count=processes))
    hush()
    splits = []
    for name, path in named_paths(data):
        training, dev = training_corpora(name, path)
        for corpus in (training, dev):
            if corpus is not None:
                say_report(corpus)
        splits.append(to_split(name, training, dev))
    opened = Bank.open(bank) if bank is not None and plan.loss.dist_weight > 0 else None
    store = GraphStore.open(graph) if graph is not None and plan.train.kinds else None
    metrics = train(plan, splits, out, bank=opened, graph=store, device=device, minutes=minutes)
    if metrics:  # the first process has them
        click.echo(json.dumps({"model": str(out)} | metrics))
