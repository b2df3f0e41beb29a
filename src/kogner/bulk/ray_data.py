"""Shards over a cluster with Ray Data: the same annotator, one student an actor; all machines see the same folders."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.bulk.folder import JobFolder, ShardResult
from kogner.bulk.processes import ProcessPool
from kogner.bulk.shards import Cut, Failure, Shard
from kogner.bulk.source import Input
from kogner.bulk.worker import WorkPlan
from kogner.errors import ConfigError, KognerError, MissingExtraError
from kogner.progress import set_quiet

if TYPE_CHECKING:
    from kogner.bulk.inputs import InputReader

RETRIES = 3


def run(
    plan: WorkPlan,
    folder: Path,
    inputs: Sequence[Input],
    reader: InputReader,
    limits: Cut,
    *,
    count: int | None,
    silence: float,
) -> Iterator[ShardResult | tuple[int, dict[str, Any]]]:
    """What became of each shard, and for each input its number and what its reader met, as they are done.

    count: actors; None as many as the cluster has room for (`actors_of`). silence: as of `ProcessPool`.
    An input is read by a task, its shards go to the actors as these are free (Ray Data's back-pressure), and an actor
    that dies, with its machine for instance, is started again with the shard it had, RETRIES times at most. The student
    lives in a process of the actor's own, so that a document which ends that process is found and left out.
    Before a shard is yielded, `reader` has counted what had been read of its input when it was cut.
    Raises MissingExtraError without Ray, ConfigError without the GPUs that are asked for, KognerError for what a shard
    fails with.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("annotating with Ray", "bulk") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    context.target_max_block_size = 1  # bytes: each shard is a block, and so a task of its own
    actors, processors, gpus = actors_of(plan.device, ray.cluster_resources(), count=count)
    rows = [{"input": one.number} for one in inputs]
    by_number = {one.number: one for one in inputs}
    # As it is now: a task that Ray begins again has to give the same shards, by whose places Ray tells them.
    done_of = {one.number: JobFolder(folder).done(one) for one in inputs}

    def shards(task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        set_quiet(True)
        one = by_number[int(task["input"])]
        count, documents, size = 0, reader.documents, reader.bytes  # of other inputs that this process read

        def row(shard: Shard | str, report: str) -> dict[str, Any]:
            read = {"documents": reader.documents - documents, "bytes": reader.bytes - size}
            return {"shard": shard, "input": one.number, "report": report, "read": json.dumps(read)}

        for shard in reader.shards(one, limits, done=done_of[one.number]):
            count += 1
            yield row(shard, "")
        yield row("", json.dumps({**reader.said(one), "shards": count}))

    annotated = (
        ray.data.from_items(rows, override_num_blocks=max(1, len(rows)))
        .flat_map(shards, num_cpus=0.1)
        .map_batches(
            _Actor,
            fn_constructor_args=(plan, str(folder), silence),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors),
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            num_cpus=processors,
            num_gpus=gpus,
        )
    )
    waiting: dict[int, dict[str, Any]] = {}  # what readers met, until all shards of the input are there
    got: Counter[int] = Counter()
    read: dict[int, tuple[int, int]] = {}
    try:
        for row in annotated.iter_rows():
            if row["error"]:
                raise KognerError(str(row["error"]))
            number = int(row["input"])
            told = json.loads(row["read"])
            before = read.get(number, (0, 0))
            if told["bytes"]:  # those of a file of which it is not known yet how far it was read say nothing
                read[number] = max(before, (told["documents"], told["bytes"]))  # shards may overtake one another
                reader.documents += read[number][0] - before[0]
                reader.bytes += read[number][1] - before[1]
            if row["report"]:
                waiting[number] = json.loads(row["report"])
            else:
                raw = json.loads(row["result"])
                failures = tuple(Failure(**failure) for failure in raw.pop("failures"))
                got[number] += 1
                yield ShardResult(**raw, failures=failures)
            if number in waiting and got[number] == waiting[number]["shards"]:
                yield number, waiting.pop(number)
    except ray.exceptions.RayError as error:
        raise KognerError(
            f"Ray gave up: {str(error).strip().splitlines()[-1]}. What is done is kept; the same command goes on"
        ) from error


def actors_of(device: str, cluster: Mapping[str, float], *, count: int | None) -> tuple[int, float, int]:
    """How many actors there are, and how much of a processor, and how many GPUs, Ray gives to each.

    cluster: its resources as Ray names them. count: None as many as there are GPUs, or processors less one, which is
    left for those that read. Raises ConfigError where there are fewer GPUs than actors, since these would wait for
    ever, and for a GPU by number, since Ray shows each actor none but its own.
    """
    processors = int(cluster.get("CPU", 1))
    if not device.startswith("cuda"):
        return count or max(1, processors - 1), 0.9, 0
    if device not in ("cuda", "cuda:0"):
        raise ConfigError(f"--device {device} with --engine ray: Ray chooses each actor's GPU; give --device cuda")
    there = int(cluster.get("GPU", 0))
    if there == 0:
        raise ConfigError(f"--device {device}: Ray's cluster has no GPU; give --device cpu, or add machines with GPUs")
    if count is not None and count > there:
        raise ConfigError(f"--processes {count} with --device {device}: Ray's cluster has {there} GPUs, one a process")
    actors = count or there
    return actors, min(0.9, 0.9 * processors / actors), 1


class _Actor:
    """A student in a process of its own, which stays where it is while shards come by."""

    def __init__(self, plan: WorkPlan, folder: str, silence: float) -> None:
        set_quiet(True)
        self.error = ""
        self.pool = ProcessPool(plan, Path(folder), count=1, silence=silence)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        results: list[Any] = []
        for shard in batch["shard"]:
            done = ""
            if isinstance(shard, Shard) and not self.error:
                try:
                    done = json.dumps(asdict(self.pool.one(shard)))
                except Exception as error:  # raised here it would be Ray's, which tries again
                    self.error = str(error) if isinstance(error, KognerError) else f"shard {shard.key}: {error}"
            results.append(done)
        return {
            "result": results,
            "input": list(batch["input"]),
            "report": list(batch["report"]),
            "read": list(batch["read"]),
            "error": [self.error] * len(results),
        }
