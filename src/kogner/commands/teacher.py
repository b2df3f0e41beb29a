"""`kogner teacher`: build a bank of entity vectors from a graph, look at it, ask it, make it smaller."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from kogner.commands.printing import JSON

SOME = (
    click.option("--ids", type=click.Path(path_type=Path), help="Only entities of this text file, one id per line."),
    click.option("--linked", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Only entities that "
                 "mentions of this corpus are linked to, in any split; can be repeated."),
)  # fmt: skip


def some_entities(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which entities are wanted, --ids and --linked; see `_some`."""
    for option in reversed(SOME):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Pretrain the graph teacher and write its bank of entity vectors.

    \b
    Example:
      kogner teacher build --graph build/graph --out build/bank
    """


@command.command()
@click.option("--graph", type=click.Path(path_type=Path), required=True, help="A folder made by `kogner graph build`.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the bank to.")
@click.option("--recipe", default=None, help="YAML file or the name of a shipped recipe; its `teacher` section counts.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the recipe.")
@click.option("--part", "parts", multiple=True, type=click.Choice(["Z", "Z'", "Z''"]), help="Only this part; can be "
              "repeated. Linking compares Z alone.  [default: all]")  # fmt: skip
@some_entities
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Processor threads [default: all cores].")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def build(
    graph: Path,
    out: Path,
    recipe: str | None,
    overrides: tuple[str, ...],
    parts: tuple[str, ...],
    ids: Path | None,
    linked: tuple[Path, ...],
    threads: int | None,
    device: str,
) -> None:
    """Make text features Z, Graph Transformer Z' and TransR Z'' of every entity of a graph.

    Z can be made for some entities alone (--ids, --linked), such as by a large encoder; the other parts learn from the
    whole graph. A run that was interrupted goes on when the same command is given again. The last line on standard
    output is one JSON object with size, metrics and minutes.

    \b
    Example:
      kogner teacher build --graph build/graph --out build/bank \\
        --set teacher.transr.epochs=10 --threads 2
      kogner teacher build --graph build/graph --out build/bank-mpnet --part Z --linked build/linked/bc5cdr \\
        --set teacher.features.encoder=sentence-transformers/all-mpnet-base-v2
    """
    import torch

    from kogner.config import PARTS
    from kogner.graph.store import GraphStore
    from kogner.hardware import keep_freed_memory
    from kogner.recipe import load_recipe
    from kogner.teacher.assembly import build as build_bank
    from kogner.teacher.bank import summary

    keep_freed_memory()
    config = load_recipe(recipe, overrides).teacher
    if threads is not None:
        torch.set_num_threads(threads)
    entities = _some(ids, linked) if ids or linked else None
    _show(
        summary(build_bank(GraphStore.open(graph), out, config, parts=parts or PARTS, entities=entities, device=device))
    )


@command.command()
@click.argument("bank", type=click.Path(path_type=Path))
def info(bank: Path) -> None:
    """Say what a bank holds, what it was made from and how well its parts were learned.

    \b
    Example:
      kogner teacher info build/bank
    """
    from kogner.teacher.bank import Bank, summary

    _show(summary(Bank.open(bank)))


@command.command(name="slice")
@click.argument("bank", type=click.Path(path_type=Path))
@some_entities
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the small bank to.")
def slice_command(bank: Path, ids: Path | None, linked: tuple[Path, ...], out: Path) -> None:
    """Write a small bank of only the entities that a file lists, or corpora are linked to.

    \b
    Example:
      kogner teacher slice build/bank --linked build/linked/bc5cdr --out build/small-bank
      kogner teacher slice build/bank --ids wanted.txt --out build/small-bank
    """
    from kogner.errors import ConfigError
    from kogner.teacher.bank import Bank, summary

    if not ids and not linked:
        raise ConfigError(
            "say which entities are wanted: --linked with a corpus that 'kogner data link' wrote, or --ids"
        )
    Bank.open(bank).slice(_some(ids, linked), out)
    _show(summary(Bank.open(out)))


def _some(ids: Path | None, linked: Sequence[Path]) -> list[str]:
    """Entities of a file of ids and of linked corpora, each once. Raises InputError where one of them has none."""
    from kogner.data import corpora
    from kogner.errors import InputError

    wanted: dict[str, None] = {}
    if ids is not None:
        try:
            lines = ids.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read as UTF-8 text with one id per line: {error}", path=ids) from error
        wanted |= dict.fromkeys(line.strip() for line in lines if line.strip())
        if not wanted:
            raise InputError("holds no ids; write one entity id per line", path=ids)
    for folder in linked:
        documents = [
            one for split in corpora.splits(folder) for one in corpora.load(folder.name, folder, split).documents
        ]
        found = {mention.entity for one in documents for mention in one.mentions if mention.entity}
        if not found:
            raise InputError("has no mention that is linked to an entity; run 'kogner data link' first", path=folder)
        wanted |= dict.fromkeys(sorted(found))
    return list(wanted)


@command.command()
@click.argument("entity", metavar="NAME|ID")
@click.option("--bank", type=click.Path(path_type=Path), required=True, help="A bank that 'build' wrote.")
@click.option("--graph", type=click.Path(path_type=Path), required=True, help="The graph that the bank was made from.")
@click.option("--parts", default=None, help="Parts that count, such as Z,Z''.  [default: all that the entity has]")
@click.option("--type", "types", multiple=True, help="Only entities of this type; may be given several times.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(min=1), help="At most this many entities.")
@JSON
def near(
    entity: str, bank: Path, graph: Path, parts: str | None, types: tuple[str, ...], limit: int, only_json: bool
) -> None:
    """Find the entities whose vectors are nearest to one entity's.

    The measure is the cosine, of each part by itself, and their mean. Entities without one of the parts are not
    ranked; the part Z'' is missing where an entity is in no triple. Of several entities with the same name the first
    that 'kogner graph find' shows is taken. The last line on standard output is one JSON object.

    \b
    Example:
      kogner teacher near imatinib --bank build/bank --graph build/graph
      kogner teacher near MESH:D001241 --bank build/bank --graph build/graph --parts Z --type Disease
    """
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.graph.store import GraphStore
    from kogner.teacher.bank import Bank
    from kogner.teacher.query import ask

    answer = ask(Bank.open(bank), GraphStore.open(graph), entity, parts=_parts(parts), types=types, limit=limit)
    if not only_json:
        names = [f"cosine {part}" for part in answer["parts"]] if len(answer["parts"]) > 1 else []
        table = new_table("cosine", *names, "id", "type", "name", numbers=("cosine", *names))
        for item in answer["nearest"]:
            figures = [item["cosine"], *item["by_part"].values()][: 1 + len(names)]
            add_row(table, *(f"{value:.3f}" for value in figures), item["id"], item["type"], item["name"])
        show_rich(table)
    click.echo(json.dumps(answer, ensure_ascii=False))


@command.command(name="reduce")
@click.argument("bank", type=click.Path(path_type=Path))
@click.option("--size", type=click.IntRange(min=1), required=True, help="Columns of the new bank, all parts together.")
@click.option("--parts", default=None, help="Parts that the new bank has, such as Z,Z'.  [default: all]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the narrow bank to.")
def reduce_command(bank: Path, size: int, parts: str | None, out: Path) -> None:
    """Write a narrower bank: the principal components of each part.

    Parts keep their names, so the new bank is trained with as the old one is. Those components are kept that explain
    most, the parts' variances being made equal first. The paper's students learn from 58 numbers an entity.

    \b
    Example:
      kogner teacher reduce build/bank --size 58 --out build/bank-58
      kogner train --recipe small --bank build/bank-58 --data bc5cdr=build/linked/bc5cdr --out runs/mine
    """
    from kogner.progress import note
    from kogner.teacher.bank import Bank, summary
    from kogner.teacher.reduction import reduce_bank

    figures = summary(reduce_bank(Bank.open(bank), out, size=size, parts=_parts(parts)))
    for name, part in figures["reduced"].items():
        note(f"{name}: {part['size']} of {part['columns']} columns explain {part['explained']:.1%} of its variance")
    click.echo(json.dumps(figures, ensure_ascii=False))


@command.command()
@click.argument("bank", type=click.Path(path_type=Path))
@click.option("--graph", type=click.Path(path_type=Path), required=True, help="The graph that the bank was made from.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write, with a page beside it.")
@click.option("--method", type=click.Choice(["pca", "umap"]), default="pca", show_default=True, help="How to lay out.")
@click.option("--parts", default=None, help="Parts that count, such as Z,Z'.  [default: all]")
@click.option("--sample", type=click.IntRange(min=3), default=20_000, show_default=True, help="Entities to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sample and of UMAP.")
def plot(bank: Path, graph: Path, out: Path, method: str, parts: str | None, sample: int, seed: int) -> None:
    """Draw entities as points, coloured by type: a PNG, and an HTML page that names the point under the mouse.

    Needs: pip install 'kogner[plot]'. The page needs nothing from the net. The last line on standard output is one
    JSON object.

    \b
    Example:
      kogner teacher plot build/bank --graph build/graph --out bank.png
      kogner teacher plot build/bank --graph build/graph --out text.png --parts Z --method umap --sample 5000
    """
    from kogner.graph.store import GraphStore
    from kogner.teacher import plot as pictures
    from kogner.teacher.bank import Bank
    from kogner.teacher.points import lay_out

    pictures.require()
    pictures.check_name(out)
    points = lay_out(
        Bank.open(bank), GraphStore.open(graph), parts=_parts(parts), method=method, sample=sample, seed=seed
    )
    png, html = pictures.write_plot(points, out)
    types = dict(zip(points.type_names, points.counts(), strict=True))
    figures = {"png": str(png), "html": str(html), "points": len(points.ids), "lacking": points.lacking, "types": types}
    click.echo(json.dumps(figures, ensure_ascii=False))


def _parts(given: str | None) -> list[str] | None:
    return [part.strip() for part in given.split(",")] if given is not None else None


def _show(figures: dict[str, object]) -> None:
    from kogner.progress import note

    unimp, transr = figures["unimp"], figures["transr"]
    if isinstance(unimp, dict) and unimp:
        note(
            f"Z'  node types, held-out nodes: micro {unimp['micro']}, macro {unimp['macro']} "
            f"(always {unimp['majority']}: {unimp['majority_micro']}, {unimp['majority_macro']})"
        )
    if isinstance(transr, dict) and transr:
        note(
            f"Z'' held-out triples: MRR {transr['mrr']}, Hits@1/3/10 {transr['hits@1']}, {transr['hits@3']}, "
            f"{transr['hits@10']} (rank among {transr['candidates']:,})"
        )
    click.echo(json.dumps(figures, ensure_ascii=False))
