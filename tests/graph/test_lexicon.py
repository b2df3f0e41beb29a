"""Names: what normalisation keeps apart and joins, and in which order matches come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.graph.lexicon import NameMatch, normalise, uninverted
from kogner.graph.store import GraphStore, build
from kogner.records import Entity, Triple


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("TNF-α", "tnf alpha"),
        ("IL_2 / IL–15", "il 2 il 15"),
        ("  Β-Amyloid\u00a0(1−42) ", "beta amyloid (1 42)"),
        ("ﬁbrosis", "fibrosis"),
        ("µ-opioid", "mu opioid"),
        ("Straße", "strasse"),
        ("-", "-"),
        ("ΟΔΟΣ", "omicrondeltaomicronsigma"),
    ],
)
def test_normalise(name, form):
    assert normalise(name) == form


@pytest.mark.parametrize(
    ("name", "form"), [("Thumbs", "thumb"), ("Cats", "cat"), ("gas", "gas"), ("loss", "loss"), ("IL2s", "il2s")]
)
def test_singular(name, form):
    assert normalise(name, singular=True) == form


@given(st.text())
def test_normalise_is_idempotent(name):
    form = normalise(name)
    assert normalise(form) == form
    assert normalise(normalise(name, singular=True)) == normalise(name, singular=True)


@given(st.text(st.characters(max_codepoint=127)))
def test_normalise_ignores_case_and_width_of_blanks(name):
    assert normalise(name.upper()) == normalise(name.lower()) == normalise(f"  {name}\t")


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("Sore Thumb, Type 2", "Type 2 Sore Thumb"),
        ("Thumb, Red, Sore", None),
        ("1,2-painol", None),
        ("Thumb", None),
        (", odd", None),
        ("odd,  ", None),
    ],
)
def test_uninverted(name, variant):
    assert uninverted(name) == variant


def ids(store, name, **how):
    return [(store.ids([match.row])[0], match.tier, match.preferred) for match in store.lexicon.lookup(name, **how)]


def test_tiers(store):
    assert ids(store, "Sorestop") == [("X:1", "exact", False)]
    assert ids(store, "SORESTOP") == [("X:1", "casefold", False)]
    assert ids(store, "Alpha painol") == [("X:1", "normalised", False)]
    assert ids(store, "α-painol") == [("X:1", "normalised", False)]
    assert ids(store, "TR alpha") == []
    assert ids(store, "TRalpha") == [("X:4", "normalised", False)]
    assert ids(store, "type 2 sore thumb") == [("X:2", "normalised", True)]
    assert ids(store, "no such name") == []
    assert ids(store, "") == []
    assert ids(store, "half a pair \ud800") == ids(store, "NUL \0") == []


def test_exact_comes_before_casefold(store):
    assert ids(store, "Painaway") == [("X:1", "exact", True), ("X:5", "casefold", True)]
    assert ids(store, "painaway") == [("X:5", "exact", True), ("X:1", "casefold", True)]


def test_types_restrict(store):
    assert ids(store, "Painaway", types={"Phenotype"}) == [("X:5", "casefold", True)]
    assert ids(store, "Painaway", types=["Gene"]) == []
    assert ids(store, "Painaway", types=["NoSuchType"]) == []


def test_plural_is_the_last_resort(store, tmp_path):
    assert ids(store, "finger disease") == [("X:3", "normalised", True)]
    assert ids(store, "thumb aches") == [("X:2", "normalised", False)]
    build([Entity("A", "T", "thumb"), Entity("B", "T", "thumbs")], [], tmp_path / "g")
    other = GraphStore.open(tmp_path / "g")
    assert ids(other, "Thumbs") == [("B", "casefold", True)]
    assert ids(other, "THUMB") == [("A", "casefold", True)]


def test_preferred_then_degree_then_id(tmp_path):
    entities = [
        Entity("C", "T", "other", ("Thumb",)),
        Entity("D", "T", "Thumb"),
        Entity("B", "T", "Thumb"),
        Entity("A", "T", "Thumb"),
    ]
    triples = [Triple("C", "r", "A"), Triple("C", "r", "D"), Triple("D", "r", "C"), Triple("C", "s", "C")]
    build(entities, triples, tmp_path / "g")
    assert [found[0] for found in ids(GraphStore.open(tmp_path / "g"), "thumb")] == ["D", "A", "B", "C"]


def test_every_name_finds_its_entity_exactly(store):
    found = list(store.lexicon.names())
    assert len(found) == sum(1 + len(store.entity(row).synonyms) for row in range(len(store)))
    for name, row, preferred in found:
        assert NameMatch(row, "exact", preferred) in store.lexicon.lookup(name)
        assert name in store.lexicon


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


@settings(deadline=None)
@given(names=st.lists(TEXT.filter(lambda text: text.strip()), min_size=1, max_size=5))
def test_any_name_is_found_again(tmp_path_factory, names):
    entities = [Entity(str(row), "T", name) for row, name in enumerate(names)]
    path = tmp_path_factory.mktemp("names") / "g"
    build(entities, [], path)
    lexicon = GraphStore.open(path).lexicon
    for row, name in enumerate(names):
        assert row in [match.row for match in lexicon.lookup(name) if match.tier == "exact"]


def test_similar_names_of_one_type_among_many_of_another(tmp_path):
    near = [Entity(f"A:{number}", "A", f"aspiri{chr(97 + number % 26)}{number // 26 or ''}") for number in range(52)]
    build([*near, Entity("B:1", "B", "asperim")], [], tmp_path / "graph")
    lexicon = GraphStore.open(tmp_path / "graph").lexicon
    assert [match.row for match, _, _ in lexicon.similar("aspirin", types=["B"])] == [52]


def test_names_that_differ_in_few_letters(tmp_path):
    entities = [
        Entity("C:1", "Chemical", "Aspirin"),
        Entity("C:2", "Chemical", "ATP"),
        Entity("D:1", "Disease", "Asprain"),
    ]
    build(entities, [], tmp_path / "graph")
    lexicon = GraphStore.open(tmp_path / "graph").lexicon
    assert [(match.row, match.tier, key, edits) for match, key, edits in lexicon.similar("Asprin")] == [
        (0, "fuzzy", "aspirin", 1), (2, "fuzzy", "asprain", 1)
    ]  # fmt: skip
    assert [match.row for match, _, _ in lexicon.similar("asprin", types=["Disease"])] == [2]
    assert [match.row for match, _, _ in lexicon.similar("ATPP")] == [1]
    assert not lexicon.similar("ATPPP") and not lexicon.similar("") and not lexicon.similar("xspirin")
