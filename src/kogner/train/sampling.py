"""What a step sees of its sentences: types, names of types, sibling labels and words, drawn anew at every step.

All of it depends on the seed, the step and the step's sentences alone, so that a resumed run, or one on another number
of processes, sees the same.

A uni-encoder reads its types in a row. With the same types in the same order at every step it learns what stands at a
place of the row and not what the label says; so it sees them shuffled, and not always all of them.

Sibling labels (`train.label_siblings`) are hard negatives: labels near a type that a mention of the type is known not
to be. Nothing more is known: text of a corpus that annotates genes may well name protein families, and nobody marked
them. So a sibling's label counts at the gold spans of its type only, with the target 0, and nowhere else; where a
corpus annotates the sibling itself, its own annotation counts as ever.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kogner.config import TrainConfig
from kogner.data.batch import Example
from kogner.errors import ConfigError

OWN_NAME = 0.5  # share of the steps in which a type that has other names goes by its own
SIBLING = 0.5  # share of the steps in which a type that has siblings, and a mention, meets one of them
_TYPES, _NAMES, _SIBLINGS, _WORDS, _DROPPED, _PLACES = range(6)


@dataclass(frozen=True)
class View:
    """The sentences of a step as the student is to see them.

    examples: their type columns are those of `labels`. labels: text of each column. siblings: (columns, columns) bool,
    [t, s] where a mention of t is known not to be an s; None where nothing is known.
    """

    examples: list[Example]
    labels: list[str]
    siblings: np.ndarray | None


class Sampler:
    """Draws views.

    types: all types of the run, in the order of the examples' columns. mask_id: the mask token, None where the encoder
    has none. specials: how many special tokens stand before and after a window. in_a_row: whether the student reads
    its types in a row (a uni-encoder), so that they are shuffled and train.drop_types counts.
    Raises ConfigError for names and siblings of types that the data does not have, for a label that would stand for two
    things, and for masking without a mask token.
    """

    def __init__(
        self,
        config: TrainConfig,
        types: Sequence[str],
        *,
        mask_id: int | None,
        specials: tuple[int, int],
        in_a_row: bool = False,
    ) -> None:
        self.config, self.types = config, list(types)
        self.mask_id, self.specials, self.in_a_row = mask_id, specials, in_a_row
        if config.mask_words and mask_id is None:
            raise ConfigError(
                f"train.mask_words={config.mask_words}, but the encoder's tokenizer has no mask token; set "
                "train.mask_words=0 or take another encoder"
            )
        self.names = {name: tuple(dict.fromkeys((name, *config.label_names.get(name, ())))) for name in types}
        self._check()

    def longest(self, length: Callable[[str], int]) -> list[str]:
        """The longest labels that a step can show together; a uni-encoder has to leave room for them.

        length: sub-tokens of a label.
        """
        labels = [max(self.names[name], key=length) for name in self.types]
        return [*labels, *_longest_choice([self._extra(name) for name in self.types], length)]

    def view(self, examples: Sequence[Example], *, step: int) -> View:
        """What a step sees of its sentences, given in the order of its batch."""
        columns = self._columns(examples, step)
        if self.in_a_row:
            columns = self._without_dropped(columns, examples, step)
        present = {int(kind) for example in examples for kind in example.spans[:, 2]} & set(columns)
        extra, pairs = self._siblings(columns, present, step)
        labels = self._labels(columns, step) + extra
        places = np.arange(len(labels))
        if self.in_a_row:
            places = self._random(step, _PLACES).permutation(places)
            labels = [labels[at] for at in np.argsort(places)]
            pairs = [(int(places[a]), int(places[b])) for a, b in pairs]
        seen = list(examples)
        at = np.full(len(self.types), -1)
        at[columns] = places[: len(columns)]
        if len(labels) > len(self.types) or not np.array_equal(at, np.arange(len(self.types))):
            seen = [_with_columns(example, at, len(labels)) for example in seen]
        if self.config.mask_words:
            random = self._random(step, _WORDS)
            seen = [self._masked(example, random) for example in seen]
        siblings = None
        if pairs:
            siblings = np.zeros((len(labels), len(labels)), dtype=bool)
            siblings[tuple(zip(*pairs, strict=True))] = True
        return View(seen, labels, siblings)

    def _random(self, step: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, step, purpose])

    def _columns(self, examples: Sequence[Example], step: int) -> list[int]:
        """All types with a mention here, and others that a sentence's corpus annotates, up to max_types."""
        limit = self.config.max_types
        if not limit or len(self.types) <= limit:
            return list(range(len(self.types)))
        gold = np.unique(np.concatenate([example.spans[:, 2] for example in examples]))
        known = np.flatnonzero(np.any([example.types for example in examples], axis=0))
        others = np.setdiff1d(known, gold)
        drawn = self._random(step, _TYPES).permutation(others)[: max(limit - len(gold), 0)]
        return sorted(int(column) for column in (*gold, *drawn)) or [0]

    def _without_dropped(self, columns: list[int], examples: Sequence[Example], step: int) -> list[int]:
        """The columns that are left of them: see train.drop_types. At least one always is."""
        share, random = self.config.drop_types, self._random(step, _DROPPED)
        few, keep = random.random() < share, random.random(len(self.types)) >= share
        gold = {int(kind) for example in examples for kind in example.spans[:, 2]}
        if few and gold:
            keep[:] = False
            some = random.permutation(sorted(gold))
            keep[some[: random.integers(1, len(some) + 1)]] = True
        elif gold:
            keep[list(gold)] = True
        left = [column for column in columns if keep[column]]
        return left or [columns[int(random.integers(len(columns)))]]

    def _labels(self, columns: Sequence[int], step: int) -> list[str]:
        random = self._random(step, _NAMES)
        labels = []
        for name in self.types:  # every type draws, so that one does not depend on which others are shown
            own, *others = self.names[name]
            labels.append(own if random.random() < OWN_NAME or not others else others[random.integers(len(others))])
        return [labels[column] for column in columns]

    def _siblings(
        self, columns: Sequence[int], present: set[int], step: int
    ) -> tuple[list[str], list[tuple[int, int]]]:
        """Labels to add behind the columns, and the pairs [t, s] of columns that exclude each other."""
        if not self.config.label_siblings:
            return [], []
        random = self._random(step, _SIBLINGS)
        shown = {self.types[column]: at for at, column in enumerate(columns)}
        extra: list[str] = []
        pairs = []
        for kind, name in enumerate(self.types):
            near, chance = self._extra(name), random.random()
            chosen = near[random.integers(len(near))] if near else None
            if kind not in present:
                continue
            pairs += [(shown[name], shown[s]) for s in self.config.label_siblings.get(name, ()) if s in shown]
            if chosen is not None and chance < SIBLING:
                if chosen not in extra:
                    extra.append(chosen)
                pairs.append((shown[name], len(columns) + extra.index(chosen)))
        return extra, pairs

    def _extra(self, name: str) -> list[str]:
        """Siblings of a type that are no types of the run, so that a label has to be added for them."""
        return [sibling for sibling in self.config.label_siblings.get(name, ()) if sibling not in self.types]

    def _masked(self, example: Example, random: np.random.Generator) -> Example:
        """Every sub-token of the chosen words becomes the mask token; the words stay where they are."""
        first = example.encoded.first
        chosen = random.random(len(first)) < self.config.mask_words
        ends = np.append(first[1:], len(example.encoded.ids) - self.specials[1])
        ids = example.encoded.ids.copy()
        for start, end in zip(first[chosen], ends[chosen], strict=True):
            ids[start:end] = self.mask_id
        return dataclasses.replace(example, encoded=dataclasses.replace(example.encoded, ids=ids))

    def _check(self) -> None:
        owner = {name.casefold(): name for name in self.types}
        for key, given in (("label_names", self.config.label_names), ("label_siblings", self.config.label_siblings)):
            for name in given:
                if name not in self.types:
                    near = difflib.get_close_matches(name, self.types, n=1, cutoff=0.4)
                    raise ConfigError(
                        f"train.{key} speaks of {name!r}, which is no type of the training data ("
                        f"{', '.join(self.types)})" + (f"; did you mean {near[0]!r}?" if near else "")
                    )
                if not all(label.strip() for label in given[name]):
                    raise ConfigError(f"train.{key} has a blank label for {name!r}; remove it")
        for name, others in self.config.label_names.items():
            for other in others:
                if owner.setdefault(other.casefold(), name) != name:
                    raise ConfigError(
                        f"train.label_names gives {other!r} to {name!r}, but it stands for {owner[other.casefold()]!r} "
                        "as well; a label can stand for one type only"
                    )
        for name, siblings in self.config.label_siblings.items():
            for sibling in siblings:
                known = owner.get(sibling.casefold())
                if known == name or (known is not None and sibling not in self.types):
                    raise ConfigError(
                        f"train.label_siblings has {sibling!r} beside {name!r}, but it is a name of {known!r}; "
                        "give labels that stand for something else"
                    )


def _with_columns(example: Example, at: np.ndarray, count: int) -> Example:
    """An example whose type t stands in column at[t] of `count`, or in none where that is -1, nor do its mentions."""
    spans = example.spans.copy()
    spans[:, 2] = at[spans[:, 2]]
    unsure = example.unsure.copy()
    unsure[:, 2] = at[unsure[:, 2]]
    mask = np.zeros(count, dtype=bool)
    mask[at[at >= 0]] = example.types[at >= 0]
    kept, doubts = spans[:, 2] >= 0, unsure[:, 2] >= 0
    entities = example.entities[kept] if len(example.entities) else example.entities
    return dataclasses.replace(example, spans=spans[kept], types=mask, unsure=unsure[doubts], entities=entities)


def within(examples: Sequence[Example], budget: int, *, prompt: int = 0) -> Iterator[list[Example]]:
    """Runs of examples of at most `budget` padded sub-tokens, always at least one example; 0 = no limit.

    prompt: sub-tokens that a uni-encoder reads before each example.
    """
    piece: list[Example] = []
    longest = 0
    for example in examples:
        longest = max(longest, len(example.encoded.ids) + prompt)
        if budget and piece and longest * (len(piece) + 1) > budget:
            yield piece
            piece, longest = [], len(example.encoded.ids) + prompt
        piece.append(example)
    if piece:
        yield piece


def _longest_choice(choices: Sequence[Sequence[str]], length: Callable[[str], int]) -> list[str]:
    """The longest set of labels that comes of taking one of each choice, where one taken twice counts once.

    Which sets can come so is a transversal matroid: taking the longest labels first, each where all taken so far still
    find choices of their own, gives the longest set.
    """
    taken: dict[int, str] = {}  # choice -> label

    def place(label: str, tried: set[int]) -> bool:
        for number, near in enumerate(choices):
            if label in near and number not in tried:
                tried.add(number)
                if number not in taken or place(taken[number], tried):
                    taken[number] = label
                    return True
        return False

    for label in sorted({label for near in choices for label in near}, key=lambda label: (-length(label), label)):
        place(label, set())
    return sorted(taken.values())
