"""Attention in blocks (`kogner.annotate.attention`) beside torch's own on this processor.

Both take the same padded queries, keys and values, in turns; a ratio is the median over the rounds of
(torch's seconds / ours). The last line printed is one JSON object: the ratio by precision, tokens and size of a head.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn.functional import scaled_dot_product_attention

import record
from kogner.annotate import attention

TOKENS = 2048  # of a batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ratios: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            shapes = [(tokens, size) for size in (32, 64) for tokens in (16, 33, 64, 128, 256, 384, 510)]
            ratios[precision] = {f"{t}x{size}": ratio(t, size, dtype, args) for t, size in shapes}
    result = {"ratios": ratios, "threads": args.threads, "rounds": args.rounds, "heads": args.heads}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


def ratio(tokens: int, size: int, dtype: torch.dtype, args: argparse.Namespace) -> float:
    """Torch's seconds over ours, for texts of `tokens` tokens, the last of them padding in all but the first text."""
    texts = TOKENS // tokens
    query, key, value = (torch.randn(texts, tokens, args.heads, size, dtype=dtype).transpose(1, 2) for _ in range(3))
    mask = torch.ones(texts, 1, 1, tokens, dtype=torch.bool)
    mask[1:, ..., -2:] = False
    found = []
    for _ in range(args.rounds + 2):
        begun = time.perf_counter()
        scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).contiguous()
        middle = time.perf_counter()
        attention.attention(torch.nn.Identity(), query, key, value, mask)
        found.append((middle - begun) / (time.perf_counter() - middle))
    return round(median(found[2:]), 2)


if __name__ == "__main__":
    main()
