"""The store gives back what was put in, the same bytes each time, and never half of it."""

import numpy as np
import pytest

from kogner.artifacts import open_artifact
from kogner.errors import ArtifactError, InputError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GROUP_ROWS, GraphStore, build, upward_codes
from kogner.records import Entity, Triple


def numbered(count):
    return [Entity(f"E:{row}", f"T{row % 3}", f"name {row}", (f"syn {row}",), (f"X:{row}",)) for row in range(count)]


def random_triples(count, nodes, seed=0):
    pairs = np.random.default_rng(seed).integers(nodes, size=(count, 2))
    return [Triple(f"E:{head}", f"r{number % 4}", f"E:{tail}") for number, (head, tail) in enumerate(pairs)]


def test_entities_come_back(store, tiny):
    assert len(store) == len(tiny[0])
    assert [store.entity(row) for row in range(len(store))] == list(tiny[0])
    assert store.all_ids() == [entity.id for entity in tiny[0]]
    assert store.ids([3, 0, 3]) == ["X:4", "X:1", "X:4"]
    assert store.ids(np.array([], dtype=np.int64)) == []
    assert [store.types[code] for code in store.type_codes] == [entity.type for entity in tiny[0]]
    with pytest.raises(IndexError):
        store.entity(len(store))


def test_texts_over_several_row_groups(tmp_path):
    entities = [Entity(f"E:{row}", "T", f"name {row}", description=f"text {row}") for row in range(2 * GROUP_ROWS + 7)]
    build(entities, [], tmp_path / "g")
    store = GraphStore.open(tmp_path / "g")
    texts = [(entity.name, entity.description) for entity in entities]
    assert store.texts() == texts
    rows = [2 * GROUP_ROWS + 3, 0, GROUP_ROWS, GROUP_ROWS - 1, 0, 2 * GROUP_ROWS]
    assert store.texts(rows) == store.texts(np.array(rows)) == [texts[row] for row in rows]
    assert store.texts([2 * GROUP_ROWS + 3]) == [texts[2 * GROUP_ROWS + 3]]
    assert store.texts([]) == []
    assert store.entity(GROUP_ROWS) == entities[GROUP_ROWS]


def test_resolve(store):
    assert store.resolve("X:2") == (1,)
    assert store.resolve("OMIM:7") == (1,)
    assert store.resolve("Z:2") == (4, 5)
    assert store.resolve("none") == ()


def test_an_own_id_wins_over_an_xref(tmp_path):
    build([Entity("A", "T", "a", xrefs=("B",)), Entity("B", "T", "b")], [], tmp_path / "g")
    assert GraphStore.open(tmp_path / "g").resolve("B") == (1,)


def test_triples_are_sorted_and_seen_from_both_ends(tmp_path):
    triples = random_triples(600, 50)
    build(numbered(50), triples, tmp_path / "g")
    store = GraphStore.open(tmp_path / "g")
    wanted = sorted({(int(t.head[2:]), store.relations.index(t.relation), int(t.tail[2:])) for t in triples})
    assert store.triples.tolist() == [list(triple) for triple in wanted]
    assert store.n_triples == len(wanted)
    seen = {
        (row, int(relation), int(end))
        for row in range(50)
        for relation, end in zip(
            store.edge_relations[store.indptr[row] : store.indptr[row + 1]],
            store.neighbours[store.indptr[row] : store.indptr[row + 1]],
            strict=True,
        )
    }
    width = len(store.relations)
    assert seen == {*wanted, *((tail, relation + width, head) for head, relation, tail in wanted)}
    assert len(store.neighbours) == 2 * len(wanted) == store.indptr[-1]


def test_arrays_have_the_agreed_types_and_are_mapped(store):
    kinds = {
        "type_codes": np.int16,
        "triples": np.int32,
        "indptr": np.int64,
        "neighbours": np.int32,
        "edge_relations": np.int16,
    }
    for name, kind in kinds.items():
        array = getattr(store, name)
        assert array.dtype == kind
        assert not array.flags.writeable


def test_hierarchies_lead_up_whatever_way_their_relation_is_written(tmp_path):
    entities = [Entity(f"X:{number}", "T", f"name {number}") for number in range(5)]
    triples = [
        Triple("X:1", "is_a", "X:0"), Triple("X:0", "Phenotype-Phenotype", "X:2"), Triple("X:3", "has_role", "X:0"),
        Triple("X:4", "Disease-Disease", "X:3"),
    ]  # fmt: skip
    build(entities, triples, tmp_path / "graph")
    store = GraphStore.open(tmp_path / "graph")
    assert [rows.tolist() for rows in store.hierarchy()] == [[1, 2, 4], [0, 0, 3]]
    assert [rows.tolist() for rows in store.hierarchy(also={"has_role"})] == [[1, 2, 3, 4], [0, 0, 0, 3]]
    ups = upward_codes(store.relations)
    for lower, upper in zip(*store.hierarchy(), strict=True):
        place = slice(int(store.indptr[lower]), int(store.indptr[lower + 1]))
        assert store.neighbours[place][np.isin(store.edge_relations[place], ups)].tolist() == [upper]
    place = slice(int(store.indptr[0]), int(store.indptr[1]))  # it has only lower ones, and a role
    assert not np.isin(store.edge_relations[place], ups).any()


def test_what_is_left_out_is_counted(tmp_path, tiny):
    rejected = Rejections()
    triples = [
        *tiny[1],
        Triple("X:1", "treats", "NO:1"),
        Triple("NO:2", "treats", "X:1"),
        Triple("X:1", "treats", "OMIM:7"),
        Triple("X:1", "treats", "Z:2"),
    ]
    artifact = build([*tiny[0], tiny[0][0]], triples, tmp_path / "g", rejected=rejected)
    assert artifact.metrics == {
        "entities": 6,
        "triples": 5,
        "self_loops": 1,
        "rejected": {
            "triple with an unknown end": 2,
            "duplicate id": 1,
            "repeated triple": 1,
            "triple with an ambiguous end (an xref of several entities)": 1,
        },
    }


def test_characters_that_are_no_text_are_counted(tmp_path):
    rejected = Rejections()
    entities = [Entity("A", "T", "good"), Entity("B", "T", "N\0L"), Entity("C", "T", "c", ("half \ud800",))]
    build(entities, [], tmp_path / "g", rejected=rejected)
    assert rejected.as_dict() == {"entity with a character that is no text (NUL or half a surrogate pair)": 2}
    store = GraphStore.open(tmp_path / "g")
    assert store.all_ids() == ["A"]
    assert store.resolve("\ud800") == store.resolve("A\0") == ()


def test_a_graph_without_triples(tmp_path, tiny):
    build(tiny[0], [], tmp_path / "g")
    store = GraphStore.open(tmp_path / "g")
    assert store.n_triples == 0
    assert store.triples.shape == (0, 3)
    assert store.neighbours.shape == (0,)
    assert store.relations == ()


def test_a_graph_without_entities_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one entity"):
        build([], [], tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_same_input_same_hash(tmp_path):
    entities, triples = numbered(300), random_triples(900, 300)
    first = build(entities, triples, tmp_path / "a")
    second = build(entities, triples[::-1], tmp_path / "b", source={"nodes": "elsewhere"})
    other = build(entities, triples[:-1], tmp_path / "c")
    assert first.hash == second.hash != other.hash
    assert build(entities, triples, tmp_path / "a").hash == first.hash


def test_a_failed_build_leaves_the_old_graph(tmp_path, tiny):
    old = build(tiny[0], tiny[1], tmp_path / "g")

    def failing():
        yield Entity("N:1", "T", "new")
        raise InputError("bad", path="nodes.tsv", line=3)

    with pytest.raises(InputError):
        build(failing(), [], tmp_path / "g")
    assert GraphStore.open(tmp_path / "g").artifact.hash == old.hash
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_other_folders_are_neither_replaced_nor_opened(tmp_path, tiny):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="not empty"):
        build(tiny[0], [], tmp_path / "mine")
    with pytest.raises(ArtifactError, match="not a KoGNER artefact"):
        GraphStore.open(tmp_path / "mine")
    with pytest.raises(ArtifactError, match="does not exist"):
        GraphStore.open(tmp_path / "none")


def test_a_damaged_store_is_noticed(tmp_path, tiny):
    build(tiny[0], tiny[1], tmp_path / "g")
    file = tmp_path / "g" / "triples.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match=r"triples\.npy has"):
        GraphStore.open(tmp_path / "g")


@pytest.mark.slow
def test_shared_graph(shared_graph, tmp_path):
    """Counts from the files themselves (lines less the header), as the design page states them."""
    from kogner.graph.readers.tsv import read_entities, read_triples

    rejected = Rejections()
    build(
        read_entities(shared_graph / "nodes.tsv.xz", rejected=rejected),
        read_triples(shared_graph / "edges.tsv.xz", rejected=rejected),
        tmp_path / "g",
        rejected=rejected,
    )
    store = GraphStore.open(tmp_path / "g")
    assert (len(store), store.n_triples, len(store.relations)) == (603_887, 1_185_417, 34)
    assert len(rejected) == 0
    assert sum(bool(text) for _, text in store.texts()) == 82_838
    (best, *_) = store.lexicon.lookup("aspirin", types={"Chemical"})
    assert store.ids([best.row]) == ["MESH:D001241"]
    open_artifact(tmp_path / "g", kind="graph", version=1, verify=True)
