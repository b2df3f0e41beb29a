"""The linker: every mention of a document gets the entities it may mean, best first, with scores.

Names decide, in the order of `kogner.link.candidates`; a short form is what its document says it is; entities of the
document's other mentions that a candidate is related to count for it; and what a name means in a document it means all
through it. A mention that names several entities at once gets them all. Where the ids are to be of certain
vocabularies, an entity without one of the first gives way to the nearest entity above it that has one, unless it has
one of the others and that lies too far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kogner.annotate.batching import batched
from kogner.data.linking import graph_types
from kogner.errors import ConfigError
from kogner.graph.store import GraphStore, upward_codes
from kogner.link.aliases import Aliases
from kogner.link.candidates import CONJUNCT, STEM, Candidate, Candidates, joined
from kogner.link.shortforms import expanded, short_forms
from kogner.link.vectors import Vectors
from kogner.records import Document, Link, Mention

UP = 2  # `is_a` edges up to which an entity of a wanted vocabulary is looked for
STEP_COST = 0.02  # of the score, for each
RANK_COST = 0.03  # for each wanted vocabulary that would have been better
UNLIKE_COST = 0.05  # for an entity above whose name has no word of the mention
OTHER_COST = 0.3  # where none is found
TIE = 0.02  # candidates so near to the best are told apart by what they are related to
RELATED_BONUS = 0.001  # for entities of the document that a candidate is related to; breaks ties of names
LEAST_NAME = 0.9  # score that candidates have whose name is the whole of the text
KEPT = 100_000
KEPT_LABELS = 1_000
BLOCK = 64  # documents that are linked at a time
MOST_NEIGHBOURS = 5_000  # an entity with more relates to everything


@dataclass(frozen=True)
class LinkSettings:
    """vocabularies: prefixes of the ids that are wanted, such as MESH, in any case, best first; () takes any. An entity
    without one of them still counts, with a lower score.

    nil: score below which a mention stays without an entity. top: entities kept of each mention, and all that it names
    together. likeness: say of each entity how near its vector is to the mention's text, where there are vectors.
    """

    vocabularies: tuple[str, ...] = ()
    nil: float = 0.5
    top: int = 5
    likeness: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.vocabularies, str):
            raise ConfigError(f"vocabularies must be a list such as ['MESH'], not the string {self.vocabularies!r}")
        if not 0 <= self.nil < 1 or self.top < 1:
            raise ConfigError(f"nil {self.nil} must be at least 0 and below 1, and top {self.top} at least 1")


class EntityLinker:
    """Links mentions to the entities of a graph.

    aliases: names of entities beside those of the graph. vectors: for mentions that no name fits.
    index: folder of the scan index, by default beside the graph.
    """

    def __init__(
        self,
        store: GraphStore,
        settings: LinkSettings | None = None,
        *,
        aliases: Aliases | None = None,
        vectors: Vectors | None = None,
        index: Path | None = None,
    ) -> None:
        self.store, self.settings = store, settings or LinkSettings()
        unknown = [name for name in self.settings.vocabularies if not store.has_vocabulary(name)]
        if unknown:
            raise ConfigError(f"no entity of {store.path} has an id {unknown[0]}:...; 'kogner graph show ID' lists ids")
        self._candidates = Candidates(store, aliases=aliases, vectors=vectors, index=index)
        self._up = upward_codes(store.relations)
        self._vocabularies = tuple(name.casefold() for name in self.settings.vocabularies)
        self._types: dict[str, frozenset[str]] = {}
        self._wanted: dict[tuple[int, str], tuple[int, float]] = {}

    @classmethod
    def open(
        cls,
        graph: str | Path,
        settings: LinkSettings | None = None,
        *,
        aliases: Sequence[str | Path] = (),
        bank: str | Path | None = None,
    ) -> EntityLinker:
        """A linker to a graph store. aliases: corpus folders with linked mentions, of which train
        and dev are read. bank: of the teacher, for vectors.

        Raises what opening these raises; ConfigError for a bank of another graph.
        """
        from kogner.data import corpora

        store = GraphStore.open(graph)
        names, vectors = None, None
        if aliases:
            linked = [
                document
                for folder in map(Path, aliases)
                for split in corpora.splits(folder)
                if split != "test"
                for document in corpora.load(folder.name, folder, split).documents
            ]
            names = Aliases.collect(linked, store)
        if bank is not None:
            from kogner.teacher.bank import Bank

            vectors = Vectors(Bank.open(bank), store)
        return cls(store, settings, aliases=names, vectors=vectors)

    def link_document(self, document: Document) -> Document:
        """The document with the best entity of each mention, or None where none scores `nil`."""
        (linked,) = self.link_documents([document])
        return linked

    def link_documents(self, documents: Iterable[Document], *, block: int | None = None) -> Iterator[Document]:
        """Documents with the best entity of each mention, in their order.

        block: how many are waited for; None as many as pay, where vectors are compared, else one.
        """
        for some in batched(documents, block or (BLOCK if self._candidates.vectors is not None else 1)):
            for document, links in zip(some, self.links(some), strict=True):
                yield replace(document, mentions=tuple(map(_linked, document.mentions, links)))

    def links(self, documents: Sequence[Document]) -> list[list[tuple[Link, ...]]]:
        """The entities of each mention of each document, best first; () where none scores `nil`."""
        shorts = [short_forms(document) for document in documents]
        self._candidates.look_ahead(
            (text, types)
            for document, of in zip(documents, shorts, strict=True)
            for mention in document.mentions
            if (types := self._graph_types(mention.type))
            for text in [*expanded(mention.text, of), mention.text][:1]
        )
        return [self._links_of(document, of) for document, of in zip(documents, shorts, strict=True)]

    def _links_of(self, document: Document, shorts: dict[str, str]) -> list[tuple[Link, ...]]:
        found = [self._of(mention, shorts) for mention in document.mentions]
        best = {one[0].row for one in found if one and one[0].score >= self.settings.nil}
        ranked: dict[tuple[str, str], tuple[Link, ...]] = {}
        for mention, candidates in zip(document.mentions, found, strict=True):
            key = (mention.text, mention.type)
            if key not in ranked:
                others = best - {one.row for one in candidates}
                related = self._related(candidates, np.array(sorted(others), np.int32))
                ranked[key] = self._links(mention.text, related)
        return [ranked[mention.text, mention.type] for mention in document.mentions]

    def _of(self, mention: Mention, shorts: dict[str, str]) -> list[Candidate]:
        types = self._graph_types(mention.type)
        if not types:
            return []
        found = self._candidates.of(mention.text, types)
        for long in expanded(mention.text, shorts):
            written_out = self._candidates.of(long, types)
            named = written_out and written_out[0].score >= LEAST_NAME
            if written_out and (named or not found or written_out[0].score >= found[0].score):
                return self._as_wanted(long, written_out)
        if not found or found[0].score < LEAST_NAME:
            found = (*self._parts(mention.text, types), *found)
        return self._as_wanted(mention.text, found)

    def _parts(self, text: str, types: frozenset[str]) -> list[Candidate]:
        """The entities of the names that a text joins, by the first reading of which all are whole names."""
        some: list[Candidate] = []
        for names in joined(text):
            parts = [one for name in names for one in self._candidates.of(name, types)[:1] if one.score >= LEAST_NAME]
            if len(parts) == len(names) and len({one.row for one in parts}) > 1:
                return [replace(one, score=one.score - 0.05, how=CONJUNCT) for one in parts]
            some = some or [replace(one, score=one.score - 0.05) for one in parts]
        return some

    def _graph_types(self, kind: str) -> frozenset[str]:
        if kind not in self._types:
            if len(self._types) >= KEPT_LABELS:
                self._types.clear()
            self._types[kind] = graph_types(kind, self.store.types)
        return self._types[kind]

    def _as_wanted(self, text: str, found: Sequence[Candidate]) -> list[Candidate]:
        """Candidates of the wanted vocabularies, best first."""
        if not self.settings.vocabularies:
            return list(found)
        best: dict[int, Candidate] = {}
        for one in found:
            row, cost = self._nearest_wanted(one.row, text)
            moved = replace(one, row=row, score=one.score - cost)
            if row not in best or moved.score > best[row].score:
                best[row] = moved
        return sorted(best.values(), key=lambda one: -one.score)

    def _nearest_wanted(self, row: int, text: str) -> tuple[int, float]:
        """The nearest entity, this or one above it, that has an id of a wanted vocabulary, and what it costs."""
        key = (row, text)
        if key in self._wanted:
            return self._wanted[key]
        waiting, seen = deque([(row, 0)]), {row}
        reached: list[tuple[float, int, int]] = [(OTHER_COST, 0, row)]
        while waiting:
            at, away = waiting.popleft()
            rank = self._rank(at)
            if rank is not None:
                shared = _shared(self.store.entity(at).name, text)
                cost = STEP_COST * away + RANK_COST * rank + (UNLIKE_COST if away and not shared else 0)
                reached.append((round(cost, 6), -shared, at))
            if away < UP and rank != 0:
                for above in self._above(at):
                    if above not in seen:
                        seen.add(above)
                        waiting.append((above, away + 1))
        cost, _, at = min(reached)
        if len(self._wanted) >= KEPT:
            self._wanted.clear()
        self._wanted[key] = (at, cost)
        return at, cost

    def _rank(self, row: int) -> int | None:
        """Which of the wanted vocabularies an entity has an id of; None where it has none."""
        entity = self.store.entity(row)
        prefixes = {one.partition(":")[0].casefold() for one in (entity.id, *entity.xrefs)}
        return next((rank for rank, wanted in enumerate(self._vocabularies) if wanted in prefixes), None)

    def _above(self, row: int) -> list[int]:
        place = slice(int(self.store.indptr[row]), int(self.store.indptr[row + 1]))
        chosen = np.isin(self.store.edge_relations[place], self._up)
        above: list[int] = self.store.neighbours[place][chosen].tolist()
        return above

    def _related(self, candidates: Sequence[Candidate], rows: np.ndarray) -> list[tuple[Candidate, list[int]]]:
        """Candidates with the rows among `rows` that they are related to, in order; these decide where names tie."""
        if not candidates:
            return []
        near = [one for one in candidates if candidates[0].score - one.score <= TIE]
        found = []
        for number, one in enumerate(candidates):
            if number >= max(self.settings.top, len(near)) and one.how != CONJUNCT:
                continue
            start, end = int(self.store.indptr[one.row]), int(self.store.indptr[one.row + 1])
            related: list[int] = []
            if end - start <= MOST_NEIGHBOURS:
                related = rows[np.isin(rows, self.store.neighbours[start:end])].tolist()
            bonus = RELATED_BONUS * min(len(related), 3) if number < len(near) > 1 else 0
            found.append((replace(one, score=min(one.score + bonus, 1.0)), related))
        return sorted(found, key=lambda one: -one[0].score)

    def _links(self, text: str, candidates: Sequence[tuple[Candidate, list[int]]]) -> tuple[Link, ...]:
        found: dict[str, Link] = {}
        for one, related in candidates:
            if one.score >= self.settings.nil and (len(found) < self.settings.top or one.how == CONJUNCT):
                link = self._link(text, one, related)
                found.setdefault(link.id, link)
        links = list(found.values())
        if links and links[0].how == CONJUNCT:  # all of them, as they stand in the text
            parts = {name: number for names in joined(text) for number, name in enumerate(names)}
            links.sort(key=lambda link: parts.get(link.found, 0) if link.how == CONJUNCT else len(parts))
        return tuple(links)

    def _link(self, text: str, one: Candidate, related: Sequence[int]) -> Link:
        own, vectors, likeness = self.store.entity(one.row).name, self._candidates.vectors, None
        if self.settings.likeness and vectors is not None:
            likeness = round(float(vectors.likeness(text, [one.row])[0]), 4)
        ids = tuple(map(self._id, related))
        return Link(self._id(one.row), round(one.score, 4), own, one.how, one.name, ids, likeness)

    def _id(self, row: int) -> str:
        """The entity's id, or that of the first wanted vocabulary it has one of."""
        entity = self.store.entity(row)
        for wanted in self._vocabularies:
            for one in (entity.id, *entity.xrefs):
                if one.partition(":")[0].casefold() == wanted:
                    return one
        return entity.id


def named_together(links: Sequence[Link]) -> tuple[str, ...]:
    """The ids that a mention names all at once, as `breast and ovarian cancer` does; () where it names one or none."""
    ids = [link.id for link in links if link.how == CONJUNCT]
    return tuple(ids) if len(ids) > 1 and links[0].how == CONJUNCT else ()


def _linked(mention: Mention, found: tuple[Link, ...]) -> Mention:
    ids = mention.ids or named_together(found)
    return replace(mention, entity=found[0].id if found else None, links=found, ids=ids)


def _shared(name: str, text: str) -> int:
    """Words of a text that begin like a word of a name; its last, the head, counts twice."""
    stems = {word.casefold()[:STEM] for word in name.replace(",", " ").split()}
    words = [word.casefold()[:STEM] for word in text.replace("-", " ").split()]
    return sum(word in stems for word in words) + (words[-1:] != [] and words[-1] in stems)
