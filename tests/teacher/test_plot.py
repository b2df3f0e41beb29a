"""The picture of a bank: what is drawn, and a page that strange names cannot break out of."""

import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from kogner.cli import cli
from kogner.errors import InputError, MissingExtraError
from kogner.graph.store import GraphStore, build
from kogner.records import Entity
from kogner.teacher import plot, plot_page, points
from kogner.teacher.bank import Bank, write_bank
from kogner.teacher.points import lay_out

NASTY = "</script><img src=x onerror=alert(1)> & \u2028 'quoted\" [b]5-HT[/b]"
TYPES = ["Chemical"] * 30 + ["Disease"] * 20 + ["Gene"] * 8 + [f"Rare {number}" for number in range(7)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Bank, GraphStore]:
    folder = tmp_path_factory.mktemp("plot")
    rng = np.random.default_rng(0)
    entities = [Entity(f"T:{n}", kind, NASTY if n == 1 else f"name {n}") for n, kind in enumerate(TYPES)]
    build(entities, [], folder / "graph")
    text = rng.standard_normal((65, 9)) + np.outer([TYPES.index(kind) for kind in TYPES], rng.standard_normal(9))
    logical = rng.standard_normal((65, 4))
    logical[50:53] = 0
    ids = [entity.id for entity in entities]
    parts = {"Z": text, "Z''": logical}
    write_bank(folder / "bank", ids, parts, keys={}, parents={}, recipe={}, metrics={})
    return Bank.open(folder / "bank"), GraphStore.open(folder / "graph")


def test_points_are_the_first_two_components_of_unit_parts(drawn):
    bank, store = drawn
    found = lay_out(bank, store)
    assert found.lacking == {"Z''": 3}
    assert len(found.ids) == 62
    assert "T:50" not in found.ids
    kept = [bank.row(one) for one in found.ids]
    units = [np.asarray(bank.vectors[kept, slice(*columns)], np.float64) for columns in bank.parts.values()]
    vectors = np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in units], axis=1) / 2**0.5
    _, values, axes = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.xy), np.abs((vectors - vectors.mean(0)) @ axes[:2].T), atol=1e-9)
    assert found.axes[0] == f"component 1 ({values[0] ** 2 / (values**2).sum():.0%} of the variance)"
    assert [found.type_names[kind] for kind in found.types] == [TYPES[row] for row in kept]
    assert found.counts() == [30, 20, 5] + [1] * 7
    assert found.names[1] == NASTY


def test_a_sample_is_seeded(drawn):
    one, same, other = (lay_out(*drawn, parts=["Z"], sample=20, seed=seed) for seed in (1, 1, 2))
    assert len(one.ids) == 20
    assert one.ids == same.ids != other.ids
    assert np.array_equal(one.xy, same.xy)


def test_an_entity_that_the_graph_does_not_know_is_drawn_as_such(drawn, tmp_path):
    bank, _ = drawn
    build([Entity("T:5", "Gene", "five")], [], tmp_path / "graph")
    found = lay_out(bank, GraphStore.open(tmp_path / "graph"), parts=["Z"])
    assert dict(zip(found.type_names, found.counts(), strict=True)) == {points.NOWHERE: 64, "Gene": 1}
    assert found.names[found.ids.index("T:5")] == "five"


def test_more_types_than_colours_share_the_last_group(drawn):
    groups = plot.groups(lay_out(*drawn))
    assert len(groups) == len(plot.COLOURS) + 1
    assert len({group.colour for group in groups}) == len(groups)
    assert sum(group.count for group in groups) == 62
    assert groups[-1].label == "Rare 5, Rare 6"


def test_the_page_holds_its_data_and_nothing_from_elsewhere(drawn):
    found = lay_out(*drawn)
    html = plot_page.page(found, plot.groups(found), "a <b>title</b>")
    assert html.count("</script>") == html.count("<script>") == 1
    assert "<img" not in html
    assert "a &lt;b&gt;title&lt;/b&gt;" in html
    assert not re.search(r"https?://|src=|href=|@import|url\(|innerHTML", html.replace("img src=x", ""))
    assert "default-src 'none'" in html
    data = json.loads(re.search(r"^const data = (.*);$", html, re.MULTILINE)[1])
    assert data["names"][1] == NASTY
    assert len(data["x"]) == len(data["y"]) == len(data["group"]) == 62
    assert (min(data["x"]), max(data["x"])) == (0, 1)


def test_half_a_surrogate_pair_can_be_written():
    assert json.loads(plot_page._script_data(["\ud800"])) == ["\ud800"]
    plot_page._script_data(["\ud800"]).encode()


def test_the_command_writes_both_files(drawn, tmp_path):
    pytest.importorskip("matplotlib")
    bank, store = drawn
    arguments = ["teacher", "plot", str(bank.path), "--graph", str(store.path), "--out", str(tmp_path / "a" / "b.png")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    printed = json.loads(result.stdout.splitlines()[-1])
    assert (printed["points"], printed["lacking"], printed["types"]["Gene"]) == (62, {"Z''": 3}, 5)
    assert (tmp_path / "a" / "b.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a" / "b.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["b.html", "b.png"]


def test_what_cannot_be_drawn_is_said(drawn, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"must end in \.png"):
        plot.check_name(tmp_path / "a.pdf")
    with pytest.raises(InputError, match="only 2 entities"):
        lay_out(*drawn, sample=2)
    with monkeypatch.context() as patched, pytest.raises(MissingExtraError, match=r"pip install 'kogner\[plot\]'"):
        patched.setitem(sys.modules, "umap", None)
        lay_out(*drawn, method="umap")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kogner\[plot\]'"):
        plot.require()


@pytest.mark.slow
def test_umap_is_seeded(drawn):
    pytest.importorskip("umap")
    one, two = (lay_out(*drawn, method="umap", parts=["Z"]) for _ in range(2))
    assert np.array_equal(one.xy, two.xy)
    assert one.axes == ("UMAP 1", "UMAP 2")
