"""Long texts: what is found in the whole is what is found in its windows, and nothing of earlier texts is kept."""

from __future__ import annotations

import dataclasses
import gc
import random
import weakref
from bisect import bisect_left, bisect_right
from itertools import pairwise

import pytest
import torch

from kogner.annotate.predictor import Predictor, Settings
from kogner.config import MAX_WORDS, StudentConfig
from kogner.records import Document
from kogner.student.checkpoint import create
from kogner.student.encoder import special_tokens, tokenise
from kogner.student.windows import windows
from kogner.text import to_sentences

LABELS = ["chemical", "disease"]
WORDS = (
    "the",
    "of",
    "and",
    "in",
    "aspirin",
    "fever",
    "lowered",
    "by",
    "rats",
    "headache",
    "morphine",
    "il",
    "no",
    "zyx",
)
# One window a batch, so that both sides multiply matrices of the same shapes and every bit of a score is the same.
EXACT = Settings(threshold=0.001, overlap="all", multi_label=True, token_budget=1)


def student_of(tiny_encoder, width):
    torch.manual_seed(width)
    return create(StudentConfig(encoder=str(tiny_encoder), max_width=width, dropout=0.0)).eval()


def text_of(count, seed):
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(count))


def keys(mentions):
    return [(m.start, m.end, m.type, m.score) for m in mentions]


def pieces_of(student, text):
    """The windows of a text of one sentence, each with its place in the text, and the sentence."""
    (sentence,), _ = to_sentences(Document("text", text))
    (whole,) = tokenise(student.tokenizer, [sentence.texts])
    begin, end = special_tokens(student.tokenizer)
    cut = windows(
        whole,
        specials=(len(begin), len(end)),
        max_tokens=student.text_limit,
        max_words=MAX_WORDS,
        max_width=student.config.max_width,
    )
    return sentence, cut


@pytest.mark.parametrize(("count", "widths"), [(8_000, [4]), (1_000, [1, 2, 7, 29])])
def test_a_long_text_holds_what_its_windows_hold(tiny_encoder, count, widths):
    for width in widths:
        student = student_of(tiny_encoder, width)
        predictor = Predictor(student)
        text = text_of(count, seed=width)
        sentence, cut = pieces_of(student, text)
        assert len(cut) > count // 60
        assert [start for window in cut for start in range(*window.owned)] == list(range(count))
        expected = []
        for number, window in enumerate(cut):
            last = window.first + len(window.encoded.first) - 1
            begin, end = sentence.words[window.first][0], sentence.words[last][1]
            found = predictor.predict_text(text[begin:end], labels=LABELS, settings=EXACT)
            owned = range(sentence.words[window.owned[0]][0], sentence.words[window.owned[1] - 1][1])
            expected += [(m.start + begin, m.end + begin, m.type, m.score) for m in found if m.start + begin in owned]
            if number + 1 < len(cut):
                beyond = sentence.words[window.owned[1]][0]
                assert all(m.end + begin <= end for m in found if m.start + begin < beyond)
        whole = keys(predictor.predict_text(text, labels=LABELS, settings=EXACT))
        assert len(whole) == len(set(whole)), "an entity is doubled"
        assert sorted(whole) == sorted(expected)
        widest = max(len(text[start:end].split()) for start, end, _, _ in whole)
        assert widest == width, "no span of the largest width was compared"
        assert len(whole) > count * width


def test_entities_that_must_not_overlap_are_chosen_over_the_whole_text(tiny_encoder):
    """Choosing per window and joining the choices would not do: at a border both sides would choose."""
    student = student_of(tiny_encoder, 6)
    predictor = Predictor(student)
    text = text_of(2_000, seed=0)
    every = predictor.predict_text(text, labels=LABELS, settings=EXACT)
    flat = predictor.predict_text(text, labels=LABELS, settings=Settings(threshold=0.001, token_budget=1))
    assert len(flat) > 300
    assert all(one.end <= other.start for one, other in pairwise(flat))
    chosen = {m.key for m in flat}
    assert chosen <= {m.key for m in every}
    # What makes a choice the greedy one, whatever the order of equal scores (they are rounded here): each span that was
    # left out shares words with a chosen one that scores at least as much.
    starts, ends = [m.start for m in flat], [m.end for m in flat]
    left_out = [m for m in every if m.key not in chosen]
    assert len(left_out) > 1000
    for span in left_out:
        over = flat[bisect_right(ends, span.start) : bisect_left(starts, span.end)]
        assert max(m.score for m in over) >= span.score


def test_other_batches_change_scores_by_rounding_only(tiny_encoder):
    student = student_of(tiny_encoder, 5)
    predictor = Predictor(student)
    text = text_of(5_000, seed=1)
    alone = {m.key: m.score for m in predictor.predict_text(text, labels=LABELS, settings=EXACT)}
    larger = dataclasses.replace(EXACT, token_budget=4096)
    together = {m.key: m.score for m in predictor.predict_text(text, labels=LABELS, settings=larger)}
    differing = alone.keys() ^ together.keys()
    assert all((alone | together)[key] < 0.00101 + 1e-4 for key in differing), "only at the threshold may they differ"
    both = alone.keys() & together.keys()
    assert len(both) > 10_000
    assert max(abs(alone[key] - together[key]) for key in both) <= 1e-4 + 1e-9


class Tracked(Document):
    """A document that can be referred to weakly."""


def test_a_stream_keeps_no_earlier_document(tiny_encoder):
    predictor = Predictor(student_of(tiny_encoder, 4))
    living: list[weakref.ref[Document]] = []

    def documents():
        for number in range(60):
            document = Tracked(str(number), text_of(20, seed=number))
            living.append(weakref.ref(document))
            yield document

    most = 0
    found = predictor.predict(documents(), labels=LABELS, settings=Settings(threshold=0.02, block=500))
    for number, _ in enumerate(found):
        if number % 15 == 14:
            gc.collect()
            most = max(most, sum(reference() is not None for reference in living))
    assert len(living) == 60
    assert most <= 16, "more than two blocks of about six documents are alive"


def test_empty_texts_do_not_pile_up(tiny_encoder):
    predictor = Predictor(student_of(tiny_encoder, 4))
    read = []
    documents = (read.append(number) or Document(str(number), "") for number in range(1000))
    next(iter(predictor.predict(documents, labels=LABELS, settings=Settings(block=100))))
    assert len(read) == 100


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(tiny_encoder):
    resource = pytest.importorskip("resource")
    predictor = Predictor(student_of(tiny_encoder, 5))
    draw = random.Random(0)
    documents = (
        Document(str(number), " ".join(draw.choices(WORDS, k=draw.randint(1, 60)))) for number in range(20_000)
    )
    peaks = []
    settings = Settings(threshold=0.05)
    for number, _ in enumerate(predictor.predict(documents, labels=LABELS, settings=settings)):
        if number in (8_000, 19_999):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    # What oneDNN keeps for each shape of a batch still grows a little, towards a bound of its own.
    assert peaks[1] - peaks[0] < 100, f"peak memory grew from {peaks[0]:.0f} to {peaks[1]:.0f} MB"
