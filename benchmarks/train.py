"""How fast does a training step go beside `gliner`'s, on the same weights, words, batches, loss and threads?

Needs `gliner` in the environment (`make bench-train` makes one). A MiniLM bi-encoder of ours, its label encoder apart
as gliner has it, is exported and loaded by both. Every batch holds sentences of BC5CDR train and asks for its two
types; the loss is binary cross-entropy, no focal part, no sampled negatives; gliner sums it over a batch, we average it
over the sentences, so theirs is divided by their number. Measured:

- losses: identical batches, dropout 0, weights as they start; then some with updates in between (AdamW, clipped)
- steps: both take every batch, one after the other; a step is all from the sentences to the updated weights: gliner's
  collator, model and the AdamW that its trainer takes, against the parts of our training loop. The ratio is the median
  over the batches of (their seconds / our seconds)
- runs: `train_model` of gliner and `train` of KoGNER, once each in a process of its own, up to the written model. The
  clock starts when gliner has its rows of words and spans, and we have documents: cutting them counts for us

The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import record
from trainers import DROPOUT, Material, Ours, Theirs, export, read, recipe_of

WARM = 2  # steps of each side before the clock starts


@dataclass(frozen=True)
class Size:
    """losses: batches compared without updates. updated: with updates. steps: timed, per precision and batch size.

    run: steps of a whole training, 0 for none. batches: sentences of a batch; the headline is the first.
    """

    losses: int
    updated: int
    steps: int
    run: int
    batches: tuple[int, ...]


SIZES = {
    "tiny": Size(losses=3, updated=2, steps=2, run=2, batches=(4,)),
    "small": Size(losses=40, updated=10, steps=16, run=40, batches=(8,)),
    "medium": Size(losses=200, updated=20, steps=30, run=40, batches=(8, 32)),
    "full": Size(losses=200, updated=50, steps=60, run=200, batches=(8, 32)),
}


def difference(pairs: Sequence[tuple[float, float]]) -> float:
    """The largest relative difference."""
    return max(abs(ours - theirs) / abs(theirs) for theirs, ours in pairs)


def compare_losses(folder: Path, material: Material, size: Size, threads: int) -> dict[str, Any]:
    """Losses of identical batches at dropout 0."""
    import torch

    batch = size.batches[0]
    recipe = recipe_of(encoder="minilm", batch=batch, threads=threads, dropout=0)
    theirs = Theirs(folder, material, dropout=0.0)
    ours = Ours(folder, material, recipe, dropout=0.0)
    with torch.no_grad():
        still = [
            (float(theirs.loss(of, number=n, bf16=False)), float(ours.loss(of, number=n, bf16=False)))
            for n, of in enumerate(material.batches(batch, size.losses))
        ]
    moved = [
        (theirs.step(of, number=n, bf16=False), ours.step(of, number=n, bf16=False))
        for n, of in enumerate(material.batches(batch, size.updated))
    ]
    return {
        "loss_difference": float(f"{difference(still):.2e}"),
        "losses_compared": len(still),
        "loss_difference_updated": float(f"{difference(moved):.2e}"),
        "losses_compared_updated": len(moved),
        "mean_loss": round(statistics.mean(theirs for theirs, _ in still), 3),
    }


def race(theirs: Theirs, ours: Ours, batches: Sequence[list[int]], *, bf16: bool) -> dict[str, Any]:
    """Both take each batch, in turns; the first steps are not counted."""
    seconds: dict[str, list[float]] = {"gliner": [], "ours": []}
    for number, batch in enumerate(batches):
        sides: list[tuple[str, Theirs | Ours]] = [("gliner", theirs), ("ours", ours)]
        for name, side in sides[:: 1 if number % 2 else -1]:
            begun = time.perf_counter()
            side.step(batch, number=number, bf16=bf16)
            seconds[name].append(time.perf_counter() - begun)
    kept = {name: found[WARM:] for name, found in seconds.items()}
    ratios = sorted(a / b for a, b in zip(kept["gliner"], kept["ours"], strict=True))
    return {
        "ratio": round(statistics.median(ratios), 3),
        "quartiles": [round(ratios[len(ratios) // 4], 3), round(ratios[(3 * len(ratios)) // 4], 3)],
        "steps": len(ratios),
        "seconds_per_step": {name: round(statistics.median(found), 4) for name, found in kept.items()},
    }


def whole_run(side: str, folder: Path, corpus: Path, out: Path, *, steps: int, batch: int, bf16: bool) -> float:
    """Seconds of one training as a user starts it, from documents or rows to the written model."""
    import torch

    from kogner.data import corpora

    precision = "bf16" if bf16 else "fp32"
    threads = torch.get_num_threads()
    if side == "ours":
        from kogner.train.loop import train
        from kogner.train.splits import to_split

        recipe = recipe_of(encoder="minilm", batch=batch, threads=threads, steps=steps, precision=precision)
        student = dataclasses.replace(recipe.student, initial=str(folder))
        split = to_split("corpus", corpora.load("corpus", str(corpus), "train"), None)
        begun = time.perf_counter()
        train(dataclasses.replace(recipe, student=student), [split], out)
        return time.perf_counter() - begun
    theirs = Theirs(folder, Material([], []))
    material = read(corpus, theirs.model.data_processor.transformer_tokenizer, sys.maxsize)
    begun = time.perf_counter()
    theirs.model.train_model(
        material.rows, None, output_dir=str(out), max_steps=steps, per_device_train_batch_size=batch, use_cpu=True,
        bf16=bf16, learning_rate=5e-5, lr_scheduler_type="cosine", dataloader_num_workers=0, disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    theirs.model.save_pretrained(str(out))
    return time.perf_counter() - begun


def compare_runs(args: argparse.Namespace, folder: Path, size: Size, *, bf16: bool) -> dict[str, Any]:
    """A whole training of each side, in a process of its own."""
    seconds = {}
    for side in ("gliner", "ours"):
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, __file__, "--corpus", str(args.corpus), "--size", args.size]
            command += ["--threads", str(args.threads), "--run", side, str(folder), str(Path(place) / "model")]
            command += ["--bf16"] if bf16 else []
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds[side] = float(done.stdout.splitlines()[-1])
    return {
        "ratio": round(seconds["gliner"] / seconds["ours"], 3),
        "steps": size.run,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of BC5CDR")
    parser.add_argument("--encoder", default="minilm", help="alias, folder or hub id")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--bf16", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()

    import torch

    from kogner.hardware import bf16_is_fast, keep_freed_memory

    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    random.seed(0)
    size = SIZES[args.size]
    if args.run:
        side, folder, out = args.run
        taken = whole_run(
            side, Path(folder), args.corpus, Path(out), steps=size.run, batch=size.batches[0], bf16=args.bf16
        )
        print(taken)
        return
    keep_freed_memory()  # for both: they share this process
    precisions = ["fp32", "bf16"] if bf16_is_fast("cpu") else ["fp32"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "start"
        export(args.encoder, folder)
        from kogner.student import checkpoint

        tokenizer = checkpoint.open_student(folder)[0].tokenizer
        enough = max(size.losses * size.batches[0], (size.steps + WARM) * max(size.batches))
        material = read(args.corpus, tokenizer, max(enough, 400))
        result: dict[str, Any] = compare_losses(folder, material, size, args.threads)
        note(result)
        steps: dict[str, Any] = {}
        for batch in size.batches:
            recipe = recipe_of(encoder=args.encoder, batch=batch, threads=args.threads)
            theirs, ours = Theirs(folder, material, dropout=DROPOUT), Ours(folder, material, recipe, dropout=DROPOUT)
            for precision in precisions:
                given = list(material.batches(batch, size.steps + WARM))
                steps[f"{precision}_{batch}"] = race(theirs, ours, given, bf16=precision == "bf16")
                note({f"{precision}_{batch}": steps[f"{precision}_{batch}"]})
            del theirs, ours
        runs = {name: compare_runs(args, folder, size, bf16=name == "bf16") for name in precisions if size.run}
        note(runs)
    headline = size.batches[0]
    result = {
        "ratio": steps[f"fp32_{headline}"]["ratio"],
        "ratio_bf16": steps.get(f"bf16_{headline}", {}).get("ratio"),
        **result,
        "ratio_run": runs.get("fp32", {}).get("ratio"),
        "ratio_run_bf16": runs.get("bf16", {}).get("ratio"),
        "threads": args.threads,
        "size": args.size,
        "batch": headline,
        "sentences": len(material.rows),
        "steps": steps,
        "runs": runs,
    }
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


def note(found: dict[str, Any]) -> None:
    print(json.dumps(found), file=sys.stderr)


if __name__ == "__main__":
    main()
