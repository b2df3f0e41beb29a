"""The attention layer against PyTorch Geometric's TransformerConv, and UniMP's equations written out."""

import math

import pytest
import torch

from kogner.teacher import attention
from kogner.teacher.attention import GraphAttention

SOURCES, TARGETS, EDGES, KINDS, HIDDEN, HEADS = 40, 25, 160, 5, 24, 3


@pytest.fixture
def inputs():
    """Vectors, edges ascending by target (target 7 has 60 of them, targets 3 and 24 none), kinds, relation vectors."""
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(0, TARGETS - 1, (EDGES,), generator=draw)
    targets[targets == 3] = 4
    targets[:60] = 7
    edges = torch.stack([torch.randint(0, SOURCES, (EDGES,), generator=draw), targets.sort().values])
    kinds = torch.randint(0, KINDS, (EDGES,), generator=draw)
    hidden = 2 * torch.randn(SOURCES, HIDDEN, generator=draw)
    return hidden.requires_grad_(), edges, kinds, torch.randn(KINDS, HIDDEN, generator=draw).requires_grad_()


@pytest.fixture
def layer() -> GraphAttention:
    torch.manual_seed(1)
    return GraphAttention(HIDDEN, HEADS)


def dense(layer: GraphAttention, hidden, edges, kinds, relations):
    """UniMP, equations 3 to 5, one target and one head after the other."""
    width = HIDDEN // HEADS
    rows = []
    for target in range(TARGETS):
        reached = [edge for edge in range(EDGES) if edges[1, edge] == target]
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            query = layer.query(hidden[target])[part]
            carried = [layer.relation(relations[kinds[edge]])[part] for edge in reached]
            keys = [layer.key(hidden[edges[0, edge]])[part] + c for edge, c in zip(reached, carried, strict=True)]
            values = [layer.value(hidden[edges[0, edge]])[part] + c for edge, c in zip(reached, carried, strict=True)]
            weights = [torch.exp(query @ key / math.sqrt(width)) for key in keys]
            shares = [weight / sum(weights) for weight in weights]
            heads.append(sum((a * v for a, v in zip(shares, values, strict=True)), torch.zeros(width)))
        arrived, own = torch.cat(heads), layer.own(hidden[target])
        gate = torch.sigmoid(layer.gate(torch.cat([arrived, own, arrived - own])))
        rows.append((1 - gate) * arrived + gate * own)
    return torch.stack(rows)


def gradients(out, hidden, relations, parameters):
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return torch.autograd.grad((out * weights).sum(), [hidden, relations, *parameters])


@pytest.mark.parametrize("piece", [1, 13, 10_000])
def test_equals_the_equations_with_gradients(layer, inputs, monkeypatch, piece):
    monkeypatch.setattr(attention, "PIECE", piece)
    hidden, edges, kinds, relations = inputs
    expected = dense(layer, hidden, edges, kinds, relations)
    found = layer(hidden, edges, kinds, relations, TARGETS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    parameters = list(layer.parameters())
    ours, theirs = (gradients(out, hidden, relations, parameters) for out in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_equals_torch_geometric_with_gradients(layer, inputs):
    geometric = pytest.importorskip("torch_geometric.nn")
    theirs = geometric.TransformerConv(HIDDEN, HIDDEN // HEADS, heads=HEADS, beta=True, edge_dim=HIDDEN)
    pairs = {"query": "query", "key": "key", "value": "value", "relation": "edge", "own": "skip", "gate": "beta"}
    for ours_name, their_name in pairs.items():
        getattr(theirs, f"lin_{their_name}").load_state_dict(getattr(layer, ours_name).state_dict())
    hidden, edges, kinds, relations = inputs
    expected = theirs((hidden, hidden[:TARGETS]), edges, relations[kinds])
    found = layer(hidden, edges, kinds, relations, TARGETS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    ours = gradients(found, hidden, relations, [getattr(layer, name).weight for name in pairs])
    others = gradients(expected, hidden, relations, [getattr(theirs, f"lin_{name}").weight for name in pairs.values()])
    for one, other in zip(ours, others, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_large_scores_do_not_overflow(layer, inputs):
    hidden, edges, kinds, relations = inputs
    found = layer(1000 * hidden, edges, kinds, relations, TARGETS)
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(part).all() for part in gradients(found, hidden, relations, layer.parameters()))


def test_no_edges_at_all(layer, inputs):
    hidden, edges, kinds, relations = inputs
    found = layer(hidden, edges[:, :0], kinds[:0], relations, TARGETS)
    own = layer.own(hidden[:TARGETS])
    gate = layer.gate(torch.cat([torch.zeros_like(own), own, -own], dim=1)).sigmoid()
    torch.testing.assert_close(found, gate * own, atol=1e-6, rtol=1e-6)
    assert torch.isfinite(torch.autograd.grad(found.sum(), hidden)[0]).all()
