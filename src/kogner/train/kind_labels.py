"""Kinds of entities as labels beside the types of a run: some of the batch's own, and a few that are not in it.

A mention is a positive of the kinds that the graph puts its entity in and a negative of the others. One whose entity
the graph does not know, or puts nowhere, is neither for the kinds of its type. A kind counts only in sentences whose
corpus annotates the type that its mentions have.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from kogner.config import TrainConfig
from kogner.data.batch import Example
from kogner.errors import ConfigError
from kogner.graph.kinds import Kinds
from kogner.graph.store import GraphStore
from kogner.progress import note
from kogner.train.sampling import View
from kogner.train.splits import Split

PRESENT = 0.75  # share of the kinds shown that the batch has mentions of, where it has as many
_KINDS = 16  # keeps their stream of random numbers apart from those of kogner.train.sampling


class KindLabels:
    """Adds kinds to views.

    entities: ids by number, as in `Example.entities`. types: of the run, in the order of the examples' columns.
    count: how many kinds a step shows at most.
    """

    def __init__(self, kinds: Kinds, types: Sequence[str], *, count: int, seed: int) -> None:
        self.count, self.seed, self.names = min(count, len(kinds.names)), seed, kinds.names
        self.numbers = {entity: number for number, entity in enumerate(sorted(kinds.of))}
        self._of = [kinds.of[entity] for entity in self.numbers]
        self._bases = [list(types).index(base) for base in kinds.bases]

    @classmethod
    def of(
        cls, config: TrainConfig, splits: Sequence[Split], types: Sequence[str], graph: GraphStore | None
    ) -> KindLabels | None:
        """Those of the training documents, where the recipe asks for kinds.

        Raises ConfigError without a graph, and where it has no kind of the mentions.
        """
        if not config.kinds:
            return None
        if graph is None:
            raise ConfigError(f"train.kinds={config.kinds} needs the graph: give --graph, or set train.kinds=0")
        linked = Counter(
            (one.entity, one.type)
            for split in splits
            for document in split.train
            for one in document.mentions
            if one.entity is not None
        )
        names = [name for others in config.label_names.values() for name in others]
        kinds = Kinds.collect(graph, linked, without=[*types, *names])
        if not kinds.names:
            raise ConfigError(
                f"the graph puts the {len(linked):,} linked entities of the training data in no class that is neither "
                "too rare nor too common; set train.kinds=0, or link more with 'kogner data link'"
            )
        note(f"{len(kinds.names):,} kinds of {len(kinds.of):,} entities, such as {', '.join(kinds.names[-3:])}")
        return cls(kinds, types, count=config.kinds, seed=config.seed)

    def longest(self, length: Callable[[str], int]) -> list[str]:
        """The longest labels that a step can add. length: sub-tokens of a label."""
        return sorted(self.names, key=length, reverse=True)[: self.count]

    def add(self, view: View, examples: Sequence[Example], *, step: int) -> View:
        """The view with kinds as further columns. examples: what it was drawn from."""
        shown = self._drawn(examples, step)
        if not shown:
            return view
        width = len(view.labels)
        seen = [self._with_kinds(one, own, shown, width) for one, own in zip(view.examples, examples, strict=True)]
        siblings = view.siblings
        if siblings is not None:
            siblings = np.pad(siblings, (0, len(shown)))
        return View(seen, [*view.labels, *(self.names[kind] for kind in shown)], siblings)

    def _drawn(self, examples: Sequence[Example], step: int) -> list[int]:
        random = np.random.default_rng([self.seed, step, _KINDS])
        entities = {int(number) for example in examples for number in example.entities if number >= 0}
        present = sorted(set().union(*(self._of[number] for number in entities)))
        chosen = [present[at] for at in random.permutation(len(present))[: max(1, round(PRESENT * self.count))]]
        others = random.permutation(len(self.names))[: self.count]
        chosen += [int(one) for one in others if one not in chosen][: self.count - len(chosen)]
        return chosen

    def _with_kinds(self, seen: Example, own: Example, shown: Sequence[int], width: int) -> Example:
        """An example as the view has it, with columns from `width` on for the kinds shown."""
        spans, doubts = [], []
        for column, kind in enumerate(shown, width):
            base = self._bases[kind]
            for (first, last, type_, _), number in zip(own.spans.tolist(), own.entities.tolist(), strict=True):
                if number >= 0 and kind in self._of[number]:
                    spans.append((first, last, column, -1))
                elif number < 0 and type_ == base:
                    doubts.append((first, last, column))
            doubts += [(first, last, column) for first, last, type_ in own.unsure.tolist() if type_ == base]
        return dataclasses.replace(
            seen,
            spans=np.concatenate([seen.spans, np.array(spans, np.int64).reshape(-1, 4)]),
            entities=np.concatenate([seen.entities, np.full(len(spans), -1)]),
            unsure=np.concatenate([seen.unsure, np.array(doubts, np.int64).reshape(-1, 3)]),
            types=np.concatenate([seen.types, [own.types[self._bases[kind]] for kind in shown]]),
        )
