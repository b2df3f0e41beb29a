"""Text in, entities out: the loop that finds mentions with a trained student.

Documents are taken in blocks of bounded size; a block's sentences are cut into words, encoded, sorted by length and
scored in batches of bounded token count, so that memory depends on the settings and not on the number of texts.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kogner.annotate.agreement import settled
from kogner.annotate.batching import batches, blocks
from kogner.annotate.bounds import Bounds
from kogner.annotate.engine import CHOICES, Engine, resolved, threads
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.label_check import check_labels
from kogner.annotate.labels import LabelCache, label_hash
from kogner.annotate.names import MAX_NAME_WEIGHT, Names, with_names
from kogner.annotate.onnx import OnnxEngine, OnnxStudent, engine_for
from kogner.config import StudentConfig
from kogner.errors import ConfigError, InputError
from kogner.hardware import check_device, release_freed_memory, warn_of_bf16
from kogner.hub import fetch
from kogner.progress import note
from kogner.records import Document, Mention, Sentence
from kogner.student.checkpoint import StudentInfo, open_student
from kogner.student.decode import Candidate, check_overlap, decode
from kogner.student.encoder import Prompt, special_tokens, tokenise
from kogner.student.model import Student
from kogner.student.windows import Window, windows
from kogner.text import splitter, to_sentences

MAX_THREADS = 1024  # a number that no machine has ends the process
# Characters after which freed memory goes back. Shards of 50 abstracts: 0.7 GB are in use, and the process grows by
# about 0.1 GB with each, to 1.4 GB after 400,000 characters.
RELEASE_EVERY = 100_000


@dataclass(frozen=True)
class Settings:
    """How to predict.

    threshold: for every label without one of its own; None takes the checkpoint's. thresholds: per label.
    nested: allow entities inside entities. multi_label: a span may have several types. overlap: which of overlapping
    spans wins, see `kogner.student.decode.decode`.
    token_budget: sub-tokens per batch; memory grows with it. block: characters per block.
    precision: fp32, bf16, fp16 (GPU only), or auto: bf16 where the device is fast at it, else fp32.
    threads: of the CPU, 0 = as many as torch has. compile: have torch's compiler write the text encoder, which takes
    about half a minute at the first text. digits: decimal places of scores.
    name_weight: logits that a name of the graph adds, where names are given; None takes the checkpoint's per label.
    agreement: how much other places of the same text in a document count, in [0, 1), see `kogner.annotate.agreement`;
    None takes the checkpoint's per label.
    max_candidates: spans of a block that may reach their threshold, None = any number; more raise InputError.
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] | None = None
    nested: bool = False
    multi_label: bool = False
    overlap: str = "score"
    token_budget: int = 4096
    block: int = 400_000
    precision: str = "fp32"
    threads: int = 0
    compile: bool = False
    digits: int = 4
    name_weight: float | None = None
    agreement: float | None = None
    max_candidates: int | None = None

    def __post_init__(self) -> None:
        if self.thresholds is not None and not isinstance(self.thresholds, Mapping):
            raise InputError(f"thresholds must be a mapping of labels to numbers, not {type(self.thresholds).__name__}")
        for name, number in [("threshold", self.threshold), *(self.thresholds or {}).items()]:
            if number is None and name == "threshold":
                continue
            if not isinstance(number, numbers.Real) or not 0 < number < 1:
                of = "" if name == "threshold" else f" of {name}"
                raise InputError(f"threshold{of} {number!r} must lie between 0 and 1, as a number, and be neither")
        check_overlap(self.overlap, nested=self.nested)
        if self.name_weight is not None and not 0 <= self.name_weight <= MAX_NAME_WEIGHT:
            raise InputError(f"name_weight={self.name_weight} must lie between 0 and {MAX_NAME_WEIGHT:g}")
        if self.agreement is not None and not 0 <= self.agreement < 1:
            raise InputError(f"agreement={self.agreement} must be at least 0 and below 1")
        if self.precision not in CHOICES:
            raise InputError(f"precision {self.precision!r} is not known; use one of {', '.join(CHOICES)}")
        for name, least in (("token_budget", 1), ("block", 1), ("threads", 0), ("digits", 0)):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise InputError(f"{name}={value!r} must be a whole number")
            if value < least:
                raise InputError(f"{name}={value} must be {least} or more")
        if self.threads > MAX_THREADS:
            raise InputError(f"threads={self.threads}, the limit is {MAX_THREADS}; 0 takes all cores")


class Predictor:
    """A student ready to annotate.

    >>> predictor = Predictor.load("models/kogner-mini")  # doctest: +SKIP
    >>> predictor.predict_text("Aspirin lowers fever.", labels=["chemical"])  # doctest: +SKIP
    """

    def __init__(
        self,
        student: Student | OnnxStudent,
        info: StudentInfo | None = None,
        *,
        label_cache: str | Path | None = None,
        folder: Path | None = None,
        entity_weights: EntityWeights | None = None,
    ) -> None:
        """A student and what its checkpoint knows. folder: where it was read from. entity_weights: of names.

        label_cache: a file that keeps label vectors between runs, or a folder with a file for each checkpoint; a
        uni-encoder, which has no vectors of labels alone, does not use it.
        """
        self._model, self.folder = student, folder
        self.info = info or StudentInfo()
        self.entity_weights = entity_weights or EntityWeights()
        begin, end = special_tokens(student.tokenizer)
        self._specials = (len(begin), len(end))
        self._labels = LabelCache(
            self._vectors,
            width=student.label_width if isinstance(student, OnnxStudent) else student.hidden,
            weights=lambda: student.label_hash() if isinstance(student, OnnxStudent) else label_hash(student),
            path=label_cache,
        )
        self._engines: dict[tuple[str, bool, int], Engine | OnnxEngine] = {}
        self._since_release = 0  # characters
        self._state: list[tuple[int, int]] = []  # address and version of each weight that they were made of
        if label_cache is not None and student.config.architecture == "uni":
            note("a uni-encoder reads labels together with the text: the label cache is not used")

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        engine: str | None = None,
        label_cache: str | Path | None = None,
    ) -> Predictor:
        """Open a student: the folder of a KoGNER student, of a GLiNER checkpoint or of an ONNX export, or a hub id.

        engine: `torch`, `onnx` or `openvino`, None = as the folder says. label_cache: see the class.
        Raises ArtifactError where it is missing, damaged or of a variant that is not read, ConfigError for a device
        that is not there or an engine that cannot run it, MissingExtraError for an ONNX export without its engine.
        """
        check_device(device)
        engine = engine_for(engine, path, device=device)
        if engine != "torch":
            exported = OnnxStudent.open(path, engine=engine)
            weights = EntityWeights.read(exported.folder)
            return cls(exported, exported.info, label_cache=label_cache, entity_weights=weights)
        folder = fetch(path)
        weights = EntityWeights.read(folder)
        student, info = open_student(folder, device=device)
        return cls(student, info, label_cache=label_cache, folder=folder, entity_weights=weights)

    @property
    def student(self) -> Student:
        """The student with its weights. Raises ConfigError for an ONNX export, which has none."""
        if isinstance(self._model, OnnxStudent):
            raise ConfigError(f"{self._model.folder} is an ONNX export: it annotates only; open the student it is of")
        return self._model

    @property
    def config(self) -> StudentConfig:
        """Architecture of the student."""
        return self._model.config

    @property
    def device(self) -> str:
        """Where it computes: `cpu`, `cuda`, `mps`."""
        return "cpu" if isinstance(self._model, OnnxStudent) else self._model.device.type

    def predict_text(
        self, text: str, *, labels: Sequence[str], settings: Settings | None = None, names: Names | None = None
    ) -> list[Mention]:
        """Entities of one text, in its order. names: as in `predict`."""
        (document,) = self.predict([Document("text", text)], labels=labels, settings=settings, names=names)
        return list(document.mentions)

    def predict(
        self,
        documents: Iterable[Document | None],
        *,
        labels: Sequence[str],
        settings: Settings | None = None,
        names: Names | None = None,
    ) -> Iterator[Document]:
        """Yield each document with the entities found in it, in the order they came.

        documents: None among them says that no other is there yet, and that results are not to wait for more.
        labels: entity types to look for, as the user names them. names: of a graph, as evidence.
        Raises InputError where labels are missing, blank, doubled or more than 2,000; and what `documents` raises, once
        the documents before it are done.
        """
        settings = settings or Settings()
        labels = check_labels(labels)
        bounds = Bounds.of(labels, settings, self.info, names=names, entity_weights=self.entity_weights)
        for block in blocks(documents, settings.block):
            yield from self._predict_block(block, labels, bounds, settings, names)
            self._since_release += sum(len(document.text) for document in block)
            if self._since_release >= RELEASE_EVERY:  # over calls too: a shard or a request may be small
                self._since_release = 0
                release_freed_memory()

    def _predict_block(
        self,
        documents: Sequence[Document],
        labels: Sequence[str],
        bounds: Bounds,
        settings: Settings,
        names: Names | None,
    ) -> Iterator[Document]:
        sentences: list[Sentence] = []
        owner: list[int] = []
        config = self.config
        words, digits = splitter(config.words), settings.digits
        for number, document in enumerate(documents):
            found, _ = to_sentences(replace(document, mentions=(), unsure=()), context=config.context, words=words)
            sentences.extend(found)
            owner.extend([number] * len(found))
        candidates = self._score(sentences, labels, bounds.asked(), settings)
        if names is not None:
            named = [names.evidence(document.text, labels, bounds.by_entity) for document in documents]
            within_reach = [bounds.within_reach(of) for of in named]
            candidates = [
                with_names(found, sentence, named[number], bounds, within_reach=within_reach[number])
                for found, sentence, number in zip(candidates, sentences, owner, strict=True)
            ]
        chosen: list[list[Candidate]] = [[] for _ in documents]  # from here on by characters
        others: list[list[Candidate]] = [[] for _ in documents]
        for sentence, number, spans in zip(sentences, owner, candidates, strict=True):
            enough = spans
            if any(bounds.agreement):
                enough = [span for span in spans if span.score >= bounds.thresholds[span.type]]
            best = decode(enough, nested=settings.nested, multi_label=settings.multi_label, overlap=settings.overlap)
            chosen[number] += [_in_text(span, sentence) for span in best]
            if any(bounds.agreement):
                others[number] += [_in_text(span, sentence) for span in spans]
        for document, spans, weaker in zip(documents, chosen, others, strict=True):
            if weaker:
                spans = settled(
                    document.text, spans, weaker, thresholds=bounds.thresholds, weights=bounds.agreement,
                    nested=settings.nested, multi_label=settings.multi_label, overlap=settings.overlap,
                )  # fmt: skip
            found_mentions = [
                Mention(
                    span.start, span.end, labels[span.type],
                    text=document.text[span.start : span.end], score=round(span.score, digits),
                )
                for span in spans
            ]  # fmt: skip
            yield replace(document, mentions=tuple(found_mentions), types=frozenset(labels), unsure=())

    def _score(
        self, sentences: Sequence[Sentence], labels: Sequence[str], thresholds: np.ndarray, settings: Settings
    ) -> list[list[Candidate]]:
        """Candidates above their thresholds, per sentence."""
        student = self._model
        room = student.room(labels)
        encoded = tokenise(student.tokenizer, [sentence.texts for sentence in sentences])
        pieces: list[tuple[int, Window]] = [
            (number, window)
            for number, whole in enumerate(encoded)
            for window in windows(
                whole,
                specials=self._specials,
                max_tokens=room,
                max_words=student.config.window,
                max_width=student.config.max_width,
            )
        ]
        pieces.sort(key=lambda piece: -len(piece[1].encoded.ids))
        found: list[list[Candidate]] = [[] for _ in sentences]
        room_left = settings.max_candidates
        was_training = student.training
        self._forget_if_changed()
        if isinstance(student, Student):
            student.eval()
        with torch.inference_mode(), threads(settings.threads):
            types = self._encode_labels(labels, on_disk=not was_training)
            engine: Any = self._engine(settings)
            with np.errstate(divide="ignore"):  # a threshold that rounds to 1 is out of reach
                at_least = torch.from_numpy(np.log(thresholds / (1 - thresholds))).float().to(student.device)
            temperatures = torch.tensor([self.info.temperature(label) for label in labels], dtype=torch.float64)
            temperatures = temperatures.to(student.device)
            prompt = student.text_limit - room
            for batch in batches(pieces, token_budget=settings.token_budget, prompt=prompt, each=engine.each):
                hits = engine.score([window.encoded for _, window in batch], types, at_least, temperatures)
                if room_left is not None:
                    room_left -= len(hits[0])
                    if room_left < 0:
                        raise InputError(
                            f"more than {settings.max_candidates:,} spans reach their threshold, which is the limit; "
                            "raise the threshold (and set agreement 0, which looks at spans from 0.03 on), or ask for "
                            "fewer labels or less text at a time"
                        )
                for row, first, width, kind, score in zip(*hits, strict=True):
                    number, window = batch[row]
                    start = window.first + first
                    if window.owned[0] <= start < window.owned[1]:
                        found[number].append(Candidate(start, start + width + 1, kind, score))
        if was_training:  # the next step changes the weights, so what was made of them is only in the way
            self._forget()
        if isinstance(student, Student):
            student.train(was_training)
        return found

    def _forget(self) -> None:
        """Drop what was made of the weights."""
        self._labels.forget()
        self._engines.clear()

    def _forget_if_changed(self) -> None:
        """Drop what was made of weights that have changed since, by training, loading or hand."""
        if isinstance(self._model, OnnxStudent):
            return
        state = [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in self._model.parameters()]
        if state != self._state:
            self._forget()
            self._state = state

    def _engine(self, settings: Settings) -> Engine | OnnxEngine:
        model = self._model
        if isinstance(model, OnnxStudent):
            if settings.precision not in ("auto", "fp32") or settings.compile:
                raise ConfigError("an ONNX export runs as it was written; take precision fp32 or auto, and no compile")
            key = ("onnx", False, settings.threads)  # a session keeps the threads it was made with
            if key not in self._engines:
                self._engines[key] = OnnxEngine(model, threads=settings.threads)
            return self._engines[key]
        precision = resolved(settings.precision, model.device.type)
        key = (precision, settings.compile, 0)
        if key not in self._engines:
            warn_of_bf16(precision, model.device.type, instead="take precision fp32 or auto")
            self._engines[key] = Engine(model, precision=precision, compile=settings.compile)
        return self._engines[key]

    def _encode_labels(self, labels: Sequence[str], *, on_disk: bool) -> torch.Tensor | Prompt:
        """Types for the student: vectors (labels, width), each made once as long as it is not trained on; or a prompt.

        A uni-encoder has a prompt, which is no work, and no vectors of labels alone that could be kept.
        """
        if self.config.architecture == "uni":
            return self._model.encode_labels(labels)
        return self._labels.take(labels, on_disk=on_disk).to(self._model.device)

    def _vectors(self, labels: Sequence[str]) -> torch.Tensor:
        vectors = self._model.encode_labels(labels)
        assert isinstance(vectors, torch.Tensor)
        return vectors


def _in_text(span: Candidate, sentence: Sentence) -> Candidate:
    """A span of words as one of characters of the document."""
    return span._replace(start=sentence.words[span.start][0], end=sentence.words[span.end - 1][1])
