"""Z': the Graph Transformer UniMP (Shi et al. 2020, arXiv 2009.03509).

The labels are the entity types. UniMP also feeds labels in, those that are not asked for; here that is an option
(`UnimpConfig.label_share`): by default only text features and relations go in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from kogner.config import UnimpConfig
from kogner.graph.neighbours import Adjacency, Block, chunks_by_edges, pick_edges
from kogner.teacher.attention import GraphAttention

# Edges (plus nodes) of one chunk of the run over the whole graph.
CHUNK_EDGES = 131_072
CHUNK_ROWS = 65_536


class GraphTransformer(nn.Module):
    """Layers of gated attention over neighbours (attention.py), and a head for node types.

    Around each layer LayerNorm, ReLU, dropout and a residual connection. Without edges it is a gated residual network
    on the features alone.
    """

    def __init__(self, width: int, relations: int, types: int, config: UnimpConfig) -> None:
        """width: columns of Z. relations: of the adjacency, both directions."""
        super().__init__()
        hidden = config.hidden
        self.entry = nn.Linear(width, hidden)
        self.entry_norm = nn.LayerNorm(hidden)
        # The last row stands for a label that is not given; it is zero and stays so.
        self.labels = nn.Embedding(types + 1, hidden, padding_idx=types) if config.label_share else None
        self.relations = nn.Embedding(relations, hidden)
        self.attentions = nn.ModuleList(GraphAttention(hidden, config.heads) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(hidden, types)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.relations.weight.device

    def enter(self, features: Tensor, given: Tensor | None = None) -> Tensor:
        """First hidden vectors, (nodes, hidden), of features (nodes, width).

        given: (nodes,) types that are told, as many as there are types where one is not; UniMP adds their embeddings to
        the features, which a linear layer follows: here they are added to what it gives.
        """
        projected = self.entry(features)
        if self.labels is not None and given is not None:
            projected = projected + self.labels(given)
        return torch.relu(self.entry_norm(projected))

    def forward(self, features: Tensor, blocks: Sequence[Block], given: Tensor | None = None) -> Tensor:
        """Last hidden vectors (seeds, hidden) of a sampled neighbourhood. features: (nodes, width), seeds first.

        given: (nodes,) see `enter`.
        """
        hidden = self.dropout(self.enter(features, given))
        for index, block in enumerate(blocks):
            edges = torch.from_numpy(block.edges).to(hidden.device)
            kinds = torch.from_numpy(block.relations).to(hidden.device)
            hidden = self.layer(index, hidden[: block.sources], edges, kinds, block.targets)
        return hidden

    def layer(self, index: int, hidden: Tensor, edges: Tensor, kinds: Tensor, targets: int) -> Tensor:
        """One layer. hidden: (sources, hidden), targets first. edges: (2, edges), source to target, by target.

        Returns (targets, hidden).
        """
        arrived = self._attention(index)(hidden, edges, kinds, self.relations.weight, targets)
        return self._keep(index, hidden[:targets], arrived)

    @torch.inference_mode()
    def whole_graph(
        self,
        features: np.ndarray[Any, Any],
        adjacency: Adjacency,
        *,
        given: np.ndarray[Any, Any] | None = None,
        max_neighbours: int | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Last hidden vectors of every node, (nodes, hidden) float32 on the model's device.

        Layer by layer, each in chunks of target nodes: every layer's vectors are computed once, so the cost is linear
        in edges, not exponential in layers. It holds the hidden vectors, their keys and their values, three tensors of
        (nodes, hidden), and one chunk: a layer writes its vectors over those before, as others read keys and values
        alone. features: (nodes, width), read in chunks. given: (nodes,) see `enter`. All neighbours count, or at most
        `max_neighbours` drawn per node and layer.
        """
        self.eval()
        device = self.device
        nodes = len(adjacency)
        hidden = torch.empty(nodes, self.classifier.in_features, device=device)
        keys, values = torch.empty_like(hidden), torch.empty_like(hidden)
        for start in range(0, nodes, CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            told = None if given is None else torch.from_numpy(given[rows].astype(np.int64)).to(device)
            hidden[rows] = self.enter(host_rows(features[rows], device).to(device).float(), told)
        generator = np.random.default_rng(seed)
        for index in range(len(self.attentions)):
            attention = self._attention(index)
            relations = attention.relation(self.relations.weight)
            for start in range(0, nodes, CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                keys[rows], values[rows] = attention.send(hidden[rows])
            for start, stop in chunks_by_edges(adjacency.indptr, CHUNK_EDGES):
                positions, owners = pick_edges(adjacency.indptr, np.arange(start, stop), max_neighbours, generator)
                edges = np.stack([adjacency.neighbours[positions], owners])  # int64, as owners are
                kinds = torch.from_numpy(adjacency.relations[positions].astype(np.int64)).to(device)
                own = hidden[start:stop]
                arrived = attention.receive(own, keys, values, relations, torch.from_numpy(edges).to(device), kinds)
                hidden[start:stop] = self._keep(index, own, arrived)
        return hidden

    @torch.inference_mode()
    def guess(self, hidden: Tensor) -> np.ndarray[Any, Any]:
        """The likeliest type of each node, (nodes,) int64, of last hidden vectors (nodes, hidden)."""
        return cast(Tensor, self.classifier(hidden)).argmax(1).cpu().numpy()

    def _attention(self, index: int) -> GraphAttention:
        return cast(GraphAttention, self.attentions[index])

    def _keep(self, index: int, own: Tensor, arrived: Tensor) -> Tensor:
        return own + self.dropout(torch.relu(self.norms[index](arrived)))


def host_rows(rows: np.ndarray[Any, Any], device: torch.device | str) -> Tensor:
    """Rows of Z as they go to the device: float32 for a processor; for a GPU float16 in pinned memory, half the bytes.

    There `.to(device, non_blocking=True).float()` follows.
    """
    if torch.device(device).type == "cuda":
        return torch.from_numpy(np.ascontiguousarray(rows)).pin_memory()
    return torch.from_numpy(rows.astype(np.float32))


def class_weights(counts: np.ndarray[Any, Any], *, beta: float = 0.9999) -> Tensor:
    """Loss weights by the effective number of examples (Cui et al. 2019, arXiv 1901.05555), mean 1 over examples.

    counts: (types,) training nodes of each type. weight = (1 - beta) / (1 - beta ** count); 0 for a type without any.
    """
    weights = np.divide(1 - beta, 1 - beta**counts, out=np.zeros(len(counts)), where=counts > 0)
    return torch.from_numpy(weights * counts.sum() / max((weights * counts).sum(), 1e-12)).float()
