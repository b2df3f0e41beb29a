from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kogner.annotate import head
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import InputError, KognerError
from kogner.records import Document
from kogner.student.checkpoint import StudentInfo

LABELS = ["chemical", "disease"]
LOW = Settings(threshold=0.02, token_budget=300)


@pytest.fixture
def predictor(tiny_student):
    return Predictor(tiny_student)


def keys(document: Document) -> list[tuple[int, int, str, float]]:
    return [(m.start, m.end, m.type, m.score) for m in document.mentions]


TEXTS = [
    "Aspirin lowered the fever of rats. Morphine caused no pain, was it?",
    "no",
    "IL-2 gene with 5-(2,4-xy)z ibuprofen; headache!  Two  blanks.",
    "Fever 🤒 in ra\u0301ts\r\n\r\nand α-morphine — with pain\tby aspirin.",
]


def test_spans_slice_the_text_they_name(predictor):
    documents = [Document(str(i), text) for i, text in enumerate(TEXTS)]
    found = list(predictor.predict(documents, labels=LABELS, settings=LOW))
    assert [d.id for d in found] == [d.id for d in documents]
    assert sum(len(d.mentions) for d in found) > 5
    for document in found:
        for mention in document.mentions:
            assert document.text[mention.start : mention.end] == mention.text
            assert mention.score >= 0.02
        ends = [m.end for m in document.mentions]
        starts = [m.start for m in document.mentions]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False)), "flat spans overlap"


def test_batching_changes_nothing(predictor):
    documents = [Document(str(i), TEXTS[i % 4] * (1 + i % 3)) for i in range(12)]
    alone = [keys(next(iter(predictor.predict([d], labels=LABELS, settings=LOW)))) for d in documents]
    small = dataclasses.replace(LOW, block=100)
    for settings in (LOW, small, dataclasses.replace(LOW, token_budget=10_000)):
        together = [keys(d) for d in predictor.predict(documents, labels=LABELS, settings=settings)]
        assert [[k[:3] for k in d] for d in together] == [[k[:3] for k in d] for d in alone]
        for one, other in zip(together, alone, strict=True):
            assert [k[3] for k in one] == pytest.approx([k[3] for k in other], abs=2e-4)


def test_a_text_longer_than_the_window_is_read_to_its_end(predictor):
    text = " ".join(["rats with aspirin and fever"] * 400)
    (found,) = predictor.predict([Document("long", text)], labels=LABELS, settings=LOW)
    assert len(found.mentions) > 50
    last = max(m.end for m in found.mentions)
    assert last > len(text) - 100


def test_a_word_of_one_megabyte(predictor):
    text = "a" * 1_000_000 + " rats"
    (found,) = predictor.predict([Document("line", text)], labels=LABELS, settings=Settings(threshold=0.001))
    assert found.mentions[-1].text.endswith("rats")


def test_two_hundred_kilobytes_of_dense_entities_on_one_line(predictor):
    text = "rats " * 40_000
    settings = Settings(threshold=0.001)
    (found,) = predictor.predict([Document("line", text)], labels=["chemical"], settings=settings)
    assert len(found.mentions) > 1000
    assert found.mentions[-1].end > len(text) - 30


def test_per_label_thresholds_and_the_checkpoints_own(tiny_student):
    fitted = Predictor(tiny_student, StudentInfo(thresholds={"chemical": 0.02}, default_threshold=0.99))
    found = fitted.predict_text(TEXTS[0], labels=LABELS)
    assert {m.type for m in found} <= {"chemical"}
    assert found
    raised = fitted.predict_text(TEXTS[0], labels=LABELS, settings=Settings(thresholds={"chemical": 0.99}))
    assert raised == []


def test_nested_spans_lie_inside_each_other_and_never_cross(predictor):
    flat = predictor.predict_text(TEXTS[0], labels=LABELS, settings=LOW)
    nested = predictor.predict_text(TEXTS[0], labels=LABELS, settings=dataclasses.replace(LOW, nested=True))
    assert len(nested) > len(flat)
    for a in nested:
        for b in nested:
            crossing = a.start < b.start < a.end < b.end
            assert not crossing


def test_spans_without_end_are_an_error_where_a_limit_is_set(predictor):
    low = Settings(threshold=0.001, overlap="all")
    found = len(predictor.predict_text(TEXTS[0], labels=LABELS, settings=low))
    every = dataclasses.replace(low, multi_label=True)
    all_of_them = len(predictor.predict_text(TEXTS[0], labels=LABELS, settings=every))
    assert all_of_them > found > 20
    bounded = dataclasses.replace(low, max_candidates=all_of_them)
    assert len(predictor.predict_text(TEXTS[0], labels=LABELS, settings=bounded)) == found
    with pytest.raises(InputError, match="raise the threshold"):
        tight = dataclasses.replace(low, max_candidates=all_of_them - 1)
        predictor.predict_text(TEXTS[0], labels=LABELS, settings=tight)


def test_five_hundred_labels(predictor):
    labels = [f"type {number}" for number in range(500)]
    assert predictor.predict_text("aspirin lowered fever", labels=labels, settings=Settings(threshold=0.99)) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no labels given"),
        (["", " "], "no labels given"),
        (["gene", ""], "one of the labels is empty"),
        (["gene", "\u200b"], "one of the labels is empty"),
        (None, "must be a list of strings"),
        (["gene", 3], "labels must be strings, not 3"),
        (["gene", "gene "], "given more than once"),
        ([f"t{i}" for i in range(2001)], "the limit is 2000"),
        (["dis\udcffease"], r"label 'dis\\udcffease' is not UTF-8"),
        (["long " * 200], "sub-tokens, the label encoder reads 64"),
    ],
)
def test_bad_labels_are_clear_errors(predictor, labels, message):
    with pytest.raises(InputError, match=message):
        predictor.predict_text("aspirin", labels=labels)


def test_a_threshold_is_found_whatever_blanks_its_label_has(predictor):
    assert not predictor.predict_text("aspirin", labels=[" drug "], settings=Settings(thresholds={" drug": 0.999}))


def test_scores_that_saturate_are_told_apart_by_a_temperature(tiny_student, monkeypatch):
    search = head.search

    def raised(*given, **how):
        index, logits = search(*given, **how)
        return index, torch.full_like(logits, 20.0) + torch.arange(len(logits))

    monkeypatch.setattr(head, "search", raised)
    settings = Settings(threshold=0.001, overlap="all", digits=9)
    scores = []
    for temperature in (1.0, 4.0):
        predictor = Predictor(tiny_student, StudentInfo(temperatures={"drug": temperature}))
        found = predictor.predict_text("aspirin lowered fever", labels=["drug"], settings=settings)
        scores.append(sorted(mention.score for mention in found))
    assert scores[0] == [1.0] * 6
    assert scores[1] == pytest.approx([1 / (1 + np.exp(-(20 + number) / 4)) for number in range(6)], abs=1e-8)


def test_the_first_results_do_not_wait_for_a_whole_block(predictor):
    read = []

    def documents():
        for number in range(1000):
            read.append(number)
            yield Document(str(number), "aspirin lowered fever " * 20)

    next(predictor.predict(documents(), labels=LABELS))
    assert len(read) < 100


def test_bad_thresholds_are_clear_errors(predictor):
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        Settings(threshold=1.5)
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        Settings(threshold="0.5")
    with pytest.raises(InputError, match="must be a mapping of labels to numbers"):
        Settings(thresholds=[0.5])
    with pytest.raises(InputError, match="block='a' must be a whole number"):
        Settings(block="a")
    with pytest.raises(InputError, match="'gene', which is not among the labels"):
        predictor.predict_text("aspirin", labels=LABELS, settings=Settings(thresholds={"gene": 0.5}))


def test_label_vectors_are_made_once(tiny_student, monkeypatch):
    predictor = Predictor(tiny_student)
    asked = []
    encode = tiny_student.encode_labels
    monkeypatch.setattr(tiny_student, "encode_labels", lambda labels: asked.extend(labels) or encode(labels))
    for text in TEXTS:
        predictor.predict_text(text, labels=LABELS)
    predictor.predict_text("aspirin", labels=["gene", *LABELS])
    assert asked == [*LABELS, "gene"]


def test_nothing_is_kept_while_the_student_is_trained(tiny_student):
    predictor = Predictor(tiny_student)
    predictor.predict_text("aspirin", labels=LABELS)
    assert predictor._labels.vectors
    tiny_student.train()
    predictor.predict_text("aspirin", labels=LABELS)
    assert tiny_student.training
    assert not predictor._labels.vectors
    assert not predictor._engines


def step(student):
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.05)
    for weight in student.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()


def by_hand(student):
    with torch.no_grad():
        student.type_head[3].bias.add_(1.0)


def load(student):
    student.load_state_dict({name: tensor * 1.1 for name, tensor in student.state_dict().items()})


def rounded(student):
    student.half().float()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("change", [step, by_hand, load, rounded])
def test_changed_weights_are_seen(tiny_student, change, training):
    """Engines and label vectors are made anew, whether or not somebody predicted while the weights changed."""
    predictor = Predictor(tiny_student)
    settings = Settings(threshold=0.001, overlap="all", multi_label=True)
    before = predictor.predict_text(TEXTS[0], labels=LABELS, settings=settings)
    tiny_student.train(training)
    change(tiny_student)
    tiny_student.eval()
    after = predictor.predict_text(TEXTS[0], labels=LABELS, settings=settings)
    assert after == Predictor(tiny_student).predict_text(TEXTS[0], labels=LABELS, settings=settings)
    if change is not rounded:  # which moves scores by less than their four digits show
        assert after != before


def test_labels_as_one_string_are_not_read_as_letters(predictor):
    with pytest.raises(InputError, match="one string"):
        predictor.predict_text("aspirin", labels="drug")


def test_a_source_that_fails_loses_nothing_that_it_gave(predictor):
    def source():
        for number in range(5):
            yield Document(str(number), TEXTS[0])
        raise ConnectionError("gone")

    found = []
    with pytest.raises(ConnectionError, match="gone"):
        for document in predictor.predict(source(), labels=LABELS, settings=LOW):
            found.append(document)
    assert [document.id for document in found] == ["0", "1", "2", "3", "4"]


def test_results_do_not_wait_where_nothing_else_is_there_yet(predictor):
    given = []

    def source():
        for number in (0, 1, None, 2):
            given.append(number)
            yield None if number is None else Document(str(number), TEXTS[0])

    stream = predictor.predict(source(), labels=LABELS, settings=LOW)
    assert [next(stream).id, next(stream).id] == ["0", "1"]
    assert given == [0, 1, None]
    assert [document.id for document in stream] == ["2"]


@pytest.mark.parametrize("part", ["start.0", "end.3", "out.0", "out.3"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_the_head_that_are_not_finite_are_an_error(tiny_student, part, value):
    with torch.no_grad():
        tiny_student.span_head.get_submodule(part).weight[0, 0] = value
    with pytest.raises(KognerError, match="not finite"):
        Predictor(tiny_student).predict_text(TEXTS[0], labels=LABELS)


def test_more_threads_than_any_machine_has_are_refused():
    with pytest.raises(InputError, match="threads=1000000000, the limit is 1024"):
        Settings(threads=10**9)


def test_numbers_of_numpy_are_thresholds(predictor):
    plain, theirs = (
        predictor.predict_text(TEXTS[0], labels=LABELS, settings=Settings(threshold=value))
        for value in (0.25, np.float32(0.25))
    )
    assert plain == theirs
