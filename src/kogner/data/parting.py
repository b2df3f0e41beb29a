"""Splits of a corpus that have nothing of one another's documents."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from kogner.data.corpora import Corpus
from kogner.data.overlap import Overlap
from kogner.errors import InputError


def without(corpus: Corpus, others: Overlap) -> tuple[Corpus, dict[str, int]]:
    """The documents of a corpus that others do not hold as well, and how many were left out, by reason."""
    reasons = [others.found(document) for document in corpus.documents]
    kept = tuple(document for document, reason in zip(corpus.documents, reasons, strict=True) if reason is None)
    return replace(corpus, documents=kept), dict(sorted(Counter(reason for reason in reasons if reason).items()))


def with_dev(corpus: Corpus, share: float) -> dict[str, Corpus]:
    """A train split without those of its documents that become dev, drawn by their ids alone, and these.

    Raises InputError for a corpus of fewer than two documents.
    """
    if len(corpus) < 2:
        raise InputError(f"holds {len(corpus)} document; for a dev split of its own it needs two", path=corpus.path)
    ranked = sorted(corpus.documents, key=lambda one: hashlib.sha256(one.id.encode(errors="surrogatepass")).digest())
    count = min(max(round(share * len(corpus)), 1), len(corpus) - 1)
    chosen = {id(document) for document in ranked[:count]}
    train = tuple(document for document in corpus.documents if id(document) not in chosen)
    dev = tuple(document for document in corpus.documents if id(document) in chosen)
    return {"train": replace(corpus, documents=train), "dev": replace(corpus, split="dev", documents=dev)}
