"""Who races in `benchmarks/train.py`, and on what: sentences, batches, gliner's trainer, and the parts of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TYPES = ("chemical", "disease")
WIDTH = 12
DROPOUT = 0.1  # as MiniLM's own
BCE = {"alpha": -1.0, "gamma": 0.0, "reduction": "sum", "negatives": 1.0, "masking": "none"}


@dataclass(frozen=True)
class Material:
    """The same sentences as both sides take them: examples[i] and rows[i] are one sentence."""

    examples: list[Any]
    rows: list[dict[str, Any]]

    def batches(self, size: int, count: int) -> Iterator[list[int]]:
        """Indices of the sentences of `count` batches, drawn as our training draws them."""
        from kogner.data.epochs import stream

        drawn = stream(self.examples, batch_size=size, seed=0, start=0)
        full = ([passage.start for passage in batch] for batch in drawn if len(batch) == size)
        for _ in range(count):
            yield next(full)


def recipe_of(*, encoder: str, batch: int, threads: int, dropout: float = DROPOUT, **train: Any) -> Any:
    """Our side: no graph, both encoders trained whole, one rate and clip for all."""
    from kogner.recipe import load_recipe

    values = {
        "student.encoder": encoder, "student.label_encoder": encoder, "student.max_width": WIDTH,
        "student.dropout": dropout, "loss.lang_weight": 1, "loss.dist_weight": 0, "train.batch_size": batch,
        "train.encoder_lr": 5e-5, "train.head_lr": 5e-5, "train.weight_decay": 0.01, "train.max_grad_norm": 1.0,
        "train.freeze_embeddings": False, "train.threads": threads,
    }  # fmt: skip
    values |= {f"train.{name}": value for name, value in train.items()}
    return load_recipe(None, [f"{name}={json.dumps(value)}" for name, value in values.items()])


def export(encoder: str, folder: Path) -> None:
    """Write the student that both sides start from, as gliner reads it."""
    import torch

    from kogner import artifacts
    from kogner.student import checkpoint, gliner
    from kogner.student.checkpoint import StudentInfo

    torch.manual_seed(0)
    student = checkpoint.create(recipe_of(encoder=encoder, batch=1, threads=1).student)
    with artifacts.writing(folder, kind=gliner.KIND, version=gliner.FORMAT) as building:
        gliner.save(student, StudentInfo(types=TYPES), building)


def read(corpus: Path, tokenizer: Any, limit: int) -> Material:
    """Sentences of the train split that both sides read whole, at most `limit`."""
    from kogner.data import corpora
    from kogner.data.batch import build_examples
    from kogner.text import to_sentences

    examples: list[Any] = []
    rows: list[dict[str, Any]] = []
    left_out = 0
    for document in corpora.load("corpus", str(corpus), "train").documents:
        cut, _ = to_sentences(document, keep_mentions=True)
        room = tokenizer.model_max_length
        made, _ = build_examples(
            [document], types=TYPES, rows={}, tokenizer=tokenizer, max_width=WIDTH, max_tokens=room
        )
        if len(made) != len(cut):  # a sentence of several windows
            left_out += 1
            continue
        examples += made
        for sentence in cut:
            spans = [[first, last - 1, name] for first, last, name, _ in sentence.spans]
            rows.append({"tokenized_text": list(sentence.texts), "ner": spans, "ner_label": list(TYPES)})
        if len(rows) >= limit:
            break
    if left_out:
        print(f"{left_out} documents hold a sentence of several windows: left out", file=sys.stderr)
    return Material(examples[:limit], rows[:limit])


def groups_of(model: Any) -> list[dict[str, Any]]:
    """Parameters as our optimiser divides them at one rate: biases and normalisation weights do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]


class Theirs:
    """gliner's model with what its trainer puts around it: collator, autocast, clip, AdamW."""

    def __init__(self, folder: Path, material: Material, *, dropout: float | None = None):
        import torch
        from gliner import GLiNER

        self.model = GLiNER.from_pretrained(str(folder), local_files_only=True, strict=True)
        self.model.train()
        set_dropout(self.model, dropout)
        self.collate = self.model._create_data_collator()
        self.rows = material.rows
        self.optimizer = torch.optim.AdamW(groups_of(self.model), lr=5e-5)

    def loss(self, batch: Sequence[int], *, number: int, bf16: bool) -> Any:
        """Mean over the sentences."""
        import torch

        del number
        given = self.collate([self.rows[i] for i in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return self.model(**given, **BCE).loss / len(batch)

    def step(self, batch: Sequence[int], *, number: int, bf16: bool) -> float:
        """One update; the loss before it."""
        return update(self, batch, number, bf16)


class Ours:
    """The parts of our training loop, put together as `kogner.train.loop` does."""

    def __init__(self, folder: Path, material: Material, recipe: Any, *, dropout: float | None = None):
        from kogner.student import checkpoint
        from kogner.student.encoder import special_tokens
        from kogner.train.optim import make_optimizer
        from kogner.train.sampling import Sampler
        from kogner.train.step import Trainee

        student, _ = checkpoint.open_student(folder)
        self.recipe = recipe
        self.model = Trainee(student.train(), None)
        set_dropout(self.model, dropout)
        begin, end = special_tokens(student.tokenizer)
        self.sampler = Sampler(recipe.train, TYPES, mask_id=None, specials=(len(begin), len(end)))
        self.examples = material.examples
        self.optimizer = make_optimizer(self.model, recipe.train)

    def loss(self, batch: Sequence[int], *, number: int, bf16: bool) -> Any:
        """Mean over the sentences."""
        import torch

        from kogner.data.batch import make_batch
        from kogner.train.faster import faster_steps
        from kogner.train.step import Step

        student = self.model.student
        view = self.sampler.view([self.examples[i] for i in batch], step=number)
        step = Step.of(view, number=number, dist_weight=0.0, device=student.device)
        made = make_batch(view.examples, max_width=WIDTH, pad_id=student.tokenizer.pad_token_id or 0)
        with faster_steps("cpu"), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            self.labels = self.model.labels(step)
            return self.model.losses(made, self.labels, step, self.recipe)[0]

    def step(self, batch: Sequence[int], *, number: int, bf16: bool) -> float:
        """One update; the loss before it."""
        return update(self, batch, number, bf16)


def update(side: Theirs | Ours, batch: Sequence[int], number: int, bf16: bool) -> float:
    """Loss, gradients, clip, AdamW: the same calls on both sides."""
    import torch

    loss = side.loss(batch, number=number, bf16=bf16)
    value = float(loss.detach())
    loss.backward()
    if isinstance(side, Ours):
        side.labels.backward()
    torch.nn.utils.clip_grad_norm_([p for p in side.model.parameters() if p.requires_grad], 1.0)
    side.optimizer.step()
    side.optimizer.zero_grad(set_to_none=True)
    return value


def set_dropout(model: Any, share: float | None) -> None:
    """Give every dropout of a model this share; None leaves them."""
    import torch

    for module in model.modules():
        if share is not None and isinstance(module, torch.nn.Dropout):
            module.p = share
