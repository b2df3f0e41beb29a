"""Z': the Graph Transformer UniMP (Shi et al. 2020, arXiv 2009.03509), without its label input.

The labels are the entity types. UniMP also feeds (masked) labels in; here only text features and relations go in, so
that a node's own type cannot leak into its vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kogner.config import UnimpConfig
from kogner.errors import MissingExtraError
from kogner.graph.neighbours import Adjacency, Block, chunks_by_edges, pick_edges

try:
    from torch_geometric.nn import TransformerConv
except ImportError:
    TransformerConv = None

# Edges (plus nodes) of one chunk of the run over the whole graph: about 0.5 GB at 128 columns.
CHUNK_EDGES = 131_072


def require() -> None:
    """Raise MissingExtraError where torch_geometric is not installed."""
    if TransformerConv is None:
        raise MissingExtraError("the Graph Transformer", "teacher")


class GraphTransformer(nn.Module):
    """Layers of gated multi-head attention over neighbours, relations as edge vectors, and a head for node types.

    Per layer (equations 3 to 5 of the paper): attention of a node over its neighbours, the relation's vector added to
    key and value, then a gate (beta) between the node's own projection and what arrived; around it LayerNorm, ReLU,
    dropout and a residual connection.
    """

    def __init__(self, width: int, relations: int, types: int, config: UnimpConfig) -> None:
        """width: columns of Z. relations: of the adjacency, both directions. Raises MissingExtraError without PyG."""
        super().__init__()
        require()
        hidden = config.hidden
        self.entry = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU())
        self.relations = nn.Embedding(relations, hidden)
        self.convolutions = nn.ModuleList(
            TransformerConv(hidden, hidden // config.heads, heads=config.heads, concat=True, beta=True, edge_dim=hidden)
            for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(hidden, types)

    def layer(self, index: int, hidden: Tensor, edges: Tensor, relations: Tensor, targets: int) -> Tensor:
        """One layer. hidden: (sources, hidden), targets first. edges: (2, edges), source to target, local numbers.

        Returns (targets, hidden).
        """
        own = hidden[:targets]
        gathered = self.convolutions[index]((hidden, own), edges, self.relations(relations))
        return own + self.dropout(torch.relu(self.norms[index](gathered)))

    def forward(self, features: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Last hidden vectors (seeds, hidden) of a sampled neighbourhood. features: (nodes, width), seeds first."""
        hidden = self.dropout(self.entry(features))
        for index, block in enumerate(blocks):
            edges = torch.from_numpy(block.edges).to(hidden.device)
            relations = torch.from_numpy(block.relations).to(hidden.device)
            hidden = self.layer(index, hidden[: block.sources], edges, relations, block.targets)
        return hidden

    @torch.inference_mode()
    def whole_graph(
        self, features: np.ndarray[Any, Any], adjacency: Adjacency, *, max_neighbours: int | None = None, seed: int = 0
    ) -> Tensor:
        """Last hidden vectors of every node, (nodes, hidden) float32 on the model's device.

        Layer by layer, each in chunks of target nodes: every layer's vectors are computed once, so the cost is linear
        in edges, not exponential in layers. features: (nodes, width), read in chunks. All neighbours count, or at most
        `max_neighbours` drawn per node and layer.
        """
        self.eval()
        device = self.relations.weight.device
        hidden = torch.cat([self.entry(_tensor(block, device)) for block in _row_blocks(features)])
        generator = np.random.default_rng(seed)
        for index in range(len(self.convolutions)):
            reached = torch.empty_like(hidden)
            for start, stop in chunks_by_edges(adjacency.indptr, CHUNK_EDGES):
                targets = np.arange(start, stop)
                positions, owners = pick_edges(adjacency.indptr, targets, max_neighbours, generator)
                # Targets first, then the other sources, as `layer` wants them.
                neighbours = adjacency.neighbours[positions].astype(np.int64)
                inside = (neighbours >= start) & (neighbours < stop)
                others, numbers = np.unique(neighbours[~inside], return_inverse=True)
                sources = neighbours - start
                sources[~inside] = numbers + len(targets)
                rows = torch.from_numpy(np.concatenate([targets, others])).to(device)
                edges = torch.from_numpy(np.stack([sources, owners])).to(device)
                relations = torch.from_numpy(adjacency.relations[positions].astype(np.int64)).to(device)
                reached[start:stop] = self.layer(index, hidden[rows], edges, relations, len(targets))
            hidden = reached
        return hidden


def class_weights(counts: np.ndarray[Any, Any], *, beta: float = 0.9999) -> Tensor:
    """Loss weights by the effective number of examples (Cui et al. 2019, arXiv 1901.05555), mean 1 over examples.

    counts: (types,) training nodes of each type. weight = (1 - beta) / (1 - beta ** count); 0 for a type without any.
    """
    weights = np.divide(1 - beta, 1 - beta**counts, out=np.zeros(len(counts)), where=counts > 0)
    return torch.from_numpy(weights * counts.sum() / max((weights * counts).sum(), 1e-12)).float()


def _row_blocks(features: np.ndarray[Any, Any], rows: int = 65_536) -> list[np.ndarray[Any, Any]]:
    return [features[start : start + rows] for start in range(0, len(features), rows)]


def _tensor(block: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(block, dtype=np.float32)).to(device)
