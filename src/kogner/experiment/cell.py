"""A training of an experiment: what it learns from, what it starts from, how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kogner.experiment.checks import PSEUDO, STAGE, start_of
from kogner.experiment.parts import ByEntity, PseudoTexts

if TYPE_CHECKING:
    from kogner.experiment.plan import Experiment


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
