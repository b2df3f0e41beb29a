"""How much names of the graph count for a student that a cell scores with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kogner.experiment.cell import Cell

if TYPE_CHECKING:
    from kogner.annotate.names import Names
    from kogner.annotate.predictor import Predictor
    from kogner.train.entity_weights import Learnt
    from kogner.train.splits import Split

TEXTS = 300  # documents of a corpus that say how much a name counts


def names_of(cell: Cell) -> Names:
    """What a cell reads with: names of the plan's graph, each of its type, or as a control of any."""
    from kogner.annotate.names import Names
    from kogner.experiment.untyped import UntypedNames
    from kogner.graph.store import GraphStore

    store = GraphStore.open(str(cell.experiment.graph))
    return UntypedNames(store, cell.untyped) if cell.untyped else Names(store)


def weigh_names(cell: Cell, predictor: Predictor, splits: Sequence[Split], names: Names) -> dict[str, Any]:
    """Give a predictor its weights, and return what is told of them.

    An arm's texts say it, else the dev documents of `splits`, as in `kogner calibrate`; where there is neither, each
    name counts as by default.
    """
    from kogner.annotate.entity_weights import EntityWeights
    from kogner.evaluate.spans import score
    from kogner.train.name_evidence import best_name_evidence
    from kogner.train.thresholds import by_entity, found_at, scored_dev

    told: dict[str, Any] = {"steps": 0, "best_step": None, "dev": {}}
    if cell.texts:
        weights = _by_texts(cell, predictor, names)
        predictor.info = dataclasses.replace(predictor.info, name_weights=weights)
        return told | {"name_weights": weights}
    if not splits:
        return told
    learnt = None if cell.by_entity is None else learnt_by_entity(cell, splits, names)
    entities = EntityWeights() if learnt is None else learnt.weights
    types = tuple(dict.fromkeys(name for split in splits for name in split.types))
    scored = scored_dev(predictor.student, splits, types, names=names)
    if learnt is not None:
        scored = by_entity(scored, splits, types, names, entities)
    evidence = best_name_evidence(scored, splits, types, predictor.info)
    predictor.info = dataclasses.replace(predictor.info, name_weights=evidence.weights, name_losses=evidence.losses)
    predictor.entity_weights = entities.scaled(evidence.scales)
    on_dev = found_at(evidence.applied(scored, types), splits, types, predictor.info)
    told["dev"] = {s.name: score(s.dev, on_dev[s.name], types=s.types).to_dict()["f1"] for s in splits if s.dev}
    told |= {"name_weights": evidence.weights, "name_losses": evidence.losses}
    if learnt is not None:
        told["entity_weights"] = {
            name: of | {"scale": evidence.scales.get(name, 0.0)} for name, of in learnt.told.items()
        }
    return told


def _by_texts(cell: Cell, predictor: Predictor, names: Names) -> dict[str, float]:
    """What the first TEXTS train documents of its corpora say, their annotation unread."""
    from kogner.data import corpora
    from kogner.train.trust import weights_of_texts

    folders = cell.experiment.corpora
    texts = [one for name in cell.texts for one in corpora.load(name, folders[name], "train").documents[:TEXTS]]
    info = predictor.info
    labels = dict.fromkeys((*info.types, *cell.without))  # also of a type that it has not learnt, and is asked for
    return weights_of_texts(predictor.student, info, texts, [*labels], names=names, threads=1)


def learnt_by_entity(cell: Cell, splits: Sequence[Split], names: Names) -> Learnt:
    """Which entities annotators mark, from the train documents that the student has learnt from."""
    from kogner.recipe import load_recipe
    from kogner.teacher.bank import Bank
    from kogner.train.entity_weights import learn
    from kogner.train.splits import subset

    assert cell.base is not None and cell.by_entity is not None
    train = load_recipe(cell.experiment.recipe, cell.base.overrides()).train
    drawn = [
        dataclasses.replace(one, train=tuple(subset(one.train, train.train_share, train.data_seed))) for one in splits
    ]
    types = tuple(dict.fromkeys(name for split in splits for name in split.types))
    return learn(
        drawn, types, names=names, bank=Bank.open(str(cell.bank)), parts=cell.by_entity.parts or None,
        control=cell.by_entity.control, seed=cell.seed,
    )  # fmt: skip
