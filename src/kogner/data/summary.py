"""What is in the documents of a split, and which of its gold mentions a span model can reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kogner.records import Document
from kogner.text import to_sentences

WIDTHS = (8, 12, 16)


@dataclass
class Summary:
    """Counts over documents. A mention is out of reach where it lies off word edges or crosses a sentence border.

    wider: for each of WIDTHS the reachable mentions that have more words. linked: mentions with a graph entity.
    """

    documents: int = 0
    sentences: int = 0
    words: int = 0
    longest: int = 0
    linked: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    unreachable: Counter[str] = field(default_factory=Counter)
    wider: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Summary:
        """Count; sentences are cut as in prediction, without looking at the mentions."""
        summary = cls()
        for document in documents:
            sentences, unreachable = to_sentences(document)
            summary.documents += 1
            summary.sentences += len(sentences)
            summary.words += sum(map(len, sentences))
            summary.longest = max([summary.longest, *map(len, sentences)])
            summary.linked += sum(mention.entity is not None for mention in document.mentions)
            summary.by_type.update(mention.type for mention in document.mentions)
            summary.unreachable += unreachable
            widths = [last - first for sentence in sentences for first, last, _, _ in sentence.spans]
            for limit in WIDTHS:
                summary.wider[limit] += sum(width > limit for width in widths)
        return summary

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "documents": self.documents,
            "sentences": self.sentences,
            "words": self.words,
            "longest_sentence": self.longest,
            "mentions": self.by_type.total(),
            "linked": self.linked,
            "by_type": dict(sorted(self.by_type.items())),
            "unreachable": dict(sorted(self.unreachable.items())),
            "wider_than": {str(limit): self.wider[limit] for limit in WIDTHS},
        }
