"""`kogner data hide`, `refine`: silver sentences made better by students trained on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.records import Document


class Part(click.ParamType):
    """`1/2`: the first of two parts."""

    name = "N/PARTS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(number from 0, parts)."""
        number, _, parts = str(value).partition("/")
        if not (number.isascii() and number.isdigit() and parts.isascii() and parts.isdigit()):
            self.fail(f"{value!r} must look like 1/2, the first of two parts", param, ctx)
        if not 1 <= int(number) <= int(parts) or int(parts) < 2:
            self.fail(f"{value!r} is no part: 1/2 and 2/2 are those of two", param, ctx)
        return int(number) - 1, int(parts)


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("--part", required=True, type=Part(), help="Names of which part are put in doubt, such as 1/2.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Corpus folder to write: OUT/train.jsonl.")
def hide(corpus: Path, part: tuple[int, int], out: Path) -> None:
    """Put one part of a silver corpus's names in doubt, so that a student can judge them that did not learn them.

    \b
    A name in doubt is neither a mention nor none. Names are dealt by their text. Example:
      kogner data hide build/silver --part 1/2 --out build/silver-1
      kogner data hide build/silver --part 2/2 --out build/silver-2
    """
    from kogner.data.refine import hide as hidden

    documents, parent = _silver(corpus)
    found = hidden(documents, *part)
    counts = {
        "sentences": len(found),
        "mentions": sum(len(one.mentions) for one in found),
        "in_doubt": sum(len(one.unsure) for one in found),
    }
    number, parts = part
    _write(out, found, {"part": number + 1, "parts": parts}, {"silver": parent}, counts)


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, required=True, metavar="DIR",
              help="Student of a part, in the order of the parts; give one for each.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Corpus folder to write: OUT/train.jsonl.")
@click.option("--keep", type=float, default=0.4, show_default=True, help="Score from which a name is a mention.")
@click.option("--drop", type=float, default=0.1, show_default=True, help="Score below which a name is none.")
@click.option("--add", type=float, default=0.9, show_default=True, help="Score from which another span is a mention.")
@click.option("--doubt", type=float, default=0.2, show_default=True, help="Score from which it is in doubt.")
@click.option("--name-weight", type=float, default=0.5, show_default=True,
              help="Of the mean over a name's occurrences, beside the score of the one.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def refine(
    corpus: Path,
    models: tuple[str, ...],
    out: Path,
    keep: float,
    drop: float,
    add: float,
    doubt: float,
    name_weight: float,
    threads: int,
    device: str,
) -> None:
    """Sort a silver corpus's names anew by what students say that did not learn them, and add what all of them find.

    \b
    The students were trained on the parts of 'kogner data hide'. Last line printed: one JSON object. Example:
      kogner data refine build/silver --model runs/silver-1 --model runs/silver-2 --out build/refined
    """
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data.refine import RefineSettings
    from kogner.data.refine import refine as refined_by

    settings = RefineSettings(keep=keep, drop=drop, add=add, doubt=doubt, name_weight=name_weight)
    if len(models) < 2:
        raise ConfigError("at least two --model are needed, one for each part of 'kogner data hide'")
    documents, parent = _silver(corpus)
    labels = sorted(set().union(*(one.types for one in documents)))
    reading = Settings(threshold=settings.floor, nested=True, multi_label=True, token_budget=8192, threads=threads)
    predicted = []
    for place in models:
        predictor = Predictor.load(place, device=device)
        predicted.append(list(predictor.predict(documents, labels=labels, settings=reading)))
    found = refined_by(documents, predicted, settings)
    said = found.to_dict()
    _write(out, found.sentences, vars(settings), {"silver": parent}, said)


def _silver(corpus: Path) -> tuple[list[Document], str]:
    """Training documents of a corpus folder, and the hash of what was read."""
    from kogner.artifacts import file_sha256
    from kogner.data import corpora

    splits = corpora.splits(corpus)
    return list(corpora.load(corpus.name, corpus, "train").documents), file_sha256(splits["train"])


def _write(
    out: Path, documents: list[Document], recipe: dict[str, Any], parents: dict[str, str], counts: dict[str, Any]
) -> None:
    from kogner import artifacts
    from kogner.data.formats import jsonl
    from kogner.data.silver import KIND, VERSION

    artifacts.check_replaceable(out, kind=KIND)
    with artifacts.writing(out, kind=KIND, version=VERSION, recipe=recipe, parents=parents, metrics=counts) as folder:
        jsonl.write(folder / "train.jsonl", documents)
    click.echo(json.dumps({"out": str(out), "hash": artifacts.read_manifest(out).hash, **counts}, ensure_ascii=False))
