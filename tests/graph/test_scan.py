"""Names in text: which match, where, of whom; what is held back as flooding; abbreviations; the index."""

import json
import re

import marisa_trie
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kogner.cli import main
from kogner.errors import ArtifactError, InputError
from kogner.graph.abbreviations import brackets, places
from kogner.graph.forms import Stems, agrees, form, is_symbol, stem, variants
from kogner.graph.scan import Scanner, open_index
from kogner.graph.store import GraphStore, build
from kogner.graph.walk import Walk
from kogner.records import Entity, Triple
from kogner.text import words

ENTITIES = (
    Entity("C:1", "Chemical", "Aspirin", ("acetylsalicylic acid", "ASA")),
    Entity("C:2", "Chemical", "beta-Carotene"),
    Entity("C:3", "Chemical", "insulin"),
    Entity("C:4", "Chemical", "antioxidant"),
    Entity("C:5", "Chemical", "ATP"),
    Entity("D:1", "Disease", "Anemia, Aplastic", ("aplastic anaemia",)),
    Entity("D:2", "Disease", "Lymphoma, Large B-Cell, Diffuse"),
    Entity("D:3", "Disease", "Parkinson Disease", ("PD",)),
    Entity("D:4", "Disease", "Wiskott-Aldrich Syndrome", ("WAS",)),
    Entity("D:5", "Disease", "myotonic dystrophy", ("DM",)),
    Entity("D:6", "Disease", "neoplasm metastasis", ("metastases",)),
    Entity("D:7", "Disease", "End-Stage Renal Disease (ESRD)"),
    Entity("D:8", "Disease", "common"),
    Entity("G:1", "Gene", "insulin receptor", ("INSR",)),
    Entity("G:2", "Gene", "IL-2", ("interleukin 2",)),
    Entity("G:3", "Gene", "TNF-alpha"),
    Entity("G:4", "Gene", "CAT", ("aspirin",)),
    Entity("P:1", "Phenotype", "Sore thumb"),
    Entity("P:2", "Phenotype", "red thumb", ("sore thumb",)),
    Entity("P:3", "Phenotype", "blue thumb", ("sore thumb",)),
)
TRIPLES = (Triple("C:1", "has_role", "C:4"), Triple("P:3", "like", "C:1"), Triple("P:3", "like", "C:2"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "graph"
    build(ENTITIES, TRIPLES, path)
    return GraphStore.open(path)


@pytest.fixture(scope="module")
def scanner(graph):
    return Scanner(graph)


def found(scanner, text):
    return [(text[one.start : one.end], *scanner.store.ids([one.readings[0].row])) for one in scanner.scan(text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("aspirins and ASPIRIN", [("aspirins", "C:1"), ("ASPIRIN", "C:1")]),
        ("β-carotene, betacarotene", [("β-carotene", "C:2"), ("betacarotene", "C:2")]),
        ("Beta carotene", [("Beta carotene", "C:2")]),
        ("Aplastic anemias", [("Aplastic anemias", "D:1")]),
        ("diffuse large B-cell lymphoma", [("diffuse large B-cell lymphoma", "D:2")]),
        ("Parkinson's disease", [("Parkinson's disease", "D:3")]),
        ("Parkinson’s diseases", [("Parkinson’s diseases", "D:3")]),
        ("IL2, IL 2 and IL-2-mediated il-2", [("IL2", "G:2"), ("IL 2", "G:2"), ("IL-2", "G:2")]),
        ("TNF-α TNFα TNF-alpha", [("TNF-α", "G:3"), ("TNFα", "G:3"), ("TNF-alpha", "G:3")]),
        ("a metastasis", [("metastasis", "D:6")]),
        ("end-stage renal disease", [("end-stage renal disease", "D:7")]),
        ("aspirinate inaspirin", []),
        ("aplastic\n\nanemia", []),
        ("", []),
    ],
)  # fmt: skip
def test_variants_match_at_word_edges(scanner, text, names):
    assert found(scanner, text) == names


@pytest.mark.parametrize("text", ["it was a cat", "look at P", "5 mm at p < 0.05", "common", "an antioxidant", "as PD"])
def test_what_floods_is_left_out(scanner, text):
    assert scanner.scan(text) == []


def test_symbols_are_found_as_they_are_written(scanner):
    assert found(scanner, "WAS, CAT and ATPs") == [("WAS", "D:4"), ("CAT", "G:4"), ("ATPs", "C:5")]
    assert found(scanner, "ASPIRIN WAS A DRUG") == [("ASPIRIN", "C:1")]


def test_without_the_guard_case_does_not_count(graph):
    scanner = Scanner(graph, guard=False, abbreviations=False)
    assert found(scanner, "it was common") == [("was", "D:4"), ("common", "D:8")]


def test_longest_name_wins_and_rivals_hold_their_place(graph):
    text = "insulin receptor and insulin"
    assert found(Scanner(graph, {"Chemical"}), text) == [("insulin", "C:3")]
    assert len(found(Scanner(graph, {"Chemical"}, rivals=()), text)) == 2


def test_order_of_readings(graph, scanner):
    rows = [graph.ids([one.row])[0] for one in scanner.scan("sore thumb")[0].readings]
    assert rows == ["P:1", "P:3", "P:2"]  # own name, then more triples
    aspirin = scanner.scan("aspirin")[0].readings
    assert [(one.type, one.preferred) for one in aspirin] == [("Chemical", True), ("Gene", False)]
    assert [one.type for one in Scanner(graph, {"Chemical"}).scan("aspirin")[0].readings] == ["Chemical"]


def test_abbreviations_mean_what_the_text_says(scanner):
    text = "Aplastic anemia (AA) is rare; AA kills. Catalase (CAT): CAT and CATs. Myotonic dystrophy (DM)."
    names = found(scanner, text)
    anemia, dystrophy = [("Aplastic anemia", "D:1"), ("AA", "D:1"), ("AA", "D:1")], [("Myotonic dystrophy", "D:5")]
    assert names == [*anemia, *dystrophy, ("DM", "D:5")]


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("acute renal failure (ARF)", "acute renal failure"),
        ("the tumour necrosis factor alpha (TNF-a)", "tumour necrosis factor alpha"),
        ("seen in men (MS)", None),
        ("End. Mean size (EMS)", None),
    ],
)
def test_long_forms(text, long):
    (bracket,) = brackets(text)
    assert (None if bracket.start is None else text[bracket.start : bracket.end]) == long


@given(
    st.lists(st.sampled_from(["Aspirin", "aplastic", "anemia", "IL", "-", "2", "(AA)", "was", "'s", "\n", "β", "."]))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_are_words_in_order_without_overlap(scanner, pieces):
    text = " ".join(pieces)
    starts, ends = ({edge[side] for edge in words(text)} for side in (0, 1))
    last = 0
    for one in scanner.scan(text):
        assert one.start >= last and one.start in starts and one.end in ends
        last = one.end


@given(st.text())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_can_be_scanned(scanner, text):
    made = form(text)
    assert "".join(made.pieces) == made.key and len(made.pieces) == len(made.words) == len(made.begins)
    scanner.scan(text)


@given(st.sampled_from([name for entity in ENTITIES for name in (entity.name, *entity.synonyms)]))
def test_a_name_agrees_with_itself(name):
    assert agrees(name, name) and form(name.upper()).key == form(name).key


def test_forms():
    assert [stem(word) for word in ("viruses", "diabetes", "neuroses", "gas", "/")] == [
        "virus", "diabete", "neurosis", "gas", ""
    ]  # fmt: skip
    assert not is_symbol("Pain") and is_symbol("HRas")
    assert variants("iron (II)") == ["iron (II)"]
    assert not agrees("in sulin", "insulin") and agrees("COX2", "COX 2")


@pytest.mark.parametrize(
    ("text", "name"),
    [("NF-kappa B", "NF-κB"), ("NF kappa B", "NF-kappaB"), ("PPAR gamma", "PPARγ"), ("PPAR γ", "PPARγ"),
     ("TNF alpha", "TNFalpha"), ("PKC eta", "PKCη"), ("TGF beta 1", "TGFβ1"), ("alpha beta T cell", "αβ T cell")],
)  # fmt: skip
def test_a_blank_at_a_greek_letter_comes_and_goes(text, name):
    assert form(text).key == form(name).key
    assert agrees(text, name) and agrees(name, text)


@pytest.mark.parametrize(("text", "name"), [("chi ral", "chiral"), ("be ta", "β"), ("at PKCη", "atp KCη")])
def test_a_blank_elsewhere_does_not(text, name):
    assert form(text).key == form(name).key
    assert not agrees(text, name) and not agrees(name, text)


def test_index_belongs_to_its_graph(graph, tmp_path, capsys):
    folder = tmp_path / "index"
    first = open_index(graph, folder) / "artifact.json"
    before = json.loads(first.read_text())
    stamp = first.stat().st_mtime_ns
    assert open_index(graph, folder) == folder and first.stat().st_mtime_ns == stamp
    assert before["parents"] == {"graph": graph.artifact.hash} and before["metrics"]["postings"] > len(ENTITIES)
    build(ENTITIES[:3], (), tmp_path / "other")
    open_index(GraphStore.open(tmp_path / "other"), folder)
    assert json.loads(first.read_text())["hash"] != before["hash"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="not empty"):
        open_index(graph, tmp_path / "mine")


def test_unknown_type(graph):
    with pytest.raises(InputError, match="no type Drug; its types: Chemical"):
        Scanner(graph, {"Drug"})


def test_command(graph, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("Aspirin, ünlike insulin receptors.", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "graph",
                "scan",
                str(tmp_path / "a.txt"),
                "--graph",
                str(graph.path),
                "--type",
                "Chemical",
                "--type",
                "Gene",
            ]
        )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert stopped.value.code == 0
    assert [(one["document"], one["start"], one["end"], one["text"], one["type"]) for one in lines] == [
        ("a.txt", 0, 7, "Aspirin", "Chemical"), ("a.txt", 16, 33, "insulin receptors", "Gene")
    ]  # fmt: skip
    assert [entity["id"] for entity in lines[0]["entities"]] == ["C:1", "G:4"]


PIECES = st.lists(st.sampled_from(["a", "ab", "b", "ba", "il", "2"]), min_size=1, max_size=4)


@given(st.lists(PIECES.map("".join), max_size=12), PIECES)
def test_a_walk_finds_the_keys_that_end_behind_its_words(keys, pieces):
    place = Walk(marisa_trie.Trie(keys), 100).root[pieces[0]]
    for piece in [*pieces[1:], ""]:
        place = place[piece] if place is not None else None
    ends = {count: "".join(pieces[:count]) for count in range(len(pieces), 0, -1)}
    assert ([] if place is None else list(place.found)) == [count for count, key in ends.items() if key in keys]


def test_what_is_remembered_is_bounded():
    walk, stems = Walk(marisa_trie.Trie(["ab"]), 3), Stems(3)
    for number in range(10):
        assert walk.root[f"{number}"][""] is None
        assert walk.root["a"]["b"].found == (2,)
        assert stems[f"w{number}"] == f"w{number}"
        assert len(walk.root) <= 3 and len(stems) <= 3


@given(st.text(alphabet="RF s-+(a", max_size=30), st.sets(st.sampled_from(["RF", "R", "F-", "RFs"]), min_size=1))
def test_short_forms_stand_where_a_pattern_finds_them(text, shorts):
    ordered = "|".join(re.escape(short) for short in sorted(shorts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![^\W_])(?:{ordered})(?=s?(?![^\W_]))")
    assert places(text, shorts) == [one.span() for one in pattern.finditer(text)]


@given(
    st.lists(st.lists(st.sampled_from(["ab", "b", "IL", "-", "2", "'s", "α"]), min_size=1, max_size=3), max_size=8),
    st.lists(st.sampled_from(["ab", "b", "IL", "-", "2", "'s", "α", "x", "ABS", "."]), max_size=14),
    st.lists(st.sampled_from(["", " "]), min_size=14, max_size=14),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_longest_name_at_word_edges_is_found_from_the_left(tmp_path_factory, names, pieces, gaps):
    named = sorted({" ".join(name) for name in names if any(part.isalnum() for part in name)})
    if not named:
        return
    folder = tmp_path_factory.mktemp("longest")
    build([Entity(f"C:{n}", "Chemical", name) for n, name in enumerate(named)], (), folder / "graph")
    store = GraphStore.open(folder / "graph")
    text = "".join(piece + gap for piece, gap in zip(pieces, gaps, strict=False))
    scanner = Scanner(store, guard=False, abbreviations=False)
    edges, wanted, at = words(text), [], 0
    forms = [(name, form(name).key) for name in named if any(character.isalpha() for character in form(name).key)]
    while at < len(edges):
        for last in range(len(edges) - 1, at - 1, -1):
            start, end = edges[at][0], edges[last][1]
            written = text[start:end]
            key = "".join(_pieces_between(text, start, end))
            if any(key == other and agrees(written, name, case=False) for name, other in forms):
                wanted.append((start, end))
                at = last
                break
        at += 1
    found = [(one.start, one.end) for one in scanner.scan(text)]
    assert [text[start:end].strip("-'s ") for start, end in found] == [text[a:b].strip("-'s ") for a, b in wanted]


def _pieces_between(text, start, end):
    made = form(text)
    both = zip(made.words, made.pieces, strict=True)
    return [piece for (left, right), piece in both if start <= left and right <= end]


def test_short_forms_of_a_long_text_are_found_in_time():
    shorts = [f"A{number}" for number in range(20_000)]
    text = " ".join(shorts) + " A7s xA7"
    assert len(places(text, shorts)) == 20_001


def test_what_one_text_leaves_behind_is_bounded():
    walk = Walk(marisa_trie.Trie(["ab"]), 10)
    for number in range(100):
        assert walk.root[f"w{number}"][""] is None
    root = walk.root
    for number in range(100):
        root[f"v{number}"]
    assert len(root) <= 20


PARTS = [*"aAbBrRfF12 .;\n()-", "renal failure (RF)", " (RF)", "\u03a3", "\u03c2", "\u0130", "\u0131", "TNF-\u03b1 "]


@given(st.lists(st.sampled_from(PARTS), max_size=10).map("".join))
def test_long_forms_are_those_of_a_search_character_by_character(text):
    for found in brackets(text):
        letters = [character.lower() for character in found.short if character.isalnum()]
        at = found.end - 1
        for number in range(len(letters) - 1, -1, -1):
            while at >= 0 and (text[at].lower() != letters[number] or (not number and at and text[at - 1].isalnum())):
                if text[at] in ".;:?!\n" and (at + 1 >= found.end or text[at + 1].isspace()):
                    at = -1
                at -= 1
            at -= 1
            if at < -1:
                break
        start = at + 1 if at >= -1 else None
        named = text[start : found.end].split() if start is not None else []
        if len(named) > min(len(letters) + 5, 2 * len(letters)) or found.short in named:
            start = None
        if start is not None and found.end - start <= len(found.short):
            start = None
        assert found.start == start
