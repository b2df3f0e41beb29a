"""The loss that brings names of one entity together and keeps others away (Liu et al. 2021, NAACL)."""

from __future__ import annotations

import torch
from torch import Tensor

# Of SapBERT's published code: alpha weighs names of one entity, beta those of others, both from the similarity EPSILON
# on. MARGIN, a Euclidean distance of unit vectors, says which of them are hard enough to count.
ALPHA, BETA, EPSILON, MARGIN = 1.0, 60.0, 0.5, 0.2


def multi_similarity_loss(vectors: Tensor, entities: Tensor) -> Tensor:
    """Mean over all names of log(1 + sum e^(-a (s_p - e))) / a + log(1 + sum e^(b (s_n - e))) / b, over hard p and n.

    s_p, s_n: cosines with names of the same entity and of others. They are hard where one of the same entity is not
    nearer, by a margin, than one of another (Liu et al. 2021, eq. 1 and 2). vectors: (names, width), of unit length.
    entities: (names,), equal for names of one entity.
    """
    similar = vectors @ vectors.t()
    same = entities[:, None] == entities[None, :]
    others = ~same
    same = same & ~torch.eye(len(entities), dtype=torch.bool, device=entities.device)
    with torch.no_grad():
        apart = (2 - 2 * similar).clamp(min=0).sqrt()
        farthest = apart.masked_fill(~same, -torch.inf).amax(1, keepdim=True)
        nearest = apart.masked_fill(~others, torch.inf).amin(1, keepdim=True)
        same, others = same & (apart + MARGIN >= nearest), others & (apart <= farthest + MARGIN)
    pull = _log_sum(-ALPHA * (similar - EPSILON), same) / ALPHA
    push = _log_sum(BETA * (similar - EPSILON), others) / BETA
    return (pull + push).mean()


def _log_sum(values: Tensor, counted: Tensor) -> Tensor:
    """log(1 + sum of e^values over what is counted), per row."""
    one = values.new_zeros(len(values), 1)
    return torch.cat([one, values.masked_fill(~counted, -torch.inf)], 1).logsumexp(1)
