"""Kinds of the graph as labels: what they are, where they count, and that a student learns them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kogner.config import TrainConfig
from kogner.data import corpora
from kogner.data.batch import Example
from kogner.errors import ConfigError
from kogner.graph.kinds import Kinds, as_label
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.records import Entity, Triple
from kogner.student.encoder import Encoded
from kogner.train.kind_labels import KindLabels
from kogner.train.sampling import View
from kogner.train.splits import to_split

NAMES = {"X:1": "aspirin", "X:2": "ibuprofen", "X:3": "morphine", "X:4": "fever", "X:5": "headache", "X:6": "pain"}
CLASSES = {"C:1": "Agents, Big", "C:2": "opioid", "C:3": "Aches", "C:4": "Drugs", "C:5": "drug"}
ABOVE = (
    ("X:1", "is_a", "C:1"),
    ("X:2", "has_role", "C:1"),
    ("X:3", "is_a", "C:2"),
    ("X:5", "is_a", "C:3"),
    ("X:6", "is_a", "C:3"),
    ("C:1", "is_a", "C:4"),
    ("C:4", "is_a", "C:1"),  # a circle
    ("C:2", "is_a", "C:5"),
    ("X:4", "treats", "C:2"),  # no way up
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("kinds") / "graph"
    entities = [Entity(own, "T", name) for own, name in (NAMES | CLASSES).items()]
    build(entities, [Triple(*one) for one in ABOVE], path, rejected=Rejections())
    return GraphStore.open(path)


MENTIONS = {("X:1", "chemical"): 5, ("X:2", "chemical"): 5, ("X:3", "chemical"): 3, ("X:4", "disease"): 4,
            ("X:5", "disease"): 3, ("X:6", "disease"): 1, ("X:99", "disease"): 1}  # fmt: skip


def test_kinds_are_classes_neither_too_rare_nor_too_common(graph):
    kinds = Kinds.collect(graph, MENTIONS, least=3, most=0.6)
    assert kinds.names == ("big agents", "drugs", "aches", "opioid", "drug")
    assert kinds.bases == ("chemical", "chemical", "disease", "chemical", "chemical")
    of = {own: {kinds.names[number] for number in numbers} for own, numbers in kinds.of.items()}
    assert of == {
        "X:1": {"big agents", "drugs"},
        "X:2": {"big agents", "drugs"},
        "X:3": {"opioid", "drug"},
        "X:5": {"aches"},
        "X:6": {"aches"},
    }
    fewer = Kinds.collect(graph, MENTIONS, least=4, most=0.4, without=["Drugs"])
    assert fewer.names == ("aches",) and fewer.of["X:3"] == frozenset()  # known, but of no kind that is left


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Antiviral Agents", "antiviral agents"),
        ("Agents, Anti-Infective", "anti-infective agents"),
        ("EC 4.3.1.3 (histidine ammonia-lyase) inhibitor", "EC 4.3.1.3 (histidine ammonia-lyase) inhibitor"),
        ("Congenital, Hereditary, and Neonatal", "congenital, hereditary, and neonatal"),
        ("Nervous System Diseases", "nervous system diseases"),
    ],
)
def test_a_class_goes_by_the_name_people_write(name, label):
    assert as_label(name) == label


def example(spans, entities, unsure=(), types=(True, True)):
    return Example(
        Encoded(np.arange(8), np.arange(1, 7)), np.array(spans).reshape(-1, 4), np.array(types),
        unsure=np.array(unsure, np.int64).reshape(-1, 3), entities=np.array(entities, np.int64),
    )  # fmt: skip


def test_mentions_are_positives_negatives_or_unknown_of_a_kind(graph):
    kinds = Kinds.collect(graph, MENTIONS, least=3, most=0.6)
    labels = KindLabels(kinds, ["chemical", "disease"], count=5, seed=0)
    number = labels.numbers
    one = example(
        [(0, 0, 0, 7), (1, 1, 0, -1), (2, 2, 1, -1), (3, 3, 0, -1)],
        [number["X:1"], number["X:3"], number["X:5"], -1],
        unsure=[(4, 4, 1)],
    )
    other = example([(0, 0, 1, -1)], [-1], types=(False, True))
    view = labels.add(View([one, other], ["chemical", "disease"], np.eye(2, dtype=bool)), [one, other], step=3)
    assert sorted(view.labels[2:]) == sorted(kinds.names) and view.siblings.shape == (7, 7)
    column = {name: at for at, name in enumerate(view.labels)}
    seen = view.examples[0]
    assert seen.spans[:4].tolist() == one.spans.tolist()  # what was there stays
    positives = {(int(first), view.labels[at]) for first, _, at, _ in seen.spans[4:]}
    assert positives == {
        (0, "big agents"), (0, "drugs"), (1, "opioid"), (1, "drug"), (2, "aches")
    }  # fmt: skip
    unknown = {(int(first), view.labels[at]) for first, _, at in seen.unsure[1:]}
    chemical = {"big agents", "drugs", "opioid", "drug"}
    assert unknown == {(3, name) for name in chemical} | {(4, "aches")}
    assert len(seen.entities) == len(seen.spans) and (seen.spans[4:, 3] == -1).all()
    # A corpus that annotates no chemicals says nothing of their kinds.
    assert [bool(view.examples[1].types[column[name]]) for name in ("opioid", "aches")] == [False, True]
    again = labels.add(View([one, other], ["chemical", "disease"], None), [one, other], step=3)
    assert again.labels == view.labels and again.siblings is None


def test_kinds_shown_are_mostly_those_of_the_batch(graph):
    kinds = Kinds.collect(graph, MENTIONS, least=3, most=0.6)
    labels = KindLabels(kinds, ["chemical", "disease"], count=2, seed=0)
    one = example([(0, 0, 1, -1)], [labels.numbers["X:5"]])
    drawn = [labels.add(View([one], ["chemical", "disease"], None), [one], step=step).labels[2:] for step in range(20)]
    assert all(len(set(names)) == 2 and "aches" in names for names in drawn)
    assert len({tuple(names) for names in drawn}) > 2


@pytest.mark.parametrize(
    ("architecture", "steps"), [pytest.param("bi", 500, marks=pytest.mark.slow), ("bi", 5), ("uni", 5)]
)  # few steps: that it runs
def test_a_student_learns_kinds_that_are_no_types(
    tiny_encoder, corpus, graph, tmp_path, architecture, steps, monkeypatch
):
    monkeypatch.setitem(Kinds.collect.__func__.__kwdefaults__, "most", 0.6)  # there are six entities here
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.recipe import load_recipe
    from kogner.train.loop import train

    sets = ["train.threads=1", "train.precision=fp32", "train.batch_size=6", "train.encoder_lr=0.002"]
    sets += [
        "train.head_lr=0.002",
        f"train.steps={steps}",
        "train.kinds=3",
        "loss.dist_weight=0",
        "student.max_width=4",
    ]
    sets += [f"student.architecture={architecture}", "train.eval_every=1000"]
    plan = load_recipe("small", [f"student.encoder={tiny_encoder}", "student.dropout=0", *sets])
    split = to_split("made", corpora.load("made", corpus, "train"), None)
    many = dataclasses.replace(split, train=[*split.train, *split.train])
    with pytest.raises(ConfigError, match="needs the graph"):
        train(plan, [many], tmp_path / "student")
    metrics = train(plan, [many], tmp_path / "student", graph=graph)
    assert metrics["steps"] == steps
    if steps < 100:
        return
    documents = corpora.load("made", corpus, "test").documents
    found = Predictor.load(str(tmp_path / "student")).predict(
        documents, labels=["opioid"], settings=Settings(threshold=0.3)
    )
    gold = [{one.key[:2] for one in document.mentions if one.entity == "X:3"} for document in documents]
    guessed = [{one.key[:2] for one in document.mentions} for document in found]
    right = sum(len(a & b) for a, b in zip(gold, guessed, strict=True))
    assert right > 0.7 * sum(map(len, gold)) and right > 0.7 * sum(map(len, guessed))


def test_no_kinds_without_classes(graph):
    assert KindLabels.of(TrainConfig(), [], ["chemical"], graph) is None
    with pytest.raises(ConfigError, match="0 linked entities"):
        KindLabels.of(TrainConfig(kinds=4), [], ["chemical"], graph)
