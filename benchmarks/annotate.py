"""How fast are we beside `gliner`, on the same checkpoint, the same words, the same labels and the same threads?

Needs `gliner` in the environment (`make bench-annotate` makes one). Every contender finds its best batch size on a part
of the texts first; then all of them take turns, round after round, and a ratio is the median over the rounds of
(their seconds / our seconds) within one round. Contenders:

- gliner: as a user calls it, labels encoded anew with every call, texts in their order
- gliner, cached labels: `encode_labels` once, outside the clock; the headline is against this one
- gliner, cached and sorted: the texts also sorted by length for it
- ours: fp32, and bf16 where the processor is fast at it; labels cached like theirs
- encoder: nothing but the text encoder's forward pass over the same sub-tokens, sorted by length; as transformers runs
  it, and packed as we run it

The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import record

Spans = list[set[tuple[int, int, str]]]
Words = Callable[[str], list[tuple[int, int]]]
Pieces = Callable[[list[str]], list[int]]
THRESHOLD = 0.5
WINDOW = 384
SIZES = {"small": (120, 6, 3), "medium": (400, 30, 5), "full": (4000, 1000, 5)}  # sentences, long texts, rounds
STEMS = """gene|protein|disease|chemical|drug|species|cell line|cell type|tissue|organ|variant|pathway|symptom|procedure
device|virus|bacterium|enzyme|receptor|hormone|antibody|vaccine|toxin|metabolite|biomarker"""
QUALIFIERS = "|human|animal|plant|viral|rare|common|synthetic|inherited|clinical|experimental|chronic"


def label_names(count: int) -> list[str]:
    """The two types of BC5CDR first, then as many other names of biomedical types as asked for."""
    names = ["chemical", "disease"]
    stems = STEMS.replace("\n", "|").split("|")
    names += [f"{qualifier} {stem}".strip() for qualifier in QUALIFIERS.split("|") for stem in stems]
    return list(dict.fromkeys(names))[:count]


def texts_of(corpus: Path, sentences: int, long: int, words_of: Words, pieces_of: Pieces, limit: int) -> Any:
    """Sentences of the test split, and long texts from all of its documents in a row.

    A long text has at most WINDOW words, and at most `limit` sub-tokens: gliner would cut it there without a word.
    pieces_of: number of sub-tokens of each word.
    """
    from kogner.data import corpora
    from kogner.text import sentences as split

    documents = corpora.load("corpus", str(corpus), "test").documents
    short = [doc.text[a:b] for doc in documents for a, b in split(doc.text) if len(words_of(doc.text[a:b])) <= WINDOW]
    whole = " ".join(" ".join(doc.text.split()) for doc in documents)
    spans = words_of(whole)
    sizes = pieces_of([whole[a:b] for a, b in spans])
    windows: list[str] = []
    first = 0
    while len(windows) < long:
        last, held = first, 0
        while last < len(spans) and last - first < WINDOW and held + sizes[last] <= limit:
            held += sizes[last]
            last += 1
        windows.append(whole[spans[first][0] : spans[last - 1][1]])
        first = last if last < len(spans) else len(windows) % WINDOW  # again from the start, cut at other places
    return short[:sentences], windows


class Theirs:
    """A GLiNER model: `find(texts)` gives the spans of every text."""

    def __init__(self, folder: Path, words_of: Words, *, cached: bool, order: bool):
        from gliner import GLiNER

        self.model = GLiNER.from_pretrained(str(folder), local_files_only=True)
        self.model.eval()
        self.model.data_processor.words_splitter = lambda text: ((text[a:b], a, b) for a, b in words_of(text))
        self.cached, self.order = cached, order
        self.labels: list[str] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race; what a user would keep between calls is made here."""
        self.labels = labels
        self.vectors = self.model.encode_labels(labels) if self.cached else None

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Spans of every text; size: texts per batch."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if self.order else list(range(len(texts)))
        given = [texts[i] for i in order]
        if self.cached:
            found = self.model.batch_predict_with_embeds(
                given, self.vectors, self.labels, threshold=THRESHOLD, batch_size=size
            )
        else:
            found = self.model.inference(given, self.labels, threshold=THRESHOLD, batch_size=size)
        result: Spans = [set() for _ in texts]
        for i, entities in zip(order, found, strict=True):
            result[i] = {(e["start"], e["end"], e["label"]) for e in entities}
        return result


class Ours:
    """A KoGNER predictor on the same checkpoint, reading every text as a whole."""

    def __init__(self, folder: Path, *, precision: str):
        from kogner.annotate.predictor import Predictor

        self.predictor = Predictor.load(folder)
        config = dataclasses.replace(self.predictor.student.config, context=WINDOW)
        self.predictor.student.config = config
        self.precision = precision
        self.labels: list[str] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race; what a user would keep between calls is made here."""
        self.labels = labels
        self.find(["Aspirin lowers fever."], 512)

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Spans of every text; size: padded sub-tokens per batch."""
        from kogner.annotate.predictor import Settings
        from kogner.records import Document

        settings = Settings(threshold=THRESHOLD, token_budget=size, precision=self.precision)
        documents = [Document(str(i), text) for i, text in enumerate(texts)]
        found = self.predictor.predict(documents, labels=self.labels, settings=settings)
        return [{(m.start, m.end, m.type) for m in document.mentions} for document in found]


class Encoder:
    """The text encoder alone. packed: with the linear layers that ours has."""

    def __init__(self, ours: Ours, precision: str, *, packed: bool):
        from kogner.annotate.engine import PRECISIONS
        from kogner.annotate.packing import can_pack, prepared

        self.student = ours.predictor.student
        model = self.student.text_encoder.model
        self.model = prepared(model, dtype=PRECISIONS[precision], pack=can_pack()) if packed else model
        self.autocast = precision == "bf16" and not packed
        self.rows: list[Any] = []

    def prepare(self, labels: list[str]) -> None:
        """Nothing: it has no labels."""
        del labels

    def load(self, texts: Sequence[str], words_of: Words) -> None:
        """Make the sub-tokens, outside the clock."""
        from kogner.student.encoder import tokenise

        words = [[text[a:b] for a, b in words_of(text)] for text in texts]
        self.rows = sorted(tokenise(self.student.tokenizer, words), key=lambda row: -len(row.ids))

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Read what was loaded; gives no spans. size: padded sub-tokens per batch."""
        import torch

        from kogner.student.encoder import collate

        start = 0
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            while start < len(self.rows):
                count = max(1, size // len(self.rows[start].ids))
                batch = collate(self.rows[start : start + count], pad_id=self.student.tokenizer.pad_token_id or 0)
                self.model(input_ids=batch.ids, attention_mask=batch.mask)
                start += count
        return []


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
            for other in (n for n in names if n.startswith("gliner")):
                ratios = [a / b for a, b in zip(seconds[other], seconds[name], strict=True)]
                result[f"{precision}_over_{other}"] = round(statistics.median(ratios), 2)
            for kind in ("encoder", "packed_encoder"):
                over = [a / b for a, b in zip(seconds[name], seconds[f"{kind}_{precision}"], strict=True)]
                result[f"{precision}_over_{kind}"] = round(statistics.median(over), 3)
    theirs = spans[base]
    same = [a == b for a, b in zip(theirs, spans["ours_fp32"], strict=True)]
    result |= {"identical": round(sum(same) / len(same), 5), "entities": sum(map(len, theirs))}
    return result


def memory(model: Path, texts: Sequence[str], count: int) -> None:
    """In a process of its own: stream `count` texts and print the peak memory after a tenth and after all of them."""
    ours = Ours(model, precision="fp32")
    ours.prepare(["chemical", "disease"])
    from kogner.annotate.predictor import Settings
    from kogner.records import Document

    stream = (Document(str(i), texts[i % len(texts)]) for i in range(count))
    peaks = []
    for number, _ in enumerate(ours.predictor.predict(stream, labels=ours.labels, settings=Settings()), start=1):
        if number in (count // 10, count):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps({"texts": count, "peak_mb_at_a_tenth": round(peaks[0]), "peak_mb": round(peaks[1])}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="GLiNER checkpoint folder that both sides load")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of BC5CDR")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--labels", default="2,20,60,300")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stream", type=int, default=None, help="texts of the memory measurement; 0 = none")
    parser.add_argument("--only-memory", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    import torch

    from kogner.hardware import bf16_is_fast
    from kogner.text import words

    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    sentences, long, rounds = SIZES[args.size]
    ours = Ours(args.model, precision="fp32")
    tokenizer, room = ours.predictor.student.tokenizer, ours.predictor.student.text_limit - 2
    if args.only_memory:
        short, _ = texts_of(args.corpus, sentences, 0, words, lambda _: [], room)
        memory(args.model, short, args.only_memory)
        return

    def pieces(all_words: list[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(all_words, add_special_tokens=False, verbose=False)["input_ids"]]

    short, windows = texts_of(args.corpus, sentences, long, words, pieces, room)
    contenders: dict[str, Any] = {
        "gliner": Theirs(args.model, words, cached=False, order=False),
        "gliner_cached": Theirs(args.model, words, cached=True, order=False),
        "gliner_cached_sorted": Theirs(args.model, words, cached=True, order=True),
        "ours_fp32": ours,
    }
    precisions = ["fp32"]
    if bf16_is_fast("cpu"):
        precisions.append("bf16")
        contenders["ours_bf16"] = Ours(args.model, precision="bf16")
    for precision in precisions:
        contenders[f"encoder_{precision}"] = Encoder(ours, precision, packed=False)
        contenders[f"packed_encoder_{precision}"] = Encoder(ours, precision, packed=True)

    by_labels: dict[str, Any] = {}
    for count in map(int, args.labels.split(",")):
        for kind, texts in (("sentences", short), ("long", windows)):
            labels = label_names(count)
            probe = texts[:: max(1, len(texts) // (48 if kind == "sentences" else 6))]
            sizes: dict[str, int] = {}
            for name, contender in contenders.items():
                contender.prepare(labels)
                if isinstance(contender, Encoder):
                    contender.load(probe, words)
                if not name.startswith("gliner"):
                    sizes[name] = best_size(contender, probe, (1024, 2048, 4096))
                else:
                    sizes[name] = best_size(contender, probe, (4, 8, 16, 32) if kind == "sentences" else (1, 2, 4, 8))
                if isinstance(contender, Encoder):
                    contender.load(texts, words)
            by_labels[f"{kind}_{count}"] = race(contenders, sizes, texts, rounds)
            print(json.dumps({f"{kind}_{count}": by_labels[f"{kind}_{count}"]}), file=sys.stderr)
    few = [value for key, value in by_labels.items() if int(key.rpartition("_")[2]) <= 60]

    def least(key: str) -> float | None:
        return min((value[key] for value in few if key in value), default=None)

    result: dict[str, Any] = {
        "ratio_fp32": least("fp32_over_gliner_cached"),
        "ratio_bf16": least("bf16_over_gliner_cached"),
        "identical": min(value["identical"] for value in by_labels.values()),
        "overhead": max(value["fp32_over_encoder"] for value in few),
        "overhead_packed": max(value["fp32_over_packed_encoder"] for value in few),
    }
    stream = args.stream if args.stream is not None else (100_000 if args.size == "full" else 5_000)
    if stream:
        command = [sys.executable, __file__, "--model", str(args.model), "--corpus", str(args.corpus)]
        command += ["--size", args.size, "--threads", str(args.threads), "--only-memory", str(stream)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result["memory"] = json.loads(done.stdout.splitlines()[-1])
        result["peak_mb"] = result["memory"]["peak_mb"]
    result |= {"threads": args.threads, "size": args.size, "sentences": len(short), "long_texts": len(windows)}
    result |= {"rounds": rounds, "by_labels": by_labels}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
