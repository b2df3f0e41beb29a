"""AdamW with one peak rate for the pretrained encoders and one for the new heads, warm-up, and a schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from kogner.config import Recipe, TrainConfig
from kogner.errors import ConfigError

# The number of a layer in a parameter's name: `layer.3.` in BERT, DeBERTa and MPNet, `layers.3.` in ModernBERT.
_LAYER = re.compile(r"\b(?:layer|layers|h|block|blocks)\.(\d+)\.")


def make_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """Parameters whose name holds `encoder.model.` learn at encoder_lr, all others at head_lr.

    With layer_decay d below 1, layer k of n (from 0) learns at encoder_lr * d^(n - 1 - k), the embeddings below at
    encoder_lr * d^n (Howard and Ruder 2018, arXiv 1801.06146, section 3.2, in its geometric form). Biases and
    normalisation weights (one-dimensional tensors) are not decayed.
    """
    depths = _depths(name for name, _ in model.named_parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.head_lr
            if "encoder.model." in name:
                rate = config.encoder_lr * config.layer_decay ** _height(name, depths)
            decay = config.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
        fused=True,
    )


def freeze_layers(encoder: nn.Module, count: int) -> None:
    """Keep the `count` lowest layers of a transformer, and the embeddings below them, as they are.

    DeBERTa's embeddings of distances learn on: all layers read them, those above the frozen ones too.
    Raises ConfigError where it has fewer layers.
    """
    if not count:
        return
    layers = [
        (found and int(found[1]), name) for name, _ in encoder.named_parameters() for found in [_LAYER.search(name)]
    ]
    depth = max((layer + 1 for layer, _ in layers if layer is not None), default=0)
    if count > depth:
        raise ConfigError(f"train.freeze_layers={count}, but the encoder has {depth} layers")
    for name, parameter in encoder.named_parameters():
        found = _LAYER.search(name)
        if (int(found[1]) < count) if found else _below(name):
            parameter.requires_grad_(False)


def make_schedule(optimizer: AdamW, config: TrainConfig, *, steps: int) -> LRScheduler:
    """Linear warm-up over warmup_ratio of the steps, then cosine or linear to 0, or constant."""
    from transformers import get_scheduler

    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    schedule: LRScheduler = get_scheduler(
        name, optimizer, num_warmup_steps=int(config.warmup_ratio * steps), num_training_steps=steps
    )
    return schedule


def dist_weight(recipe: Recipe, *, step: int, steps: int) -> float:
    """b of L = a * L_lang + b * L_dist at a step (from 0), as `loss.dist_schedule` wants it.

    What falls, falls from the whole weight at the first step to 0 at the last one.
    """
    weight, kind = recipe.loss.dist_weight, recipe.loss.dist_schedule
    if kind == "warmup":
        return weight * min(1.0, (step + 1) / max(1, int(recipe.train.warmup_ratio * steps)))
    done = step / max(1, steps - 1)
    if kind == "linear-decay":
        return weight * (1 - done)
    if kind == "cosine-decay":
        return weight * 0.5 * (1 + math.cos(math.pi * done))
    return weight


def _encoder(name: str) -> str:
    return name.partition("encoder.model.")[0]


def _depths(names: Iterable[str]) -> dict[str, int]:
    """Layers of each encoder of a model."""
    depths: dict[str, int] = {}
    for name in names:
        found = _LAYER.search(name) if "encoder.model." in name else None
        if found:
            depths[_encoder(name)] = max(depths.get(_encoder(name), 0), int(found[1]) + 1)
    return depths


def _height(name: str, depths: dict[str, int]) -> int:
    """How many layers lie above a parameter, its own not counted; embeddings lie below all of them."""
    depth, found = depths.get(_encoder(name), 0), _LAYER.search(name)
    if found:
        return depth - 1 - int(found[1])
    return depth if _below(name) else 0


def _below(name: str) -> bool:
    """Whether a parameter outside of the layers lies below them all: embeddings, but not DeBERTa's of distances."""
    return "embed" in name and "rel_embeddings" not in name
