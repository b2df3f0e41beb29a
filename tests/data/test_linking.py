from dataclasses import dataclass

import pytest

from kogner.data.linking import BY_ID, BY_NAME, UNLINKED, Linker, LinkReport, graph_types
from kogner.records import Document, Mention


@dataclass(frozen=True)
class Match:
    row: int
    tier: str = "exact"
    preferred: bool = True


NAMES = {"zincol": [Match(0)], "gout": [Match(1), Match(2), Match(3)], "attack": [Match(2, "casefold"), Match(1)]}
KNOWN = {"OMIM:7": (2, 1), "X:gene": (3,)}


class Graph:
    """Four entities: zincol (a chemical), gout and gout attack (a disease and a phenotype), GOUT1 (a gene)."""

    types = ("Chemical", "Disease", "Gene", "Phenotype")
    type_codes = (0, 1, 3, 2)
    _ids = ("MESH:D000042", "MESH:D000007", "HP:1", "NCBIGene:5")

    @property
    def lexicon(self):
        return self

    def ids(self, rows):
        return [self._ids[row] for row in rows]

    def resolve(self, identifier):
        return (self._ids.index(identifier),) if identifier in self._ids else KNOWN.get(identifier, ())

    def lookup(self, name, *, types=None):
        return [m for m in NAMES.get(name, []) if types is None or self.types[self.type_codes[m.row]] in types]


def link(text, kind, *ids):
    report = LinkReport()
    mention = Linker(Graph()).link(Mention(0, len(text), kind, text, ids), report)
    ((_, how),) = report.counts
    return mention.entity, how, report


@pytest.mark.parametrize(
    ("text", "kind", "ids", "entity", "how"),
    [
        ("whatever", "chemical", ("MESH:D000042",), "MESH:D000042", BY_ID),
        ("whatever", "disease", ("MESH:none", "MESH:D000007"), "MESH:D000007", BY_ID),
        ("whatever", "gene", ("OMIM:7", "X:gene"), "HP:1", BY_ID),  # the corpus' own id is believed whatever its type
        ("zincol", "chemical", (), "MESH:D000042", BY_NAME),
        ("zincol", "chemical", ("MESH:none",), "MESH:D000042", BY_NAME),
        ("zincol", "disease", (), None, UNLINKED),
        ("gout", "gene", (), "NCBIGene:5", BY_NAME),
        ("gout", "weather", (), None, UNLINKED),
    ],
)
def test_ids_come_first_then_names_of_a_fitting_type(text, kind, ids, entity, how):
    assert link(text, kind, *ids)[:2] == (entity, how)


def test_names_alone_link_where_ids_are_not_looked_at():
    linker, report = Linker(Graph(), names_only=True), LinkReport()
    named = Mention(0, 6, "chemical", "zincol", ("MESH:D000007", "X:other"))
    assert linker.link(named, report).entity == "MESH:D000042"
    assert linker.link(Mention(0, 8, "chemical", "whatever", ("MESH:D000042",)), report).entity is None
    assert report.counts == {("chemical", BY_NAME): 1, ("chemical", UNLINKED): 1}
    assert report.composite == report.unknown_ids == 0


def test_an_id_of_several_entities_prefers_the_fitting_type():
    class Narrow(Graph):
        types = ("Chemical", "Disease", "Gene", "Weather")

    report = LinkReport()
    assert Linker(Narrow()).link(Mention(0, 1, "disease", "x", ("OMIM:7",)), report).entity == "MESH:D000007"


def test_the_report_tells_composites_unknown_ids_and_shared_names():
    assert link("x", "disease", "MESH:D000007", "HP:1")[2].composite == 1
    assert link("zincol", "chemical", "MESH:none")[2].unknown_ids == 1
    assert link("gout", "disease")[2].ambiguous == 1
    assert link("attack", "disease")[2].ambiguous == 0  # the best match stands alone in its tier


def test_shares_add_up():
    report = LinkReport()
    mentions = [
        Mention(0, 4, "disease", "gout"),
        Mention(0, 4, "disease", "gout", ("MESH:D000007",)),
        Mention(0, 4, "disease", "ague"),
        Mention(0, 4, "chemical", "ague"),
    ]
    document = Linker(Graph()).link_document(Document("d", "gout", tuple(mentions)), report)
    assert [m.entity for m in document.mentions] == ["MESH:D000007", "MESH:D000007", None, None]
    plain = report.to_dict()
    assert (plain["mentions"], plain["by_id"], plain["by_name"], plain["unlinked"]) == (4, 1, 1, 2)
    assert plain["share_linked"] == 0.5 and plain["by_type"]["disease"]["share_by_id"] == pytest.approx(1 / 3, abs=1e-4)
    both = LinkReport()
    both += report
    both += report
    assert both.mentions == 8 and both.share(UNLINKED) == 0.5


@pytest.mark.parametrize(
    ("kind", "available", "expected"),
    [
        ("disease", Graph.types, {"Disease", "Phenotype"}),
        ("Diseases", Graph.types, {"Disease", "Phenotype"}),
        ("protein", ("gene/protein", "drug"), {"gene/protein"}),
        ("chemical", ("Compound", "Pharmacologic Class"), {"Compound", "Pharmacologic Class"}),
        ("cell type", ("cell_type", "Anatomy", "Gene"), {"cell_type", "Anatomy"}),
        ("weather", ("Weather", "Gene"), {"Weather"}),
        ("domain or motif", Graph.types, set()),
    ],
)
def test_graph_types_of_mention_types(kind, available, expected):
    assert graph_types(kind, available) == expected
