"""`kogner annotate ... --out DIR`: any number of documents into a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from kogner.bulk.shards import Cut
from kogner.bulk.worker import WorkPlan
from kogner.errors import ConfigError


def annotate_folder(
    plan: WorkPlan,
    sources: Sequence[str],
    out: Path,
    *,
    spread: str | None,
    processes: int | None,
    form: str | None,
    limits: Cut,
    silence: float,
    again: bool,
) -> None:
    """Run or resume the job and print its manifest, less what each input came to and examples, as one JSON object.

    Raises ConfigError for standard input and for what a shard cannot be written as.
    """
    from dataclasses import replace

    from kogner.bulk.inputs import files_of
    from kogner.bulk.job import Job
    from kogner.hardware import cores

    if "-" in sources:
        raise ConfigError("standard input cannot be read again to resume; give files, or leave --out DIR")
    if plan.form in ("table", "html"):
        raise ConfigError(f"--format {plan.form} is not for a folder; take jsonl, pubtator, bioc-xml or bioc-json")
    if processes is None and spread != "ray":
        processes = 1 if plan.device.startswith("cuda") else cores()
    if plan.settings.threads == 0 and processes is not None:
        plan = replace(plan, settings=replace(plan.settings, threads=max(1, cores() // processes)))
    job = Job(
        plan, files_of(sources), out, spread=spread or "local", processes=processes, form=form, limits=limits,
        silence=silence, again=again,
    )  # fmt: skip
    manifest = job.run()
    said = {key: value for key, value in manifest.items() if key not in ("version", "plan", "inputs", "examples")}
    click.echo(json.dumps({"out": str(out), "inputs": len(manifest["inputs"]), **said}))
