"""`kogner train`: linked corpora and a bank in, a student out."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("train")
@click.option("--recipe", default="small", show_default=True, help="YAML file, or the name of a shipped recipe.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the recipe.")
@click.option("--data", "data", multiple=True, required=True, metavar="NAME=DIR", help="A corpus; can be repeated.")
@click.option("--bank", default=None, help="Bank of the teacher; needed unless loss.dist_weight is 0.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the student.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def command(
    recipe: str, overrides: tuple[str, ...], data: tuple[str, ...], bank: str | None, out: Path, device: str
) -> None:
    """Train a student on the train splits of corpora, choosing by their dev splits; test splits are never read.

    \b
    A killed run goes on where it was when the same command is given again. Example:
      kogner train --recipe small --data bc5cdr=build/linked/bc5cdr --bank build/bank --out runs/mine
      kogner train --data bc5cdr=build/linked/bc5cdr --set loss.dist_weight=0 --out runs/no-graph
    """
    from kogner.commands.options import named_paths, say_report
    from kogner.config import load_recipe
    from kogner.data import corpora
    from kogner.teacher.bank import Bank
    from kogner.train.loop import to_split, train

    plan = load_recipe(recipe, overrides)
    splits = []
    for name, path in named_paths(data):
        training = corpora.load(name, path, "train")
        dev = corpora.load(name, path, "dev") if "dev" in corpora.splits(path) else None
        for corpus in (training, dev):
            if corpus is not None:
                say_report(corpus)
        splits.append(to_split(name, training, dev))
    opened = Bank.open(bank) if bank is not None and plan.loss.dist_weight > 0 else None
    metrics = train(plan, splits, out, bank=opened, device=device)
    click.echo(json.dumps({"model": str(out)} | metrics))
