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

from kogner.config import MAX_WORDS
from kogner.errors import InputError
from kogner.hardware import check_device
from kogner.records import Document, Mention, Sentence
from kogner.student.checkpoint import StudentInfo, load
from kogner.student.decode import Candidate, decode
from kogner.student.encoder import collate, special_tokens, tokenise
from kogner.student.model import Student
from kogner.student.windows import Window, windows
from kogner.text import to_sentences

MAX_LABELS = 2000


@dataclass(frozen=True)
class Settings:
    """How to predict.

    threshold: for every label without one of its own; None takes the checkpoint's. thresholds: per label.
    nested: allow entities inside entities. token_budget: padded sub-tokens per batch. block: characters per block.
    precision: fp32, bf16 (autocast).
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] | None = None
    nested: bool = False
    token_budget: int = 4096
    block: int = 400_000
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name, value in [("threshold", self.threshold), *(self.thresholds or {}).items()]:
            if value is not None and not 0 < value < 1:
                raise InputError(f"threshold {name}={value} must lie between 0 and 1")


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

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> Predictor:
        """Open a student checkpoint.

        Raises ArtifactError where it is missing or damaged, ConfigError for a device that is not there.
        """
        check_device(device)
        student, info, _ = load(Path(path), device=device)
        return cls(student, info)

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
        for number, document in enumerate(documents):
            found, _ = to_sentences(replace(document, mentions=()), context=self.student.config.context)
            sentences.extend(found)
            owner.extend([number] * len(found))
        candidates = self._score(sentences, labels, thresholds, settings)
        mentions: list[list[Mention]] = [[] for _ in documents]
        for sentence, number, spans in zip(sentences, owner, candidates, strict=True):
            text = documents[number].text
            for span in decode(spans, nested=settings.nested):
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
        encoded = tokenise(student.tokenizer, [sentence.texts for sentence in sentences])
        pieces: list[tuple[int, Window]] = [
            (number, window)
            for number, whole in enumerate(encoded)
            for window in windows(
                whole,
                specials=self._specials,
                max_tokens=student.text_limit,
                max_words=MAX_WORDS,
                max_width=student.config.max_width,
            )
        ]
        pieces.sort(key=lambda piece: -len(piece[1].encoded.ids))
        found: list[list[Candidate]] = [[] for _ in sentences]
        was_training = student.training
        if was_training:  # weights that still change make label vectors of earlier calls stale
            self._labels.clear()
        student.eval()
        with (
            torch.inference_mode(),
            torch.autocast(student.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16"),
        ):
            types = self._encode_labels(labels)
            logits_from = torch.from_numpy(np.log(thresholds / (1 - thresholds))).float().to(student.device)
            for batch in _batches(pieces, token_budget=settings.token_budget, labels=len(labels)):
                self._score_batch(batch, types, logits_from, found)
        student.train(was_training)
        return found

    def _score_batch(
        self,
        batch: Sequence[tuple[int, Window]],
        types: torch.Tensor,
        logits_from: torch.Tensor,
        found: list[list[Candidate]],
    ) -> None:
        student = self.student
        tokens = collate([window.encoded for _, window in batch], pad_id=student.tokenizer.pad_token_id or 0)
        scores, _ = student(tokens.to(student.device), types)
        logits = scores.logits.float()
        hits = (logits >= logits_from) & scores.valid.unsqueeze(-1)
        where = hits.nonzero()
        values = torch.sigmoid(logits[hits]).cpu().tolist()
        for (row, first, width, kind), score in zip(where.cpu().tolist(), values, strict=True):
            number, window = batch[row]
            start = window.first + first
            if window.owned[0] <= start < window.owned[1]:
                found[number].append(Candidate(start, start + width + 1, kind, score))

    def _encode_labels(self, labels: Sequence[str]) -> torch.Tensor:
        """Type vectors, (labels, hidden); each label is encoded once as long as the student is not trained on."""
        new = [label for label in labels if label not in self._labels]
        for start in range(0, len(new), 64):
            chunk = new[start : start + 64]
            self._labels.update(zip(chunk, self.student.encode_labels(chunk).float(), strict=True))
        return torch.stack([self._labels[label] for label in labels])

    def _thresholds(self, labels: Sequence[str], settings: Settings) -> np.ndarray:
        own = settings.thresholds or {}
        unknown = sorted(set(own) - set(labels))
        if unknown:
            raise InputError(f"threshold given for {unknown[0]!r}, which is not among the labels: {', '.join(labels)}")
        values = []
        for label in labels:
            fitted = self.info.threshold(label)
            values.append(own.get(label, fitted if settings.threshold is None else settings.threshold))
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
    pieces: Sequence[tuple[int, Window]], *, token_budget: int, labels: int
) -> Iterator[Sequence[tuple[int, Any]]]:
    """Runs of windows, longest first, of at most `token_budget` padded sub-tokens (always at least one window).

    With many labels the score tensor outgrows the encoder's, so the budget shrinks with them.
    """
    budget = token_budget if labels <= 64 else max(token_budget * 64 // labels, 256)
    start = 0
    while start < len(pieces):
        longest = len(pieces[start][1].encoded.ids)
        size = max(1, budget // longest)
        yield pieces[start : start + size]
        start += size
