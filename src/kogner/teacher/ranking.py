"""How well TransR knows the graph: held-out triples, and the rank of the right entity among all entities.

Ranks are filtered (Bordes et al. 2013): other entities that also make a known triple do not count against the right
one; among equal distances the mean rank is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kogner.config import TransrConfig
from kogner.errors import KognerError
from kogner.progress import counting
from kogner.teacher.transr import TransR

Array = np.ndarray[Any, Any]
HITS = (1, 3, 10)


@dataclass(frozen=True)
class HeldOut:
    """A split of triples. train: (n, 3), in graph order. test: (m, 3).

    excluded: how many drawn triples could not be tested on, by reason; they stay in `train`.
    """

    train: Array
    test: Array
    excluded: dict[str, int]


def hold_out(triples: Array, entities: int, count: int, *, seed: int) -> HeldOut:
    """Draw `count` test triples, at most a tenth of all, that training does not give away.

    Left out of the test and counted: `leak`, triples whose two entities are also joined by another triple, under any
    relation or the other way round (the answer could be read off it); `unseen`, triples that are the last training
    triple of one of their entities that is no loop (its vector would never be trained); `loop`, those of an entity with
    itself.
    """
    heads, tails = triples[:, 0].astype(np.int64), triples[:, 2].astype(np.int64)
    pairs = np.minimum(heads, tails) * entities + np.maximum(heads, tails)
    _, which, times = np.unique(pairs, return_inverse=True, return_counts=True)
    leaks = times[which] > 1
    loops = heads == tails
    degrees = np.bincount(heads[~loops], minlength=entities) + np.bincount(tails[~loops], minlength=entities)
    excluded = {"leak": 0, "unseen": 0, "loop": 0}
    chosen: list[int] = []
    wanted = min(count, len(triples) // 10)
    for index in np.random.default_rng((seed, 1)).permutation(len(triples)):
        if len(chosen) == wanted:
            break
        head, tail = heads[index], tails[index]
        if loops[index]:
            excluded["loop"] += 1
        elif leaks[index]:
            excluded["leak"] += 1
        elif min(degrees[head], degrees[tail]) < 2:
            excluded["unseen"] += 1
        else:
            chosen.append(int(index))
            degrees[head] -= 1
            degrees[tail] -= 1
    kept = np.ones(len(triples), dtype=bool)
    kept[chosen] = False
    return HeldOut(np.asarray(triples[kept]), np.asarray(triples[np.sort(chosen).astype(np.int64)]), excluded)


@torch.inference_mode()
def ranks(model: TransR, test: Array, known: Array, config: TransrConfig, *, chunk: int = 64) -> Array:
    """Filtered ranks, (2 * test,) float64: all tail predictions, then all head predictions, in the order of `test`.

    Against every entity, or `config.candidates` of them, the same ones for all queries. test: (m, 3). known: (n, 3),
    every true triple, test included. The best rank is 1.
    """
    device = model.entities.device
    entities = len(model.entities)
    columns = np.arange(entities)
    if 0 < config.candidates < entities:
        drawn = np.random.default_rng((config.seed, 2)).choice(entities, config.candidates, replace=False)
        columns = np.sort(drawn)
    chosen = torch.from_numpy(columns).to(device)
    result = np.zeros((2, len(test)))
    answers = _Answers(known, entities)
    with counting("TransR: test queries ranked", 2 * len(test)) as counter:
        for relation in np.unique(test[:, 1]):
            queries = np.flatnonzero(test[:, 1] == relation)
            projected = model.entities @ model.matrices[relation]  # (entities, relation_dim)
            translation = model.relations[relation]
            among = projected if len(columns) == entities else projected[chosen]
            squares = among.square().sum(1)
            for side in (0, 1):
                for start in range(0, len(queries), chunk):
                    part = queries[start : start + chunk]
                    given = torch.from_numpy(test[part, 0 if side == 0 else 2].astype(np.int64)).to(device)
                    right = torch.from_numpy(test[part, 2 if side == 0 else 0].astype(np.int64)).to(device)
                    wanted = projected[given] + (translation if side == 0 else -translation)
                    if config.norm == 1:
                        distances = torch.cdist(wanted, among, p=1)
                    else:  # squared distances less the query's own square: the same order, one matmul
                        distances = torch.addmm(squares, wanted, among.T, alpha=-2)
                    if len(columns) == entities:
                        own = distances.gather(1, right.unsqueeze(1))
                    else:
                        own = _own(wanted, projected[right], config.norm).unsqueeze(1)
                    if not torch.isfinite(own).all():
                        raise KognerError("TransR's distances are not finite; lower teacher.transr.learning_rate")
                    for row, index in enumerate(part):
                        others = answers.of(int(test[index, 0 if side == 0 else 2]), int(relation), side)
                        if len(columns) < entities:
                            others = np.flatnonzero(np.isin(columns, others))
                        distances[row, torch.from_numpy(others).to(device)] = torch.inf
                    better = (distances < own).sum(1)
                    equal = (distances == own).sum(1)  # without the right one, which is among the known
                    result[side, part] = (better + equal / 2 + 1).double().cpu().numpy()
                    counter.advance(len(part))
    return result.reshape(-1)


def _own(wanted: Tensor, right: Tensor, norm: int) -> Tensor:
    """Distances of pairs of rows, as `ranks` compares them."""
    if norm == 1:
        return (wanted - right).abs().sum(1)
    return right.square().sum(1) - 2 * (wanted * right).sum(1)


class _Answers:
    """The known answers of a query, from two sorted copies of the triples."""

    def __init__(self, known: Array, entities: int) -> None:
        wide = known.astype(np.int64)
        self.relations = int(wide[:, 1].max(initial=0)) + 1
        self.keys: list[Array] = []
        self.values: list[Array] = []
        for given, asked in ((0, 2), (2, 0)):
            keys = wide[:, given] * self.relations + wide[:, 1]
            order = np.argsort(keys, kind="stable")
            self.keys.append(keys[order])
            self.values.append(wide[order, asked])

    def of(self, given: int, relation: int, side: int) -> Array:
        key = given * self.relations + relation
        first, last = np.searchsorted(self.keys[side], [key, key + 1])
        return self.values[side][first:last]


def ranking_metrics(found: Array, entities: int, *, candidates: int = 0) -> dict[str, Any]:
    """MRR and Hits@k of ranks, with what a random order would reach, and among how many entities.

    found: as `ranks` returns it, tail predictions first. candidates: of `config`, 0 for all entities.
    """
    of, entities = entities, min(entities, candidates or entities)
    if not len(found):
        return {"mrr": None, **{f"hits@{k}": None for k in HITS}, "queries": 0, "candidates": entities}
    chance = float((1 / np.arange(1, entities + 1)).mean())
    return {
        "mrr": round(float((1 / found).mean()), 5),
        **{f"hits@{k}": round(float((found <= k).mean()), 5) for k in HITS},
        "mrr_by_side": {
            name: round(float((1 / part).mean()), 5)
            for name, part in zip(("tail", "head"), np.split(found, 2), strict=True)
        },
        "chance_mrr": round(chance, 8),
        "queries": len(found),
        "candidates": entities,
        "ranking": f"{'full' if entities == of else f'a sample of {of:,}'}, filtered, head and tail",
    }
