"""A reduced bank against numpy's own singular value decomposition."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from kogner.cli import cli
from kogner.config import DistilConfig
from kogner.errors import ArtifactError, InputError
from kogner.teacher import reduction
from kogner.teacher.bank import Bank, write_bank
from kogner.teacher.reduction import Components, reduce_bank

ROWS = 80


def parts() -> dict[str, np.ndarray]:
    """Z spread over 6 of 12 columns' worth of directions, Z' nearly a line, Z'' with entities that have none."""
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((ROWS, 6)) @ rng.standard_normal((6, 12)) + 3
    line = rng.standard_normal((ROWS, 1)) @ rng.standard_normal((1, 8)) * 100 + rng.standard_normal((ROWS, 8))
    logical = rng.standard_normal((ROWS, 5)) + 1
    logical[::9] = 0
    return {"Z": spread, "Z'": line, "Z''": logical}


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Bank:
    folder = tmp_path_factory.mktemp("wide") / "bank"
    recipe = {"teacher": {"x": 1}}
    write_bank(
        folder,
        [f"T:{row}" for row in range(ROWS)],
        parts(),
        keys={"Z": "k"},
        parents={"graph": "g"},
        recipe=recipe,
        metrics={"unimp": {"micro": 0.5, "minutes": 1}},
    )
    return Bank.open(folder)


@pytest.fixture(scope="module")
def narrow(bank, tmp_path_factory) -> Bank:
    return reduce_bank(bank, tmp_path_factory.mktemp("narrow") / "bank", size=9)


def test_is_what_the_singular_value_decomposition_gives(bank, narrow, monkeypatch):
    stored = load_file(narrow.path / reduction.PROJECTION)
    for name in bank.parts:
        wide = np.asarray(bank.vectors[:, slice(*bank.parts[name])], np.float64)
        has = wide.any(1)
        centred = wide[has] - wide[has].mean(0)
        _, values, axes = np.linalg.svd(centred, full_matrices=False)
        size = narrow.parts[name][1] - narrow.parts[name][0]
        found = np.asarray(narrow.vectors[:, slice(*narrow.parts[name])], np.float64)
        expected = np.abs(centred @ axes[:size].T)
        np.testing.assert_allclose(np.abs(found[has]), expected, atol=2e-3 * expected.max())  # float16
        assert not found[~has].any()
        np.testing.assert_allclose(stored[f"{name}.variances"], values**2 / has.sum(), rtol=1e-6, atol=1e-9)
        explained = (values[:size] ** 2).sum() / (values**2).sum()
        assert narrow.artifact.metrics["reduced"][name]["explained"] == pytest.approx(explained, abs=1e-4)
        largest = stored[f"{name}.axes"][np.arange(size), np.abs(stored[f"{name}.axes"]).argmax(1)]
        assert (largest > 0).all()
        again = (wide - stored[f"{name}.mean"]) @ stored[f"{name}.axes"].T
        np.testing.assert_allclose(found[has], again[has], atol=2e-3 * expected.max())


def test_a_part_gets_as_many_components_as_it_needs(narrow):
    reduced = narrow.artifact.metrics["reduced"]
    assert sum(part["size"] for part in reduced.values()) == narrow.vectors.shape[1] == 9
    assert reduced["Z'"]["size"] == 1  # its first explains nearly all of it
    assert reduced["Z'"]["explained"] > 0.99
    assert reduced["Z''"]["entities"] == ROWS - len(range(0, ROWS, 9))


def test_blocks_change_nothing_but_rounding(bank, monkeypatch):
    vectors = bank.vectors[:, slice(*bank.parts["Z"])]
    whole = Components.of(vectors)
    monkeypatch.setattr(reduction, "BLOCK_ROWS", 7)
    pieces = Components.of(vectors)
    np.testing.assert_allclose(pieces.axes[:6], whole.axes[:6], atol=1e-9)
    np.testing.assert_allclose(pieces.variances, whole.variances, atol=1e-9)


def test_the_same_bank_gives_the_same_hash_and_says_where_it_comes_from(bank, narrow, tmp_path):
    again = reduce_bank(bank, tmp_path / "again", size=9)
    assert again.artifact.hash == narrow.artifact.hash
    assert narrow.artifact.parents == {"graph": "g", "bank": bank.artifact.hash}
    assert narrow.keys == {}  # or `kogner teacher build` would take it for its own
    assert narrow.ids == bank.ids
    assert narrow.artifact.recipe == {"teacher": {"x": 1}, "reduced": {"size": 9, "parts": ["Z", "Z'", "Z''"]}}


def test_all_columns_keep_all_distances(bank, tmp_path):
    same = reduce_bank(bank, tmp_path / "same", size=25)
    for name in ("Z", "Z'"):
        wide, rotated = bank.take(bank.ids, [name]), same.take(bank.ids, [name])
        before = np.linalg.norm(wide[:, None] - wide[None], axis=2)
        after = np.linalg.norm(rotated[:, None] - rotated[None], axis=2)
        np.testing.assert_allclose(after, before, atol=2e-3 * before.max())


def test_a_student_learns_from_it_as_from_any_bank(narrow):
    from kogner.student.distil import DistilHead

    config = DistilConfig(kg_hidden=4)
    columns = [stop - start for start, stop in narrow.ranges(config.parts).values()]
    head = DistilHead(config, hidden=6, bank=narrow.take(narrow.ids, config.parts), columns=columns)
    assert head.bank.shape == (ROWS, 9)
    only = reduce_bank(narrow, narrow.path.with_name("only"), size=2, parts=["Z"])
    assert only.parts == {"Z": (0, 2)}
    with pytest.raises(InputError, match=r"has the parts Z, not \[\"Z'\""):
        only.ranges(config.parts)


def test_what_cannot_be_done_is_said(bank, tmp_path):
    with pytest.raises(InputError, match="size 2 must be 3 to 25"):
        reduce_bank(bank, tmp_path / "x", size=2)
    with pytest.raises(InputError, match="size 13 must be 1 to 12"):
        reduce_bank(bank, tmp_path / "x", size=13, parts=["Z"])
    with pytest.raises(ArtifactError, match="is being reduced"):
        reduce_bank(bank, bank.path, size=5)
    assert not (tmp_path / "x").exists()


def test_the_command(bank, tmp_path):
    arguments = ["teacher", "reduce", str(bank.path), "--size", "4", "--parts", "Z,Z'", "--out", str(tmp_path / "four")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    printed = json.loads(result.stdout.splitlines()[-1])
    assert (printed["width"], list(printed["parts"])) == (4, ["Z", "Z'"])
    assert printed["reduced"]["Z"]["columns"] == 12
    assert "of its variance" in result.stderr
