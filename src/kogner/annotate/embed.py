"""Vectors of spans that the user names, instead of spans that the student finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kogner.config import MAX_WORDS
from kogner.errors import InputError
from kogner.records import Document, Mention
from kogner.student.encoder import special_tokens, tokenise
from kogner.student.model import Student
from kogner.student.windows import windows
from kogner.text import splitter, to_sentences


def embed_spans(
    student: Student, text: str, spans: Sequence[tuple[int, int]], *, labels: Sequence[str] = ()
) -> np.ndarray:
    """Span vectors s_ij, (spans, hidden) float32, in the order of `spans` (half-open code points of the text).

    labels: what a uni-encoder reads before the text; a bi-encoder needs none.
    Raises InputError for a span outside the text, off word edges, across sentences or wider than a window, and for a
    uni-encoder without labels.
    """
    uni = student.config.architecture == "uni"
    if uni and not labels:
        raise InputError("a uni-encoder reads text and labels together; give labels to embed spans")
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
        for sentence in sentences:
            if not sentence.spans:
                continue
            (whole,) = tokenise(student.tokenizer, [sentence.texts])
            begin, end = special_tokens(student.tokenizer)
            for window in windows(
                whole,
                specials=(len(begin), len(end)),
                max_tokens=student.room(labels),
                max_words=MAX_WORDS,
                max_width=max(last - first for first, last, _, _ in sentence.spans),
            ):
                beyond = window.first + len(window.encoded.first)
                inside = [
                    (int(number), first - window.first, last - 1 - window.first)
                    for first, last, number, _ in sentence.spans
                    if window.owned[0] <= first < window.owned[1] and last <= beyond
                ]
                if inside:
                    _, words = student(student.collate([window.encoded]).to(student.device), types)
                    index = torch.tensor([(0, first, last) for _, first, last in inside], device=student.device)
                    found = student.span_head.vectors(words, index).float().cpu().numpy()
                    for (number, _, _), vector in zip(inside, found, strict=True):
                        vectors[number] = vector
    student.train(was_training)
    for span, made in zip(spans, vectors, strict=True):
        if made is None:
            raise InputError(
                f"span {tuple(span)} ({text[span[0] : span[1]][:40]!r}) lies off word edges, crosses a sentence or is "
                "wider than a window; spans are half-open code points from the start of a word to the end of one"
            )
    return np.stack([made for made in vectors if made is not None]) if spans else np.zeros((0, student.hidden), "f4")
