"""Links from mentions to entities of the graph: by the corpus' own ids first, by name second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kogner.data.corpora import Corpus
from kogner.records import Document, Mention

BY_ID, BY_NAME, UNLINKED = "by id", "by name", "unlinked"

# Graph types that a mention of a type may refer to. Names are compared by letters and digits alone, without case; those
# beyond our own graph's are Hetionet's, PrimeKG's and BioMedGraphica's.
_CHEMICAL = ("chemical", "compound", "drug", "metabolite", "pharmacologic class")
_DISEASE = ("disease", "phenotype", "effect/phenotype", "symptom", "side effect")
_GENE = ("gene", "protein", "gene/protein", "transcript")
_ORGANISM = ("organism", "species", "microbiota")
_ANATOMY = ("anatomy", "cell", "cell type", "cell line")
CORRESPONDING: dict[str, tuple[str, ...]] = {
    "chemical": _CHEMICAL, "drug": _CHEMICAL, "medication": _CHEMICAL, "compound": _CHEMICAL,
    "disease": _DISEASE, "disorder": _DISEASE, "phenotype": _DISEASE, "symptom": _DISEASE,
    "gene": _GENE, "protein": _GENE, "dna": _GENE, "rna": _GENE, "domainormotif": (),
    "species": _ORGANISM, "organism": _ORGANISM,
    "celltype": _ANATOMY, "cellline": _ANATOMY, "anatomy": _ANATOMY, "tissue": _ANATOMY, "organ": _ANATOMY,
}  # fmt: skip


def graph_types(kind: str, available: Iterable[str]) -> frozenset[str]:
    """Those of a graph's types that a mention of type `kind` may refer to; empty where none corresponds.

    A type we know nothing of corresponds to the graph type of the same name.

    >>> sorted(graph_types("disease", ["Chemical", "Disease", "Phenotype"]))
    ['Disease', 'Phenotype']
    """
    plain = _plain(kind)
    wanted = {_plain(one) for one in CORRESPONDING.get(plain, CORRESPONDING.get(plain.removesuffix("s"), (kind,)))}
    return frozenset(one for one in available if _plain(one) in wanted)


def generality(kind: str) -> int:
    """Which of several types that a name may be of comes first, where the graph has one type for all: smallest first.

    A gene before a protein, before DNA and RNA; a cell type before a cell line; those that we know nothing of last.
    """
    known = [*CORRESPONDING, _plain(kind)]
    return known.index(_plain(kind))


class Match(Protocol):
    """An entity that a name stands for (`kogner.graph.lexicon.NameMatch`)."""

    @property
    def row(self) -> int:
        """Its row in the graph store."""

    @property
    def tier(self) -> str:
        """How the name was found: exact, casefold or normalised."""

    @property
    def preferred(self) -> bool:
        """Whether it is the entity's name rather than a synonym."""


class Names(Protocol):
    """What linking needs of a lexicon (`kogner.graph.lexicon.Lexicon`)."""

    def lookup(self, name: str, *, types: Collection[str] | None = None) -> Sequence[Match]:
        """Entities of that name, best first."""


class Graph(Protocol):
    """What linking needs of a graph store (`kogner.graph.store.GraphStore`)."""

    types: tuple[str, ...]
    type_codes: Any

    @property
    def lexicon(self) -> Names:
        """Names to rows."""

    def ids(self, rows: Any) -> list[str]:
        """Entity ids of rows."""

    def resolve(self, identifier: str) -> tuple[int, ...]:
        """Rows of an id, its own or through cross references; () if unknown."""


@dataclass
class LinkReport:
    """How the mentions were linked. counts: (type, how) -> mentions, how being `by id`, `by name` or `unlinked`.

    composite: mentions with several ids, of which the first that the graph knows was taken.
    unknown_ids: mentions that have an id, but none the graph knows. ambiguous: linked by a name that several entities
    share equally well; the lexicon's first was taken.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    composite: int = 0
    unknown_ids: int = 0
    ambiguous: int = 0

    def __iadd__(self, other: LinkReport) -> LinkReport:
        self.counts.update(other.counts)
        self.composite += other.composite
        self.unknown_ids += other.unknown_ids
        self.ambiguous += other.ambiguous
        return self

    @property
    def mentions(self) -> int:
        """All mentions seen."""
        return sum(self.counts.values())

    def share(self, how: str, kind: str | None = None) -> float:
        """Share of the mentions (of one type) that were linked `how`, in [0, 1]; 0 where there are none."""
        total = sum(count for (one, _), count in self.counts.items() if kind in (None, one))
        part = sum(count for (one, by), count in self.counts.items() if kind in (None, one) and by == how)
        return part / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: counts and shares, over all mentions and by type."""

        def of(kind: str | None) -> dict[str, Any]:
            count = {
                how: sum(n for (one, by), n in self.counts.items() if by == how and kind in (None, one))
                for how in (BY_ID, BY_NAME, UNLINKED)
            }
            return {
                "mentions": sum(count.values()),
                "by_id": count[BY_ID],
                "by_name": count[BY_NAME],
                "unlinked": count[UNLINKED],
                "share_by_id": round(self.share(BY_ID, kind), 4),
                "share_by_name": round(self.share(BY_NAME, kind), 4),
                "share_linked": round(self.share(BY_ID, kind) + self.share(BY_NAME, kind), 4),
            }

        extra = {"composite": self.composite, "unknown_ids": self.unknown_ids, "ambiguous_names": self.ambiguous}
        return {**of(None), **extra, "by_type": {kind: of(kind) for kind in sorted({k for k, _ in self.counts})}}


class Linker:
    """Finds the entity a mention names. Look-ups are kept, since a corpus repeats its ids and names.

    names_only: do not look at the corpus' own ids, which are annotation that a name in text alone does not give.
    """

    def __init__(self, graph: Graph, *, names_only: bool = False) -> None:
        self._graph, self._names_only = graph, names_only
        self._types: dict[str, frozenset[str]] = {}
        self._by_id: dict[tuple[str, frozenset[str]], int | None] = {}
        self._by_name: dict[tuple[str, frozenset[str]], tuple[int | None, bool]] = {}

    def _graph_types(self, kind: str) -> frozenset[str]:
        if kind not in self._types:
            self._types[kind] = graph_types(kind, self._graph.types)
        return self._types[kind]

    def link(self, mention: Mention, report: LinkReport) -> Mention:
        """The mention with its `entity`, or with None where the graph has none; counted in `report`.

        Of several ids (a composite such as `breast and ovarian cancer`) the first that the graph knows is taken.
        """
        types = self._graph_types(mention.type)
        ids = () if self._names_only else mention.ids
        report.composite += len(ids) > 1
        row = next((row for one in ids if (row := self._row_of_id(one, types)) is not None), None)
        how = BY_ID
        if row is None:
            report.unknown_ids += bool(ids)
            row, ambiguous = self._row_of_name(mention.text, types) if types else (None, False)
            how = BY_NAME if row is not None else UNLINKED
            report.ambiguous += ambiguous
        report.counts[mention.type, how] += 1
        return replace(mention, entity=None if row is None else self._graph.ids([row])[0])

    def link_document(self, document: Document, report: LinkReport | None = None) -> Document:
        """The document with each mention linked; counted in `report` where one is given."""
        report = LinkReport() if report is None else report
        return replace(document, mentions=tuple(self.link(mention, report) for mention in document.mentions))

    def _row_of_id(self, identifier: str, types: frozenset[str]) -> int | None:
        key = (identifier, types)
        if key not in self._by_id:
            rows = self._graph.resolve(identifier)
            fitting = [row for row in rows if self._graph.types[int(self._graph.type_codes[row])] in types]
            self._by_id[key] = next(iter((*fitting, *rows)), None)
        return self._by_id[key]

    def _row_of_name(self, name: str, types: frozenset[str]) -> tuple[int | None, bool]:
        key = (name, types)
        if key not in self._by_name:
            matches = self._graph.lexicon.lookup(name, types=types)
            best = matches[0] if matches else None
            equal = sum(best is not None and (m.tier, m.preferred) == (best.tier, best.preferred) for m in matches)
            self._by_name[key] = (None if best is None else best.row, equal > 1)
        return self._by_name[key]


def _plain(kind: str) -> str:
    return "".join(character for character in kind.casefold() if character.isalnum())


def link_corpus(corpus: Corpus, linker: Linker) -> tuple[Corpus, LinkReport]:
    """A corpus whose mentions carry the graph entity they refer to, and how many were linked by what."""
    report = LinkReport()
    documents = tuple(linker.link_document(document, report) for document in corpus.documents)
    return replace(corpus, documents=documents), report
