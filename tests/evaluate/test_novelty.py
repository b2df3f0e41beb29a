from __future__ import annotations

from kogner.evaluate.novelty import names, recall_by_novelty
from kogner.records import Document, Mention

TEXT = "Aspirin and  FEVER or aspirin"


def document(*mentions):
    return Document("1", TEXT, tuple(Mention(*mention) for mention in mentions), frozenset({"drug", "ill"}))


def test_names_are_compared_without_case_and_line_breaks_within_their_type():
    doc = Document("1", "Weak\nHeart", (Mention(0, 10, "ill"),))
    assert names([doc]) == {("ill", "weak heart")}
    assert names([document((0, 7, "drug"), (22, 29, "drug"))]) == {("drug", "aspirin")}


def test_recall_of_a_worked_example():
    gold = [document((0, 7, "drug"), (22, 29, "drug"), (13, 18, "ill"))]
    guess = [document((0, 7, "drug"), (13, 18, "ill"), (8, 11, "ill"))]
    found = recall_by_novelty(gold, guess, {("drug", "aspirin"), ("drug", "fever")})
    assert found == {
        "seen": {"gold": 2, "correct": 1, "recall": 50.0},
        "unseen": {"gold": 1, "correct": 1, "recall": 100.0},
    }
    assert recall_by_novelty(gold, [], set(), types=["ill"])["unseen"] == {"gold": 1, "correct": 0, "recall": 0.0}
