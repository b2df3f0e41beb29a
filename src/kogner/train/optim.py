"""AdamW with one peak rate for the pretrained encoders and one for the new heads, warm-up, and a schedule."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from kogner.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """Parameters whose name holds `encoder.model.` learn at encoder_lr, all others at head_lr.

    Biases and normalisation weights (one-dimensional tensors) are not decayed.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.encoder_lr if "encoder.model." in name else config.head_lr
            decay = config.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
        fused=True,
    )


def make_schedule(optimizer: AdamW, config: TrainConfig, *, steps: int) -> LRScheduler:
    """Linear warm-up over warmup_ratio of the steps, then cosine or linear to 0, or constant."""
    from transformers import get_scheduler

    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    schedule: LRScheduler = get_scheduler(
        name, optimizer, num_warmup_steps=int(config.warmup_ratio * steps), num_training_steps=steps
    )
    return schedule
