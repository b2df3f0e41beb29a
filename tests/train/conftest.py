"""A small made-up corpus, and a bank of random vectors for the entities it links to."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

DRUGS = {"aspirin": "X:1", "ibuprofen": "X:2", "morphine": "X:3"}
ILLS = {"fever": "X:4", "headache": "X:5", "pain": "X:6"}
FRAMES = ["{a} lowered the {b} in rats .", "no {b} was caused by {a}", "the {b} of rats with {a}", "{a} and {a} in {b}"]


def lines(kind: str) -> list[str]:
    found = []
    for number, (frame, a, b) in enumerate(itertools.product(FRAMES, DRUGS, ILLS)):
        text = frame.format(a=a, b=b)
        mentions = []
        for name, entity, label in ((a, DRUGS[a], "chemical"), (b, ILLS[b], "disease")):
            start = text.find(name)
            while start >= 0:
                end = start + len(name)
                mentions.append(
                    {"start": start, "end": end, "text": name, "type": label, "ids": [entity], "entity": entity}
                )
                start = text.find(name, end)
        raw = {"id": f"{kind}{number}", "text": text, "types": ["chemical", "disease"], "mentions": mentions}
        found.append(json.dumps(raw))
    return found


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for split in ("train", "dev", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(lines(split)) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def bank(tmp_path_factory) -> Path:
    from kogner.teacher.bank import write_bank

    random = np.random.default_rng(0)
    widths = {"Z": 8, "Z'": 4, "Z''": 4}
    parts = {name: random.normal(size=(20, width)).astype(np.float16) for name, width in widths.items()}
    folder = tmp_path_factory.mktemp("bank") / "bank"
    ids = [f"X:{number}" for number in range(1, 21)]
    write_bank(folder, ids, parts, keys={}, parents={"graph": "0" * 64}, recipe={}, metrics={})
    return folder


@pytest.fixture(scope="session")
def still_encoder(tiny_encoder, tmp_path_factory) -> Path:
    """The tiny encoder without dropout of its own, and with a mask token."""
    folder = tmp_path_factory.mktemp("still") / "encoder"
    shutil.copytree(tiny_encoder, folder)
    for name, changes in {
        "config.json": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "tokenizer_config.json": {"mask_token": "[MASK]"},
    }.items():
        raw = json.loads((folder / name).read_text(encoding="utf-8")) | changes
        (folder / name).write_text(json.dumps(raw), encoding="utf-8")
    return folder
