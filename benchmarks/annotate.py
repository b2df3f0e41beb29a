"""How fast are we beside `gliner`, on the same checkpoint, the same words, the same labels and the same threads?

Needs `gliner` in the environment (`make bench-annotate` makes one). Every contender finds its best batch size on a part
of the texts first; then all of them take turns, round after round, and a ratio is the median over the rounds of
(their seconds / our seconds) within one round. Contenders:

- gliner: as a user calls it, labels encoded anew with every call, texts in their order
- gliner, cached labels: `encode_labels` once, outside the clock; the headline is against this one
- gliner, cached and sorted: the texts also sorted by length for it
- fast-gliner: on the uni-encoder, whose export it can read
- ours: fp32, and bf16 where the processor is fast at it; labels cached like theirs
- encoder: nothing but the text encoder's forward pass over the same sub-tokens, sorted by length; as transformers runs
  it, and packed as we run it

With --out every race is noted in a file beside it as it ends, and a run that was stopped takes those of the same
checkpoint, size, threads and machine from there when the same command is given again; the result names the revisions.

Beside the given checkpoint, medium and full runs race others of published sizes with random weights, as time does not
depend on what weights say (`random_models.py`). The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import record
from contenders import Encoder, Ours, Spans, Words, all_sentences, contenders_of, label_names, texts_of
from notes import Notes


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is read: sentences, long texts, rounds, numbers of labels, other models, texts of the memory stream.

    documents: of the test split whose F1 is taken at each precision; None = all.
    """

    sentences: int
    long: int
    rounds: int
    labels: tuple[int, ...]
    others: tuple[str, ...]
    stream: int
    documents: int | None = None


SIZES = {
    "small": Size(24, 2, 3, (2, 20, 60), (), 500, documents=50),
    "medium": Size(320, 24, 3, (2, 20, 60, 300), ("bert-base", "deberta-v3-small"), 20_000),
    "full": Size(4000, 1000, 5, (2, 20, 60, 300), ("bert-base", "deberta-v3-small"), 100_000),
}


def best_size(contender: Any, texts: Sequence[str], sizes: Sequence[int]) -> int:
    """The batch size (texts for gliner, sub-tokens for us) that takes least time, best of two."""
    seconds = {}
    for size in sizes:
        runs = []
        for _ in range(2):
            begun = time.perf_counter()
            contender.find(texts, size)
            runs.append(time.perf_counter() - begun)
        seconds[size] = min(runs)
    return min(seconds, key=lambda size: seconds[size])


def race(contenders: dict[str, Any], sizes: dict[str, int], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds per contender and round, taken in turns; the order turns with the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    spans: dict[str, Spans] = {}
    names = list(contenders)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            begun = time.perf_counter()
            spans[name] = contenders[name].find(texts, sizes[name])
            seconds[name].append(time.perf_counter() - begun)
    result: dict[str, Any] = {
        "texts_per_second": {name: round(len(texts) / statistics.median(runs), 2) for name, runs in seconds.items()},
        "batch": {name: sizes[name] for name in names},
    }
    base = "gliner_cached" if "gliner_cached" in seconds else "gliner"
    for name in names:
        if name.startswith("ours"):
            precision = name.removeprefix("ours_")
            for other in (n for n in names if "gliner" in n):
                ratios = [a / b for a, b in zip(seconds[other], seconds[name], strict=True)]
                result[f"{precision}_over_{other}"] = round(statistics.median(ratios), 2)
            for kind in ("encoder", "packed_encoder"):
                over = [a / b for a, b in zip(seconds[name], seconds[f"{kind}_{precision}"], strict=True)]
                result[f"{precision}_over_{kind}"] = round(statistics.median(over), 3)
    for name, key in ((base, "identical"), ("fast_gliner", "identical_to_fast_gliner")):
        if name in spans:
            same = [a == b for a, b in zip(spans[name], spans["ours_fp32"], strict=True)]
            result[key] = round(sum(same) / len(same), 5)
    return result | {"entities": sum(map(len, spans[base]))}


def peak_mb() -> float:
    """The most memory that this process ever held. getrusage alone would count its parent's, from before the exec."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(model: Path, corpora_folder: Path, count: int) -> dict[str, Any]:
    """In a process of its own: the peak memory after each tenth of a stream of `count` texts, no two alike.

    A text is one to three sentences drawn at random from all corpora, so that their lengths keep on being new.
    """
    ours = Ours(model, precision="fp32")
    ours.prepare(["chemical", "disease"])
    from kogner.annotate.predictor import Settings
    from kogner.records import Document

    sentences = all_sentences(corpora_folder)
    draw = random.Random(0)
    stream = (Document(str(i), " ".join(draw.choices(sentences, k=draw.randint(1, 3)))) for i in range(count))
    peaks = []
    for number, _ in enumerate(ours.predictor.predict(stream, labels=ours.labels, settings=Settings()), start=1):
        if number % (count // 10) == 0:
            peaks.append(round(peak_mb()))
    figures = {"texts": count, "peak_mb_at_a_tenth": peaks[0], "peak_mb": peaks[-1], "by_tenth": peaks}
    return figures | {"distinct_sentences": len(sentences)}


def races(
    contenders: dict[str, Any],
    corpus: Path,
    size: Size,
    labels: Sequence[int],
    words: Words,
    *,
    model: str,
    notes: Notes,
) -> dict[str, Any]:
    """The result of each race, by kind of text and number of labels. model: its name in the notes."""
    ours: Ours = contenders["ours_fp32"]
    student = ours.predictor.student
    tokenizer, room = student.tokenizer, student.room(label_names(max(labels))) - 2

    def pieces(all_words: list[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(all_words, add_special_tokens=False, verbose=False)["input_ids"]]

    short, windows = texts_of(corpus, size.sentences, size.long, words, pieces, room)
    found: dict[str, Any] = {}
    for count in labels:
        for kind, texts in (("sentences", short), ("long", windows)):
            key = f"{kind}_{count}"
            if noted := notes.take(model, key):
                found[key] = noted
                continue
            names = label_names(count)
            probe = texts[:: max(1, len(texts) // (24 if kind == "sentences" else 3))]
            sizes: dict[str, int] = {}
            for name, contender in contenders.items():
                contender.prepare(names)
                if isinstance(contender, Encoder):
                    contender.load(probe, words)
                if "gliner" not in name:
                    sizes[name] = best_size(contender, probe, (512, 1024, 2048, 4096))
                else:
                    sizes[name] = best_size(contender, probe, (1, 2, 4, 8, 16) if kind == "sentences" else (1, 2, 4))
                if isinstance(contender, Encoder):
                    contender.load(texts, words)
            found[key] = race(contenders, sizes, texts, size.rounds)
            notes.add(model, key, found[key])
    return found


def summary(by_labels: dict[str, Any], base: str) -> dict[str, Any]:
    """The figures that count: the worst over up to 60 labels. base: the contender that ratios are against."""
    few = [value for key, value in by_labels.items() if int(key.rpartition("_")[2]) <= 60]

    def worst(pick: Callable[..., float], key: str) -> float | None:
        return pick((value[key] for value in few if key in value), default=None)

    return {
        "ratio_fp32": worst(min, f"fp32_over_{base}"),
        "ratio_bf16": worst(min, f"bf16_over_{base}"),
        "identical": min(value["identical"] for value in by_labels.values()),
        "overhead": worst(max, "fp32_over_encoder"),
        "overhead_packed": worst(max, "fp32_over_packed_encoder"),
        "by_labels": by_labels,
    }


def f1(model: Path, corpus: Path, documents: int | None) -> dict[str, float]:
    """Exact span F1 on the test split, or its first documents, at each precision that we race."""
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.evaluate.spans import score
    from kogner.hardware import bf16_is_fast

    gold = corpora.load("corpus", str(corpus), "test").documents[:documents]
    predictor = Predictor.load(model)
    found: dict[str, float] = {}
    for precision in ["fp32", *(["bf16"] if bf16_is_fast("cpu") else [])]:
        settings = Settings(precision=precision, agreement=0.0)  # as the races, and as gliner
        guessed = list(predictor.predict(gold, labels=["chemical", "disease"], settings=settings))
        found[precision] = round(100 * score(gold, guessed).f1, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="GLiNER checkpoint folder that both sides load")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of BC5CDR")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--labels", help="numbers of labels, e.g. 2,20; default: those of the size")
    parser.add_argument("--others", help="models with random weights, e.g. bert-base; none; default: those of the size")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stream", type=int, default=None, help="texts of the memory measurement; 0 = none")
    parser.add_argument("--only-memory", type=int, metavar="TEXTS", help="nothing but the memory of so many texts")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    import torch

    from kogner.artifacts import file_sha256
    from kogner.text import gliner_words, words

    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    size = SIZES[args.size]
    if args.only_memory:
        found = memory(args.model, args.corpus.parent, args.only_memory)
        if args.out:
            record.write(args.out, found | {"threads": args.threads})
        print(json.dumps(found))
        return
    labels = tuple(map(int, args.labels.split(","))) if args.labels else size.labels
    setting = {
        "size": dataclasses.asdict(size),
        "threads": args.threads,
        "corpus": args.corpus.name,
        "weights": file_sha256(args.model / "model.safetensors"),
    }
    notes = Notes(args.out.with_suffix(".races.jsonl") if args.out else None, **setting)
    contenders = contenders_of(args.model, words, sorted_too=args.size == "full")
    own = races(contenders, args.corpus, size, labels, words, model="given", notes=notes)
    result = summary(own, "gliner_cached")
    result["f1"] = f1(args.model, args.corpus, size.documents)
    others = size.others if args.others is None else [one for one in args.others.split(",") if one != "none"]
    for name in others:
        import random_models

        with tempfile.TemporaryDirectory() as place:
            some, _ = texts_of(args.corpus, 24, 0, words, lambda _: [], 0)
            folder = random_models.make(name, args.model, Path(place), some, label_names(2))
            splitter = gliner_words if random_models.WORDS[name] == "gliner" else words
            contenders = contenders_of(folder, splitter, sorted_too=False, fast=splitter is gliner_words)
            few = dataclasses.replace(size, sentences=max(1, size.sentences // 4), long=max(1, size.long // 4))
            base = "gliner_cached" if "gliner_cached" in contenders else "gliner"
            counts = [count for count in labels if count <= 20]
            found = races(contenders, args.corpus, few, counts, splitter, model=name, notes=notes)
            result.setdefault("others", {})[name] = summary(found, base) | {"against": base}
    stream = args.stream if args.stream is not None else size.stream
    if stream:
        command = [sys.executable, __file__, "--model", str(args.model), "--corpus", str(args.corpus)]
        command += ["--size", args.size, "--threads", str(args.threads), "--only-memory", str(stream)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result["memory"] = json.loads(done.stdout.splitlines()[-1])
        result["peak_mb"] = result["memory"]["peak_mb"]
    result |= {"threads": args.threads, "size": dataclasses.asdict(size) | {"name": args.size}}
    if args.out:
        record.write(args.out, result | {"revisions": sorted(notes.revisions)})
        if notes.file is not None:
            notes.file.unlink(missing_ok=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
