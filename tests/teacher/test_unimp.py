"""The Graph Transformer: chunked inference against a plain forward pass, sampled blocks against all edges."""

import numpy as np
import pytest
import torch

from kogner.config import UnimpConfig
from kogner.errors import MissingExtraError
from kogner.graph.neighbours import Adjacency, NeighbourSampler
from kogner.teacher import unimp
from kogner.teacher.unimp import GraphTransformer, class_weights

pytest.importorskip("torch_geometric")

NODES, WIDTH = 50, 12


def adjacency(seed: int = 0) -> Adjacency:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 7, NODES)
    counts[3] = 30
    total = int(counts.sum())
    neighbours = rng.integers(0, NODES, total).astype(np.int32)
    return Adjacency(np.r_[0, np.cumsum(counts)], neighbours, rng.integers(0, 4, total).astype(np.int16), 4)


@pytest.fixture
def model() -> GraphTransformer:
    torch.manual_seed(0)
    config = UnimpConfig(layers=2, hidden=16, heads=4, fanouts=(40, 40))
    return GraphTransformer(WIDTH, 4, 3, config).eval()


def features() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((NODES, WIDTH)).astype(np.float16)


def plain(model: GraphTransformer, graph: Adjacency) -> torch.Tensor:
    """All nodes and all edges at once, layer after layer."""
    owners = np.repeat(np.arange(NODES), np.diff(graph.indptr))
    edges = torch.from_numpy(np.stack([graph.neighbours.astype(np.int64), owners]))
    relations = torch.from_numpy(graph.relations.astype(np.int64))
    with torch.no_grad():
        hidden = model.entry(torch.from_numpy(features().astype(np.float32)))
        for index in range(2):
            hidden = model.layer(index, hidden, edges, relations, NODES)
    return hidden


@pytest.mark.parametrize("chunk", [1, 17, 10_000])
def test_layer_by_layer_equals_the_whole_forward_pass(model, monkeypatch, chunk):
    monkeypatch.setattr(unimp, "CHUNK_EDGES", chunk)
    found = model.whole_graph(features(), adjacency())
    torch.testing.assert_close(found, plain(model, adjacency()), atol=1e-5, rtol=1e-5)


def test_a_sample_of_all_neighbours_equals_the_whole_forward_pass(model):
    graph = adjacency()
    seeds = np.array([3, 0, 41])
    sample = NeighbourSampler(graph, (40, 40)).sample(seeds, np.random.default_rng(0))
    with torch.no_grad():
        found = model(torch.from_numpy(features()[sample.rows].astype(np.float32)), sample.blocks)
    torch.testing.assert_close(found, plain(model, graph)[seeds], atol=1e-5, rtol=1e-5)


def test_the_cap_on_neighbours_changes_only_what_it_reaches(model):
    graph = adjacency()
    capped = model.whole_graph(features(), graph, max_neighbours=10)
    near = {3, *np.repeat(np.arange(NODES), np.diff(graph.indptr))[graph.neighbours == 3].tolist()}
    far = [node for node in range(NODES) if node not in near]
    torch.testing.assert_close(capped[far], plain(model, graph)[far], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(capped[3], plain(model, graph)[3], atol=1e-4)


def test_class_weights_have_mean_one_over_examples_and_favour_rare_types():
    counts = np.array([500_000, 1000, 10, 0])
    weights = class_weights(counts).numpy()
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, abs=1e-5)
    # Cui et al. 2019, equation 2, at beta 0.9999: the weights of 10 and 1,000 examples differ by (1-b^1000)/(1-b^10).
    assert weights[2] / weights[1] == pytest.approx((1 - 0.9999**1000) / (1 - 0.9999**10), rel=1e-4)
    assert weights[3] == 0


def test_without_torch_geometric_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(unimp, "TransformerConv", None)
    with pytest.raises(MissingExtraError, match=r"Graph Transformer.*kogner\[teacher\]"):
        GraphTransformer(WIDTH, 4, 3, UnimpConfig())
