"""The sampler against the graph it samples from."""

import numpy as np
import pytest

from kogner.errors import ShapeError
from kogner.graph.neighbours import Adjacency, NeighbourSampler, chunks_by_edges, pick_edges


def adjacency(nodes: int = 60, edges: int = 300, seed: int = 0) -> Adjacency:
    """A random graph with a hub (node 0) and a lone node (the last one)."""
    rng = np.random.default_rng(seed)
    ends = [(int(a), int(b), int(r)) for a, b, r in rng.integers(0, (nodes - 1, nodes - 1, 3), (edges, 3)) if a != b]
    ends += [(0, other, 1) for other in range(1, nodes - 1)]
    rows = sorted({(a, b, r) for a, b, r in ends} | {(b, a, r + 3) for a, b, r in ends})
    counts = np.bincount([row for row, _, _ in rows], minlength=nodes)
    return Adjacency(
        np.concatenate([[0], np.cumsum(counts)]),
        np.array([b for _, b, _ in rows], np.int32),
        np.array([r for _, _, r in rows], np.int16),
        6,
    )


def edge_set(graph: Adjacency) -> set[tuple[int, int, int]]:
    owners = np.repeat(np.arange(len(graph)), np.diff(graph.indptr))
    return set(zip(owners.tolist(), graph.neighbours.tolist(), graph.relations.tolist(), strict=True))


@pytest.mark.parametrize("fanouts", [(3,), (4, 2), (2, 3, 70)])
def test_only_real_edges_in_the_right_number(fanouts):
    graph = adjacency()
    real = edge_set(graph)
    seeds = np.array([0, 7, 59, 31])
    sample = NeighbourSampler(graph, fanouts).sample(seeds, np.random.default_rng(1))
    assert sample.rows[:4].tolist() == seeds.tolist()
    assert len(set(sample.rows.tolist())) == len(sample.rows)
    assert len(sample.blocks) == len(fanouts)
    assert sample.blocks[-1].targets == len(seeds)
    assert sample.blocks[0].sources == len(sample.rows)

    hops = [block.targets for block in reversed(sample.blocks)]  # nodes known before each hop
    starts = [0, *hops[:-1]]
    everything = sample.blocks[0]
    drawn = list(
        zip(
            sample.rows[everything.edges[1]].tolist(),
            sample.rows[everything.edges[0]].tolist(),
            everything.relations.tolist(),
            strict=True,
        )
    )
    assert set(drawn) <= real
    assert len(set(drawn)) == len(drawn)  # without replacement
    degrees = np.diff(graph.indptr)
    for start, stop, fanout in zip(starts, hops, fanouts, strict=True):
        for local in range(start, stop):
            assert (everything.edges[1] == local).sum() == min(fanout, degrees[sample.rows[local]])


def test_each_layer_reads_a_prefix_of_nodes_and_edges():
    sample = NeighbourSampler(adjacency(), (4, 2)).sample(np.array([3, 5]), np.random.default_rng(0))
    first, second = sample.blocks
    assert second.sources == first.targets
    assert np.array_equal(first.edges[:, : second.edges.shape[1]], second.edges)
    for block in sample.blocks:
        assert block.edges[0].max() < block.sources
        assert block.edges[1].max() < block.targets
        assert (np.diff(block.edges[1]) >= 0).all()


def test_the_same_seed_gives_the_same_sample_and_leaves_no_trace():
    graph = adjacency()
    sampler = NeighbourSampler(graph, (3, 2))
    first = sampler.sample(np.array([1, 2]), np.random.default_rng(5))
    sampler.sample(np.array([8, 9, 10]), np.random.default_rng(6))
    again = sampler.sample(np.array([1, 2]), np.random.default_rng(5))
    other = sampler.sample(np.array([1, 2]), np.random.default_rng(7))
    assert np.array_equal(first.rows, again.rows)
    assert np.array_equal(first.blocks[0].edges, again.blocks[0].edges)
    assert not np.array_equal(first.rows, other.rows)


def test_picking_is_uniform():
    # Node 0 has 58 or more edges; 4 of them 6,000 times: each edge about 6000 * 4 / degree times.
    graph = adjacency()
    positions, owners = pick_edges(graph.indptr, np.zeros(6000, int), 4, np.random.default_rng(0))
    degree = int(graph.indptr[1])
    counts = np.bincount(positions, minlength=degree)
    assert len(positions) == 24_000
    assert np.array_equal(owners, np.repeat(np.arange(6000), 4))
    expected = 24_000 / degree
    assert abs(counts - expected).max() < 6 * expected**0.5  # six standard deviations


@pytest.mark.parametrize("limit", [None, 2, 65, 1000])
def test_large_limits_take_every_edge_once(limit):
    graph = adjacency(nodes=120)
    positions, owners = pick_edges(graph.indptr, np.arange(len(graph)), limit, np.random.default_rng(0))
    assert len(np.unique(positions)) == len(positions)
    counts = np.bincount(owners, minlength=len(graph))
    assert np.array_equal(counts, np.minimum(np.diff(graph.indptr), limit or 10**9))


def test_chunks_cover_every_row_once_even_around_a_hub():
    graph = adjacency()
    chunks = list(chunks_by_edges(graph.indptr, 20))
    assert [start for start, _ in chunks] == [0, *[stop for _, stop in chunks[:-1]]]
    assert chunks[-1][1] == len(graph)
    assert chunks[0] == (0, 1)  # the hub alone passes the budget
    assert all(
        graph.indptr[stop] - graph.indptr[start] + stop - start <= 20 for start, stop in chunks if stop > start + 1
    )


@pytest.mark.parametrize("seeds", [[1, 1], [60], [-1]])
def test_bad_seeds_are_refused_and_do_not_spoil_the_next_sample(seeds):
    sampler = NeighbourSampler(adjacency(), (2,))
    with pytest.raises(ShapeError):
        sampler.sample(np.array(seeds), np.random.default_rng(0))
    assert sampler.sample(np.array([1, 4]), np.random.default_rng(0)).rows[:2].tolist() == [1, 4]
