"""The job: inputs are cut into shards, shards annotated and written, and all of it counted. Goes on where it was."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kogner import artifacts
from kogner.bulk.folder import Counts, JobFolder, ShardResult
from kogner.bulk.inputs import InputReader
from kogner.bulk.processes import ProcessPool
from kogner.bulk.shards import Cut, Shard
from kogner.bulk.source import Input
from kogner.bulk.worker import WorkPlan
from kogner.data.report import Report
from kogner.errors import ArtifactError, InputError
from kogner.hardware import cores
from kogner.mapping import to_mapping
from kogner.progress import Counter, counting, note

SHOWN = 10  # inputs that could not be read and are named


@dataclass
class Job:
    """A job of annotation.

    spread: `local`, processes of this machine, or `ray`, actors of a cluster. processes: how many of them.
    form: of the inputs, None = told by their content. limits: where shards end. silence: see ProcessPool.
    again: shards with failures are annotated again.
    """

    plan: WorkPlan
    inputs: Sequence[Path]
    out: Path
    spread: str = "local"
    processes: int | None = None
    form: str | None = None
    limits: Cut = field(default_factory=Cut)
    silence: float = 900.0
    again: bool = False

    def __post_init__(self) -> None:
        self.out = self.out.absolute()  # processes of other machines begin elsewhere
        plan, graph = self.plan, self.plan.graph
        self.plan = replace(
            plan,
            model=_absolute(plan.model),
            graph=replace(
                graph,
                path=None if graph.path is None else _absolute(graph.path),
                bank=None if graph.bank is None else _absolute(graph.bank),
                aliases=tuple(map(_absolute, graph.aliases)),
            ),
        )

    def run(self) -> dict[str, Any]:
        """Annotate what is not annotated yet; returns what the manifest says, with `documents_per_s` of this run.

        Raises ArtifactError where the folder holds something else or another process works in it; InputError, after all
        others are done, where an input could not be read to its end; KognerError where the model or the machine fails
        (`Worker.write`, ProcessPool).
        """
        with artifacts.locked(self.out):
            folder = JobFolder(self.out)
            inputs = folder.begin(self._said(), self.inputs, again=self.again)
            counts = {one.number: found for one in inputs if (found := folder.finished(one)) is not None}
            left = [one for one in inputs if one.number not in counts]
            before = [result.documents for one in left for result in folder.results(one)]
            if counts or before:
                of_others = f"{sum(before):,} documents of others"
                note(f"{self.out}: {len(counts)} of {len(inputs)} inputs are done already, and {of_others}")
            started, tally = time.monotonic(), _Progress()
            if left:
                reader = InputReader(self.form)
                size = sum(one.bytes for one in left)
                with counting("documents annotated", start=sum(before)) as counter:
                    for said in self._spread(folder, left, reader):
                        if reader.bytes:
                            counter.expect(round(reader.documents * size / reader.bytes))
                        if isinstance(said, ShardResult):
                            tally.add(said, counter)
                        else:
                            number, met = said
                            counts[number] = _finish(folder, next(one for one in left if one.number == number), met)
            seconds = time.monotonic() - started
            manifest = folder.write_manifest(
                counts,
                run={
                    "documents": tally.documents,
                    "seconds": round(seconds, 1),
                    "documents_per_s": round(tally.documents / seconds, 2) if tally.documents else None,
                    "spread": self.spread,
                    "processes": self.processes,
                },
            )
        unread = {one.path: counts[one.number].error for one in inputs if counts[one.number].error}
        if unread:
            for path, error in list(unread.items())[1:SHOWN]:
                note(f"could not be read to the end: {path}: {error}")
            path, error = next(iter(unread.items()))
            raise InputError(
                f"{len(unread)} of {len(inputs)} inputs could not be read to the end, the first: {error}. All else is "
                f"annotated in {self.out}, whose manifest names all of them as `error`; mend the files and give the "
                "command again",
                path=path,
            )
        return manifest

    def _spread(
        self, folder: JobFolder, left: Sequence[Input], reader: InputReader
    ) -> Iterator[ShardResult | tuple[int, dict[str, Any]]]:
        if self.spread == "ray":
            from kogner.bulk import ray_data

            yield from ray_data.run(
                self.plan, self.out, left, reader, self.limits, count=self.processes, silence=self.silence
            )
            return

        under_way: Tally[int] = Tally()
        read: list[Input] = []  # to the end, but some of their shards may be under way

        def shards() -> Iterator[Shard]:
            for one in left:
                for shard in reader.shards(one, self.limits, done=folder.done(one)):
                    under_way[one.number] += 1
                    yield shard
                read.append(one)

        pool = ProcessPool(self.plan, self.out, count=self.processes or cores(), silence=self.silence)
        for result in pool.run(shards()):
            under_way[result.input] -= 1
            yield result
            for one in [one for one in read if not under_way[one.number]]:
                read.remove(one)
                yield one.number, reader.said(one)
        for one in read:
            yield one.number, reader.said(one)

    def _said(self) -> dict[str, Any]:
        """What decides the results, as plain data; what a model is made of by its hash where it has one."""
        plan = to_mapping(self.plan)
        for name in ("label_cache", "device"):
            plan.pop(name)
        for name in ("threads", "token_budget", "block"):
            plan["settings"].pop(name)
        for holder, name in ((plan, "model"), (plan["graph"], "path"), (plan["graph"], "bank")):
            if holder[name] is not None:
                holder[name] = _identity(holder[name])
        return plan | {"format": self.form, "cut": to_mapping(self.limits)}


@dataclass
class _Progress:
    """Documents of this run."""

    documents: int = 0
    failed: int = 0

    def add(self, result: ShardResult, counter: Counter) -> None:
        """Count a shard."""
        self.documents += result.documents
        self.failed += len(result.failures)
        counter.advance(result.documents, f"{self.failed:,} failed" if self.failed else "")


def _finish(folder: JobFolder, one: Input, met: Mapping[str, Any]) -> Counts:
    report = Report()
    for name in ("skipped", "repaired", "noted"):
        getattr(report, name).update(met[name])
    report.examples.update(met["examples"])
    for what, reasons in (("skipped", report.skipped), ("repaired", report.repaired), ("noted", report.noted)):
        for reason, count in sorted(reasons.items()):
            first = f", first at {report.examples[reason][0]}" if report.examples.get(reason) else ""
            note(f"{one.path}: {what} {count:,} x {reason}{first}")
    return folder.finish(one, report, documents=met["documents"], error=met["error"])


def _absolute(place: str) -> str:
    """The absolute path of what is there; a hub's id as it is."""
    return str(Path(place).absolute()) if Path(place).exists() else place


def _identity(place: str) -> str:
    """An artefact's name and hash; of another folder its absolute path; else the hub's id as it is."""
    path = Path(place)
    if not path.exists():
        return place
    try:
        return f"{path.name} {artifacts.read_manifest(path).hash}"
    except ArtifactError:
        return str(path.absolute())
