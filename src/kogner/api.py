"""KoGNER as a library: a student, and what one does with it in a few words. Loads torch only when a model is opened."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.records import Document, Link, Mention

if TYPE_CHECKING:
    import numpy as np

    from kogner.annotate.predictor import Predictor
    from kogner.config import StudentConfig
    from kogner.link.linker import EntityLinker

DEFAULT_MODEL = Path("models/kogner-mini")  # as the repository has it; an installed KoGNER is told another


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity in a text: half-open code points [start, end), the text there, its type, its score in [0, 1].

    entity_id: the graph entity it was linked to, None without a graph or where none fits; entity_score: how well it
    fits, in [0, 1], no probability. entity_ids: all that it names, of which entity_id is the first; several where a
    text such as `breast and ovarian cancer` names them together.
    """

    start: int
    end: int
    text: str
    type: str
    score: float
    entity_id: str | None = None
    entity_score: float | None = None
    entity_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, mention: Mention) -> FoundEntity:
        """The same as a mention that a predictor found."""
        linked = mention.links[0].score if mention.links else None
        ids = mention.ids if len(mention.ids) > 1 else () if mention.entity is None else (mention.entity,)
        score = mention.score or 0.0
        return cls(mention.start, mention.end, mention.text, mention.type, score, mention.entity, linked, ids)

    def to_mention(self) -> Mention:
        """The same as a mention of a document."""
        links = () if self.entity_id is None else (Link(self.entity_id, self.entity_score or 0.0),)
        ids = self.entity_ids if len(self.entity_ids) > 1 else ()
        return Mention(
            self.start, self.end, self.type, self.text, ids, entity=self.entity_id, score=self.score, links=links
        )


class Entities(list[FoundEntity]):
    """The entities of one text, in its order: a list that a notebook shows as the text with its entities marked.

    text: the text that they are of.
    """

    def __init__(self, found: Iterable[FoundEntity] = (), *, text: str = "") -> None:
        super().__init__(found)
        self.text = text

    @classmethod
    def of(cls, document: Document) -> Entities:
        """The mentions of a document that a predictor annotated."""
        return cls(map(FoundEntity.of, document.mentions), text=document.text)

    def _repr_html_(self) -> str:
        from kogner.annotate.output import to_fragment

        return to_fragment(Document("text", self.text, tuple(one.to_mention() for one in self)))


class KoGNER:
    """A student that finds entities of any type the user names.

    >>> model = KoGNER.from_pretrained("models/kogner-mini")  # doctest: +SKIP
    >>> model.predict(["Aspirin lowers fever."], labels=["chemical", "disease"])  # doctest: +SKIP
    """

    def __init__(self, predictor: Predictor, *, linker: EntityLinker | None = None) -> None:
        from kogner.annotate.names import Names

        self.predictor = predictor
        self._linker = linker
        self._names = None if linker is None else Names(linker.store)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KoGNER that is open belongs to its process; open its folder in the other one")

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        graph: str | Path | None = None,
        link_to: Sequence[str] = (),
        aliases: Sequence[str | Path] = (),
        bank: str | Path | None = None,
        nil: float = 0.5,
        device: str = "cpu",
        engine: str | None = None,
        label_cache: str | Path | None = None,
    ) -> KoGNER:
        """Open a student: the folder of a KoGNER student, a GLiNER checkpoint or an ONNX export, or a hub id.

        A hub id is `owner/name` or `owner/name@revision`; it finds students and GLiNER checkpoints, no ONNX exports.

        engine: `torch`, or `onnx` or `openvino` for an ONNX export; None = as the folder says. graph: a graph store
        that gives found entities their ids, and whose names count for spans. link_to: vocabularies that ids are wanted
        of, best first, such as MESH. aliases: folders of linked corpora, whose names for entities count beside the
        graph's. bank: of the teacher, for mentions that no name fits. nil: score below which an entity has no id.
        label_cache: a file that keeps the vectors of labels between runs, or a folder in which each checkpoint has a
        file of its own.
        Raises ArtifactError where it is missing, damaged or of a variant that is not read, KognerError where the hub
        cannot be reached, ConfigError for a device that is not there or an engine that cannot run it, MissingExtraError
        where the engine is not installed. Vocabularies, aliases or a bank without a graph are a ConfigError.
        """
        from kogner.annotate.predictor import Predictor

        linker = None
        if graph is not None:
            from kogner.link.linker import EntityLinker, LinkSettings

            wanted = LinkSettings((link_to,) if isinstance(link_to, str) else tuple(link_to), nil=nil)
            linker = EntityLinker.open(graph, wanted, aliases=aliases, bank=bank)
        elif link_to or aliases or bank is not None:
            raise ConfigError("link_to, aliases and bank are of no use without a graph; give graph=...")
        return cls(Predictor.load(name, device=device, engine=engine, label_cache=label_cache), linker=linker)

    @property
    def config(self) -> StudentConfig:
        """Architecture of the student."""
        return self.predictor.config

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types the student was trained on, as far as the checkpoint knows them."""
        return self.predictor.info.types

    def predict(self, texts: Iterable[str], *, labels: Sequence[str], **settings: Any) -> list[Entities]:
        """Entities of each text, in its order.

        labels: entity types to look for. settings: fields of `kogner.annotate.predictor.Settings`, such as threshold
        or nested. Raises InputError for labels that are missing, blank or doubled, and for texts that are one string.
        """
        given = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, (str, Sequence)) else texts
        return list(self.stream(given, labels=labels, **settings))

    def stream(self, texts: Iterable[str], *, labels: Sequence[str], **settings: Any) -> Iterator[Entities]:
        """`predict` for any number of texts: read as they are needed, in memory that does not grow with them."""
        if isinstance(texts, str):
            raise InputError("texts is one string; give a list of texts, e.g. [text]")
        if not isinstance(texts, Iterable):
            raise InputError(f"texts must be a list of strings, not {type(texts).__name__}")
        given = [_document(text) for text in texts] if isinstance(texts, Sequence) else map(_document, texts)
        yield from map(Entities.of, self.annotate(given, labels=labels, **settings))

    def annotate(self, documents: Iterable[Document], *, labels: Sequence[str], **settings: Any) -> Iterator[Document]:
        """Documents with the entities found in them instead of their mentions, in their order; ids, passages stay.

        labels, settings, errors: as of `predict`. Documents of a list are read in blocks of full size, those of a
        stream as they come.
        """
        from kogner.annotate.predictor import Settings

        try:
            chosen = Settings(**settings)
        except TypeError as error:
            raise InputError(f"{error}; see kogner.annotate.predictor.Settings for what can be set") from None
        annotated = self.predictor.predict(documents, labels=labels, settings=chosen, names=self._names)
        return annotated if self._linker is None else self._linker.link_documents(annotated)

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]], *, labels: Sequence[str] = ()) -> np.ndarray:
        """Vectors s_ij of spans of a text, given as half-open code points: (spans, hidden), float32.

        They are what is compared with types, and what a graph teacher is distilled into. labels: only a uni-encoder
        needs them, because it reads text and types together.
        Raises InputError for a span that lies off word edges, crosses a sentence, or is wider than a window.
        """
        from kogner.annotate.embed import embed_spans

        return embed_spans(self.predictor.student, text, spans, labels=labels)

    def save_pretrained(self, folder: str | Path, *, half: bool = False, format: str = "kogner") -> None:
        """Write the student as a KoGNER student, or as a GLiNER checkpoint, which both KoGNER and `gliner` read.

        format: `kogner` or `gliner`. half: weights in float16, which rounds them; of a KoGNER student only. Recipe,
        parents, and, where the weights are those that were read, metrics and model card stay.
        Raises ArtifactError where the folder holds something else, ConfigError for another format or one without half.
        """
        from kogner import artifacts

        _check_format(format, half=half)
        if format == "gliner":
            from kogner.student import gliner

            with artifacts.writing(Path(folder), kind=gliner.KIND, version=gliner.FORMAT) as building:
                gliner.save(self.predictor.student, self.predictor.info, building)
            return
        from kogner.student import checkpoint

        past = checkpoint.Past.of(self.predictor.student, self.predictor.folder)
        with artifacts.writing(
            Path(folder),
            kind=checkpoint.KIND,
            version=checkpoint.VERSION,
            recipe=past.recipe,
            metrics=dict(past.metrics),
            parents=past.parents,
        ) as building:
            checkpoint.save(self.predictor.student, self.predictor.info, building, half=half)
            if past.card is not None:
                (building / checkpoint.CARD).write_text(past.card, encoding="utf-8")

    def push_to_hub(self, repo: str, *, private: bool = False, half: bool = False, format: str = "kogner") -> str:
        """Write the student to a repository of the model hub (made where there is none); returns its address.

        A student that was pushed there before, in whatever format, is replaced; other files stay.
        format, half: as in `save_pretrained`. Uses the login of `huggingface_hub`.
        Raises ArtifactError for a name that is no owner/name, ConfigError as `save_pretrained` does.
        """
        from huggingface_hub import HfApi

        from kogner.hub import REPLACED

        if repo.count("/") != 1:
            raise ArtifactError(f"repository {repo!r} must look like owner/name")
        _check_format(format, half=half)
        api = HfApi()
        address = api.create_repo(repo, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "student"
            self.save_pretrained(folder, half=half, format=format)
            api.upload_folder(
                repo_id=repo,
                folder_path=str(folder),
                commit_message="KoGNER student",
                delete_patterns=list(REPLACED),
            )
        return str(address)


def _check_format(format: str, *, half: bool) -> None:
    if format not in ("kogner", "gliner"):
        raise ConfigError(f"format={format!r} must be 'kogner' or 'gliner'")
    if half and format == "gliner":
        raise ConfigError("a GLiNER checkpoint is written in float32: leave out half, or take format='kogner'")


def _document(text: str) -> Document:
    if not isinstance(text, str):
        raise InputError(f"a text must be a string, not {type(text).__name__}")
    return Document("text", text)
