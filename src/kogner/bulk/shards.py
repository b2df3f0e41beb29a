"""Shards: so many documents of an input in their order, the unit that is annotated, written and resumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kogner.records import Document


@dataclass(frozen=True)
class Failure:
    """A document without a result. place: which document of its input it is, from 0. reason: why, in a sentence."""

    place: int
    id: str
    reason: str


@dataclass(frozen=True)
class Unread:
    """A document that could not be read, in its place among the others. reason: why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Shard:
    """input, number: which of the inputs, and which shard of it, from 0.

    first: place of its first document in the input.
    refused: places in the shard, and the reason; their text is left out.
    """

    input: int
    number: int
    first: int
    documents: tuple[Document, ...]
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all others of a job."""
        return self.input, self.number


@dataclass(frozen=True)
class Cut:
    """Where shards end: after so many documents, or characters, whichever comes first.

    longest: characters of a document that is annotated at all.
    """

    documents: int = 1000
    characters: int = 5_000_000
    longest: int = 2_000_000


NONE: Mapping[int, int] = {}


def cut(
    documents: Iterable[Document | Unread], limits: Cut, *, input: int, done: Mapping[int, int] = NONE
) -> Iterator[Shard]:
    """The shards of an input, without those that are done. The same documents are always cut in the same places.

    done: documents of each. One that has another number now is not done: its input could not be read on then.
    """
    waiting: list[Document] = []
    refused: dict[int, str] = {}
    first = number = characters = 0
    for found in documents:
        if isinstance(found, Unread):
            refused[len(waiting)] = found.reason
            document = Document(found.id, "")
        elif (length := len(found.text)) > limits.longest:
            refused[len(waiting)] = (
                f"its text has {length:,} characters, the limit is {limits.longest:,}; split it, or raise "
                "--max-characters"
            )
            document = Document(found.id, "")
        else:
            document = found
        waiting.append(document)
        characters += len(document.text)
        if len(waiting) >= limits.documents or characters >= limits.characters:
            if done.get(number) != len(waiting):
                yield Shard(input, number, first, tuple(waiting), refused)
            first, number, characters = first + len(waiting), number + 1, 0
            waiting, refused = [], {}
    if waiting and done.get(number) != len(waiting):
        yield Shard(input, number, first, tuple(waiting), refused)
