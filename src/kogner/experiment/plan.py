"""What an experiment is: settings (what is trained on, what is scored), arms (how), seeds, and what is compared.

Arms of one setting and seed share the student they start from, documents, their order and the number of steps, unless
an arm says otherwise. A stage is a training that arms and other stages start from (`initial`), one per seed or one for
all; they may also start from what an arm made in a setting (`SETTING/ARM`), of the same seed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.errors import ConfigError
from kogner.experiment.checks import PSEUDO, STAGE, check, start_of
from kogner.mapping import from_mapping
from kogner.recipe import load_recipe, read_mapping, shipped

FOLDER = "experiments"


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


@dataclass(frozen=True)
class Experiment:
    """corpora: folders by name. seeds: how many. about: what the experiment is for, in a sentence.

    compare: `[better, baseline]`, or with a third that says what the difference is of. groups: settings whose
    differences are averaged as well.
    """

    name: str
    corpora: Mapping[str, str]
    settings: Mapping[str, Setting]
    arms: Mapping[str, Arm]
    recipe: str = "small"
    bank: str | None = None
    graph: str | None = None
    seeds: int = 3
    set: tuple[str, ...] = ()
    stages: Mapping[str, Stage] = field(default_factory=dict)
    compare: tuple[tuple[str, ...], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    about: str = ""

    def __post_init__(self) -> None:
        check(self)

    def runs(self, setting: str, arm: str, seed: int) -> bool:
        """Whether an arm is run in a setting: where nothing is trained on, there has to be a student from elsewhere."""
        one, train = self.arms[self.arms[arm].names_of or arm], self.settings[setting].train
        if one.alone:
            return bool(self.settings[setting].test) and setting in (one.only or self.settings)
        if self.arms[arm].by_entity is not None and not train:
            return False
        if one.initials and setting not in one.initials:
            return False
        trained, initial = bool(train) or one.pseudo is not None, one.starts_from(setting)
        if initial is not None and not self._starts(initial, seed, trained=trained):
            return False
        if not train:
            if one.pseudo is not None and not self.runs(setting, one.pseudo.by, seed):
                return False
            if one.pseudo is None and initial is None:
                return False
        return not self.arms[arm].only or setting in self.arms[arm].only

    def _starts(self, initial: str, seed: int, *, trained: bool) -> bool:
        """Whether there is a student to start from: a shared stage is one student, which is scored once."""
        setting, name = start_of(initial)
        if setting == STAGE:
            return trained or not (self.stages[name].shared and seed)
        return self.runs(setting, name, seed)

    def cells(self) -> list[Cell]:
        """Every training of the experiment: stages first, then settings, seeds, arms."""
        started = {one.initial for part in (self.arms, self.stages) for one in part.values()}
        first = [
            Cell(self, STAGE, name, seed)
            for name, stage in self.stages.items()
            for seed in range(1 if stage.shared else self.seeds)
            if stage.test or name in started
            if stage.initial is None or self._starts(stage.initial, seed, trained=True)
        ]
        rest = [
            Cell(self, setting, arm, seed)
            for setting, seed, arm in itertools.product(self.settings, range(self.seeds), self.arms)
            if self.runs(setting, arm, seed)
        ]
        return [*first, *rest]


@dataclass(frozen=True)
class Cell:
    """One training. setting: `stage` for a stage, whose name is then that of the arm."""

    experiment: Experiment
    setting: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """`<setting>-<arm>-<seed>`."""
        return f"{self.setting}-{self.arm}-{self.seed}"

    @property
    def is_stage(self) -> bool:
        """Whether other cells start from it."""
        return self.setting == STAGE

    @property
    def train(self) -> tuple[str, ...]:
        """Corpora that are trained on."""
        if self.is_stage:
            return self.experiment.stages[self.arm].train
        return self.experiment.settings[self.setting].train

    @property
    def beside(self) -> Mapping[str, float]:
        """Corpora that stand beside them."""
        return {} if self.is_stage else self.experiment.arms[self.arm].beside

    @property
    def test(self) -> tuple[str, ...]:
        """Corpora that are scored."""
        if self.is_stage:
            return self.experiment.stages[self.arm].test
        return self.experiment.settings[self.setting].test

    @property
    def without(self) -> tuple[str, ...]:
        """Types that are left out of what people annotated, and are scored."""
        return () if self.is_stage else self.experiment.settings[self.setting].without

    @property
    def initial(self) -> Cell | None:
        """The training whose student it starts from."""
        experiment = self.experiment
        name = experiment.stages[self.arm].initial if self.is_stage else None
        if not self.is_stage:
            name = experiment.arms[self.arm].starts_from(self.setting)
        if name is None:
            return None
        setting, start = start_of(name)
        shared = setting == STAGE and experiment.stages[start].shared
        return Cell(experiment, setting, start, 0 if shared else self.seed)

    @property
    def base(self) -> Cell | None:
        """The training whose student it scores again, with names of the graph."""
        name = None if self.is_stage else self.experiment.arms[self.arm].names_of
        return None if name is None else Cell(self.experiment, self.setting, name, self.seed)

    @property
    def texts(self) -> tuple[str, ...]:
        """Corpora whose texts decide how much a name counts."""
        return () if self.is_stage else self.experiment.arms[self.arm].texts

    @property
    def by_entity(self) -> ByEntity | None:
        """That names count by their entities."""
        return None if self.is_stage else self.experiment.arms[self.arm].by_entity

    @property
    def untyped(self) -> tuple[str, ...]:
        """Labels whose names count for all of them alike."""
        return () if self.is_stage else self.experiment.arms[self.arm].untyped

    @property
    def bank(self) -> str | None:
        """The folder of the bank that it distils from, or learns by_entity by."""
        return self.own.get("bank") or self.experiment.bank

    @property
    def own(self) -> dict[str, Any]:
        """Files that it has of its own, by the names that the plan gives them: `bank`, `corpora`."""
        if self.is_stage:
            return {}
        arm = self.experiment.arms[self.arm]
        return ({} if arm.bank is None else {"bank": arm.bank}) | (
            {"corpora": dict(arm.corpora)} if arm.corpora else {}
        )

    def folder(self, corpus: str) -> str:
        """The folder of a corpus that it trains on."""
        own: str | None = self.own.get("corpora", {}).get(corpus)
        return own or self.experiment.corpora[corpus]

    @property
    def alone(self) -> bool:
        """Whether names of the graph are all that it finds."""
        return not self.is_stage and self.experiment.arms[self.arm].alone

    @property
    def trains(self) -> bool:
        """Whether it makes a student of its own."""
        return self.base is None and not self.alone and (bool(self.train) or self.pseudo is not None)

    @property
    def pseudo(self) -> PseudoTexts | None:
        """Texts that are labelled for it."""
        return None if self.is_stage else self.experiment.arms[self.arm].pseudo

    @property
    def labeller(self) -> Cell | None:
        """The cell whose student labels them."""
        pseudo = self.pseudo
        return None if pseudo is None else Cell(self.experiment, self.setting, pseudo.by, self.seed)

    @property
    def start(self) -> Cell | None:
        """The cell whose student it scores again or starts from."""
        return self.base or self.initial

    @property
    def after(self) -> tuple[Cell, ...]:
        """What has to be finished before."""
        return tuple(cell for cell in (self.start, self.labeller) if cell is not None)

    def overrides(self) -> list[str]:
        """What its recipe is changed by, in order: later ones win."""
        experiment = self.experiment
        found = [f"train.seed={self.seed}", f"train.data_seed={self.seed}", *experiment.set]
        if self.is_stage:
            return [*found, *experiment.stages[self.arm].set]
        setting = experiment.settings[self.setting]
        beside = dict(self.beside) | ({} if self.pseudo is None or not self.train else {PSEUDO: self.pseudo.ratio})
        if beside:
            found.append(f"train.beside={json.dumps(beside)}")
        return [*found, f"train.train_share={setting.share}", *setting.set, *experiment.arms[self.arm].set]


def load(source: str | Path) -> Experiment:
    """An experiment from a YAML file, or a shipped one by name. Raises ConfigError for one that cannot be run."""
    path = shipped(source, FOLDER)
    raw = read_mapping(path, ("name", "corpora", "settings", "arms"))
    arms = raw["arms"]
    if isinstance(arms, dict):
        arms = {name: {} if value is None else value for name, value in arms.items()}
    experiment = from_mapping(Experiment, raw | {"arms": arms}, where=str(path))
    for cell in experiment.cells():
        if cell.trains and cell.seed == 0:
            _check_recipe(cell)
    return experiment


def _check_recipe(cell: Cell) -> None:
    """Raise ConfigError where a training's recipe cannot be read, or distils and there is no bank."""
    try:
        recipe = load_recipe(cell.experiment.recipe, cell.overrides())
    except ConfigError as error:
        raise ConfigError(f"experiment {cell.experiment.name}: {cell.name}: {error}") from error
    if recipe.loss.dist_weight > 0 and not cell.train and not cell.beside and not cell.is_stage:
        raise ConfigError(
            f"experiment {cell.experiment.name}: {cell.name} distils (loss.dist_weight={recipe.loss.dist_weight:g}), "
            "and labels of a student are linked to no entity; set loss.dist_weight=0 for it"
        )
    if recipe.loss.dist_weight == 0 and "bank" in cell.own:
        raise ConfigError(
            f"experiment {cell.experiment.name}: {cell.name} has a bank of its own and does not distil "
            "(loss.dist_weight=0)"
        )
    if recipe.loss.dist_weight > 0 and cell.bank is None:
        raise ConfigError(
            f"experiment {cell.experiment.name}: {cell.name} distils (loss.dist_weight={recipe.loss.dist_weight:g}), "
            "and the plan names no bank"
        )
