"""Vectors of spans that the user names, instead of spans that the student finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import index

import numpy as np
import torch

from kogner.annotate.label_check import check_labels
from kogner.errors import InputError
from kogner.records import Document, Mention
from kogner.student.encoder import Encoded, special_tokens, tokenise
from kogner.student.model import Student
from kogner.student.windows import windows
from kogner.text import Sentence, splitter, to_sentences

_TOKENS = 2048  # padded sub-tokens that are read at a time
_Span = tuple[int, int, int]


def embed_spans(
    student: Student, text: str, spans: Sequence[tuple[int, int]], *, labels: Sequence[str] = ()
) -> np.ndarray:
    """Span vectors s_ij, (spans, hidden) float32, in the order of `spans` (half-open code points of the text).

    labels: what a uni-encoder reads before the text; a bi-encoder needs none.
    Raises InputError for a span outside the text, off word edges, across sentences or wider than a window, and for a
    uni-encoder without labels.
    """
    if not isinstance(text, str):
        raise InputError(f"a text must be a string, not {type(text).__name__}")
    spans = _pairs(spans)
    uni = student.config.architecture == "uni"
    if uni and not len(labels):
        raise InputError("a uni-encoder reads text and labels together; give labels to embed spans")
    labels = check_labels(labels) if len(labels) else []
    sentences, _ = to_sentences(
        Document("text", text, tuple(Mention(*span, type=str(number)) for number, span in enumerate(spans))),
        context=student.config.context,
        words=splitter(student.config.words),
    )
    vectors: list[np.ndarray | None] = [None] * len(spans)
    was_training = student.training
    student.eval()
    with torch.inference_mode():
        types = student.encode_labels(list(labels) or ["entity"])
        read = sorted(_windows(student, sentences, labels), key=lambda pair: len(pair[0].ids))
        while read:
            count = max(1, _TOKENS // len(read[-1][0].ids))
            batch, read = read[-count:], read[:-count]
            words, _ = student.read(student.collate([window for window, _ in batch]).to(student.device), types)
            places = [(row, first, last) for row, (_, inside) in enumerate(batch) for _, first, last in inside]
            found = student.span_head.vectors(words, torch.tensor(places, device=student.device)).float().cpu().numpy()
            for number, vector in zip((span[0] for _, inside in batch for span in inside), found, strict=True):
                vectors[number] = vector
    student.train(was_training)
    for span, made in zip(spans, vectors, strict=True):
        if made is None:
            raise InputError(
                f"span {tuple(span)} ({text[span[0] : span[1]][:40]!r}) lies off word edges, crosses a sentence or is "
                "wider than a window; spans are half-open code points from the start of a word to the end of one"
            )
    return np.stack([made for made in vectors if made is not None]) if spans else np.zeros((0, student.hidden), "f4")


def _pairs(spans: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    try:
        return [(index(start), index(end)) for start, end in spans]
    except (TypeError, ValueError):
        raise InputError("spans must be pairs (start, end) of whole numbers: half-open code points") from None


def _windows(
    student: Student, sentences: Sequence[Sentence], labels: Sequence[str]
) -> Iterator[tuple[Encoded, list[_Span]]]:
    """Windows that hold spans, and these spans: number, first and last word of the window."""
    begin, end = special_tokens(student.tokenizer)
    for sentence, whole in zip(sentences, tokenise(student.tokenizer, [s.texts for s in sentences]), strict=True):
        if not sentence.spans:
            continue
        for window in windows(
            whole,
            specials=(len(begin), len(end)),
            max_tokens=student.room(labels),
            max_words=student.config.window,
            max_width=max(last - first for first, last, _, _ in sentence.spans),
        ):
            beyond = window.first + len(window.encoded.first)
            inside = [
                (int(number), first - window.first, last - 1 - window.first)
                for first, last, number, _ in sentence.spans
                if window.owned[0] <= first < window.owned[1] and last <= beyond
            ]
            if inside:
                yield window.encoded, inside
