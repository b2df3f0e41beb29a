"""Names of entities: what is left out and counted, and the file that they travel in."""

import gzip

import pytest

from kogner.data import synonyms
from kogner.errors import ConfigError, InputError
from kogner.graph.store import GraphStore, build
from kogner.records import Entity

ENTITIES = [
    Entity("T:1", "Chemical", "aspirin", ("Acetylsalicylic acid", "ASPIRIN", "ASA")),
    Entity("T:2", "Chemical", "ibuprofen"),
    Entity("T:3", "Disease", "acute fever", ("febris acuta", "ASA", "fever, acute")),
    Entity("T:4", "Disease", "headache", ("pain of the head", "cephalgia")),
    Entity("T:5", "Phenotype", "cephalgia", ("head\tache",)),
    Entity("T:6", "Chemical", "IL-2", ("IL 2",)),
    Entity("T:7", "Disease", "ASA"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names") / "graph"
    build(ENTITIES, [], folder)
    return GraphStore.open(folder)


def test_names_of_several_and_lone_names_are_left_out_and_counted(store):
    found = synonyms.of_graph(store, types=["Chemical", "Disease"])
    assert found.ids == ("T:1", "T:3", "T:4")
    assert found.names[0] == ("aspirin", "Acetylsalicylic acid")
    assert found.names[1][0] == "acute fever" and set(found.names[1][1:]) == {"febris acuta", "fever, acute"}
    assert found.left_out == {
        synonyms.AMBIGUOUS: 3,  # ASA of three
        synonyms.SPELLING: 2,  # ASPIRIN, IL 2
        synonyms.ONE_NAME: 2,
        synonyms.NO_NAME: 1,
    }
    assert found.pairs == 1 + 3 + 3 and found.graph == store.artifact.hash


def test_a_name_shared_with_another_type_counts_where_that_is_chosen_too(store):
    apart, together = synonyms.of_graph(store, types=["Disease"]), synonyms.of_graph(store)
    assert "cephalgia" in apart.names[apart.ids.index("T:4")]
    assert "cephalgia" not in together.names[together.ids.index("T:4")]


def test_bad_types_are_refused(store):
    with pytest.raises(ConfigError, match="no type Drug; it has Chemical, Disease"):
        synonyms.of_graph(store, types=["Drug"])


def test_a_graph_of_lone_names_is_refused(tmp_path):
    build([Entity("T:1", "Gene", "a"), Entity("T:2", "Gene", "b")], [], tmp_path / "graph")
    with pytest.raises(InputError, match=r"no entity has two names of its own .*one name only: 2"):
        synonyms.of_graph(GraphStore.open(tmp_path / "graph"))


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_what_is_written_is_read(store, tmp_path, name):
    found = synonyms.of_graph(store, types=["Chemical", "Disease"])
    synonyms.write(found, tmp_path / "new" / name)
    assert synonyms.read(tmp_path / "new" / name) == found
    before = (tmp_path / "new" / name).read_bytes()
    synonyms.write(found, tmp_path / "new" / name)
    assert (tmp_path / "new" / name).read_bytes() == before


def test_a_file_of_ones_own_needs_no_first_line(tmp_path):
    file = tmp_path / "own.tsv.gz"
    file.write_bytes(gzip.compress(b"A\tone thing\nB\tother\nA\tthing number one\nB\tone thing\n"))
    with pytest.raises(InputError, match=r"no entity has two names of its own .*one name only: 2"):
        synonyms.read(file)
    file.write_bytes(gzip.compress(b"A\tone thing\nB\tother\nA\tthing number one\n"))
    found = synonyms.read(file)
    assert found.names == (("one thing", "thing number one"),) and found.left_out == {synonyms.ONE_NAME: 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("A\tone\nA two\n", r"own.tsv:2: a line must be an entity's id, a tab"),
        ("A\tone\ttwo\n", r":1: a line must be"),
        ("\tone\n", r":1: a line must be"),
        ("A\t \n", r":1: a line must be"),
        (synonyms.HEAD + "{}\nA\tone\nA\ttwo\n", r":1: its first line is damaged"),
        (synonyms.HEAD + '{"graph": 1, "types": [], "left_out": {}}\n', r":1: its first line is damaged"),
        ("", "empty"),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path, content, said):
    file = tmp_path / "own.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        synonyms.read(file)


def test_smaller_draws_are_parts_of_larger_ones():
    many = synonyms.Synonyms(tuple(map(str, range(50))), tuple((f"a {n}", f"b {n}") for n in range(50)))
    small, large = many.drawn(10, seed=3), many.drawn(30, seed=3)
    assert len(small) == 10 and set(small.ids) < set(large.ids)
    assert list(small.ids) == sorted(small.ids, key=int)
    assert small.left_out == {synonyms.NOT_DRAWN: 40} and many.drawn(99, seed=3) is many
    assert many.drawn(10, seed=4).ids != small.ids
