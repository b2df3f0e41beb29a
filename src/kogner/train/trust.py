"""How much a name of the graph counts for a span, fitted on texts that nobody annotated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import tee

from kogner.annotate.label_check import check_labels
from kogner.annotate.names import MAX_NAME_WEIGHT, NAME_FLOOR, Names
from kogner.annotate.predictor import Predictor, Settings
from kogner.records import Document
from kogner.student.checkpoint import StudentInfo
from kogner.student.model import Student
from kogner.text import splitter, to_sentences
from kogner.train.thresholds import FLOOR, evaluating

LEAST = 20  # names of a label, of fewer nothing is said


def weights_of_texts(
    student: Student,
    info: StudentInfo,
    documents: Iterable[Document],
    labels: Sequence[str],
    *,
    names: Names,
    threads: int = 0,
) -> dict[str, float]:
    """For each label the weight of a name in logits, 0 to MAX_NAME_WEIGHT; absent where the texts have few names of it.

    Naive Bayes: log P(name | entity) - log P(name | no entity), over all spans that the student can score. Nobody says
    which of them are entities, so each counts for as much of one as the student gives it (a span that is no name for
    nothing below FLOOR, a name below NAME_FLOOR, so that millions of spans that nobody takes for entities do not add up
    to some). Name and score are taken for independent given the truth, which holds the less the more a student has
    learnt from names. Annotation in `documents` is not read.
    """
    labels = check_labels(labels)
    everything = Settings(
        threshold=NAME_FLOOR, multi_label=True, overlap="all", token_budget=8192, block=100_000, digits=17,
        threads=threads, agreement=0.0,
    )  # fmt: skip
    entity, named_entity, named, spans = ([0.0] * len(labels) for _ in range(4))
    words, width = splitter(student.config.words), student.config.max_width
    number = {label: at for at, label in enumerate(labels)}
    predictor = Predictor(student, info)
    with evaluating(student):
        plain = (Document(one.id, one.text, passages=one.passages) for one in documents)
        read, again = tee(plain)
        for document, found in zip(again, predictor.predict(read, labels=labels, settings=everything), strict=True):
            sentences, _ = to_sentences(document, context=student.config.context, words=words)
            reached = {
                (first, last)
                for one in sentences
                for at, (first, _) in enumerate(one.words)
                for _, last in one.words[at : at + width]
            }
            known = {name for name in names.spans(document.text, labels) if name[:2] in reached}
            for at in range(len(labels)):
                spans[at] += len(reached)
                named[at] += sum(kind == at for *_, kind in known)
            for mention in found.mentions:
                at, score = number[mention.type], mention.score or 0.0
                is_name = (mention.start, mention.end, at) in known
                named_entity[at] += score if is_name else 0.0
                entity[at] += score if is_name or score >= FLOOR else 0.0
    fitted = {}
    for label, at in number.items():
        if named[at] < LEAST:
            continue
        fitted[label] = 0.0
        if named_entity[at]:
            of_entities = named_entity[at] / entity[at]
            of_others = max(named[at] - named_entity[at], 0.5) / max(spans[at] - entity[at], 1.0)
            fitted[label] = round(min(max(math.log(of_entities / of_others), 0.0), MAX_NAME_WEIGHT), 2)
    return fitted
