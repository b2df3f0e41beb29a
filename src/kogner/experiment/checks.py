"""What a plan has to fulfil before anything of it is run; each fault is a ConfigError that says which part it is in."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.config import CONTROLS, PARTS
from kogner.errors import ConfigError

if TYPE_CHECKING:
    from kogner.experiment.cell import Cell
    from kogner.experiment.parts import Arm
    from kogner.experiment.plan import Experiment

STAGE = "stage"
PSEUDO = "pseudo"  # what the texts of an arm's `pseudo` are called among the corpora of a training
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # they become names of files
_OURS = ("train.seed", "train.data_seed", "train.train_share")  # what the plan itself says of a training


def start_of(initial: str) -> tuple[str, str]:
    """Setting and arm that `initial` names; a stage's setting is STAGE."""
    setting, _, name = initial.rpartition("/")
    return setting or STAGE, name


def check(experiment: Experiment) -> None:
    """Raise ConfigError for a plan that cannot be run, or would not be what it says."""
    if experiment.seeds < 1:
        raise ConfigError(f"experiment {experiment.name}: seeds must be at least 1")
    _check_words(experiment)
    _check_corpora(experiment)
    for name, arm in experiment.arms.items():
        _check_alone(experiment, name, arm)
        _check_names(experiment, name, arm)
        for setting in arm.only:
            _known(experiment, "setting", setting, experiment.settings)
        if arm.pseudo is not None:
            _known(experiment, "arm", arm.pseudo.by, experiment.arms)
        for setting, initial in arm.initials.items():
            _known(experiment, "setting", setting, experiment.settings)
            _check_initial(experiment, name, initial)
        if arm.initials and (arm.initial or arm.only):
            raise ConfigError(
                f"experiment {experiment.name}: arm {name} has initials, which say in which settings it is run and "
                "from what it starts there; leave out initial and only"
            )
        _check_initial(experiment, name, arm.initial)
    for name, stage in experiment.stages.items():
        _check_initial(experiment, name, stage.initial)
    _check_order(experiment)
    _check_starts(experiment)
    for name, arm in experiment.arms.items():
        _check_pseudo(experiment, name, arm)
    for settings in experiment.groups.values():
        for name in settings:
            _known(experiment, "setting", name, experiment.settings)
    _check_settings(experiment)
    _check_cells(experiment)
    twice = [one for one, count in Counter(tuple(pair[:2]) for pair in experiment.compare).items() if count > 1]
    if twice:
        raise ConfigError(f"experiment {experiment.name}: compare has {' and '.join(twice[0])} twice")
    for pair in experiment.compare:
        if len(pair) not in (2, 3):
            raise ConfigError(f"experiment {experiment.name}: compare needs pairs of arms, not {list(pair)}")
        for name in pair[:2]:
            _known(experiment, "arm", name, experiment.arms)
        if pair[0] == pair[1]:
            raise ConfigError(f"experiment {experiment.name}: compare needs two arms, not {pair[0]} twice")


def _check_words(experiment: Experiment) -> None:
    """Names that can be files, and overrides that leave alone what the plan itself says."""
    for name in (experiment.name, *experiment.settings, *experiment.arms, *experiment.stages):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"experiment {experiment.name}: {name!r} is no name; take letters, digits, . _ and -")
    if STAGE in experiment.settings:
        raise ConfigError(f"experiment {experiment.name}: no setting can be called {STAGE!r}, as stages are")
    parts = (experiment.settings, experiment.stages, experiment.arms)
    sets = [experiment.set, *(one.set for part in parts for one in part.values())]
    for setting, arm in itertools.product(experiment.settings.values(), experiment.arms.values()):
        own = [one for one in (*setting.set, *arm.set) if one.partition("=")[0].strip() == "train.beside"]
        if own and (arm.beside or arm.pseudo):
            raise ConfigError(
                f"experiment {experiment.name}: {own[0]!r} would replace beside or pseudo of an arm; say it there"
            )
    for override in itertools.chain(*sets):
        if override.partition("=")[0].strip() in _OURS:
            raise ConfigError(
                f"experiment {experiment.name}: {override!r} is set by the plan itself, by seeds and share"
            )


def _check_corpora(experiment: Experiment) -> None:
    used = [names for one in experiment.stages.values() for names in (one.train, one.test)]
    used += [names for one in experiment.settings.values() for names in (one.train, one.test)]
    used += [(*arm.beside, *arm.texts, *arm.corpora) for arm in experiment.arms.values()]
    used += [arm.pseudo.texts for arm in experiment.arms.values() if arm.pseudo is not None]
    for name in itertools.chain(*used):
        _known(experiment, "corpus", name, experiment.corpora)
    for arm_name, arm in experiment.arms.items():
        settings = [one for name, one in experiment.settings.items() if not arm.only or name in arm.only]
        learnt = {name for one in settings for name in one.train}
        if idle := sorted(set(arm.corpora) - learnt - set(arm.beside)):
            raise ConfigError(
                f"experiment {experiment.name}: arm {arm_name} trains on no corpus {idle[0]!r} of its own"
            )


def _check_settings(experiment: Experiment) -> None:
    """Raise ConfigError where nothing is run, for a share that is none, or for two trainings of one name."""
    if not experiment.cells():
        raise ConfigError(
            f"experiment {experiment.name}: nothing is run; it needs settings and arms, and a setting without train "
            "arms that start from a stage or learn from what such an arm labels"
        )
    for name, setting in experiment.settings.items():
        if setting.share != 1 and not setting.train:
            raise ConfigError(
                f"experiment {experiment.name}: {name} has a share of train documents, and no train corpora"
            )
        if not 0 < setting.share <= 1:
            raise ConfigError(
                f"experiment {experiment.name}: share {setting.share} of {name} is not above 0 and at most 1"
            )
    twice = [name for name, count in Counter(cell.name for cell in experiment.cells()).items() if count > 1]
    if twice:
        raise ConfigError(
            f"experiment {experiment.name}: two trainings would be called {twice[0]}; rename an arm or setting"
        )


def _check_initial(experiment: Experiment, name: str, initial: str | None) -> None:
    """Raise ConfigError for an `initial` that names nothing, or what makes no student."""
    if initial is None:
        return
    setting, start = start_of(initial)
    if "/" not in initial:
        _known(experiment, "stage", start, experiment.stages)
        return
    _known(experiment, "setting", setting, experiment.settings)
    _known(experiment, "arm", start, experiment.arms)
    if experiment.arms[start].alone:
        raise ConfigError(f"experiment {experiment.name}: {name} cannot start from {initial}, which has no student")
    if (base := experiment.arms[start].names_of) is not None:
        raise ConfigError(
            f"experiment {experiment.name}: {name} cannot start from {initial}, which scores the students of {base} "
            f"again; take {setting}/{base}"
        )


def _check_order(experiment: Experiment) -> None:
    """Raise ConfigError where something would have to be there before itself."""
    clear = set[tuple[str, str]]()

    def walk(node: tuple[str, str], way: dict[tuple[str, str], str]) -> None:
        for words, before in _before(experiment, *node):
            here = way | {node: words}
            if before in here:
                circle = list(here)[list(here).index(before) :]
                told = "".join(f"{'/'.join(one)}, {here[one]} " for one in circle) + "/".join(before)
                raise ConfigError(f"experiment {experiment.name}: {told}: one of them has to learn from something else")
            if before not in clear:
                walk(before, here)
        clear.add(node)

    nodes = [(STAGE, name) for name in experiment.stages]
    for node in [*nodes, *itertools.product(experiment.settings, experiment.arms)]:
        walk(node, {})


def _before(experiment: Experiment, setting: str, name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """What has to be there first, each with the words that join them."""
    initial = experiment.stages[name].initial if setting == STAGE else experiment.arms[name].starts_from(setting)
    if initial is not None:
        yield "which starts from", start_of(initial)
    if setting != STAGE:
        arm = experiment.arms[name]
        if arm.names_of is not None:
            yield "which scores the students of", (setting, arm.names_of)
        if arm.pseudo is not None:
            yield "whose texts are labelled by", (setting, arm.pseudo.by)


def _check_starts(experiment: Experiment) -> None:
    """Raise ConfigError where the student of a setting is started from that is not trained there."""
    started = [(name, one.initial) for part in (experiment.stages, experiment.arms) for name, one in part.items()]
    started += [(name, initial) for name, arm in experiment.arms.items() for initial in arm.initials.values()]
    for name, initial in started:
        if initial is None or start_of(initial)[0] == STAGE or experiment.runs(*start_of(initial), 0):
            continue
        raise ConfigError(
            f"experiment {experiment.name}: {name} starts from {initial}, and that is not run in this plan"
        )


def _check_alone(experiment: Experiment, name: str, arm: Arm) -> None:
    """Raise ConfigError for an arm of names alone that says how something is trained, or from which others learn."""
    if not arm.alone:
        for what, of in (("names_of", arm.names_of), ("pseudo.by", None if arm.pseudo is None else arm.pseudo.by)):
            if of is not None and of in experiment.arms and experiment.arms[of].alone:
                raise ConfigError(f"experiment {experiment.name}: {what} of arm {name} is {of}, which has no student")
        return
    said = (
        arm.set, arm.initial, arm.initials, arm.beside, arm.names_of, arm.texts, arm.by_entity, arm.untyped, arm.pseudo,
        arm.bank, arm.corpora,
    )  # fmt: skip
    if any(said) or experiment.graph is None:
        raise ConfigError(
            f"experiment {experiment.name}: arm {name} finds names of the graph alone; it needs the plan's graph, and "
            "can have only and about beside"
        )


def _check_names(experiment: Experiment, name: str, arm: Arm) -> None:
    if arm.names_of is None:
        if arm.texts or arm.by_entity is not None or arm.untyped:
            what = "texts" if arm.texts else "untyped" if arm.untyped else "by_entity"
            raise ConfigError(
                f"experiment {experiment.name}: {what} of arm {name} says how much a name counts; that needs names_of"
            )
        return
    if arm.untyped and arm.by_entity is not None:
        raise ConfigError(
            f"experiment {experiment.name}: arm {name} has untyped beside by_entity, which has a control of its own"
        )
    _check_by_entity(experiment, name, arm)
    if arm.corpora or (arm.bank is not None and arm.by_entity is None):
        what = "corpora" if arm.corpora else "a bank"
        raise ConfigError(f"experiment {experiment.name}: arm {name} trains nothing, and has {what} of its own")
    _known(experiment, "arm", arm.names_of, experiment.arms)
    base = experiment.arms[arm.names_of]
    if base.corpora:
        raise ConfigError(
            f"experiment {experiment.name}: arm {name} scores students of {arm.names_of}, which has corpora of its "
            "own; give these folders a name and a setting"
        )
    trained = arm.set or arm.initial or arm.initials or arm.beside or arm.pseudo
    if trained or base.names_of is not None or experiment.graph is None:
        raise ConfigError(
            f"experiment {experiment.name}: arm {name} scores the students of {arm.names_of} again, so that must be "
            "one that is trained, the arm itself can have no set, initial, beside or pseudo, and a graph is needed"
        )
    there = base.only or tuple(base.initials)
    if there and not set(arm.only or experiment.settings) <= set(there):
        raise ConfigError(f"experiment {experiment.name}: arm {name} is run in settings that {arm.names_of} is not")


def _check_by_entity(experiment: Experiment, name: str, arm: Arm) -> None:
    if arm.by_entity is None:
        return
    if arm.texts or (arm.bank or experiment.bank) is None:
        raise ConfigError(f"experiment {experiment.name}: by_entity of arm {name} needs a bank, and no texts beside it")
    if arm.by_entity.control not in CONTROLS:
        raise ConfigError(
            f"experiment {experiment.name}: by_entity.control of arm {name} is {' or '.join(CONTROLS)}, not "
            f"{arm.by_entity.control!r}"
        )
    if unknown := set(arm.by_entity.parts) - set(PARTS):
        raise ConfigError(
            f"experiment {experiment.name}: by_entity.parts of arm {name} may hold Z, Z' and Z'', not {sorted(unknown)}"
        )


def _check_pseudo(experiment: Experiment, name: str, arm: Arm) -> None:
    if arm.pseudo is None:
        return
    if arm.corpora or experiment.arms[arm.pseudo.by].corpora:
        raise ConfigError(f"experiment {experiment.name}: arm {name} has pseudo, which goes with corpora of the plan")
    if PSEUDO in experiment.corpora or not arm.pseudo.texts or not 0 < arm.pseudo.ratio < math.inf:
        raise ConfigError(
            f"experiment {experiment.name}: pseudo of arm {name} needs texts and a ratio above 0, and no corpus can "
            f"be called {PSEUDO!r}"
        )
    for setting, one in experiment.settings.items():
        if one.train or (arm.only and setting not in arm.only):
            continue
        if twice := sorted(set(arm.beside) & set(one.test)):
            raise ConfigError(
                f"experiment {experiment.name}: arm {name} would learn from the annotation of {twice[0]}, which "
                f"{setting} scores without any; leave it out of beside"
            )
    idle = [one for one in arm.only or experiment.settings if not experiment.runs(one, name, 0)]
    if idle and (arm.only or len(idle) == len(experiment.settings)):
        raise ConfigError(
            f"experiment {experiment.name}: arm {name} cannot be run in {', '.join(idle)}: {arm.pseudo.by}, which "
            "labels for it, is not run there"
        )
    by = arm.pseudo.by
    if any(experiment.runs(one, name, 0) > experiment.runs(one, by, 0) for one in experiment.settings):
        raise ConfigError(f"experiment {experiment.name}: arm {name} is run in settings that {by} is not")


def _check_cells(experiment: Experiment) -> None:
    """Raise ConfigError for a training that waits for none of the plan, or goes back to one with more annotation."""
    cells = experiment.cells()
    names = {cell.name for cell in cells}
    for cell in cells:
        for before in cell.after:
            if before.name not in names:
                raise ConfigError(
                    f"experiment {experiment.name}: {cell.name} needs {before.name}, which is not run: a shared stage "
                    "is one student, which a setting without train has for seed 0 alone"
                )
        if not cell.is_stage:
            _check_annotation(experiment, cell)


def _check_annotation(experiment: Experiment, cell: Cell) -> None:
    """Raise ConfigError where a cell learns annotation that its setting has not, or one of another setting that it goes
    back to did.

    What a stage learns is not looked at: that stands with the stage, which has no other use.
    """
    setting, every = experiment.settings[cell.setting], list(cell.after)
    folders = {name: str(Path(folder).resolve()) for name, folder in experiment.corpora.items()}
    own, tested = ({folders[name] for name in names} for names in (setting.train, setting.test))
    if scored := sorted(name for name in cell.beside if folders[name] in tested - own):
        raise ConfigError(
            f"experiment {experiment.name}: {cell.name} has {scored[0]} beside it, which {cell.setting} scores and "
            "does not train on; leave it out of beside"
        )
    while every:
        before = every.pop()
        every += before.after
        if before.is_stage or before.setting == cell.setting:
            continue
        other = experiment.settings[before.setting]
        more = set(other.train) if other.share > setting.share else set[str]()
        more |= {name for name in (*other.train, *before.beside) if folders[name] in tested - own}
        learnt = sorted(name for name in more if folders[name] in own | tested)
        if other.train and not set(setting.without) <= set(other.without):
            learnt = [*other.train]
        if learnt:
            raise ConfigError(
                f"experiment {experiment.name}: {cell.name} goes back to {before.name}, which learns more of the "
                f"annotation of {learnt[0]} than {cell.setting} has; start from a setting that has no more of it"
            )


def _known(experiment: Experiment, what: str, name: str, there: Mapping[str, Any]) -> None:
    if name not in there:
        raise ConfigError(f"experiment {experiment.name}: {what} {name!r} is not among {', '.join(there) or 'none'}")
