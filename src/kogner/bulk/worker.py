"""What annotates and writes shards: opened once in each process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kogner.annotate.annotator import Annotator, GraphUse
from kogner.annotate.predictor import Settings
from kogner.bulk.folder import JobFolder, ShardResult
from kogner.bulk.shards import Failure, Shard
from kogner.errors import KognerError
from kogner.records import Document

BEAT = 25  # documents after which a process says that it lives
SLICE = 100_000  # characters after which it says so in any case; smaller lots are slower
IN_A_ROW = 10  # documents that fail by errors that are none of ours, after which CANARY is tried
CANARY = Document("canary", "Aspirin lowers fever in children with pneumonia.")  # fails only with model or machine


@dataclass(frozen=True)
class WorkPlan:
    """How documents are annotated. runtime: `torch`, `onnx`, `openvino`, None = as the model says.

    form: of the shards' files, a name of `kogner.data.formats.registry`. explain: see `annotate.output.to_json`.
    """

    model: str
    labels: tuple[str, ...]
    settings: Settings
    graph: GraphUse = field(default_factory=GraphUse)
    device: str = "cpu"
    runtime: str | None = None
    label_cache: str | None = None
    form: str = "jsonl"
    explain: bool = False


class Worker:
    """Annotates shards as a plan says. Raises what opening a model, a graph or a bank raises."""

    def __init__(self, plan: WorkPlan, folder: Path) -> None:
        self.plan, self.folder = plan, JobFolder(folder)
        self._in_a_row = 0
        self.annotator = Annotator.open(
            plan.model, plan.graph, device=plan.device, engine=plan.runtime, label_cache=plan.label_cache
        )

    def write(
        self,
        shard: Shard,
        *,
        beat: Callable[[int | None], None] = lambda place: None,
        careful: bool = False,
        without: Mapping[int, str] | None = None,
    ) -> ShardResult:
        """Annotate a shard and write its file. A document that raises an error is a failure, and the others go on.

        careful: each document by itself. beat: called with the place of each document in the shard before it is
        annotated where `careful`, now and then elsewhere, and with None before the shard is written.
        without: places that are failures already, with the reason.
        Raises KognerError where CANARY fails too after IN_A_ROW documents, one after the other, by errors that are none
        of ours, or after all of the shard: then it is the machine or the model, and the shard is not written.
        """
        reasons = {**shard.refused, **(without or {})}
        places = [place for place in range(len(shard.documents)) if place not in reasons]
        done: dict[int, Document] = {}
        if not careful:
            try:
                self._together(shard, places, done, beat)
            except Exception:  # whichever of the documents it came from, it comes again below
                careful = True
        if careful:
            for place in places:
                if place in done:
                    continue
                beat(place)
                try:
                    (done[place],) = self._annotated([shard.documents[place]])
                    self._in_a_row = 0
                except KognerError as error:
                    reasons[place] = str(error)
                except Exception as error:
                    reasons[place] = f"{type(error).__name__}: {error}"
                    self._in_a_row += 1
                    if self._in_a_row >= IN_A_ROW:
                        last = f"the last, {shard.documents[place].id}, with {reasons[place]}"
                        self.check(f"{IN_A_ROW} documents failed one after the other, {last}")
        if places and not done:
            self.check(f"all {len(places)} documents of a shard failed, the last with {reasons[places[-1]]}")
        found = [done[place] for place in sorted(done)]
        failures = [
            Failure(shard.first + place, shard.documents[place].id, reason) for place, reason in sorted(reasons.items())
        ]
        entities = Counter(mention.type for document in found for mention in document.mentions)
        linked = sum(mention.entity is not None for document in found for mention in document.mentions)
        characters = sum(len(document.text) for document in found)
        result = ShardResult(
            *shard.key, len(shard.documents), dict(entities), linked, characters, tuple(failures), len(shard.refused)
        )
        beat(None)
        self.folder.write_shard(result, found, form=self.plan.form, explain=self.plan.explain)
        return result

    def check(self, before: str) -> None:
        """Annotate CANARY. before: what happened. Raises KognerError where that fails."""
        try:
            list(self._annotated([CANARY]))
        except Exception as error:
            raise KognerError(
                f"{before}, and so did a plain sentence ({type(error).__name__}: {error}); see to the machine or the "
                "model, and give the command again"
            ) from error
        self._in_a_row = 0

    def _together(
        self, shard: Shard, places: Sequence[int], done: dict[int, Document], beat: Callable[[int | None], None]
    ) -> None:
        for slice_ in _slices(shard, places):
            # As a list: of a stream the first blocks are small, for results soon, and small blocks take longer.
            for number, document in enumerate(self._annotated([shard.documents[place] for place in slice_])):
                if number % BEAT == 0:
                    beat(slice_[number])
                done[slice_[number]] = document
                self._in_a_row = 0

    def _annotated(self, documents: Iterable[Document]) -> Iterator[Document]:
        return self.annotator.annotate(documents, labels=self.plan.labels, settings=self.plan.settings)


def _slices(shard: Shard, places: Sequence[int]) -> Iterator[list[int]]:
    """Places in lots of about SLICE characters: nothing comes of a lot before all of it was read."""
    lot: list[int] = []
    characters = 0
    for place in places:
        lot.append(place)
        characters += len(shard.documents[place].text)
        if characters >= SLICE:
            yield lot
            lot, characters = [], 0
    if lot:
        yield lot
