"""`kogner encoder`: a text encoder that knows which names of a graph mean the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.commands.printing import echo_json

if TYPE_CHECKING:
    from kogner.data.synonyms import Synonyms

_TYPES = click.option("--types", default=None, help="Entity types, such as Chemical,Disease.  [default: all]")
_ENTITIES = click.option("--entities", type=click.IntRange(min=2), default=None, help="At most so many, drawn.")
_SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is random.")


@click.group()
def command() -> None:
    """Align the names and synonyms of a graph in a text encoder, before a student is trained with it.

    \b
    Example:
      kogner encoder align --graph build/graph --types Chemical,Disease,Gene --out build/aligned
    """


@command.command()
@click.option("--graph", type=click.Path(path_type=Path), required=True, help="A folder made by `kogner graph build`.")
@_TYPES
@_ENTITIES
@_SEED
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .tsv, .tsv.gz, .xz, .zst.")
def pairs(graph: Path, types: str | None, entities: int | None, seed: int, out: Path) -> None:
    """Write the names of entities to a file that `align --pairs` reads, for a machine without the graph.

    A line is an entity's id, a tab, and one of its names, the preferred one first. Names of several entities are left
    out, and so are entities with one name. The last line on standard output is one JSON object.

    \b
    Example:
      kogner encoder pairs --graph build/graph --types Chemical,Disease,Gene --out pairs.tsv.gz
    """
    from kogner.data.synonyms import write

    found = _of_graph(graph, types, entities, seed)
    write(found, out)
    echo_json({"file": str(out)} | found.summary())


@command.command()
@click.option("--graph", type=click.Path(path_type=Path), default=None, help="A folder made by `kogner graph build`.")
@click.option("--pairs", "file", type=click.Path(path_type=Path), default=None, help="What `pairs` wrote, for --graph.")
@_TYPES
@_ENTITIES
@click.option("--encoder", default="minilm", show_default=True, help="minilm, a folder, or a hub id.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the encoder to.")
@click.option("--steps", type=click.IntRange(min=1), default=2000, show_default=True, help="Updates.")
@click.option("--batch-size", type=click.IntRange(min=2), default=256, show_default=True, help="Pairs of names a step.")
@click.option("--learning-rate", type=float, default=2e-5, show_default=True, help="AdamW's peak, after a warm-up.")
@click.option("--max-length", type=click.IntRange(min=1), default=25, show_default=True, help="Sub-tokens of a name.")
@click.option("--held-out", type=click.IntRange(min=1), default=1000, show_default=True,
              help="Entities to measure by, not trained on; at most a fifth of all.")  # fmt: skip
@click.option("--train-embeddings", is_flag=True, help="Change the word embeddings too.")
@click.option("--save-every", type=click.IntRange(min=1), default=250, show_default=True, help="Steps between states.")
@_SEED
@click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 = as torch chooses.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def align(
    graph: Path | None,
    file: Path | None,
    types: str | None,
    entities: int | None,
    encoder: str,
    out: Path,
    steps: int,
    batch_size: int,
    learning_rate: float,
    max_length: int,
    held_out: int,
    train_embeddings: bool,
    save_every: int,
    seed: int,
    threads: int,
    device: str,
) -> None:
    """Train a text encoder so that names of one entity lie together and names of others apart.

    \b
    A run that was killed goes on when the same command is given again. The last line on standard output is one JSON
    object; its accuracy is that of finding the preferred name of a held-out entity, among those of all held-out ones,
    by another of its names. Name the folder in a recipe's student.encoder.
    Example:
      kogner encoder align --graph build/graph --types Chemical,Disease,Gene --out build/aligned
      kogner encoder align --pairs pairs.tsv.gz --steps 4000 --device cuda --out build/aligned
      kogner train --set student.encoder=build/aligned --data mine=corpora/mine --out runs/mine
    """
    from kogner.data.synonyms import read
    from kogner.errors import ConfigError
    from kogner.train.align import AlignSettings
    from kogner.train.align import align as train

    if (graph is None) == (file is None):
        raise ConfigError("give either --graph or --pairs")
    settings = AlignSettings(
        encoder=encoder, steps=steps, batch_size=batch_size, learning_rate=learning_rate, max_length=max_length,
        held_out=held_out, freeze_embeddings=not train_embeddings, save_every=save_every, threads=threads, seed=seed,
    )  # fmt: skip
    if file is not None:
        if types is not None:
            raise ConfigError("--types goes with --graph; a file of pairs holds the types that it was written with")
        found = read(file) if entities is None else read(file).drawn(entities, seed=seed)
    else:
        assert graph is not None
        found = _of_graph(graph, types, entities, seed)
    echo_json({"encoder": str(out)} | train(found, out, settings, device=device))


def _of_graph(graph: Path, types: str | None, entities: int | None, seed: int) -> Synonyms:
    from kogner.data.synonyms import of_graph
    from kogner.errors import ConfigError
    from kogner.graph.store import GraphStore
    from kogner.progress import note

    wanted = [kind.strip() for kind in types.split(",")] if types is not None else []
    if types is not None and not all(wanted):
        raise ConfigError(f"--types {types!r} must look like Chemical,Disease,Gene")
    found = of_graph(GraphStore.open(graph), types=wanted)
    if entities is not None:
        found = found.drawn(entities, seed=seed)
    for reason, count in sorted(found.left_out.items()):
        note(f"left out {count:,}: {reason}")
    return found
