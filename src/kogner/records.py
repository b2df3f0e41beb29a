"""The things that travel through the house: entities, triples, documents, sentences, mentions.

Spans are half-open [start, end) everywhere and count Unicode code points of the text as the user gave it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kogner.errors import InputError

_PART = re.compile(r"(.+?)(?:#\d+)+")  # a sentence of a passage has two numbers


@dataclass(frozen=True, slots=True)
class Entity:
    """A node of the graph. `xrefs` are its identifiers in other vocabularies, as `PREFIX:LOCAL`."""

    id: str
    type: str
    name: str
    synonyms: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Triple:
    """A directed edge of the graph: `head` and `tail` are entity ids."""

    head: str
    relation: str
    tail: str


@dataclass(frozen=True, slots=True)
class Link:
    """An entity that a mention may mean.

    id: the entity's. score: in [0, 1]. name: its own in the graph. how: it was found (`kogner.link.candidates`), by the
    name `found`. related: ids of entities of the same document that the graph relates it to. likeness: cosine of its
    vector and that of the mention's text, None where they were not compared.
    """

    id: str
    score: float
    name: str = ""
    how: str = ""
    found: str = ""
    related: tuple[str, ...] = ()
    likeness: float | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of a document's text that names something.

    start, end: half-open, code points of the document. type: as the user names it, e.g. `disease`.
    ids: what a corpus says the mention refers to (`MESH:D003000`), or a linker of a composite one, which names several
    entities; empty if unknown.
    entity: the graph entity it was linked to, None where there is no link. score: in [0, 1], None for gold mentions.
    links: entities that a linker found for it, best first; [0] is `entity`.
    """

    start: int
    end: int
    type: str
    text: str = ""
    ids: tuple[str, ...] = ()
    entity: str | None = None
    score: float | None = None
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise InputError(f"a mention must be half-open with 0 <= start < end, not [{self.start}, {self.end})")

    @property
    def key(self) -> tuple[int, int, str]:
        """What exact scoring compares: (start, end, type)."""
        return (self.start, self.end, self.type)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document that is a part of its own, such as a title. start, end: half-open code points.

    infons: what a file says of it, as (key, value).
    """

    start: int
    end: int
    infons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its mentions.

    types: the entity types that were annotated in it. Types outside this set are unknown here, not absent: training
    masks them instead of taking them for negatives.
    unsure: spans that may or may not be mentions of their type, as silver text has them. They are no mentions; training
    takes neither them nor what overlaps them for negatives of the type.
    passages: its parts in order, where the file tells them; () where it is one.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    types: frozenset[str] = field(default_factory=frozenset)
    unsure: tuple[Mention, ...] = ()
    passages: tuple[Passage, ...] = ()

    def __post_init__(self) -> None:
        for mention in (*self.mentions, *self.unsure):
            if mention.end > len(self.text):
                raise InputError(
                    f"mention [{mention.start}, {mention.end}) runs past the text of {len(self.text)} characters",
                    document=self.id,
                )

    def _repr_html_(self) -> str:
        from kogner.annotate.output import to_fragment

        return to_fragment(self)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of a document, cut into words.

    words: (start, end) of each word, half-open code points of the *document*.
    spans: gold mentions as (first word, last word + 1, type, entity or None), half-open word indices.
    types: as in `Document`. unsure: its unsure spans, (first word, last word + 1, type).
    """

    document: str
    words: tuple[tuple[int, int], ...]
    texts: tuple[str, ...]
    spans: tuple[tuple[int, int, str, str | None], ...] = ()
    types: frozenset[str] = field(default_factory=frozenset)
    unsure: tuple[tuple[int, int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.words)


def article_of(document_id: str) -> str:
    """The article that a passage or sentence is of, whose id is ARTICLE#NUMBER; of a whole one its own id.

    >>> article_of("MEDLINE:90319091#7"), article_of("7890#2#0"), article_of("note#a")
    ('MEDLINE:90319091', '7890', 'note#a')
    """
    part = _PART.fullmatch(document_id)
    return part[1] if part else document_id
