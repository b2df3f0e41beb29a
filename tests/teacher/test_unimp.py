"""The Graph Transformer: chunked inference against a plain forward pass, sampled blocks against all edges."""

import numpy as np
import pytest
import torch

from kogner.config import UnimpConfig
from kogner.graph.neighbours import Adjacency, NeighbourSampler
from kogner.teacher import unimp
from kogner.teacher.unimp import GraphTransformer, class_weights

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
        hidden = model.enter(torch.from_numpy(features().astype(np.float32)))
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


def test_labels_that_are_told_change_a_node_and_those_that_read_it():
    torch.manual_seed(0)
    model = GraphTransformer(WIDTH, 4, 3, UnimpConfig(layers=2, hidden=16, heads=4, label_share=0.5)).eval()
    graph = adjacency()
    nothing = np.full(NODES, 3)
    with torch.no_grad():
        bare = model.enter(torch.from_numpy(features().astype(np.float32)))
        padded = model.enter(torch.from_numpy(features().astype(np.float32)), torch.from_numpy(nothing))
    assert torch.equal(bare, padded)
    node = int(graph.neighbours[0])  # read by someone
    told = nothing.copy()
    told[node] = 1
    before, after = (model.whole_graph(features(), graph, given=given) for given in (nothing, told))
    owners = np.repeat(np.arange(NODES), np.diff(graph.indptr))
    near = {node, *owners[graph.neighbours == node].tolist()}
    near |= set(owners[np.isin(graph.neighbours, list(near))].tolist())
    changed = set(np.flatnonzero((before != after).any(1).numpy()).tolist())
    assert node in changed
    assert changed <= near
    assert len(changed) > 1


def test_without_edges_features_alone_count():
    torch.manual_seed(0)
    model = GraphTransformer(WIDTH, 4, 3, UnimpConfig(layers=2, hidden=16, heads=4)).eval()
    lonely = Adjacency(np.zeros(NODES + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int16), 4)
    changed = features()
    changed[1:] = 0
    first, second = model.whole_graph(features(), lonely), model.whole_graph(changed, lonely)
    assert torch.equal(first[0], second[0])
    sample = NeighbourSampler(lonely, (3, 3)).sample(np.array([0, 5]), np.random.default_rng(0))
    with torch.no_grad():
        found = model(torch.from_numpy(features()[sample.rows].astype(np.float32)), sample.blocks)
    torch.testing.assert_close(found, first[[0, 5]], atol=1e-6, rtol=1e-6)
