"""What a plan of an experiment is made of: settings, stages, arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Setting:
    """train: corpora that are trained on, all together. share: of their documents, drawn by seed. test: scored on.

    Without any in train, students of stages are scored as they are, and arms with `pseudo` are trained on those texts
    alone, nothing fitted on dev; arms without either are not run. set: overrides. without: types whose annotation is
    left out of train and dev; test is scored on them alone.
    """

    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    share: float = 1.0
    set: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A training that comes first. train: its corpora. set: overrides. test: corpora it is itself scored on.

    initial: the stage, or SETTING/ARM, that it goes on from itself.
    shared: one with seed 0 serves all seeds, so that what these say holds for that stage only.
    """

    train: tuple[str, ...]
    set: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    initial: str | None = None
    shared: bool = False


@dataclass(frozen=True)
class PseudoTexts:
    """Texts without annotation that a student labels for another (`kogner data pseudo-label`).

    by: the arm whose student of the same setting and seed labels them, with names of the graph where the arm reads with
    them. texts: corpora whose train documents are taken, but for those that the training has with their annotation, and
    those that share text with a dev or test document. ratio: how many of their sentences for each annotated one; in a
    setting without training they are the training, and each is read as often as train.epochs says.
    """

    by: str
    texts: tuple[str, ...]
    ratio: float = 1.0


@dataclass(frozen=True)
class ByEntity:
    """That a name counts by which entity it is one of, learnt from the setting's train documents by the plan's bank
    (`kogner calibrate --graph --bank`).

    parts: of the bank, all where none is named. control: `shuffled` gives each entity of a type the row of another,
    `vocabulary` that of another from its vocabulary (`kogner.train.entity_weights.learn`).
    """

    parts: tuple[str, ...] = ()
    control: str = "none"


@dataclass(frozen=True)
class Arm:
    """set: overrides of the recipe. initial: the stage, or SETTING/ARM, that it starts from.

    initials: the same by setting, for an arm that starts from another student in each; it is run in these alone.
    only: settings it is run in, all if empty.
    beside: corpora that stand beside those of the setting, with how many of their sentences for each of its
    (`train.beside`).
    names_of: the arm whose students are scored again with names of the graph as evidence, whose weights dev decides
    (`kogner calibrate --graph`); nothing is trained. texts: corpora whose train texts decide instead, their annotation
    unread (`kogner calibrate --graph --text`); without any a name counts as by default where there is no dev.
    by_entity: with names_of, that names count by their entities; run where there are train documents.
    untyped: with names_of, a control: labels whose names all count for each label that is asked for
    (`kogner.experiment.untyped`).
    pseudo: texts that another arm's student labels, beside the annotated documents, or alone where there are none. That
    arm may itself have learnt from texts that a third one labelled.
    bank: the bank that this arm distils from, or learns by_entity by, where it is not the plan's.
    corpora: folders that this arm trains on instead of the plan's of the same name, such as with other links.
    alone: that names of the graph are all that is found, without a student: the floor. Nothing is trained.
    """

    set: tuple[str, ...] = ()
    initial: str | None = None
    initials: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, float] = field(default_factory=dict)
    names_of: str | None = None
    texts: tuple[str, ...] = ()
    by_entity: ByEntity | None = None
    untyped: tuple[str, ...] = ()
    pseudo: PseudoTexts | None = None
    bank: str | None = None
    corpora: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    only: tuple[str, ...] = ()
    about: str = ""

    def starts_from(self, setting: str) -> str | None:
        """What it starts from in a setting."""
        return self.initials.get(setting, self.initial)
