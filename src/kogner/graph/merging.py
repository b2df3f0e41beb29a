"""Several sources made one graph: what is the same thing in two of them becomes one entity, and a report says why.

Sources are in the order of their priority. An entity of a later one becomes part of one of an earlier one where

1. both have the same id (rule `same id`), or
2. one of them names the other's id among its xrefs (rule `xref`), or
3. both have the same CAS number, UNII or InChIKey (rule `shared number`);

the last two only one to one between the two sources, and where the types agree (`agree`). Only where the earlier entity
itself names ids of several vocabularies, as MONDO does those of OMIM and Orphanet for one disease, one entity of each
becomes part of it. The earlier entity keeps its id, type, name (unless that is only its id) and description; names and
identifiers of the other become synonyms and xrefs. Whatever is not one to one stays apart and is counted by reason:
nothing is made one because it comes first. A single source is not touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kogner.graph.readers.source import Merge, Source, distinct
from kogner.graph.readers.vocabularies import uniform
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable
from kogner.progress import counting
from kogner.records import Entity, Triple

REPORT = "merges.parquet"
_COLUMNS = ("id", "became", "rule", "why", "source")
# Types that may be one thing, in the words of different sources.
_GROUPS = (
    frozenset({"Disease", "Phenotype", "Psychiatry", "Phenomenon", "Symptom", "SideEffect"}),
    frozenset({"Chemical", "Drug", "Compound", "Metabolite", "PharmacologicClass", "Exposure"}),
    frozenset({"Organism", "Microbiota"}),
    frozenset({"Phenomenon", "BiologicalProcess"}),
)
_NUMBERS = ("CAS:", "UNII:", "INCHIKEY:")


@dataclass
class Merged:
    """Entities and triples of all sources as one, and what was made one.

    apart: how many entities that could have become part of one stayed apart, by rule and reason.
    `triples` is read once, after the entities.
    """

    entities: Iterable[Entity]
    triples: Iterable[Triple | TripleTable]
    merges: Sequence[Merge] = ()
    apart: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, Any]:
        """For a report: what became one by rule, and what stayed apart by reason."""
        rules = Counter(merge.rule for merge in self.merges)
        return {"merged": dict(rules.most_common()), "apart": dict(self.apart.most_common())}


def agree(first: str, second: str) -> bool:
    """Whether two entity types may be one thing."""
    return first == second or any(first in group and second in group for group in _GROUPS)


def one_to_one(
    pairs: Iterable[tuple[str, str]], named: Container[tuple[str, str]] = ()
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The pairs whose two ends stand in no other pair; and for each other first end, why it is none of them.

    named: pairs whose second end names the first one itself. Such a second end may have one of each vocabulary, as the
    prefix of an id tells it.
    """
    unique = dict.fromkeys(pairs)
    firsts, seconds = Counter(first for first, _ in unique), Counter(second for _, second in unique)
    vocabularies = Counter((_vocabulary(first), second) for first, second in unique)
    kept: list[tuple[str, str]] = []
    reasons: dict[str, str] = {}
    for first, second in unique:
        if firsts[first] > 1:
            reasons[first] = "several candidates"
        elif seconds[second] > 1 and not ((first, second) in named and vocabularies[_vocabulary(first), second] == 1):
            reasons[first] = "its candidate is claimed by several"
        else:
            kept.append((first, second))
    return kept, reasons


def _vocabulary(identifier: str) -> str:
    return identifier.partition(":")[0]


def merge(sources: Sequence[Source], *, rejected: Rejections) -> Merged:
    """Make one graph of several sources. Entities of all but a single source are held in memory.

    An id that stands twice in one source is left out and counted.
    """
    if len(sources) == 1:
        return Merged(sources[0].entities, sources[0].triples, sources[0].merges)
    work = _Work(rejected)
    with counting("merging sources", len(sources)) as counter:
        for number, source in enumerate(sources):
            work.add(number, source)
            counter.advance(note=source.name)
    became = {identifier: lead for identifier in work.became if (lead := work.lead(identifier))}
    triples = (triple for source in sources for triple in _renamed(source.triples, became))
    merges = [replace(one, became=work.lead(one.became) or one.became) for one in work.merges]
    return Merged(list(work.entities.values()), triples, merges, work.apart)


def write_report(folder: Path, merges: Sequence[Merge]) -> None:
    """Write what was made one to `merges.parquet` in a folder, by what it became; no file where there is nothing."""
    if not merges:
        return
    import pyarrow
    import pyarrow.parquet

    ordered = sorted(merges, key=lambda merge: (merge.became, merge.id, merge.source))
    columns = {name: [getattr(merge, name) for merge in ordered] for name in _COLUMNS}
    schema = pyarrow.schema([(name, pyarrow.string()) for name in _COLUMNS])
    pyarrow.parquet.write_table(
        pyarrow.table(columns, schema=schema), folder / REPORT, compression="zstd", row_group_size=4096
    )


def read_report(folder: Path, became: str) -> list[Merge]:
    """What became this entity, from the report in a graph's folder; [] where there is no report."""
    if not (folder / REPORT).is_file():
        return []
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / REPORT, filters=[("became", "=", became)])
    return [Merge(**row) for row in table.to_pylist()]


class _Work:
    """Entities by id as they are so far, and what joined them."""

    def __init__(self, rejected: Rejections) -> None:
        self.rejected = rejected
        self.entities: dict[str, Entity] = {}
        self.called: dict[str, str] = {}  # id in our spelling -> entity
        self.origin: dict[str, int] = {}  # of an entity: the source that it leads
        self.became: dict[str, str] = {}
        self.merges: list[Merge] = []
        self.apart: Counter[str] = Counter()
        self.by_xref: dict[str, list[str]] = {}
        self.names: list[str] = []

    def lead(self, identifier: str) -> str | None:
        """The entity that an identifier is, or is part of by now; None where it is none of them so far."""
        at = self.called.get(uniform(identifier))
        passed: set[str] = set()
        while at is not None and at not in self.entities and at not in passed:
            passed.add(at)
            at = self.became.get(at)
        return at if at in self.entities else None

    def add(self, number: int, source: Source) -> None:
        self.names.append(source.name)
        own: dict[str, Entity] = {}
        for entity in source.entities:
            if entity.id in own:
                self.rejected.add("duplicate id", f"{source.name}: {entity.id}")
            else:
                own[entity.id] = entity
        self.merges.extend(replace(one, source=one.source or source.name) for one in source.merges)
        for one in source.merges:
            if uniform(one.id) not in self.called:  # else an earlier source has it, and that leads
                self.called[uniform(one.id)] = one.became
                self.became[one.id] = one.became
        taken: dict[str, set[str]] = {}  # vocabularies of this source's that an entity has a part of already
        for identifier in list(own):
            target = self.lead(identifier)
            if target is not None:
                taken.setdefault(target, set()).add(_vocabulary(identifier))
                why = "both sources have it" if target == identifier else f"{identifier} is part of it"
                self._join(own.pop(identifier), target, "same id", why, source.name)
        for rule, pairs in (("xref", self._by_xref), ("shared number", self._by_number)):
            for earlier in range(number):
                self._match(own, earlier, rule, list(pairs(own, earlier)), source.name, taken)
        for identifier, entity in own.items():
            self.entities[identifier] = entity
            self.origin[identifier] = number
            self.called[uniform(identifier)] = identifier
            self._index(identifier, entity.xrefs)

    def _match(
        self,
        own: dict[str, Entity],
        earlier: int,
        rule: str,
        pairs: list[tuple[str, str, str]],
        name: str,
        taken: dict[str, set[str]],
    ) -> None:
        """Join what stands one to one in (own id, earlier entity, why), and count what does not."""
        why: dict[tuple[str, str], str] = {}
        unlike: set[str] = set()
        for identifier, target, reason in pairs:
            if agree(own[identifier].type, self.entities[target].type):
                why.setdefault((identifier, target), reason)
            else:
                unlike.add(identifier)
        named = {(identifier, target) for identifier, target in why if self._names(target, identifier)}
        kept, reasons = one_to_one(why, named)
        for identifier, target in kept:
            vocabulary, has = _vocabulary(identifier), taken.setdefault(target, set())
            if vocabulary in has or (has and (identifier, target) not in named):
                reasons[identifier] = "its candidate has another of the source in it"
                continue
            has.add(vocabulary)
            self._join(own.pop(identifier), target, rule, why[identifier, target], name)
        matched = {identifier for identifier, _ in why}
        for reason in reasons.values():
            self.apart[f"{rule}: {reason}"] += 1
        if count := len(unlike - matched):
            self.apart[f"{rule}: types differ"] += count

    def _names(self, target: str, identifier: str) -> bool:
        """Whether an entity has an id among its xrefs, or one that became part of it has."""
        return target in self.by_xref.get(uniform(identifier), ())

    def _by_xref(self, own: Mapping[str, Entity], earlier: int) -> Iterator[tuple[str, str, str]]:
        for identifier, entity in own.items():
            for target in self.by_xref.get(uniform(identifier), ()):
                if self.origin[target] == earlier:
                    yield identifier, target, f"{target} names {identifier}"
            for xref in entity.xrefs:
                named = self.lead(xref)
                if named is not None and self.origin[named] == earlier:
                    yield identifier, named, f"{identifier} names {xref}"

    def _by_number(self, own: Mapping[str, Entity], earlier: int) -> Iterator[tuple[str, str, str]]:
        for identifier, entity in own.items():
            for number in dict.fromkeys(map(uniform, entity.xrefs)):
                if number.startswith(_NUMBERS):
                    for target in self.by_xref.get(number, ()):
                        if self.origin[target] == earlier:
                            yield identifier, target, f"both have {number}"

    def _join(self, entity: Entity, target: str, rule: str, why: str, source: str) -> None:
        known = self.entities[target]
        if not agree(known.type, entity.type):
            self.rejected.remark("same id in two sources under different types; the first was kept", 1, entity.id)
        given = [one.name for one in (known, entity) if not _is_id(one.name, one.id)]
        name = given[0] if given else known.name
        names = (*known.synonyms, *given[1:], *entity.synonyms)
        self.entities[target] = Entity(
            known.id,
            known.type,
            name,
            distinct(names, name),
            distinct((*known.xrefs, entity.id, *entity.xrefs), known.id),
            known.description or entity.description,
        )
        if entity.id != target:
            self.became[entity.id] = target
        self.called[uniform(entity.id)] = target
        self.merges.append(Merge(entity.id, target, rule, why, source))
        self._index(target, (entity.id, *entity.xrefs))

    def _index(self, identifier: str, xrefs: Iterable[str]) -> None:
        for xref in xrefs:
            known = self.by_xref.setdefault(uniform(xref), [])
            if identifier not in known:
                known.append(identifier)


def _is_id(name: str, identifier: str) -> bool:
    """Whether a name is only an id, as of an entity that its source does not name."""
    return name in (identifier, identifier.partition(":")[2])


def _renamed(triples: Iterable[Triple | TripleTable], became: Mapping[str, str]) -> Iterator[Triple | TripleTable]:
    """Triples with the ids that their ends became."""
    import pyarrow
    import pyarrow.compute as pc

    old = pyarrow.array(list(became), type=pyarrow.string())
    new = pyarrow.array(list(became.values()), type=pyarrow.string())

    def renamed(column: Any) -> Any:
        places = pc.index_in(column, value_set=old)
        return pc.coalesce(new.take(places), column)

    for item in triples:
        if isinstance(item, TripleTable):
            yield TripleTable(renamed(item.heads), item.relations, renamed(item.tails)) if became else item
        else:
            yield Triple(became.get(item.head, item.head), item.relation, became.get(item.tail, item.tail))
