"""`kogner experiment`: a grid of trainings, paired by seed, and what they say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kogner.experiment.plan import Experiment

RUNS = Path("runs/experiments")
_WANTED = {"experiment", "plan", "date", "revision", "arms", "rows", "comparisons", "groups", "places"}


@click.group("experiment")
def command() -> None:
    """Train the same student in several ways, score and compare.

    \b
    Example:
      kogner experiment run recipes/experiments/quick.yaml
      kogner experiment report runs/quick.json --out runs/quick.md
    """


@command.command("run")
@click.argument("plan", metavar="PLAN")
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True,
              help="Folder for students, and scores without --scores.")  # fmt: skip
@click.option("--scores", type=click.Path(path_type=Path), help="Folder for the scores of finished trainings, which "
              "are not run again; small enough to be kept under version control.")  # fmt: skip
@click.option("--only", "settings", multiple=True, metavar="SETTING", help="Only this setting; can be repeated.")
@click.option("--cell", "cells", multiple=True, metavar="NAME", help="Only this training, SETTING-ARM-SEED, and what "
              "it starts from; can be repeated.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Trainings at a time, one thread each.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the summary to this JSON file.")
def run(
    plan: str,
    runs: Path,
    scores: Path | None,
    settings: tuple[str, ...],
    cells: tuple[str, ...],
    jobs: int | None,
    device: str,
    out: Path | None,
) -> None:
    """Run PLAN, a YAML file or the name of a shipped experiment. A stopped run goes on with the same command.

    Each training chooses its step and thresholds on dev and is scored once on test. The last line printed is one JSON
    object: F1 of every arm by seed, and differences with intervals and p of a paired bootstrap.

    \b
    Example:
      kogner experiment run recipes/experiments/quick.yaml --jobs 2
    """
    from kogner.errors import ConfigError, KognerError
    from kogner.experiment.folders import Folders
    from kogner.experiment.plan import load
    from kogner.experiment.runner import run_all
    from kogner.experiment.stored import look

    experiment, folders = load(plan), Folders(runs, scores)
    unknown = [name for name in settings if name not in experiment.settings]
    if unknown:
        raise ConfigError(f"{plan} has no setting {unknown[0]}; it has {', '.join(experiment.settings)}")
    known = [cell.name for cell in experiment.cells()]
    for name in cells:
        if name not in known:
            raise ConfigError(f"{plan} has no training {name}; it has {', '.join(known[:5])}, ...")
    try:
        done = run_all(
            experiment, plan, folders, jobs=jobs or os.cpu_count() or 1, device=device, only=settings, cells=cells
        )
    except KognerError as error:
        lacking = _lacking(experiment)
        if not any(re.search(rf"(?<![\w./-]){re.escape(folder)}(?![\w-])", str(error)) for folder in lacking):
            raise
        raise ConfigError(
            f"{error}. Not here of what the plan names: {', '.join(lacking)}. What shipped plans need is made by `make "
            "results`, and what they need beside it is said in their first lines; that of quick by `make results-quick`"
        ) from error
    found, aside = look(experiment.cells(), folders, done=done)
    _say(experiment, plan, [one for _, one in found], out, aside=aside)


def _lacking(experiment: Experiment) -> list[str]:
    """Folders that a plan names and that are not here."""
    own = [arm for arm in experiment.arms.values() if arm.bank is not None or arm.corpora]
    named = [*experiment.corpora.values(), *(folder for arm in own for folder in arm.corpora.values())]
    named += [one for one in (experiment.bank, experiment.graph, *(arm.bank for arm in own)) if one is not None]
    return [folder for folder in dict.fromkeys(named) if not Path(folder).exists()]


@command.command("show")
@click.argument("plan", metavar="PLAN")
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="As of 'run'.")
@click.option("--scores", type=click.Path(path_type=Path), help="As of 'run'.")
@click.option("--as-recorded", is_flag=True, help="Also where data, bank or graph are others by now, or not here.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the summary to this JSON file.")
def show(plan: str, runs: Path, scores: Path | None, as_recorded: bool, out: Path | None) -> None:
    """What the trainings of PLAN say that are finished by now; nothing is run.

    \b
    Example:
      kogner experiment show shares --scores benchmarks/results/scores --as-recorded
    """
    from kogner.experiment.folders import Folders
    from kogner.experiment.plan import load
    from kogner.experiment.recorded import check_same_files
    from kogner.experiment.stored import look

    experiment, folders = load(plan), Folders(runs, scores)
    found, aside = look(experiment.cells(), folders, as_recorded=as_recorded)
    if as_recorded:
        check_same_files(found)
    _say(experiment, plan, [one for _, one in found], out, aside=aside)


@command.command("report")
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Markdown file; pictures go beside it.")
def report(results: tuple[Path, ...], out: Path) -> None:
    """Write a page with tables and pictures from RESULTS, what `run --out` or `show --out` wrote.

    \b
    Example:
      kogner experiment report runs/quick.json --out runs/quick.md
    """
    from kogner.artifacts import write_atomic
    from kogner.errors import InputError
    from kogner.experiment.report import check_plotting, page, plot

    check_plotting()
    summaries: list[dict[str, Any]] = []
    for file in results:
        try:
            summary = json.loads(file.read_text(encoding="utf-8"))
            missing = _WANTED - summary.keys()
            if missing:
                raise KeyError(*sorted(missing))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"is no summary of an experiment ({error!r})", path=file) from error
        summaries.append(summary | _of_today(summary))
    pictures = [f"{out.stem}-{summary['experiment']}.png" for summary in summaries]
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = []
    for summary, picture in zip(summaries, pictures, strict=True):
        if summary["comparisons"]:
            plot(summary, out.with_name(picture))
            drawn.append(picture)
    write_atomic(out, page(summaries, pictures))
    click.echo(json.dumps({"out": str(out), "pictures": drawn, "plans": dict(map(_figures, summaries))}))


def _figures(summary: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A plan and its figures, for the last line: by setting, corpus and arm F1 of each seed; and means of groups."""
    settings: dict[str, Any] = {}
    for row in summary["rows"]:
        settings.setdefault(row["setting"], {}).setdefault(row["corpus"], {})[row["arm"]] = {
            "f1": [round(one, 2) for one in row["f1"]]
        }
    kept = ("group", "arm", "baseline", "difference", "interval", "p", "seeds")
    groups = [{name: one[name] for name in kept} for one in summary["groups"]]
    return summary["experiment"], {"settings": settings, "groups": groups}


def _of_today(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan of a summary says by now: which of its trainings have no scores in it, and one that is run as said.

    Nothing where the plan is not there any more.
    """
    from kogner.errors import KognerError
    from kogner.experiment.plan import load
    from kogner.experiment.summary import progress_of

    try:
        experiment = load(summary["plan"])
    except KognerError:
        return {}
    said = summary.get("missing") or ()
    seeds: dict[tuple[str, str], set[int]] = {}
    for row in summary["rows"]:
        seeds.setdefault((row["setting"], row["arm"]), set()).update(row["seeds"])
    there = [
        cell.name
        for cell in experiment.cells()
        if (
            cell.seed in seeds.get((cell.setting, cell.arm), ())
            if (cell.test or cell.train) and not cell.is_stage
            else cell.name not in said  # nothing of it is scored: it has no row
        )
    ]
    return progress_of(experiment, there)


def _say(
    experiment: Experiment,
    plan: str,
    results: Sequence[Mapping[str, Any]],
    out: Path | None,
    *,
    aside: Mapping[str, Sequence[str]],
) -> None:
    """Tables of a summary, its file, and the last line. aside: names of scores that do not count, by reason."""
    from kogner.artifacts import write_atomic
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.environment import environment
    from kogner.experiment.stored import in_short
    from kogner.experiment.summary import progress_of, summarise
    from kogner.progress import note

    summary = summarise(experiment, results)
    progress = progress_of(experiment, {"{setting}-{arm}-{seed}".format_map(one["cell"]) for one in results})
    table = new_table(
        "setting", "corpus", "arm", "F1", "sd", "unseen", "dev", "seeds",
        numbers=("F1", "sd", "unseen", "dev", "seeds"),
    )  # fmt: skip
    for row in summary["rows"]:
        figures = (
            *("" if row[name] is None else f"{row[name]:.2f}" for name in ("mean", "sd", "unseen_recall", "dev")),
            str(len(row["seeds"])),
        )
        add_row(table, row["setting"], row["corpus"], row["arm"], *figures)
    show_rich(table)
    table = new_table("setting", "corpus", "arm", "against", "difference", "95 %", "p", numbers=("difference", "p"))
    for one in (*summary["comparisons"], *summary["groups"]):
        low, high = one["interval"]
        told = (f"{one['difference']:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{one['p']:.4f}")
        place = (one["setting"], one["corpus"]) if "setting" in one else (f"mean: {one['group']}", "")
        add_row(table, *place, one["arm"], one["baseline"], *told)
    show_rich(table)
    said = environment() | {
        "experiment": experiment.name,
        "about": experiment.about,
        "plan": plan,
        "seeds": experiment.seeds,
        "arms": {name: arm.about for name, arm in experiment.arms.items()},
        **progress,
        "set_aside": dict(aside),
        **summary,
    }
    if aside:
        note(in_short(aside))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    click.echo(
        json.dumps({"experiment": experiment.name, "missing": progress["missing"], "set_aside": dict(aside), **summary})
    )
