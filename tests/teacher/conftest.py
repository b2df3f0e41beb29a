"""A random BERT of two small layers, and a graph of 200 entities whose types show in names and in edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kogner.records import Entity, Triple

SUBJECTS = ("acid", "fever", "gene", "tumour", "swelling", "receptor", "salt", "pain", "cell", "tissue")
WORDS = (*SUBJECTS, "of", "the", "type", "in", "red", "blue", "long", "short")


@pytest.fixture(autouse=True)
def always_one_thread(one_thread):
    """Every test here: they compare bit for bit."""


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", *WORDS, *"abcdefghijklmnopqrstuvwxyz0123456789"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=64,
            initializer_range=0.3,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def small_world() -> tuple[list[Entity], list[Triple]]:
    """200 entities of three types; `treats` chemical -> disease, `causes` gene -> disease, `is_a` within diseases."""
    rng = np.random.default_rng(11)
    kinds = {"Chemical": ("acid", "salt"), "Disease": ("fever", "tumour"), "Gene": ("gene", "receptor")}
    entities = []
    for number in range(200):
        kind = list(kinds)[number % 3 if number % 10 else 0]
        name = f"{rng.choice(kinds[kind])} {rng.choice(WORDS)} {number}"
        description = f"the {rng.choice(WORDS)} of {rng.choice(WORDS)}" if number % 2 else ""
        entities.append(Entity(f"T:{number}", kind, name, description=description))
    by_type = {kind: [entity.id for entity in entities if entity.type == kind] for kind in kinds}
    ends = {"treats": ("Chemical", "Disease"), "causes": ("Gene", "Disease"), "is_a": ("Disease", "Disease")}
    triples = {
        (str(rng.choice(by_type[head])), relation, str(rng.choice(by_type[tail])))
        for relation, (head, tail) in ends.items()
        for _ in range(170)
    }
    return entities, [Triple(*triple) for triple in sorted(triples) if triple[0] != triple[2]]


@pytest.fixture(scope="session")
def small_graph(tmp_path_factory) -> Path:
    from kogner.graph.store import build

    folder = tmp_path_factory.mktemp("graph") / "graph"
    build(*small_world(), folder)
    return folder
