from __future__ import annotations

from kogner.annotate.predictor import Predictor, Settings
from kogner.evaluate.spans import score
from kogner.records import Document, Mention
from kogner.student.checkpoint import StudentInfo
from kogner.train.loop import Split
from kogner.train.thresholds import GRID, fit_thresholds


def test_the_fitted_threshold_is_the_best_of_the_grid(tiny_student):
    """Gold is what the student itself finds at 0.6, so lower thresholds are wrong by construction."""
    texts = ["aspirin lowered the fever of rats", "morphine caused no pain in the rats", "il gene with headache"] * 3
    plain = [Document(str(i), text, types=frozenset({"chemical"})) for i, text in enumerate(texts)]
    predictor = Predictor(tiny_student)
    low = list(predictor.predict(plain, labels=["chemical"], settings=Settings(threshold=0.2)))
    scores = sorted({m.score for d in low for m in d.mentions})
    middle = scores[len(scores) // 2]
    gold = [
        Document(d.id, d.text, tuple(Mention(m.start, m.end, m.type) for m in d.mentions if m.score >= middle), d.types)
        for d in low
    ]
    fitted = fit_thresholds(tiny_student, [Split("s", (), gold, ("chemical",))], ["chemical", "gene"])
    assert set(fitted) == {"chemical"}

    def f1(threshold: float) -> float:
        info = StudentInfo(thresholds={"chemical": threshold})
        found = list(Predictor(tiny_student, info).predict(gold, labels=["chemical"]))
        return score(gold, found, types=["chemical"]).f1

    assert f1(fitted["chemical"]) == max(f1(float(t)) for t in GRID)
