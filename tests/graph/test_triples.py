"""Triples as rows, against a loop over them."""

import numpy as np
import pyarrow
import pytest

from kogner.graph import triples as module
from kogner.graph.rejections import Rejections
from kogner.graph.triples import TripleTable, as_tables, triple_rows
from kogner.records import Triple


def loop(triples, own, xrefs):
    """Sorted rows, relations and counts, one triple at a time."""
    seen, counts = [], {"unknown": 0, "ambiguous": 0, "repeated": 0}
    for head, relation, tail in triples:
        ends = []
        for end in (head, tail):
            found = [own[end]] if end in own else list(xrefs.get(end, ()))
            if len(found) != 1:
                counts["ambiguous" if found else "unknown"] += 1
                break
            ends.append(found[0])
        else:
            if (ends[0], relation, ends[1]) in seen:
                counts["repeated"] += 1
            else:
                seen.append((ends[0], relation, ends[1]))
    relations = sorted({relation for _, relation, _ in seen})
    return sorted((h, relations.index(r), t) for h, r, t in seen), relations, counts


def case(seed: int, count: int = 400):
    draw = np.random.default_rng(seed)
    own = {f"E:{number}": number for number in range(12)}
    xrefs = {"X:1": [1], "X:2": [2], "X:many": [3, 4]}
    ends = [*own, *xrefs, "nothing"]
    picked = [(ends[a], f"r{b}", ends[c]) for a, b, c in draw.integers(0, [len(ends), 3, len(ends)], (count, 3))]
    return [*picked, ("nothing", "only with a bad end", "E:1")], own, xrefs


def table(triples) -> TripleTable:
    return TripleTable(*(pyarrow.array(list(column), type=pyarrow.string()) for column in zip(*triples, strict=True)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["single", "tables", "mixed"])
def test_rows_and_counts_are_those_of_a_loop(seed, form, monkeypatch):
    monkeypatch.setattr(module, "TABLE", 57)
    triples, own, xrefs = case(seed)
    given = [Triple(*triple) for triple in triples]
    if form == "tables":
        given = [table(triples[start : start + 100]) for start in range(0, len(triples), 100)]
    elif form == "mixed":
        given = [*given[:70], table(triples[70:200]), *given[200:]]
    rejected = Rejections()
    rows, relations = triple_rows(given, own, xrefs, rejected)
    expected, expected_relations, counts = loop(triples, own, xrefs)
    assert rows.tolist() == [list(row) for row in expected]
    assert rows.dtype == np.int32
    assert relations == expected_relations
    assert rejected.counts == {
        "triple with an unknown end": counts["unknown"],
        "triple with an ambiguous end (an xref of several entities)": counts["ambiguous"],
        "repeated triple": counts["repeated"],
    }
    assert rejected.examples["triple with an unknown end"] == ["nothing"] * 3
    assert all(len(examples) == 3 for examples in rejected.examples.values())


def test_no_triple_leaves_no_row():
    rows, relations = triple_rows([], {"E:1": 0}, {}, Rejections())
    assert rows.shape == (0, 3)
    assert relations == []
    rows, relations = triple_rows([Triple("E:1", "r", "E:9")], {"E:1": 0}, {}, Rejections())
    assert (rows.shape, relations) == ((0, 3), [])


def test_single_triples_and_tables_keep_their_order(monkeypatch):
    monkeypatch.setattr(module, "TABLE", 2)
    one = Triple("a", "r", "b")
    tables = list(as_tables([one, one, one, table([("c", "r", "d")]), one]))
    assert [found.heads.to_pylist() for found in tables] == [["a", "a"], ["a"], ["c"], ["a"]]
