"""Nearest rows against a plain full-matrix computation in float64."""

import numpy as np
import pytest

from kogner.errors import InputError, ShapeError
from kogner.teacher import nearest
from kogner.teacher.bank import Bank, write_bank

WIDTHS = {"Z": 7, "Z'": 5, "Z''": 3}
ROWS = 60


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Bank:
    rng = np.random.default_rng(0)
    scales = {"Z": 1.0, "Z'": 30.0, "Z''": 0.02}
    parts = {name: (rng.standard_normal((ROWS, width)) * scales[name]) for name, width in WIDTHS.items()}
    parts["Z''"][[3, 9, 27]] = 0
    parts["Z"][50] = parts["Z"][40] * 2  # points the same way
    folder = tmp_path_factory.mktemp("near") / "bank"
    write_bank(folder, [f"T:{row}" for row in range(ROWS)], parts, keys={}, parents={}, recipe={}, metrics={})
    return Bank.open(folder)


def plain(bank, query, parts) -> np.ndarray:
    """(rows,) mean cosine to one vector, NaN where a part is missing."""
    scores, place = np.zeros(len(bank)), 0
    for name in parts:
        part = np.asarray(bank.vectors[:, slice(*bank.parts[name])], np.float64)
        one = query[place : place + part.shape[1]]
        place += part.shape[1]
        with np.errstate(invalid="ignore"):
            scores += part @ one / np.linalg.norm(part, axis=1) / np.linalg.norm(one) / len(parts)
    return scores


@pytest.mark.parametrize("parts", [("Z", "Z'", "Z''"), ("Z''", "Z"), ("Z'",)])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_equals_the_plain_computation(bank, parts, block, monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK_ROWS", block)
    monkeypatch.setattr(nearest, "BLOCK_QUERIES", max(1, block // 3))
    queries = [0, 12, 59, 40]
    found = bank.near(np.array(queries), parts=parts, limit=6)
    assert found.rows.shape == found.scores.shape == (4, 6)
    for query, rows, scores in zip(queries, found.rows, found.scores, strict=True):
        expected = plain(bank, bank.take([f"T:{query}"], parts)[0].astype(np.float64), parts)
        expected[query] = np.nan
        order = np.argsort(-expected, kind="stable")[:6]  # NaN comes last
        assert rows.tolist() == order.tolist()
        np.testing.assert_allclose(scores, expected[order], atol=1e-6)
    assert found.unranked == ({"Z''": 3} if "Z''" in parts else {})
    assert found.candidates == (57 if "Z''" in parts else 60)


def test_each_part_counts_the_same_whatever_its_scale(bank):
    found = bank.near(40, parts=["Z"], limit=1)
    assert found.rows.tolist() == [[50]]  # twice as long, the same direction
    assert found.scores[0, 0] == pytest.approx(1, abs=1e-6)
    whole = bank.near(40, limit=ROWS).rows[0].tolist()
    assert 50 in whole
    assert 40 not in whole


def test_vectors_find_what_their_rows_find_and_themselves(bank):
    by_row = bank.near(12, limit=5)
    by_vector = bank.near(bank.take(["T:12"])[0] * 3, limit=6)
    assert by_vector.rows[0].tolist() == [12, *by_row.rows[0].tolist()]


def test_among_some_rows_and_fewer_than_asked_for(bank):
    found = bank.near(12, among=np.array([30, 3, 12, 5]), limit=5)
    assert set(found.rows[0, :2].tolist()) == {30, 5}
    assert found.rows[0, 2:].tolist() == [-1, -1, -1]
    assert np.isnan(found.scores[0, 2:]).all()
    assert bank.near(12, among=np.array([], dtype=np.int64)).rows.tolist() == [[-1] * 10]


def test_of_equal_rows_the_first_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK_ROWS", 4)
    write_bank(
        tmp_path / "b",
        [str(row) for row in range(12)],
        {"Z": np.ones((12, 3))},
        keys={},
        parents={},
        recipe={},
        metrics={},
    )
    assert Bank.open(tmp_path / "b").near(6, limit=5).rows[0].tolist() == [0, 1, 2, 3, 4]


def test_what_cannot_be_asked_is_said(bank):
    with pytest.raises(InputError, match="query 1 has nothing in Z''"):
        bank.near(np.array([0, 3]))
    assert bank.near(3, parts=["Z", "Z'"], limit=2).rows.shape == (1, 2)
    assert (bank.lacking(3), bank.lacking(0)) == (["Z''"], [])
    with pytest.raises(InputError, match="60 rows, so none numbered"):
        bank.near(60)
    with pytest.raises(InputError, match=r"has the parts Z, Z', Z'', not \['Y'\]"):
        bank.near(0, parts=["Y"])
    with pytest.raises(ShapeError, match="15 columns"):
        bank.near(np.zeros(4))
