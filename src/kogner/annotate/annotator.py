"""All that annotating takes: a student, and where there is a graph its names and a linker to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from kogner.annotate.names import Names
from kogner.annotate.predictor import Predictor, Settings
from kogner.api import DEFAULT_MODEL
from kogner.errors import ArtifactError, ConfigError
from kogner.link.linker import EntityLinker, LinkSettings
from kogner.records import Document


@dataclass(frozen=True)
class GraphUse:
    """What a graph is used for. path: of the store; None = there is none.

    link_to: vocabularies that ids are wanted of, separated by commas, best first. aliases: corpora whose names for
    entities count too. bank: of the teacher. nil: score below which an entity has no id. name_weight: see `Settings`.
    likeness: see `LinkSettings`.
    """

    path: str | None = None
    link_to: str | None = None
    aliases: tuple[str, ...] = ()
    bank: str | None = None
    nil: float = 0.5
    name_weight: float | None = None
    likeness: bool = False

    def __post_init__(self) -> None:
        if self.path is None and (self.link_to or self.aliases or self.bank or self.name_weight is not None):
            raise ConfigError("--link-to, --aliases, --bank and --name-weight are of no use without --graph")

    def open(self) -> EntityLinker | None:
        """The linker, None without a graph. Raises what `EntityLinker.open` raises."""
        if self.path is None:
            return None
        wanted = tuple(part.strip() for part in (self.link_to or "").split(",") if part.strip())
        settings = LinkSettings(wanted, nil=self.nil, likeness=self.likeness)
        return EntityLinker.open(self.path, settings, aliases=self.aliases, bank=self.bank)


@dataclass(frozen=True)
class Annotator:
    """A predictor with the linker and the names of a graph, or without both. One thread may use it at a time."""

    predictor: Predictor
    linker: EntityLinker | None = None
    names: Names | None = None

    @classmethod
    def open(
        cls,
        model: str,
        graph: GraphUse | None = None,
        *,
        device: str = "cpu",
        engine: str | None = None,
        label_cache: str | None = None,
    ) -> Annotator:
        """Open a student and a graph, the graph first. model, device, engine, label_cache: as in `Predictor.load`.

        Raises ArtifactError where the default model is asked for and not there, and what opening the parts raises.
        """
        if Path(model) == DEFAULT_MODEL and not DEFAULT_MODEL.exists():
            raise ArtifactError(f"{DEFAULT_MODEL}, the default model, does not exist here; give --model DIR")
        linker = None if graph is None else graph.open()
        names = None if linker is None else Names(linker.store)
        predictor = Predictor.load(model, device=device, engine=engine, label_cache=label_cache)
        return cls(predictor, linker, names)

    def untrained(self, labels: Sequence[str]) -> str | None:
        """What to say of labels that are not among the types the model was trained on, with one that is written alike.

        None where there are no such labels, or the model does not say its types.
        """
        types = self.predictor.info.types
        known = {kind.lower(): kind for kind in types}
        said = []
        for label in labels if known else ():
            if label.lower() not in known:
                near = get_close_matches(re.sub(r"[_-]", " ", label.lower()), known, n=1, cutoff=0.8)
                said.append(f"{label} (is it '{known[near[0]]}'?)" if near else label)
        if not said:
            return None
        among = f"not among the types this model was trained on ({', '.join(types)})"
        return f"{among}: {', '.join(said)}; expect less of them"

    def annotate(
        self,
        documents: Iterable[Document | None],
        *,
        labels: Sequence[str],
        settings: Settings | None = None,
        block: int | None = None,
    ) -> Iterator[Document]:
        """Documents with the entities in them, linked where there is a graph, in their order.

        documents, labels, settings: as in `Predictor.predict`. block: as in `EntityLinker.link_documents`.
        """
        found = self.predictor.predict(documents, labels=labels, settings=settings, names=self.names)
        return found if self.linker is None else self.linker.link_documents(found, block=block)
