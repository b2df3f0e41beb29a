"""`kogner experiment`: a grid of trainings, paired by seed, and what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click


@click.group("experiment")
def command() -> None:
    """Train the same student in several ways, score and compare.

    \b
    Example:
      kogner experiment run recipes/experiments/quick.yaml
    """


@command.command("run")
@click.argument("plan", metavar="PLAN")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/experiments"), show_default=True,
              help="Folder for students and scores; what is finished there is not run again.")  # fmt: skip
@click.option("--only", "settings", multiple=True, metavar="SETTING", help="Only this setting; can be repeated.")
@click.option("--jobs", type=click.IntRange(min=1), help="Trainings at a time, one thread each.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the summary to this JSON file.")
def run(plan: str, runs: Path, settings: tuple[str, ...], jobs: int | None, device: str, out: Path | None) -> None:
    """Run PLAN, a YAML file or the name of a shipped experiment. A stopped run goes on with the same command.

    Each training chooses its step and thresholds on dev and is scored once on test. The last line printed is one JSON
    object: F1 of every arm by seed, and differences with intervals and p of a paired bootstrap.

    \b
    Example:
      kogner experiment run recipes/experiments/low-resource.yaml --jobs 2
    """
    from kogner.artifacts import write_atomic
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.environment import environment
    from kogner.errors import ConfigError
    from kogner.experiment.plan import load
    from kogner.experiment.runner import run_all
    from kogner.experiment.summary import summarise

    experiment = load(plan)
    unknown = [name for name in settings if name not in experiment.settings]
    if unknown:
        raise ConfigError(f"{plan} has no setting {unknown[0]}; it has {', '.join(experiment.settings)}")
    found = environment()
    results = run_all(
        experiment, plan, runs, jobs=jobs or os.cpu_count() or 1, device=device, revision=found["revision"],
        only=settings,
    )  # fmt: skip
    summary = summarise(experiment, results)
    table = new_table("setting", "corpus", "arm", "F1", "sd", "unseen", numbers=("F1", "sd", "unseen"))
    for row in summary["rows"]:
        figures = (f"{row['mean']:.2f}", f"{row['sd']:.2f}", f"{row['unseen_recall']:.2f}")
        add_row(table, row["setting"], row["corpus"], row["arm"], *figures)
    show_rich(table)
    table = new_table("setting", "corpus", "arm", "against", "difference", "95 %", "p", numbers=("difference", "p"))
    for one in summary["comparisons"]:
        low, high = one["interval"]
        figures = (f"{one['difference']:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{one['p']:.4f}")
        add_row(table, one["setting"], one["corpus"], one["arm"], one["baseline"], *figures)
    show_rich(table)
    said = found | {"experiment": experiment.name, "plan": plan, "seeds": experiment.seeds, **summary}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    click.echo(json.dumps({"experiment": experiment.name, **summary}))
