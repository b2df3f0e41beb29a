"""Z: the text of each entity through a sentence encoder, mean-pooled and of unit length.

Texts are deduplicated, ordered by length and encoded in shards; vectors of a finished shard lie in their rows of the
output, so a killed run goes on where it was. Within a shard batches are filled up to a token budget, and on a processor
each thread takes a batch of its own. Measured on 2 cores with avx512_bf16 (MiniLM-L6, at most 64 tokens), in tokens per
second, the two sets not comparable with each other because the machine was not equally idle: one batch per thread at
2,048 tokens 18,600, at 4,096 16,800, one batch on both threads at 4,096 13,600; and, one batch on both threads at 4,096
19,500, at 16,384 12,000, in fp32 at 4,096 6,500. So the budget is small, and bf16 is taken where the processor has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kogner import encoders
from kogner.artifacts import write_atomic
from kogner.config import FeaturesConfig
from kogner.errors import KognerError
from kogner.hardware import bf16_is_fast
from kogner.mapping import to_mapping
from kogner.progress import counting, note
from kogner.teacher.reading import ReadingOrder, entity_text
from kogner.teacher.work import RowsOnDisk, Stopwatch, hash_of, open_array

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
VECTORS, DISTINCT = "Z.npy", "distinct.txt"
SHARD_TEXTS = 8192
# A GPU needs larger batches than a processor's cache to be busy.
CUDA_BUDGET_FACTOR = 32


@dataclass(frozen=True)
class Features:
    """Z. vectors: (entities, width) float16, memory-mapped. distinct: different texts, None where it is not known."""

    vectors: Array
    distinct: int | None


@dataclass(frozen=True)
class Pooler:
    """An encoder with what is needed to turn texts into unit vectors."""

    tokenizer: Any
    model: Any
    config: FeaturesConfig
    device: str

    @classmethod
    def load(cls, config: FeaturesConfig, device: str) -> Pooler:
        """Load the encoder of `config` onto `device`, its precision settled (`auto` becomes fp32 or bf16)."""
        import torch

        if config.precision == "auto":
            config = replace(config, precision="bf16" if bf16_is_fast(device) else "fp32")
        tokenizer, model = encoders.load(config.encoder)
        kind = torch.bfloat16 if config.precision == "bf16" else torch.float32
        placed: Any = model
        return cls(tokenizer, placed.to(device=device, dtype=kind), config, device)

    @property
    def width(self) -> int:
        """Columns of Z."""
        return int(self.model.config.hidden_size)

    def weights_hash(self) -> str:
        """Hex sha256 of the encoder's weights and vocabulary: the name alone does not say what a folder holds."""
        import torch

        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        for token, number in sorted(self.tokenizer.get_vocab().items()):
            digest.update(f"{token}\0{number}\0".encode())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors of texts, (texts, width) float16, whatever their order.

        Raises KognerError where the encoder gives a number that is not finite.
        """
        import torch

        out = np.zeros((len(texts), self.width), dtype=np.float16)
        ids: list[list[int]] = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.config.max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        factor = CUDA_BUDGET_FACTOR if self.device.startswith("cuda") else 1
        batches = _batches(order, [len(ids[index]) for index in order], self.config.token_budget * factor)

        def encode(batch: list[int]) -> None:
            with torch.inference_mode():
                vectors = self._forward([ids[index] for index in batch])
            if not bool(torch.isfinite(vectors).all()):
                raise KognerError(
                    f"encoder {self.config.encoder!r} gives numbers that are not finite in {self.config.precision}; "
                    "set teacher.features.precision=fp32"
                )
            out[batch] = vectors.to(torch.float16).cpu().numpy()

        threads = 1 if self.device.startswith("cuda") else torch.get_num_threads()
        if threads == 1:
            for batch in batches:
                encode(batch)
            return out
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for _ in pool.map(encode, batches):
                    pass
        finally:
            torch.set_num_threads(threads)
        return out

    def _forward(self, ids: list[list[int]]) -> Tensor:
        import torch

        width = max(1, max(map(len, ids)))
        tokens = np.full((len(ids), width), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((len(ids), width), dtype=np.int64)
        for row, sequence in enumerate(ids):
            tokens[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        attention = torch.from_numpy(mask).to(self.device)
        hidden = self.model(input_ids=torch.from_numpy(tokens).to(self.device), attention_mask=attention)
        weights = attention.unsqueeze(-1).float()  # (batch, tokens, 1)
        pooled = (hidden.last_hidden_state.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(pooled, dim=-1)


def _batches(order: list[int], lengths: list[int], budget: int) -> Iterator[list[int]]:
    """Cut `order`, sorted by length, into batches whose padded size stays within `budget` tokens (or one text)."""
    batch: list[int] = []
    for index, length in zip(order, lengths, strict=True):
        if batch and length * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def features_key(texts: Sequence[tuple[str, str]], pooler: Pooler) -> str:
    """A hash of all that decides Z: texts in order, encoder weights, settings."""
    digest = hashlib.sha256()
    for name, description in texts:
        digest.update(f"{name}\0{description}\0".encode())
    settings = to_mapping(pooler.config)
    del settings["encoder"], settings["token_budget"]  # the weights count, not their name; batches change no vector
    return hash_of("Z", digest.hexdigest(), pooler.weights_hash(), settings)


def text_features(texts: Sequence[tuple[str, str]], pooler: Pooler, *, folder: Path) -> Features:
    """Z of all entities, memory-mapped from `folder` (a part's folder, see work.py).

    texts: (name, description) per entity. Equal texts are encoded once. Vectors go straight to their rows on disk, so
    beside the texts the memory holds some 40 bytes an entity and one shard. Shards that an interrupted run finished are
    not encoded again.
    """
    if (folder / VECTORS).is_file():
        return _finished(folder)
    order = ReadingOrder.of(texts)
    stopwatch = Stopwatch(folder)
    rows_file = RowsOnDisk(folder / VECTORS, (len(texts), pooler.width))
    first = rows_file.done
    if first:
        note(f"Z: going on from text {first:,} of {order.distinct:,}")
    with rows_file, counting("Z: texts encoded, longest first", order.distinct, start=first) as counter:
        for start in range(first, order.distinct, SHARD_TEXTS):
            stop = min(start + SHARD_TEXTS, order.distinct)
            vectors = pooler.encode([entity_text(*texts[row]) for row in order.first_rows(start, stop)])
            rows, numbers = order.rows(start, stop)
            rows_file.write(rows, vectors, numbers, done=stop)
            stopwatch.minutes()
            counter.advance(stop - start)
    write_atomic(folder / DISTINCT, str(order.distinct))
    rows_file.finish()
    return _finished(folder)


def _finished(folder: Path) -> Features:
    file = folder / DISTINCT
    return Features(open_array(folder / VECTORS), int(file.read_text(encoding="ascii")) if file.is_file() else None)
