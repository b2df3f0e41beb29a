"""Text in, entities out: the loop that finds mentions with a trained student.

Documents are taken in blocks of bounded size; a block's sentences are cut into words, encoded, sorted by length and
scored in batches of bounded token count, so that memory depends on the settings and not on the number of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kogner.annotate.engine import PRECISIONS, Engine
from kogner.config import MAX_WORDS
from kogner.errors import InputError
from kogner.hardware import check_device
from kogner.records import Document, Mention, Sentence
from kogner.student.checkpoint import StudentInfo, open_student
from kogner.student.decode import Candidate, calibrated, check_overlap, decode, warmed
from kogner.student.encoder import Prompt, special_tokens, tokenise
from kogner.student.model import Student
from kogner.student.windows import Window, windows
from kogner.text import splitter, to_sentences

MAX_LABELS = 2000


@dataclass(frozen=True)
class Settings:
    """How to predict.

    threshold: for every label without one of its own; None takes the checkpoint's. thresholds: per label.
    nested: allow entities inside entities. multi_label: a span may have several types. overlap: which of overlapping
    spans wins, see `kogner.student.decode.decode`.
    token_budget: padded sub-tokens per batch. block: characters per block. precision: fp32, bf16, fp16.
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] | None = None
    nested: bool = False
    multi_label: bool = False
    overlap: str = "score"
    token_budget: int = 4096
    block: int = 400_000
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name, value in [("threshold", self.threshold), *(self.thresholds or {}).items()]:
            if value is not None and not 0 < value < 1:
                raise InputError(f"threshold {name}={value} must lie between 0 and 1")
        check_overlap(self.overlap, nested=self.nested)
        if self.precision not in PRECISIONS:
            raise InputError(f"precision {self.precision!r} is not known; use one of {', '.join(PRECISIONS)}")


class Predictor:
    """A student ready to annotate.

    >>> predictor = Predictor.load("models/kogner-mini")  # doctest: +SKIP
    >>> predictor.predict_text("Aspirin lowers fever.", labels=["chemical"])  # doctest: +SKIP
    """

    def __init__(self, student: Student, info: StudentInfo | None = None) -> None:
        self.student = student
        self.info = info or StudentInfo()
        begin, end = special_tokens(student.tokenizer)
        self._specials = (len(begin), len(end))
        self._labels: dict[str, torch.Tensor] = {}
        self._engines: dict[str, Engine] = {}

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> Predictor:
        """Open a student: the folder of a KoGNER student or of a GLiNER checkpoint, or the id of one on the hub.

        Raises ArtifactError where it is missing, damaged or of a variant that is not read, ConfigError for a device
        that is not there.
        """
        check_device(device)
        return cls(*open_student(path, device=device))

    def predict_text(self, text: str, *, labels: Sequence[str], settings: Settings | None = None) -> list[Mention]:
        """Entities of one text, in its order."""
        (document,) = self.predict([Document("text", text)], labels=labels, settings=settings)
        return list(document.mentions)

    def predict(
        self, documents: Iterable[Document], *, labels: Sequence[str], settings: Settings | None = None
    ) -> Iterator[Document]:
        """Yield each document with the entities found in it, in the order they came.

        labels: entity types to look for, as the user names them.
        Raises InputError where labels are missing, blank, doubled or more than 2,000.
        """
        settings = settings or Settings()
        labels = check_labels(labels)
        thresholds = self._thresholds(labels, settings)
        block: list[Document] = []
        size = 0
        for document in documents:
            block.append(document)
            size += len(document.text)
            if size >= settings.block:
                yield from self._predict_block(block, labels, thresholds, settings)
                block, size = [], 0
        yield from self._predict_block(block, labels, thresholds, settings)

    def _predict_block(
        self, documents: Sequence[Document], labels: Sequence[str], thresholds: np.ndarray, settings: Settings
    ) -> Iterator[Document]:
        sentences: list[Sentence] = []
        owner: list[int] = []
        config = self.student.config
        words = splitter(config.words)
        for number, document in enumerate(documents):
            found, _ = to_sentences(replace(document, mentions=()), context=config.context, words=words)
            sentences.extend(found)
            owner.extend([number] * len(found))
        candidates = self._score(sentences, labels, thresholds, settings)
        temperatures = [self.info.temperature(label) for label in labels]
        mentions: list[list[Mention]] = [[] for _ in documents]
        for sentence, number, spans in zip(sentences, owner, candidates, strict=True):
            text = documents[number].text
            chosen = decode(
                calibrated(spans, temperatures),
                nested=settings.nested,
                multi_label=settings.multi_label,
                overlap=settings.overlap,
            )
            for span in chosen:
                start, end = sentence.words[span.start][0], sentence.words[span.end - 1][1]
                mentions[number].append(
                    Mention(start, end, labels[span.type], text=text[start:end], score=round(span.score, 4))
                )
        for document, found_mentions in zip(documents, mentions, strict=True):
            yield replace(document, mentions=tuple(found_mentions), types=frozenset(labels))

    def _score(
        self, sentences: Sequence[Sentence], labels: Sequence[str], thresholds: np.ndarray, settings: Settings
    ) -> list[list[Candidate]]:
        """Candidates above their thresholds, per sentence."""
        student = self.student
        room = student.room(labels)
        encoded = tokenise(student.tokenizer, [sentence.texts for sentence in sentences])
        pieces: list[tuple[int, Window]] = [
            (number, window)
            for number, whole in enumerate(encoded)
            for window in windows(
                whole,
                specials=self._specials,
                max_tokens=room,
                max_words=MAX_WORDS,
                max_width=student.config.max_width,
            )
        ]
        pieces.sort(key=lambda piece: -len(piece[1].encoded.ids))
        found: list[list[Candidate]] = [[] for _ in sentences]
        was_training = student.training
        if was_training:
            self._forget()
        student.eval()
        with torch.inference_mode():
            types = self._encode_labels(labels)
            engine = self._engine(settings.precision)
            at_least = torch.from_numpy(np.log(thresholds / (1 - thresholds))).float().to(student.device)
            for batch in _batches(pieces, token_budget=settings.token_budget, prompt=student.text_limit - room):
                hits = engine.score([window.encoded for _, window in batch], types, at_least)
                for row, first, width, kind, score in zip(*hits, strict=True):
                    number, window = batch[row]
                    start = window.first + first
                    if window.owned[0] <= start < window.owned[1]:
                        found[number].append(Candidate(start, start + width + 1, kind, score))
        if was_training:
            self._forget()
        student.train(was_training)
        return found

    def _forget(self) -> None:
        """Drop what was made of weights that still change."""
        self._labels.clear()
        self._engines.clear()

    def _engine(self, precision: str) -> Engine:
        if precision not in self._engines:
            self._engines[precision] = Engine(self.student, precision=precision)
        return self._engines[precision]

    def _encode_labels(self, labels: Sequence[str]) -> torch.Tensor | Prompt:
        """Types for the student: vectors (labels, hidden), each made once as long as it is not trained on; or a prompt.

        A uni-encoder has a prompt, which is no work, and no vectors of labels alone that could be kept.
        """
        if self.student.config.architecture == "uni":
            return self.student.encode_labels(labels)
        new = [label for label in labels if label not in self._labels]
        for start in range(0, len(new), 64):
            chunk = new[start : start + 64]
            vectors = self.student.encode_labels(chunk)
            assert isinstance(vectors, torch.Tensor)
            self._labels.update(zip(chunk, vectors.float(), strict=True))
        return torch.stack([self._labels[label] for label in labels])

    def _thresholds(self, labels: Sequence[str], settings: Settings) -> np.ndarray:
        """By label, the score before calibration that is the threshold after it: (labels,)."""
        own = settings.thresholds or {}
        unknown = sorted(set(own) - set(labels))
        if unknown:
            raise InputError(f"threshold given for {unknown[0]!r}, which is not among the labels: {', '.join(labels)}")
        values = []
        for label in labels:
            fitted = self.info.threshold(label)
            value = own.get(label, fitted if settings.threshold is None else settings.threshold)
            temperature = self.info.temperature(label)
            values.append(value if temperature == 1 else warmed(value, 1 / temperature))
        return np.array(values, dtype=np.float64)


def check_labels(labels: Sequence[str]) -> list[str]:
    """Labels without surrounding blanks.

    Raises InputError where there are none, too many, blank or doubled ones, or one that is not UTF-8.
    """
    cleaned = [label.strip() for label in labels]
    if not cleaned or not any(cleaned):
        raise InputError("no labels given; name the entity types to look for, e.g. --labels chemical,disease")
    if not all(cleaned):
        raise InputError("one of the labels is empty; separate labels by single commas")
    for label in cleaned:
        try:
            label.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"label {label!r} is not UTF-8; write it in UTF-8") from None
    if len(cleaned) > MAX_LABELS:
        raise InputError(f"{len(cleaned)} labels given, the limit is {MAX_LABELS}; annotate in several runs")
    doubled = sorted({label for label in cleaned if cleaned.count(label) > 1})
    if doubled:
        raise InputError(f"label {doubled[0]!r} is given more than once")
    return cleaned


def _batches(
    pieces: Sequence[tuple[int, Window]], *, token_budget: int, prompt: int = 0
) -> Iterator[Sequence[tuple[int, Any]]]:
    """Runs of windows, longest first, of at most `token_budget` padded sub-tokens (always at least one window).

    prompt: sub-tokens that a uni-encoder reads before each window.
    """
    start = 0
    while start < len(pieces):
        longest = len(pieces[start][1].encoded.ids) + prompt
        size = max(1, token_budget // longest)
        yield pieces[start : start + size]
        start += size
