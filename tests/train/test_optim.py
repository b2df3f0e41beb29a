from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from kogner.config import TrainConfig
from kogner.errors import ConfigError
from kogner.recipe import load_recipe
from kogner.train.optim import dist_weight, freeze_layers, make_optimizer


def rates(model: nn.Module, config: TrainConfig) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = make_optimizer(model, config).param_groups
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def test_lower_layers_learn_more_slowly(tiny_student):
    found = rates(tiny_student, TrainConfig(encoder_lr=1e-4, head_lr=1e-3, layer_decay=0.5))
    for name, rate in found.items():
        expected = 1e-3
        if "encoder.model.encoder.layer.1." in name:
            expected = 1e-4
        elif "encoder.model.encoder.layer.0." in name:
            expected = 0.5e-4
        elif "encoder.model.embeddings." in name:
            expected = 0.25e-4
        assert rate == pytest.approx(expected), name
    assert {round(rate, 9) for rate in found.values()} == {1e-3, 1e-4, 0.5e-4, 0.25e-4}


def test_without_decay_an_encoder_has_one_rate(tiny_student):
    found = rates(tiny_student, TrainConfig(encoder_lr=1e-4, head_lr=1e-3))
    assert set(found.values()) == {1e-4, 1e-3}


def test_layers_of_modernbert_are_found():
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(
        vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, pad_token_id=0,
    )  # fmt: skip
    holder = nn.Module()
    holder.text_encoder = nn.Module()
    holder.text_encoder.model = ModernBertModel(config)
    found = rates(holder, TrainConfig(encoder_lr=1.0, layer_decay=0.5))
    assert found["text_encoder.model.layers.0.mlp.Wi.weight"] == 0.25
    assert found["text_encoder.model.embeddings.tok_embeddings.weight"] == 0.125
    assert found["text_encoder.model.final_norm.weight"] == 1.0
    freeze_layers(holder.text_encoder.model, 2)
    trained = {name for name, parameter in holder.named_parameters() if parameter.requires_grad}
    assert {name.split("layers.")[-1][0] for name in trained if "layers." in name} == {"2"}
    assert not any("embed" in name for name in trained)


def test_frozen_layers_take_the_embeddings_with_them(tiny_student):
    model = tiny_student.text_encoder.model
    freeze_layers(model, 1)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == ("layer.1." in name), name


def test_embeddings_of_distances_which_all_layers_of_deberta_read_learn_on():
    from transformers import DebertaV2Config, DebertaV2Model

    config = DebertaV2Config(
        vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        relative_attention=True, norm_rel_ebd="layer_norm", position_buckets=4, pos_att_type=["p2c", "c2p"],
    )  # fmt: skip
    holder = nn.Module()
    holder.text_encoder = nn.Module()
    holder.text_encoder.model = DebertaV2Model(config)
    found = rates(holder, TrainConfig(encoder_lr=1.0, layer_decay=0.5))
    assert found["text_encoder.model.encoder.rel_embeddings.weight"] == 1.0
    freeze_layers(holder.text_encoder.model, 1)
    trained = {name for name, parameter in holder.text_encoder.model.named_parameters() if parameter.requires_grad}
    assert "encoder.rel_embeddings.weight" in trained
    assert not any(name.startswith("embeddings.") or "layer.0." in name for name in trained)


def test_more_frozen_layers_than_there_are_is_an_error(tiny_student):
    with pytest.raises(ConfigError, match=r"freeze_layers=3, but the encoder has 2 layers"):
        freeze_layers(tiny_student.text_encoder.model, 3)


def weights(kind: str, steps: int = 20) -> list[float]:
    recipe = load_recipe("small", [f"loss.dist_schedule={kind}", "loss.dist_weight=0.2", "train.warmup_ratio=0.25"])
    return [dist_weight(recipe, step=step, steps=steps) for step in range(steps)]


def test_schedules_of_the_distillation_weight():
    assert weights("constant") == [0.2] * 20
    assert weights("warmup") == pytest.approx([0.04, 0.08, 0.12, 0.16] + [0.2] * 16)
    assert weights("linear-decay") == pytest.approx([0.2 * (1 - k / 19) for k in range(20)])
    assert weights("cosine-decay") == pytest.approx([0.1 * (1 + math.cos(math.pi * k / 19)) for k in range(20)])
    for kind in ("linear-decay", "cosine-decay"):
        assert weights(kind)[-1] == pytest.approx(0, abs=1e-12)
        assert weights(kind, steps=1) == [0.2]
    assert torch.tensor(weights("cosine-decay")).diff().max() < 0
