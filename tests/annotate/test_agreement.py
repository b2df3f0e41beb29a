"""Places of one text in a document: what is found because of others, what is lost, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kogner.annotate.agreement import FLOOR, settled
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import InputError
from kogner.records import Document
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import Candidate


def spans(text: str, *found: tuple[str, int, float], kind: int = 0) -> list[Candidate]:
    """Candidates of (text, which of its places, score)."""
    made = []
    for written, number, score in found:
        at = -1
        for _ in range(number + 1):
            at = text.lower().index(written.lower(), at + 1)
        made.append(Candidate(at, at + len(written), kind, score))
    return made


def settle(text, chosen, others, weight=0.5, threshold=0.5):
    found = settled(text, chosen, others, thresholds=[threshold] * 2, weights=[weight] * 2)
    return [(text[one.start : one.end], one.start, one.score) for one in found]


TEXT = "Zincol helped. With zincol none fell ill; zincol again."


def test_what_is_found_in_one_place_is_found_in_others_that_score_enough():
    chosen = spans(TEXT, ("zincol", 0, 0.97))
    others = spans(TEXT, ("zincol", 1, 0.2), ("zincol", 2, FLOOR / 2))
    found = settle(TEXT, chosen, others)
    assert [(written, start) for written, start, _ in found] == [("Zincol", 0), ("zincol", 20)]
    # halfway between the logits of 0.2 and 0.97
    assert found[0][2] == 0.97 and found[1][2] == pytest.approx(0.7398, abs=1e-4)
    assert settle(TEXT, chosen, others, weight=0.0) == [("Zincol", 0, 0.97)]


def test_what_is_nowhere_else_found_is_lost_where_it_was_unsure():
    assert settle(TEXT, spans(TEXT, ("zincol", 0, 0.7)), []) == []
    assert settle(TEXT, spans(TEXT, ("zincol", 0, 0.97)), []) == [("Zincol", 0, 0.97)]
    assert settle("Zincol helped.", spans(TEXT, ("zincol", 0, 0.7)), []) == [("Zincol", 0, 0.7)]  # no other place


def test_places_inside_other_entities_and_words_are_no_places():
    text = "Zinc fell, zinc oxide rose; zincs did not."
    chosen = spans(text, ("zinc", 0, 0.7), ("zinc oxide", 0, 0.9))
    assert settle(text, chosen, spans(text, ("zinc", 1, 0.3), ("zinc", 2, 0.3))) == [
        ("Zinc", 0, 0.7), ("zinc oxide", 11, 0.9)
    ]  # fmt: skip


def test_capitals_are_another_text():
    text = "AS is an illness, as is said. AS again."
    assert settle(text, spans(text, ("as", 0, 0.7)), spans(text, ("as", 1, 0.1), ("as", 2, 0.4))) == [
        ("AS", 0, 0.7), ("AS", 30, pytest.approx(0.555, abs=0.01))
    ]  # fmt: skip


def test_types_do_not_speak_for_each_other_and_added_ones_do_not_overlap():
    chosen = spans(TEXT, ("zincol", 0, 0.97))
    assert settle(TEXT, chosen, spans(TEXT, ("zincol", 1, 0.4), kind=1)) == [("Zincol", 0, 0.97)]
    text = "ab cd. cd ef. ab cd ef."
    chosen = spans(text, ("ab cd", 0, 0.97), ("cd ef", 0, 0.97))
    found = settle(text, chosen, spans(text, ("ab cd", 1, 0.4), ("cd ef", 1, 0.3)))
    assert [(written, start) for written, start, _ in found] == [("ab cd", 0), ("cd ef", 7), ("ab cd", 14)]


def test_several_labels_of_a_span_do_not_block_each_other():
    chosen = [*spans(TEXT, ("zincol", 0, 0.97)), *spans(TEXT, ("zincol", 0, 0.95), kind=1)]
    chosen += spans(TEXT, ("zincol", 1, 0.9))
    others = [*spans(TEXT, ("zincol", 2, 0.4)), *spans(TEXT, ("zincol", 1, 0.3), ("zincol", 2, 0.3), kind=1)]
    found = settled(TEXT, chosen, others, thresholds=[0.5] * 2, weights=[0.5] * 2, multi_label=True)
    assert [(one.start, one.type) for one in found] == [(0, 0), (0, 1), (20, 0), (20, 1), (42, 0), (42, 1)]
    found = settled(TEXT, chosen, others, thresholds=[0.5] * 2, weights=[0.5] * 2)
    assert [(one.start, one.type) for one in found] == [(0, 0), (0, 1), (20, 0), (42, 0)]


def test_letters_that_are_two_in_small_keep_their_places():
    text = "İzmir zinc. ZINCİ? Zinc."
    assert settle(text, spans(text.replace("İ", "I"), ("zinc", 0, 0.97)), [Candidate(19, 23, 0, 0.3)])[1][:2] == (
        "Zinc", 19
    )  # fmt: skip


def test_each_of_many_names_is_found_in_its_other_place():
    words = [f"name{number:04}" for number in range(2000)]  # of 8 letters, and a blank behind each
    text = " ".join([*words, *words])
    chosen = [Candidate(9 * number, 9 * number + 8, 0, 0.97) for number in range(2000)]
    others = [Candidate(9 * number, 9 * number + 8, 0, 0.3) for number in range(2000, 4000)]
    found = settle(text, chosen, others)
    assert [start for _, start, _ in found] == [9 * number for number in range(4000)]


def test_a_predictor_takes_what_its_checkpoint_says(tiny_student):
    text = "aspirin lowered fever. No aspirin, no pain. The rats had aspirin and fever."
    everything = Settings(threshold=0.001, overlap="all", multi_label=True, digits=6)
    plain = Predictor(tiny_student, StudentInfo(types=("chemical",)))
    (all_spans,) = plain.predict([Document("1", text)], labels=["chemical"], settings=everything)
    aspirin = [one for one in all_spans.mentions if one.text == "aspirin"]
    assert len(aspirin) == 3 and len({one.score for one in aspirin}) == 3
    threshold = sorted(one.score for one in aspirin)[1] + 1e-5  # one is found
    settings = Settings(threshold=threshold, digits=6)

    def found(info: StudentInfo, **changes):
        (document,) = Predictor(tiny_student, info).predict(
            [Document("1", text)], labels=["chemical"], settings=replace(settings, **changes)
        )
        return [one.key for one in document.mentions]

    info = StudentInfo(types=("chemical",), agreement={"Chemical": 0.6})
    without, agreed = found(StudentInfo(types=("chemical",))), found(info)
    assert without != agreed and agreed == sorted(agreed)
    assert found(StudentInfo(types=("chemical",)), agreement=0.6) == agreed
    assert found(info, agreement=0.0) == without
    assert found(info, overlap="all") == found(StudentInfo(types=("chemical",)), overlap="all")
    assert info.agreement_of("chemical") == 0.6 and info.agreement_of("disease") == 0


@pytest.mark.parametrize("value", [-0.1, 1.0, 2])
def test_agreement_has_bounds(value):
    with pytest.raises(InputError, match="agreement"):
        Settings(agreement=value)
