"""Single sentences of a corpus, drawn at random: what is asked of models that cost money by the sentence."""

from __future__ import annotations

import random
from dataclasses import replace

from kogner.data.corpora import Corpus
from kogner.records import Document, Mention
from kogner.text import sentences

CROSSES = "mention across a sentence border of the sample"


def sampled(corpus: Corpus, count: int, *, seed: int = 0) -> Corpus:
    """A corpus of `count` of its sentences as documents `<id>#<number>`, in the corpus' order; all where it has less.

    A mention that crosses the border of a sentence is in none, which the report notes.
    """
    cut = [one for document in corpus.documents for one in _sentences(document, corpus)]
    chosen = sorted(random.Random(seed).sample(range(len(cut)), min(count, len(cut))))
    return replace(corpus, documents=tuple(cut[number] for number in chosen), lost={})


def _sentences(document: Document, corpus: Corpus) -> list[Document]:
    spans = sentences(document.text)
    found = []
    inside = 0
    for number, (start, end) in enumerate(spans, start=1):
        own = [one for one in document.mentions if start <= one.start and one.end <= end]
        inside += len(own)
        mentions = tuple(
            Mention(one.start - start, one.end - start, one.type, one.text, one.ids, one.entity) for one in own
        )
        found.append(Document(f"{document.id}#{number}", document.text[start:end], mentions, document.types))
    if inside < len(document.mentions):
        corpus.report.note(CROSSES, len(document.mentions) - inside)
    return found
