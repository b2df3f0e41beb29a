"""The span head in training: processor time of a forward and backward pass, and its memory, against autograd's.

Both sides compute the factorised head (`kogner.student.spans`) and the language loss on the same random words.
`autograd` scores width by width and lets autograd keep what it likes; `ours` is `kogner.student.scoring`. Each runs
in a process of its own, whose peak memory above the model and its input is what is reported. The passes of the two
sides are taken in turn over --rounds processes; the median counts. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import record

SIDES = ("autograd", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--widths", type=int, default=12)
    parser.add_argument("--types", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--passes", type=int, default=3, help="timed passes of each process, after one that warms up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args)))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    result: dict[str, object] = {
        side: {key: round(median(one[key] for one in found[side]), 4) for key in ("seconds", "peak_mb")}
        for side in SIDES
    }
    for name, key in (("speed", "seconds"), ("memory", "peak_mb")):
        old, new = (median(one[key] for one in found[side]) for side in SIDES)
        result[name] = round(old / new, 2)
    result["case"] = {key: value for key, value in vars(args).items() if key not in ("out", "side")}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Median processor seconds of a forward and backward pass; peak memory above what was there before the first."""
    import torch
    from torch.nn import functional

    from kogner.hardware import keep_freed_memory
    from kogner.student.losses import language_loss
    from kogner.student.spans import SpanHead, SpanScores

    def autograd(head: SpanHead, words: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> SpanScores:
        starts, ends = head.halves(words)
        folded, offset = head.fold(types)
        count = words.shape[1]
        columns, valid = [], []
        for width in range(head.max_width):
            inner = head.out[2](functional.relu(starts[:, : count - width] + ends[:, width:]))
            columns.append(functional.pad(functional.linear(inner, folded, offset), (0, 0, 0, width)))
            valid.append(functional.pad(mask[:, width:], (0, width)))
        return SpanScores(torch.stack(columns, dim=2), torch.stack(valid, dim=2))

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    head = SpanHead(hidden=args.hidden, max_width=args.widths, dropout=args.dropout).train()
    words = torch.randn(args.batch, args.words, args.hidden, requires_grad=True)
    types = torch.randn(args.types, args.hidden, requires_grad=True)
    mask = torch.ones(args.batch, args.words, dtype=torch.bool)
    targets = (torch.rand(args.batch, args.words, args.widths, args.types) < 0.01).float()
    type_mask = torch.ones(args.batch, args.types, dtype=torch.bool)
    side = head if args.side == "ours" else lambda *inputs: autograd(head, *inputs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(args.passes + 1):
        started = time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            loss = language_loss(side(words, mask, types), targets, type_mask)
        loss.backward()
        seconds.append(time.process_time() - started)
        head.zero_grad(set_to_none=True)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": median(seconds[1:]), "peak_mb": peak}


if __name__ == "__main__":
    main()
