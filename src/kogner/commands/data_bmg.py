"""`kogner data pairs`, `write`, `check`: sentences about related entities of the graph, from the draw to training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from kogner.commands.llm_options import asker_of, llm_options, prices_of

RULES = ("all-places", "variants", "apart", "types", "leaked", "similar", "further")


@click.command()
@click.option("--graph", required=True, type=click.Path(path_type=Path), help="A folder of 'kogner graph build'.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File of JSON lines to write.")
@click.option("--one-in", type=click.IntRange(min=1), default=10_000, show_default=True,
              help="Of so many rows of a relation type one is drawn, rounded down.")  # fmt: skip
@click.option("--minimum", type=click.IntRange(min=1), default=1, show_default=True, help="Of each relation type.")
@click.option("--number", type=click.IntRange(min=1), help="Of each relation type, instead of a share.")
@click.option("--cap", type=click.IntRange(min=1), help="Of each relation type at most.")
@click.option("--total", type=click.IntRange(min=1), help="Of all relation types together, one of each in turn.")
@click.option("--relation", "relations", multiple=True, help="Only this relation type; can be repeated.")
@click.option("--first-names", is_flag=True, help="The first usable name of each entity, as the paper has it, also "
              "where it is inverted: Arthritis, Rheumatoid.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw.")
def pairs(
    graph: Path,
    out: Path,
    one_in: int,
    minimum: int,
    number: int | None,
    cap: int | None,
    total: int | None,
    relations: tuple[str, ...],
    first_names: bool,
    seed: int,
) -> None:
    """Draw pairs of entities that the graph relates, by relation type.

    \b
    The last line printed is one JSON object. Example:
      kogner data pairs --graph build/graph --out pairs.jsonl
    """
    from kogner.artifacts import write_lines
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.data.pairs import PairSettings, draw
    from kogner.errors import InputError
    from kogner.graph.store import GraphStore
    from kogner.progress import note

    settings = PairSettings(
        one_in=one_in, minimum=minimum, number=number, cap=cap, total=total, seed=seed, first_names=first_names
    )
    store = GraphStore.open(graph)
    found = draw(store, settings, relations=relations or None)
    if not found.pairs:
        raise InputError(
            "has no pair of entities with usable names" if store.n_triples else "has no triples", path=graph
        )
    if total is not None and len(found.pairs) < total:
        note(f"only {len(found.pairs):,} of {total:,} pairs are there")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_lines(out, (json.dumps(pair.to_dict(), ensure_ascii=False) for pair in found.pairs))
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
@click.option("--paper", is_flag=True, help="The paper's check and nothing else; implies --unseen none.")
@click.option("--without", multiple=True, type=click.Choice(RULES), help="Leave out a rule; can be repeated.")
@click.option("--split", "how", type=click.Choice(["entity", "relation"]), default="entity", show_default=True,
              help="What train, dev and test have not in common.")  # fmt: skip
@click.option("--unseen", type=click.Choice(["pairs", "all", "none"]), help="Of dev's and test's entities, those that "
              "no training sentence may mention.  [default: pairs; none with --split relation or --paper]")  # fmt: skip
@click.option("--shares", default="0.8,0.1,0.1", show_default=True, help="Of train, dev and test.")
@click.option("--also", "formats", multiple=True, type=click.Choice(["gliner", "bmg", "pubtator"]),
              help="Also as this, in OUT/FORMAT; can be repeated.")  # fmt: skip
@click.option("--png", is_flag=True, help="Also report.png; needs the extra 'plot'.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the splits.")
@click.option("--processes", type=click.IntRange(min=1), help="To work in; the result is the same.  [default: one for "
              "each processor, one for few rows]")  # fmt: skip
def check(
    sources: tuple[Path, ...],
    out: Path,
    graph: Path | None,
    index: Path | None,
    paper: bool,
    without: tuple[str, ...],
    how: str,
    unseen: str | None,
    shares: str,
    formats: tuple[str, ...],
    png: bool,
    seed: int,
    processes: int | None,
) -> None:
    """Make a corpus of written sentences: those in which both entities are, and nothing that should not be.

    Every row of ROWS is kept, or stands in rejected.jsonl with its reason. OUT is a corpus that 'kogner train' reads.

    \b
    The last line printed is one JSON object; kept and rejected add up to the rows. Example:
      kogner data check rows.jsonl --graph build/graph --out build/bmg
    """
    from dataclasses import replace

    from kogner import artifacts
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.data import check_unseen, checked
    from kogner.data.apart import DEV, TEST, TRAIN
    from kogner.data.check import Checker, CheckSettings
    from kogner.data.checking import Work, processes_for
    from kogner.errors import InputError
    from kogner.graph.store import GraphStore
    from kogner.hardware import cores
    from kogner.progress import note

    settings = CheckSettings.paper() if paper else CheckSettings()
    settings = replace(settings, **{rule.replace("-", "_"): False for rule in without})
    if png:
        from kogner.data import check_plot

        check_plot.require()
    split_shares = _shares(shares, (TRAIN, DEV, TEST))
    artifacts.check_replaceable(out, kind=checked.KIND)
    store = None if graph is None else GraphStore.open(graph)
    if store is not None:
        from kogner.graph.scan import open_index

        open_index(store, index)  # before several processes would each build it
    checker = Checker(settings)
    work = Work(settings, graph, index, tuple(dict.fromkeys(formats)))
    corpus = checked.collect(sources, checker, work, processes=processes or processes_for(sources, cores()))
    if not checker.counts.rows:
        raise InputError("hold no row of 'kogner data write'", path=", ".join(map(str, sources)))
    which = unseen or ("none" if paper or how == "relation" else "pairs")
    where = checked.splits(corpus, how, split_shares, seed=seed)
    where, seen = check_unseen.unseen(corpus, where, checker.counts, which=which)
    figures: dict[str, Any] = {
        **checker.counts.to_dict(),
        "splits": {name: where.count(name) for name in split_shares},
        "split_by": how,
        "unseen": which,
        "seen_in_training": seen,
        "models": dict(Counter(one.model for one in corpus.kept).most_common()),
        "prompts": dict(Counter(one.prompt for one in corpus.kept).most_common()),
        "graph": None if store is None else store.artifact.hash,
    }
    with artifacts.writing(
        out,
        kind=checked.KIND,
        version=checked.VERSION,
        recipe={"settings": vars(settings), "split": how, "unseen": which, "shares": split_shares, "seed": seed},
        parents={} if store is None else {"graph": store.artifact.hash},
        metrics=figures,
    ) as folder:
        checked.write(folder, corpus, where, figures, work.formats)
        if png:
            check_plot.write(folder / "report.png", figures)
    table = new_table("relation", "sentences", "kept", "most are left out for", numbers=("sentences", "kept"))
    for name, counts in figures["by_relation"].items():
        reasons = {reason: count for reason, count in counts.items() if reason not in ("rows", "kept")}
        most = max(reasons, key=lambda reason: reasons[reason]) if reasons else ""
        add_row(table, name, f"{counts['rows']:,}", f"{counts.get('kept', 0):,}", most)
    show_rich(table)
    for reason, count in figures["rejected"].items():
        note(f"rejected: {count:,} x {reason}")
    for split, share in split_shares.items():
        if figures["splits"][split] < 0.5 * share * figures["kept"]:
            note(f"{split} has {figures['splits'][split]:,} sentences, far below its share: most share their entities")
    if not figures["kept"]:
        note("no sentence was kept, so there is nothing to train on")
    for remark, count in figures["remarks"].items():
        note(f"in kept sentences: {count:,} x {remark}")
    short = {"written": figures["rows"]} | {name: figures[name] for name in ("kept", "rejected", "splits", "mentions")}
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


@click.command()
@click.argument("source", metavar="PAIRS", type=click.Path(path_type=Path))
@click.option("--llm", required=True, metavar="MODEL",
              help="openai:MODEL, anthropic:MODEL, http://host:port/v1:MODEL, local or local:FILE.gguf.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File of rows to write, JSON lines.")
@click.option("--prompt", "names", multiple=True, help="Shipped prompt, or YAML file; several take turns."
              "  [default: abstract]")  # fmt: skip
@click.option("--type", "types", multiple=True, help="Type that may be annotated; can be repeated.  [default: those of "
              "the pairs]")  # fmt: skip
@click.option("--per-pair", type=click.IntRange(min=1), default=1, show_default=True, help="Sentences for each pair.")
@click.option("--temperature", type=float, default=0.7, show_default=True, help="Below 0: as the model has it.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=400, show_default=True, help="Of an answer.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Sent where the provider has one."
)
@click.option("--cache", type=click.Path(path_type=Path), help="File of paid answers.  [default: OUT.cache]")
@click.option("--again", type=click.Path(path_type=Path), help="Rows that were rejected, rejected.jsonl or a file of "
              "rows: only these are asked, with another seed, and take their places in OUT.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what it would take, and ask nothing.")
@llm_options
def write(
    source: Path,
    llm: str,
    out: Path,
    names: tuple[str, ...],
    types: tuple[str, ...],
    per_pair: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    cache: Path | None,
    again: Path | None,
    dry_run: bool,
    **limits: Any,
) -> None:
    """Have a language model write sentences about PAIRS.

    Keys come from OPENAI_API_KEY, ANTHROPIC_API_KEY or KOGNER_LLM_KEY (for servers by their address, if they need one).
    An answer is kept in the cache before it counts: a run that was stopped goes on when the same command is given
    again, and asks for no answer twice that had come; nor does one with more pairs, if --type says which types there
    are. Where the money or the model ends, the rows that were answered are written.

    \b
    The last line printed is one JSON object. Example:
      kogner data write pairs.jsonl --llm http://localhost:11434/v1:llama3 --out rows.jsonl
      kogner data write pairs.jsonl --llm openai:gpt-4o-mini --out rows.jsonl --dry-run
      kogner data write pairs.jsonl --llm openai:gpt-4o-mini --out rows.jsonl --again build/bmg/rejected.jsonl
    """
    import asyncio

    from kogner.artifacts import write_lines
    from kogner.data import again as anew
    from kogner.data import pairs as drawn
    from kogner.data import write as writing
    from kogner.data.prompts import load
    from kogner.errors import BudgetError, InputError, ModelError
    from kogner.llm.cache import Cache
    from kogner.llm.prices import estimate
    from kogner.llm.providers import model_id, open_model
    from kogner.progress import counting, note

    prompts = [load(name) for name in names or ("abstract",)]
    settings = writing.WriteSettings(per_pair, max_tokens, temperature if temperature >= 0 else None, seed)
    pairs = list(drawn.read(source))
    if not pairs:
        raise InputError("holds no pair", path=source)
    kinds = list(types) or writing.types_of(pairs)
    place = cache or out.with_name(f"{out.name}.cache")

    rejects = None if again is None else anew.Again.of(again, seed)
    if rejects is not None and not out.is_file():
        raise InputError("is not there, and --again is about rows of it", path=out)
    held = anew.kept(out) if rejects is None else {}

    def every(model: Any) -> Any:
        if rejects is not None:
            return anew.tasks(anew.all_of(out), rejects, prompts, model, settings)
        return writing.tasks(pairs, prompts, kinds, model, settings)

    def wanted(model: Any) -> Any:
        return (task for task in every(model) if task.id not in held)

    if dry_run:
        model = model_id(llm)
        with Cache(place) if place.exists() else nullcontext() as known:
            distinct = {task.request.hash: task.request for task in wanted(model)}
            guess = estimate(distinct.values(), prices_of(limits).of(model), known)
        click.echo(json.dumps({"model": str(model), **guess.to_dict()}))
        return

    out.parent.mkdir(parents=True, exist_ok=True)

    async def run() -> tuple[dict[str, Any], Counter[str], int]:
        async with open_model(llm, allow_plain_http=limits["allow_plain_http"]) as model:
            with Cache.to_pay(place) as answers:
                asker = asker_of(model, answers, limits)
                total = sum(1 for _ in wanted(model.id))
                with counting("sentences written", total) as counter:

                    def shown() -> None:
                        spent = asker.spending
                        counter.advance(note=f"${spent.total:.4f}" if spent.price is not None and spent.total else "")

                    failed: dict[str, Any] = {}
                    stopped: BudgetError | ModelError | None = None
                    try:
                        await writing.ask(wanted(model.id), asker, failed, shown)
                    except (BudgetError, ModelError) as error:
                        stopped = error
                rejected: Counter[str] = Counter()
                written = 0

                def lines() -> Iterator[str]:
                    nonlocal written
                    answered = writing.rows(every(model.id), asker, failed, held)
                    for row in answered if rejects is None else anew.merged(anew.all_of(out), answered):
                        written += 1
                        if row.rejected is not None:
                            rejected[row.rejected] += 1
                        yield row.to_line()

                if stopped is not None and not asker.counts.answered and not asker.counts.cached:
                    raise stopped
                asker.check_answered()
                write_lines(out, lines())
                if stopped is not None:
                    what = (
                        f"{written:,} of {total + len(held):,} rows are" if rejects is None else "what was answered is"
                    )
                    raise type(stopped)(f"{stopped}; {what} in {out}")
                return asker.to_dict(), rejected, written

    figures, rejected, written = asyncio.run(run())
    for reason, count in rejected.most_common():
        note(f"rejected: {count:,} x {reason}")
    click.echo(json.dumps({"out": str(out), "written": written, "rejected": dict(rejected.most_common()), **figures}))
