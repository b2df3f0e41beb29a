"""What an experiment is: settings (what is trained on, what is scored), arms (how), seeds, and what is compared.

Arms of one setting and seed share the student they start from, documents, their order and the number of steps, unless
an arm says otherwise. A stage is a training that arms start from (`initial`), one per seed or one for all.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.errors import ConfigError
from kogner.mapping import from_mapping
from kogner.recipe import load_recipe, read_mapping, shipped

FOLDER = "experiments"
STAGE = "stage"
PSEUDO = "pseudo"  # what the texts of an arm's `pseudo` are called among the corpora of a training
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # they become names of files
_OURS = ("train.seed", "train.data_seed", "train.train_share")  # what the plan itself says of a training


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

    shared: one with seed 0 serves all seeds, so that what these say holds for that stage only.
    """

    train: tuple[str, ...]
    set: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
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
class Arm:
    """set: overrides of the recipe. initial: the stage it starts from. only: settings it is run in, all if empty.

    beside: corpora that stand beside those of the setting, with how many of their sentences for each of its
    (`train.beside`).
    names_of: the arm whose students are scored again with names of the graph as evidence, whose weights dev decides
    (`kogner calibrate --graph`); nothing is trained.
    pseudo: texts that another arm's student labels, beside the annotated documents, or alone where there are none. That
    arm may itself have learnt from texts that a third one labelled.
    """

    set: tuple[str, ...] = ()
    initial: str | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    names_of: str | None = None
    pseudo: PseudoTexts | None = None
    only: tuple[str, ...] = ()
    about: str = ""


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
        if self.seeds < 1:
            raise ConfigError(f"experiment {self.name}: seeds must be at least 1")
        self._check_words()
        used = [names for one in self.stages.values() for names in (one.train, one.test)]
        used += [names for one in self.settings.values() for names in (one.train, one.test)]
        for name in itertools.chain(*used):
            _known(self.name, "corpus", name, self.corpora)
        for name, arm in self.arms.items():
            self._check_names(name, arm)
            for name in arm.beside:
                _known(self.name, "corpus", name, self.corpora)
            if arm.initial is not None:
                _known(self.name, "stage", arm.initial, self.stages)
            for name in arm.only:
                _known(self.name, "setting", name, self.settings)
        for name, arm in self.arms.items():
            self._check_pseudo(name, arm)
        for names in self.groups.values():
            for name in names:
                _known(self.name, "setting", name, self.settings)
        if not self.cells():
            raise ConfigError(
                f"experiment {self.name}: nothing is run; it needs settings and arms, and a setting without train arms "
                "that start from a stage or learn from what such an arm labels"
            )
        if STAGE in self.settings:
            raise ConfigError(f"experiment {self.name}: no setting can be called {STAGE!r}, as stages are")
        for name, setting in self.settings.items():
            if setting.share != 1 and not setting.train:
                raise ConfigError(
                    f"experiment {self.name}: {name} has a share of train documents, and no train corpora"
                )
            if not 0 < setting.share <= 1:
                raise ConfigError(
                    f"experiment {self.name}: share {setting.share} of {name} is not above 0 and at most 1"
                )
        twice = [name for name, count in Counter(cell.name for cell in self.cells()).items() if count > 1]
        if twice:
            raise ConfigError(
                f"experiment {self.name}: two trainings would be called {twice[0]}; rename an arm or setting"
            )
        for pair in self.compare:
            if len(pair) not in (2, 3):
                raise ConfigError(f"experiment {self.name}: compare needs pairs of arms, not {list(pair)}")
            for name in pair[:2]:
                _known(self.name, "arm", name, self.arms)
            if pair[0] == pair[1]:
                raise ConfigError(f"experiment {self.name}: compare needs two arms, not {pair[0]} twice")

    def _check_words(self) -> None:
        """Names that can be files, and overrides that leave alone what the plan itself says."""
        for name in (self.name, *self.settings, *self.arms, *self.stages):
            if not _NAME.fullmatch(name):
                raise ConfigError(f"experiment {self.name}: {name!r} is no name; take letters, digits, . _ and -")
        sets = [self.set, *(one.set for one in self.settings.values()), *(one.set for one in self.stages.values())]
        sets += [one.set for one in self.arms.values()]
        for setting, arm in itertools.product(self.settings.values(), self.arms.values()):
            own = [one for one in (*setting.set, *arm.set) if one.partition("=")[0].strip() == "train.beside"]
            if own and (arm.beside or arm.pseudo):
                raise ConfigError(
                    f"experiment {self.name}: {own[0]!r} would replace beside or pseudo of an arm; say it there"
                )
        for override in itertools.chain(*sets):
            if override.partition("=")[0].strip() in _OURS:
                raise ConfigError(f"experiment {self.name}: {override!r} is set by the plan itself, by seeds and share")

    def _runs(self, setting: str, arm: str, seed: int) -> bool:
        if not self.settings[setting].train:
            trained = self.arms[self.arms[arm].names_of or arm]
            if trained.pseudo is not None:
                if not self._runs(setting, trained.pseudo.by, seed):
                    return False
            elif trained.initial is None or (self.stages[trained.initial].shared and seed):
                return False
        return not self.arms[arm].only or setting in self.arms[arm].only

    def _check_names(self, name: str, arm: Arm) -> None:
        if arm.names_of is None:
            return
        _known(self.name, "arm", arm.names_of, self.arms)
        base = self.arms[arm.names_of]
        if arm.set or arm.initial or arm.beside or arm.pseudo or base.names_of is not None or self.graph is None:
            raise ConfigError(
                f"experiment {self.name}: arm {name} scores the students of {arm.names_of} again, so that must be one "
                "that is trained, the arm itself can have no set, initial, beside or pseudo, and a graph is needed"
            )
        if base.only and not set(arm.only or self.settings) <= set(base.only):
            raise ConfigError(f"experiment {self.name}: arm {name} is run in settings that {arm.names_of} is not")

    def _check_pseudo(self, name: str, arm: Arm) -> None:
        if arm.pseudo is None:
            return
        _known(self.name, "arm", arm.pseudo.by, self.arms)
        for corpus in arm.pseudo.texts:
            _known(self.name, "corpus", corpus, self.corpora)
        if PSEUDO in self.corpora or not arm.pseudo.texts or arm.pseudo.ratio <= 0:
            raise ConfigError(
                f"experiment {self.name}: pseudo of arm {name} needs texts and a ratio above 0, and no corpus can be "
                f"called {PSEUDO!r}"
            )
        chain = [name]
        while (teacher := self.arms[self.arms[chain[-1]].names_of or chain[-1]].pseudo) is not None:
            _known(self.name, "arm", teacher.by, self.arms)
            again = teacher.by in chain
            chain.append(teacher.by)
            if again:
                raise ConfigError(
                    f"experiment {self.name}: {', whose texts are labelled by '.join(chain)}: one of them has to learn "
                    "from something else, by a stage or annotated documents, without pseudo"
                )
        for setting, one in self.settings.items():
            if one.train or (arm.only and setting not in arm.only):
                continue
            if twice := sorted(set(arm.beside) & set(one.test)):
                raise ConfigError(
                    f"experiment {self.name}: arm {name} would learn from the annotation of {twice[0]}, which "
                    f"{setting} scores without any; leave it out of beside"
                )
        idle = [one for one in arm.only or self.settings if not self._runs(one, name, 0)]
        if idle and (arm.only or len(idle) == len(self.settings)):
            raise ConfigError(
                f"experiment {self.name}: arm {name} cannot be run in {', '.join(idle)}: {arm.pseudo.by}, which labels "
                "for it, is not run there"
            )
        if any(self._runs(setting, name, 0) > self._runs(setting, arm.pseudo.by, 0) for setting in self.settings):
            raise ConfigError(f"experiment {self.name}: arm {name} is run in settings that {arm.pseudo.by} is not")

    def cells(self) -> list[Cell]:
        """Every training of the experiment: stages first, then settings, seeds, arms."""
        first = [
            Cell(self, STAGE, name, seed)
            for name, stage in self.stages.items()
            for seed in range(1 if stage.shared else self.seeds)
            if any(arm.initial == name for arm in self.arms.values()) or stage.test
        ]
        rest = [
            Cell(self, setting, arm, seed)
            for setting, seed, arm in itertools.product(self.settings, range(self.seeds), self.arms)
            if self._runs(setting, arm, seed)
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
        """The stage it starts from."""
        name = None if self.is_stage else self.experiment.arms[self.arm].initial
        if name is None:
            return None
        return Cell(self.experiment, STAGE, name, 0 if self.experiment.stages[name].shared else self.seed)

    @property
    def base(self) -> Cell | None:
        """The training whose student it scores again, with names of the graph."""
        name = None if self.is_stage else self.experiment.arms[self.arm].names_of
        return None if name is None else Cell(self.experiment, self.setting, name, self.seed)

    @property
    def trains(self) -> bool:
        """Whether it makes a student of its own."""
        return self.base is None and (bool(self.train) or self.pseudo is not None)

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
    arms = {name: value or {} for name, value in raw["arms"].items()} if isinstance(raw["arms"], dict) else raw["arms"]
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
    if recipe.loss.dist_weight > 0 and cell.experiment.bank is None:
        raise ConfigError(
            f"experiment {cell.experiment.name}: {cell.name} distils (loss.dist_weight={recipe.loss.dist_weight:g}), "
            "and the plan names no bank"
        )


def _known(experiment: str, what: str, name: str, there: Mapping[str, Any]) -> None:
    if name not in there:
        raise ConfigError(f"experiment {experiment}: {what} {name!r} is not among {', '.join(there) or 'none'}")
