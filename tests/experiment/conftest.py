"""A plan of tiny trainings on the small corpus that trainings are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.train import conftest as small

bank, corpus = small.bank, small.corpus


@pytest.fixture
def plan(tmp_path, corpus, bank, tiny_encoder):
    raw = {
        "name": "tiny",
        "bank": str(bank),
        "seeds": 1,
        "set": [f"student.encoder={tiny_encoder}", "train.steps=2", "train.eval_every=100000", "train.batch_size=4"],
        "corpora": {"mine": str(corpus)},
        "stages": {"first": {"train": ["mine"], "set": ["loss.dist_weight=0"]}},
        "settings": {"half": {"train": ["mine"], "test": ["mine"], "share": 0.5}, "other": {"train": ["mine"]}},
        "arms": {
            "no-graph": {"set": ["loss.dist_weight=0"], "only": ["half"]},
            "staged": {"initial": "first", "set": ["loss.dist_weight=0"], "only": ["half"]},
            "mse": {"only": ["half"]},
        },
        "compare": [["mse", "no-graph"]],
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def changed(path: Path, **changes):
    raw = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path
