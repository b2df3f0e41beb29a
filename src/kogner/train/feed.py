"""Which sentences each step takes: batches of the corpora that are trained on, and of those beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kogner.config import TrainConfig
from kogner.data.batch import Example
from kogner.data.epochs import Readings, steps_of, stream, take
from kogner.train.splits import Split

GROUP = 150  # what a part of a step costs whatever it holds, in sub-tokens; estimated on two cores, not tuned


@dataclass(frozen=True)
class Feed:
    """Training sentences.

    examples: those whose epochs count. beside: of each corpus of `train.beside`, how many for each of the others, and
    its examples. parts: of a step. All of it depends on the seeds and the number of the step alone, and the batches of
    `examples` not on what stands beside them.
    """

    examples: Sequence[Example]
    config: TrainConfig
    readings: Readings
    parts: int = 1
    beside: Mapping[str, tuple[float, Sequence[Example]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        used: Sequence[Split],
        config: TrainConfig,
        *,
        readings: Readings,
        parts: int,
    ) -> Feed:
        """The examples of all documents of `used`, by the corpora they come from."""
        owner = [split.name for split in used for _ in split.train]
        by_corpus: dict[str, list[Example]] = {name: [] for name in config.beside}
        main: list[Example] = []
        for example in examples:
            by_corpus.get(owner[example.document], main).append(example)
        beside = {name: (config.beside[name], found) for name, found in by_corpus.items() if found}
        return cls(main, config, readings, parts, beside)

    @property
    def steps(self) -> int:
        """`train.steps`, or what `train.epochs` come to."""
        return self.config.steps or steps_of(
            self.examples,
            epochs=self.config.epochs,
            batch_size=self._size,
            seed=self._seed,
            readings=self.readings,
        )

    def batches(self, *, start: int) -> Iterator[list[list[Example]]]:
        """What each step takes, from step `start` on, in groups that are padded separately: see `grouped`.

        Without corpora beside the others a step is one group, whose sentences are of about one length.
        """
        streams = [(self.examples, self._stream(self.examples, self._size, start))]
        for ratio, examples in self.beside.values():
            streams.append((examples, self._stream(examples, max(1, round(ratio * self._size)), start)))
        while True:
            taken = [take(examples, next(batches), self.readings) for examples, batches in streams]
            yield grouped([example for group in taken for example in group]) if self.beside else taken

    def _stream(self, examples: Sequence[Example], size: int, start: int) -> Iterator[list[range]]:
        return stream(examples, batch_size=size, seed=self._seed, start=start, readings=self.readings)

    @property
    def _size(self) -> int:
        return self.config.batch_size * self.parts

    @property
    def _seed(self) -> int:
        return self.config.data_seed + self.config.seed


def grouped(examples: Sequence[Example]) -> list[list[Example]]:
    """Sentences by length, cut into groups that are padded each to its longest, where that costs least (see GROUP)."""
    ordered = sorted(examples, key=lambda example: len(example.encoded.ids))
    lengths = [len(example.encoded.ids) for example in ordered]
    # Sentences of one length stay together: apart they would never cost less.
    borders = [0, *(at for at in range(1, len(lengths)) if lengths[at] != lengths[at - 1]), len(lengths)]
    cost, begin = {0: 0}, {0: 0}  # of the first so many sentences; where their last group begins
    for number, end in enumerate(borders[1:], start=1):
        longest = lengths[end - 1]
        cost[end], begin[end] = min((cost[at] + GROUP + longest * (end - at), at) for at in borders[:number])
    groups: list[list[Example]] = []
    end = len(ordered)
    while end:
        groups.append(ordered[begin[end] : end])
        end = begin[end]
    return groups[::-1]
