"""Names that linked text gives to entities and the graph does not: `adriamycin` for doxorubicin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kogner.graph.lexicon import normalise
from kogner.graph.store import GraphStore
from kogner.link.shortforms import short_forms
from kogner.records import Document

MOST = 1.0  # score of a name that has always meant the entity and was seen often
SEVERAL = -1  # in the place of a row: the text names several entities at once
DOUBT = 0.5  # occurrences that a name lacks of being certain


@dataclass
class Aliases:
    """How often linked mentions used a name for an entity. Short forms that a text defines are none of its names."""

    counts: dict[str, Counter[int]] = field(default_factory=dict)

    @classmethod
    def collect(cls, documents: Iterable[Document], store: GraphStore) -> Aliases:
        """Names of the mentions of linked documents; those of none in the graph are left.

        A mention of several entities gives none of them a name, but speaks against those that others gave its text.
        """
        aliases = cls()
        for document in documents:
            shorts = short_forms(document)
            for mention in document.mentions:
                ids = mention.ids if mention.entity is None else (mention.entity,)
                rows = (SEVERAL,) if len(ids) > 1 else store.resolve(ids[0]) if ids else ()
                if rows and mention.text not in shorts:
                    aliases.counts.setdefault(_key(mention.text), Counter())[rows[0]] += 1
        aliases.counts = {key: count for key, count in aliases.counts.items() if set(count) != {SEVERAL}}
        return aliases

    def of(self, name: str, fitting: Callable[[int], bool]) -> list[tuple[int, float]]:
        """(row, score) of the entities that a name was used for, commonest first, among those rows that fit."""
        counts = self.counts.get(_key(name), Counter())
        found = [(row, count) for row, count in counts.most_common() if row != SEVERAL and fitting(row)]
        total = sum(count for _, count in found) + counts[SEVERAL]
        return [(row, MOST * count / (total + DOUBT)) for row, count in found]

    def __len__(self) -> int:
        """How many names."""
        return len(self.counts)


def _key(name: str) -> str:
    return normalise(normalise(name), singular=True)
