"""What spans have to reach, of settings and of what a checkpoint says."""

import numpy as np
import pytest

from kogner.annotate.agreement import FLOOR
from kogner.annotate.bounds import Bounds
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.names import DEFAULT_WEIGHT, NAME_FLOOR, shifted
from kogner.annotate.predictor import Settings
from kogner.errors import InputError
from kogner.student.checkpoint import StudentInfo
from kogner.student.decode import warmed

LABELS = ["disease", "gene"]
INFO = StudentInfo(
    types=("disease", "gene"), thresholds={"disease": 0.4}, temperatures={"disease": 2.0},
    agreement={"gene": 0.5}, name_weights={"disease": 3.0}, name_losses={"disease": 1.0, "gene": 1.0},
)  # fmt: skip


class KnowsDiseases:
    def knows(self, label):
        return label == "disease"


def test_a_checkpoint_says_what_settings_do_not():
    of = Bounds.of(LABELS, Settings(), INFO)
    assert of.thresholds == [0.4, 0.5]
    assert of.agreement == [0.0, 0.5] and of.looked_at == [0.4, FLOOR]
    assert of.weights == of.losses == of.floors == [0.0, 0.0], "no names were given"
    assert of.asked() == pytest.approx([warmed(0.4, 0.5), FLOOR])
    own = Bounds.of(LABELS, Settings(threshold=0.7, thresholds={" gene ": 0.9}, agreement=0.0), INFO)
    assert own.thresholds == own.looked_at == [0.7, 0.9]
    with pytest.raises(InputError, match="'device', which is not among the labels"):
        Bounds.of(LABELS, Settings(thresholds={"device": 0.5}), INFO)


def test_names_lower_what_a_span_is_asked_for_and_losses_raise_what_the_others_are():
    entities = EntityWeights({"disease": EntityWeights.table(["X:1"], np.array([1.0]))})
    of = Bounds.of(LABELS, Settings(agreement=0.0), INFO, names=KnowsDiseases(), entity_weights=entities)
    assert of.weights == [3.0, DEFAULT_WEIGHT] and of.losses == [1.0, 0.0], "of genes the graph knows nothing"
    assert of.most == [pytest.approx(4.0), DEFAULT_WEIGHT]
    assert of.floors == pytest.approx([warmed(NAME_FLOOR, 2.0), NAME_FLOOR])
    assert of.asked() == pytest.approx([warmed(shifted(0.4, -4), 0.5), shifted(0.5, -DEFAULT_WEIGHT)])
    assert of.within_reach([(5, 9, 1), (0, 4, 0)]) == []
    far = Bounds.of(LABELS, Settings(name_weight=8.0), INFO, names=KnowsDiseases(), entity_weights=entities)
    assert far.losses == [0.0, 0.0] and far.most == [8.0, 8.0], "one weight for all, whatever entities add"
    assert far.within_reach([(5, 9, 1), (0, 4, 0)]) == [(0, 4, 0), (5, 9, 1)]
    assert far.asked()[0] == NAME_FLOOR, "spans below it are not asked for"


def test_names_that_count_for_nothing_have_a_floor_where_all_spans_are_wanted():
    for overlap, floors in (("score", [0.0, 0.0]), ("all", [warmed(NAME_FLOOR, 2.0), NAME_FLOOR])):
        of = Bounds.of(LABELS, Settings(name_weight=0.0, overlap=overlap), INFO, names=KnowsDiseases())
        assert of.floors == pytest.approx(floors)
