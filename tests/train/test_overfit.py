"""Both architectures learn 100 real sentences by heart: what was left over would be a fault of the head or the loss."""

from __future__ import annotations

import dataclasses

import pytest

from kogner.data import corpora
from kogner.errors import KognerError
from kogner.recipe import load_recipe
from kogner.text import sentences
from kogner.train.loop import train
from kogner.train.splits import Split

pytestmark = pytest.mark.slow


def one_by_one(documents, count):
    """The first sentences, each as a document of its own with the mentions that lie inside it."""
    found = []
    for document in documents:
        for start, end in sentences(document.text):
            mentions = tuple(
                dataclasses.replace(mention, start=mention.start - start, end=mention.end - start)
                for mention in document.mentions
                if start <= mention.start and mention.end <= end
            )
            text = document.text[start:end]
            found.append(dataclasses.replace(document, id=f"{document.id}-{start}", text=text, mentions=mentions))
    return found[:count]


@pytest.mark.parametrize("architecture", ["bi", "uni"])
def test_a_hundred_sentences_are_learnt_by_heart(shared, tmp_path, architecture):
    from kogner import encoders

    try:
        encoders.load("minilm")
    except KognerError:
        pytest.skip("the encoder minilm is not here (make .venv/.minilm)")
    corpus = corpora.load("bc5cdr", shared / "corpora" / "bc5cdr", "train")
    documents = one_by_one(corpus.documents, 100)
    recipe = load_recipe(
        None,
        [
            "student.encoder=minilm", f"student.architecture={architecture}", "student.dropout=0", "loss.dist_weight=0",
            "train.epochs=60", "train.batch_size=16", "train.encoder_lr=0.0001", "train.head_lr=0.0005",
            "train.eval_every=105", "train.drop_types=0",
        ],
    )  # fmt: skip
    metrics = train(recipe, [Split("hundred", documents, documents, tuple(sorted(corpus.types)))], tmp_path / "out")
    assert metrics["dev"]["hundred"]["gold"] > 100
    assert metrics["dev"]["hundred"]["f1"] > 99
