"""Documents that a corpus holds as well: by id, or by a run of characters both share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from kogner.data.corpora import Corpus
from kogner.records import Document, article_of

RUN = 60  # letters and digits that two texts share, below which it may be chance
SHARE = 0.03  # of the shorter text, which articles share less of where both quote their licence

BY_ID, BY_TEXT = "document of an excluded corpus, by its id", "document of an excluded corpus, by a shared run of text"
BY_ARTICLE = "part of an article of which an excluded corpus holds another"


def letters(text: str) -> str:
    """The letters and digits of a text, casefolded: what is compared.

    >>> letters("TNF-α (5 mg)")
    'tnfα5mg'
    """
    return "".join(filter(str.isalnum, text.casefold()))


class Overlap:
    """Knows the documents of some corpora. run: shared letters and digits from which a text counts as theirs; of two
    articles longer ones, SHARE of the shorter.

    Of every two runs of that length one holds a whole block, so the blocks are indexed and each hit is measured out.
    """

    def __init__(self, documents: Iterable[Document], *, run: int = RUN) -> None:
        self._run, self._block = run, max(run // 2, 1)
        self._ids: set[str] = set()
        self._articles: set[str] = set()
        self._texts: list[str] = []
        self._blocks: dict[str, list[tuple[int, int]]] = {}
        for document in documents:
            self._ids.add(document.id)
            self._articles.add(article_of(document.id))
            plain = letters(document.text)
            for at in range(0, len(plain) - self._block + 1, self._block):
                self._blocks.setdefault(plain[at : at + self._block], []).append((len(self._texts), at))
            self._texts.append(plain)

    def __len__(self) -> int:
        return len(self._texts)

    def found(self, document: Document) -> str | None:
        """Why a document is taken for one of the corpora's (BY_ID or BY_TEXT), None where it is not."""
        if document.id in self._ids:
            return BY_ID
        return BY_TEXT if self._blocks and self._shares(letters(document.text)) else None

    def holds_of(self, article: str) -> bool:
        """Whether one of the corpora's documents is an article, or a part of it (its id is ARTICLE#NUMBER)."""
        return article in self._articles

    def _shares(self, plain: str) -> bool:
        size = self._block
        for at in range(len(plain) - size + 1):
            for number, place in self._blocks.get(plain[at : at + size], ()):
                other = self._texts[number]
                run = max(self._run, int(SHARE * min(len(plain), len(other))))
                if self._length(plain, at, other, place, run) >= run:
                    return True
        return False

    def _length(self, one: str, at: int, other: str, place: int, run: int) -> int:
        """Characters that both texts share around a block, as far as they count."""
        left = 0
        while left < min(at, place, run) and one[at - left - 1] == other[place - left - 1]:
            left += 1
        right = self._block
        while right < min(len(one) - at, len(other) - place, 2 * run) and one[at + right] == other[place + right]:
            right += 1
        return left + right


def without(corpus: Corpus, others: Overlap, *, articles: bool = False) -> tuple[Corpus, dict[str, int]]:
    """The documents of a corpus that others do not hold as well, and how many were left out, by reason.

    articles: of a corpus of sentences, whose ids are ARTICLE#SENTENCE, all of an article of which one is left out or
    of which the others hold some, so that none stays because it is too short to be found. Mentions that a reader
    lost (`Corpus.lost`) are of documents that nobody knows, so all of them stay.
    """
    reasons = [others.found(document) for document in corpus.documents]
    if articles:
        of = [article_of(document.id) for document in corpus.documents]
        held = {article for article, reason in zip(of, reasons, strict=True) if reason is not None}
        reasons = [
            BY_ARTICLE if reason is None and (article in held or others.holds_of(article)) else reason
            for article, reason in zip(of, reasons, strict=True)
        ]
    kept = tuple(document for document, reason in zip(corpus.documents, reasons, strict=True) if reason is None)
    return replace(corpus, documents=kept), dict(sorted(Counter(reason for reason in reasons if reason).items()))
