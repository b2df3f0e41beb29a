"""Splits that have no entity, or no relation type, in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogner.data.apart import by_entity, by_relation
from kogner.errors import ConfigError

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


@given(st.lists(st.frozensets(st.integers(0, 60).map(str), max_size=3), max_size=80), st.integers(0, 5))
def test_no_entity_is_in_two_splits(entities, seed):
    found = by_entity(entities, SHARES, seed=seed)
    where = {}
    for own, split in zip(entities, found, strict=True):
        for one in own:
            assert where.setdefault(one, split) == split
    assert found == by_entity(entities, SHARES, seed=seed)
    assert not entities or "train" in found
    for split in ("dev", "test"):
        assert found.count(split) <= len(found) * SHARES[split] + 0.5


def test_shares_are_reached_where_groups_are_small():
    entities = [{f"a{number}", f"b{number}"} for number in range(1000)]
    found = by_entity(entities, SHARES)
    assert [found.count(split) for split in SHARES] == [800, 100, 100]
    assert found != by_entity(entities, SHARES, seed=1)


def test_by_relation():
    relations = ["big"] * 80 + ["a"] * 9 + ["b"] * 10 + ["c"]
    found = by_relation(relations, SHARES)
    for name in ("big", "a", "b", "c"):
        assert len({split for one, split in zip(relations, found, strict=True) if one == name}) == 1
    assert found[0] == "train" and found.count("dev") + found.count("test") >= 19


def test_bad_shares():
    for shares in ({"train": 0.5}, {"dev": 1.0}, {"train": 1.5, "dev": -0.5}, {"train": float("nan")}):
        with pytest.raises(ConfigError, match="add up to 1"):
            by_entity([], shares)
