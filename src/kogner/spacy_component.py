"""KoGNER as a component of a spaCy pipeline: `nlp.add_pipe("kogner", config={"labels": ["disease", "drug"]})`.

All entities stand in `doc.spans["kogner"]`, nested ones too, those without overlap in `doc.ents`. `ent.kb_id_` is the
graph entity, and `ent._.kogner` what was found in full: exact characters, score, id and its score. `doc._.kogner` is
the list of them, which a notebook shows as marked text. What is written with a pipeline is the configuration; weights,
graph and bank stay where they are, so give their full paths, or a hub id, where a pipeline is to be moved. Where they
have moved themselves: `spacy.load(folder, config={"components": {"kogner": {"model": "new/place"}}})`.

spaCy finds the component by itself where KoGNER is installed; `import kogner.spacy_component` does the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from kogner.api import DEFAULT_MODEL, Entities, FoundEntity, KoGNER
from kogner.artifacts import write_atomic
from kogner.data.report import Report
from kogner.errors import ConfigError, InputError, MissingExtraError
from kogner.records import Document
from kogner.spacy_docs import KEY, entities_at, entities_of, groups_of, set_entities

try:
    from spacy.language import Language
    from spacy.pipeline import Pipe
    from spacy.scorer import get_ner_prf
    from spacy.tokens import Doc, Span
    from spacy.training import Example
    from spacy.util import minibatch
except ImportError as error:
    raise MissingExtraError("the spaCy component", "spacy") from error

FILE = "kogner.json"
GIVEN = "given"  # in it, beside the configuration: what the component was made with, where that is another
OPENING = ("model", "graph", "link_to", "aliases", "bank", "nil", "device", "engine")  # what a model is opened with
DEFAULTS: dict[str, Any] = {
    "model": str(DEFAULT_MODEL), "labels": [], "threshold": None, "thresholds": {}, "nested": False,
    "multi_label": False, "overlap": "score", "graph": None, "link_to": [], "aliases": [], "bank": None, "nil": 0.5,
    "name_weight": None, "agreement": None, "device": "cpu", "engine": None, "precision": "fp32", "threads": 0,
    "spans_key": KEY, "overwrite_ents": True,
}  # fmt: skip


class KognerPipe(Pipe):
    """Finds entities in spaCy's documents.

    name: of the component. config: the keys of DEFAULTS. labels: entity types to look for; none takes those that the
    model was trained on. threshold, thresholds (by label), nested, multi_label, overlap, precision, threads: as of
    `kogner.annotate.predictor.Settings`; graph, link_to, aliases, bank, nil, device, engine: as of
    `KoGNER.from_pretrained`. spans_key: of `doc.spans`. overwrite_ents: whether what other components put into
    `doc.ents` gives way to entities of ours; if not, ours do.

    report: what did not fit into spaCy's documents, counted by reason (not of other processes: `n_process`).
    """

    def __init__(self, name: str, config: dict[str, Any], *, model: KoGNER | None = None) -> None:
        self.name = name
        self.report = Report()
        self._model, self._was_given = model, model is not None
        self.config = _checked(config)
        self._given = deepcopy({key: self.config[key] for key in config})
        if not self.labels:
            raise ConfigError("the model does not say what types it was trained on; give labels, e.g. ['disease']")

    @property
    def model(self) -> KoGNER:
        """The model, opened when it is first asked for."""
        if self._model is None:
            self._model = KoGNER.from_pretrained(
                self.config["model"], **{key: self.config[key] for key in OPENING if key != "model"}
            )
        return self._model

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity types that are looked for."""
        return tuple(self.config["labels"]) or self.model.types

    def __call__(self, doc: Doc) -> Doc:
        """Set the entities of one document."""
        (done,) = self._annotated([doc])
        return done

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Set the entities of documents, `batch_size` of them in one call of the model."""
        handle = self.get_error_handler()
        for batch in minibatch(stream, size=batch_size):
            docs = list(batch)
            try:
                done = self._annotated(docs)
            except Exception as error:  # spaCy's handler decides, and raises it by default
                handle(self.name, self, docs, error)
            else:
                yield from done

    def _annotated(self, docs: Sequence[Doc]) -> list[Doc]:
        config = self.config
        keys = ("threshold", "nested", "multi_label", "overlap", "precision", "threads", "name_weight", "agreement")
        settings = {key: config[key] for key in keys} | {"thresholds": config["thresholds"] or None}
        texts = [Document(str(number), doc.text) for number, doc in enumerate(docs)]
        for doc, found in zip(docs, self.model.annotate(texts, labels=self.labels, **settings), strict=True):
            set_entities(
                doc, found.mentions, report=self.report, key=config["spans_key"], overwrite=config["overwrite_ents"]
            )
        return list(docs)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Precision, recall and F1 of `Doc.ents`, as of spaCy's own recognisers."""
        return get_ner_prf(examples, **kwargs)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The configuration; weights stay where they are."""
        given = {key: value for key, value in self._given.items() if value != self.config[key]}
        return json.dumps(self.config | {GIVEN: given}).encode()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> KognerPipe:
        """Take a configuration over, except where this component was given another one than that which was written.

        What was left at its default was not given: nobody can tell spaCy's defaults from values that are the same.
        Raises InputError for what is no configuration.
        """
        return self._take_over(data, defaults=False)

    def _take_over(self, data: bytes, *, defaults: bool) -> KognerPipe:
        """Take a configuration over. defaults: whether what has its default counts as given."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the configuration of the component {self.name!r} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"the configuration of the component {self.name!r} is no object: {str(found)[:60]}")
        written = found.pop(GIVEN, None)  # none in older files
        if not isinstance(written, dict | None):
            raise InputError(f"the configuration of the component {self.name!r} has no object {GIVEN!r}")
        made = _checked(found | (written or {}))
        given = {
            key: value
            for key, value in self._given.items()
            if value != made[key] and ((defaults and written is not None) or value != DEFAULTS[key])
        }
        checked = _checked(found | given)
        if any(checked[key] != self.config[key] for key in OPENING):
            self._model, self._was_given = None, False
        self.config = checked
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the configuration into a folder."""
        Path(path).mkdir(parents=True, exist_ok=True)
        write_atomic(Path(path) / FILE, self.to_bytes())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> KognerPipe:
        """Take over the configuration in a folder, except where this component was given another one than was written.

        So what `spacy.load(folder, config=...)` was told stands, and what was changed in `config` before it was written
        comes back. Raises InputError where there is none.
        """
        file = Path(path) / FILE
        try:
            return self._take_over(file.read_bytes(), defaults=True)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", path=file) from error

    def __reduce__(self) -> tuple[Callable[..., KognerPipe], tuple[str, dict[str, Any], dict[str, Any]]]:
        if self._was_given:
            raise TypeError(
                f"the component {self.name!r} was given an open model, which is not copied; add it with "
                'nlp.add_pipe("kogner", config={"model": ...}), whose copies open the model themselves'
            )
        return _again, (self.name, self.config, self._given)


def _again(name: str, config: dict[str, Any], given: dict[str, Any]) -> KognerPipe:
    pipe = KognerPipe(name, config)
    pipe._given = given
    return pipe


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """A whole configuration. Raises ConfigError for keys that are not known, InputError for settings that cannot be."""
    from kogner.annotate.label_check import check_labels
    from kogner.annotate.predictor import Settings

    unknown = sorted(config.keys() - DEFAULTS.keys())
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no setting of the component; there are {', '.join(DEFAULTS)}")
    whole = deepcopy(DEFAULTS | config)
    keys = (
        "threshold",
        "thresholds",
        "nested",
        "multi_label",
        "overlap",
        "precision",
        "threads",
        "name_weight",
        "agreement",
    )
    Settings(**{key: whole[key] for key in keys})
    if whole["labels"]:
        whole["labels"] = check_labels(whole["labels"])
    return whole


@Language.factory("kogner", default_config=DEFAULTS, assigns=["doc.ents", "doc.spans"])
def make_kogner(
    nlp: Language,
    name: str,
    model: str,
    labels: list[str],
    threshold: float | None,
    thresholds: dict[str, float],
    nested: bool,
    multi_label: bool,
    overlap: str,
    graph: str | None,
    link_to: list[str],
    aliases: list[str],
    bank: str | None,
    nil: float,
    name_weight: float | None,
    agreement: float | None,
    device: str,
    engine: str | None,
    precision: str,
    threads: int,
    spans_key: str,
    overwrite_ents: bool,
) -> KognerPipe:
    """The component, as spaCy makes it from a configuration; see `KognerPipe`."""
    given = {key: value for key, value in locals().items() if key in DEFAULTS}
    pipe = KognerPipe(name, given)
    _ = pipe.model  # so that a wrong path is told now and not at the first document
    return pipe


def _of_doc(doc: Doc) -> Entities:
    found = [FoundEntity.of(one) for group in groups_of(doc) for one in entities_of(group)]
    return Entities(sorted(found, key=lambda one: (one.start, -one.end)), text=doc.text)


def _of_span(span: Span) -> FoundEntity | None:
    """The best of the entities that have these tokens and this label; None for a span of another's."""
    found = map(FoundEntity.of, entities_at(span))
    return max(found, key=lambda one: one.score, default=None)


Doc.set_extension(KEY, getter=_of_doc, force=True)
Span.set_extension(KEY, getter=_of_span, force=True)
