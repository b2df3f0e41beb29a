"""What an experiment is: settings (what is trained on, what is scored), arms (how), seeds, and what is compared.

Arms of one setting and seed share the student they start from, documents, their order and the number of steps, unless
an arm says otherwise. A stage is a training that arms and other stages start from (`initial`), one per seed or one for
all; they may also start from what an arm made in a setting (`SETTING/ARM`), of the same seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kogner.errors import ConfigError
from kogner.experiment.cell import Cell
from kogner.experiment.checks import STAGE, check, start_of
from kogner.experiment.parts import Arm, Setting, Stage
from kogner.mapping import from_mapping
from kogner.recipe import load_recipe, read_mapping, shipped

FOLDER = "experiments"


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
