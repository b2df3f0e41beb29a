from __future__ import annotations

from dataclasses import replace

import pytest

from kogner import encoders
from kogner.data.batch import SPLIT, WIDER, build_examples, make_batch
from kogner.data.epochs import Readings, take
from kogner.records import Document, Mention

TYPES = ("chemical", "disease", "gene")


def document(text: str, *mentions: tuple[str, str, str | None], types: tuple[str, ...] = TYPES[:2]) -> Document:
    made = []
    for name, kind, entity in mentions:
        start = text.index(name)
        made.append(Mention(start, start + len(name), kind, text=name, entity=entity))
    return Document("d", text, tuple(made), frozenset(types))


@pytest.fixture
def build(tiny_encoder):
    tokenizer = encoders.load(str(tiny_encoder))[0]

    def run(*documents: Document, **options: int):
        settings = {"max_width": 3, "max_tokens": 64, "rows": {"X:1": 0}} | options
        return build_examples(documents, types=TYPES, tokenizer=tokenizer, **settings)

    return run


def test_targets_mark_gold_spans_and_the_mask_marks_annotated_types(build):
    text = "aspirin lowered morphine pain"
    examples, counts = build(
        document(text, ("aspirin", "chemical", "X:1"), ("morphine pain", "disease", None)),
        document("il with no gene", ("il", "gene", None), types=("gene",)),
    )
    batch = make_batch(examples, max_width=3, pad_id=0)
    assert batch.targets.sum() == 3
    assert batch.targets[0, 0, 0, 0] == batch.targets[0, 2, 1, 1] == batch.targets[1, 0, 0, 2] == 1
    assert batch.type_mask.tolist() == [[True, True, False], [False, False, True]]
    assert batch.linked.tolist() == [[0, 0, 0]]
    assert batch.rows.tolist() == [0]
    assert counts == {"mentions": 3, "linked": 1}


def test_unreachable_mentions_are_counted_by_reason(build):
    text = "pain of the rats with fever was caused by aspirin and morphine"
    _, counts = build(document(text, ("pain of the rats", "disease", None), ("aspirin", "chemical", None)))
    assert counts[WIDER] == 1
    assert counts["mentions"] == 2


def test_long_sentences_become_windows_and_no_short_mention_is_lost(build):
    text = " ".join(["rats"] * 100 + ["aspirin"] + ["pain"] * 100)
    examples, counts = build(document(text, ("aspirin", "chemical", "X:1")), max_tokens=20)
    assert len(examples) > 10
    assert counts[SPLIT] == 0
    assert sum(len(example.spans) for example in examples) >= 1
    assert max(len(example.encoded.ids) for example in examples) <= 20


def test_unsure_spans_are_no_negatives_of_their_type(build):
    text = "aspirin lowered morphine pain"
    doubt = Mention(text.index("morphine"), len(text), "disease", text="morphine pain")
    certain = document(text, ("aspirin", "chemical", None), ("pain", "disease", None))
    (example,), counts = build(replace(certain, unsure=(doubt,)))
    assert example.unsure.tolist() == [[2, 3, 1]] and counts["mentions"] == 2
    batch = make_batch([example], max_width=3, pad_id=0)
    unknown = batch.unknown[0]
    assert not unknown[..., 0].any() and not unknown[:2, 0].any()  # another type, words before it
    assert unknown[2, 0, 1] and unknown[2, 1, 1] and unknown[1, 1, 1] and unknown[0, 2, 1]  # all that share a word
    assert not unknown[3, 0, 1] and batch.targets[0, 3, 0, 1] == 1  # a mention inside it stays one
    assert make_batch(build(certain)[0], max_width=3, pad_id=0).unknown is None


def test_unsure_spans_are_cut_with_the_window_and_joined_with_the_passage(build):
    text = " ".join(["aspirin", "lowered", "morphine", "pain"] * 8)
    doubt = Mention(text.index("morphine"), text.rindex("pain"), "disease")
    examples, _ = build(replace(document(text), unsure=(doubt,)), max_tokens=24)
    assert len(examples) > 1
    for example in examples:
        assert (example.unsure[:, 0] >= 0).all() and (example.unsure[:, 1] < len(example.encoded.first)).all()
    one, two = (build(replace(document("morphine pain"), unsure=(Mention(0, 8, "disease"),)))[0][0] for _ in range(2))
    (joined,) = take([one, two], [range(2)], Readings(1.0, 64, (1, 1)))
    assert joined.unsure.tolist() == [[0, 0, 1], [2, 2, 1]]
