"""Which entities a run distils, and the head that does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kogner.config import Recipe
from kogner.errors import ConfigError
from kogner.progress import note
from kogner.student.distil import DistilHead
from kogner.student.maps import Maps
from kogner.student.model import Student
from kogner.teacher.bank import Bank
from kogner.train.splits import Split


def linked_entities(splits: Sequence[Split], bank: Bank) -> list[str]:
    """Entities that training mentions link to and that have a row in the bank, sorted."""
    linked = {
        mention.entity
        for split in splits
        for document in split.train
        for mention in document.mentions
        if mention.entity
    }
    known = sorted(entity for entity in linked if bank.row(entity) is not None)
    if linked and len(known) < len(linked):
        note(f"{len(linked) - len(known):,} of {len(linked):,} linked entities have no row in the bank")
    if not known:
        raise ConfigError(
            "no training mention is linked to an entity of the bank, so nothing can be distilled; link the corpora "
            "with 'kogner data link' first and give --data the linked folders, or set loss.dist_weight=0"
        )
    return known


def shuffled(entities: Sequence[str], splits: Sequence[Split], *, seed: int) -> list[str]:
    """For each entity another of its type, drawn with a seed: whose row of the bank it is given in a control."""
    kinds: dict[str, str] = {}
    for split in splits:
        for document in split.train:
            kinds |= {one.entity: one.type for one in document.mentions if one.entity and one.entity not in kinds}
    by_type: dict[str, list[int]] = {}
    for number, entity in enumerate(entities):
        by_type.setdefault(kinds[entity], []).append(number)
    found = list(entities)
    generator = np.random.default_rng(seed)
    for kind in sorted(by_type):
        places = generator.permutation(by_type[kind]).tolist()
        for place, other in zip(places, places[1:] + places[:1], strict=True):
            found[place] = entities[other]
    return found


def make_distil_head(recipe: Recipe, student: Student, bank: Bank, entities: Sequence[str]) -> DistilHead:
    """The distillation head on the rows of the linked entities.

    Its weights are drawn from a random stream of their own, so that a run with b = 0 starts from the same student.
    """
    parts = recipe.distil.parts
    columns = [stop - start for start, stop in bank.ranges(parts).values()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed + 1)
        return DistilHead(recipe.distil, hidden=student.hidden, bank=bank.take(entities, parts), columns=columns)


def write_maps(head: DistilHead | None, bank: Bank | None, folder: Path) -> None:
    """Write what distillation learnt beside a student, where it was distilled."""
    if head is not None and bank is not None:
        Maps.of(head, bank=bank.artifact.hash).save(folder)
