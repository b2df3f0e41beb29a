"""How fast and how good is our TransR beside PyKEEN's, with the same sizes, negatives, batches and epochs?

Needs PyKEEN in the environment (`make bench-transr` makes one). Three questions:

- speed: triples per second on a real graph, both sides in turns, round after round; the ratio is the median over rounds
- quality: filtered MRR on small graphs that PyKEEN brings, mean of some seeds. Both minimise the margin ranking loss
  over uniform negatives; each has its own optimiser (PyKEEN Adam, ours row-wise Adagrad) at the rate in SETTINGS.
  Each is ranked by its own evaluation.
- evaluation: one set of weights ranked by both

`--only-graph` needs no PyKEEN: a recipe trained on the whole graph, ranks of its held-out triples.
PyKEEN also clips projected entities to the unit ball and compares squared distances. Its Adam is dense: a step moves
all entities, not only those of the batch, which is part of the ratio where a graph has many. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import record
from kogner.config import TransrConfig
from kogner.graph.store import GraphStore
from kogner.hardware import keep_freed_memory
from kogner.teacher.negatives import Corruptor
from kogner.teacher.pretrain import pretrain_transr, train_transr
from kogner.teacher.ranking import ranking_metrics, ranks
from kogner.teacher.transr import TransR

# Both sides: sizes, negatives, margin. learning_rate is ours; PyKEEN's is next to it.
SETTINGS = TransrConfig(
    entity_dim=64, relation_dim=32, norm=2, objective="margin", margin=1.0, shared=False, negatives=8,
    corruption="uniform", typed_share=0.0, batch_size=256, epochs=100, learning_rate=0.05,
    schedule="constant", matrices="small",
)  # fmt: skip
PYKEEN_RATE = 1e-3
SPEED = replace(SETTINGS, entity_dim=128, relation_dim=64, batch_size=16_384)
SIZES = {
    "small": {"datasets": ["nations"], "seeds": 5, "epochs": 20, "batches": 1, "rounds": 2},
    "medium": {"datasets": ["nations", "umls", "kinships"], "seeds": 5, "epochs": 20, "batches": 1, "rounds": 3},
    "full": {"datasets": ["nations", "umls", "kinships"], "seeds": 5, "epochs": 100, "batches": 3, "rounds": 5},
}


def pykeen_model(triples: Any, config: TransrConfig, seed: int) -> Any:
    """PyKEEN's TransR of our sizes."""
    from pykeen.losses import MarginRankingLoss
    from pykeen.models import TransR as Theirs

    return Theirs(
        triples_factory=triples,
        embedding_dim=config.entity_dim,
        relation_dim=config.relation_dim,
        scoring_fct_norm=config.norm,
        loss=MarginRankingLoss(margin=config.margin),
        random_seed=seed,
    )


def pykeen_train(model: Any, triples: Any, config: TransrConfig, epochs: int) -> float:
    """Train with PyKEEN's own loop; returns seconds."""
    from pykeen.training import SLCWATrainingLoop

    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=triples,
        optimizer=torch.optim.Adam(model.parameters(), lr=PYKEEN_RATE),
        negative_sampler_kwargs={"num_negs_per_pos": config.negatives},
    )
    begun = time.perf_counter()
    loop.train(triples, num_epochs=epochs, batch_size=config.batch_size, use_tqdm=False, use_tqdm_batch=False)
    return time.perf_counter() - begun


def speed(graph: Path, batches: int, rounds: int) -> dict[str, Any]:
    """Triples per second of both on so many batches of a graph, in turns."""
    from pykeen.triples import CoreTriplesFactory

    store = GraphStore.open(graph)
    rng = np.random.default_rng(0)
    chosen = np.asarray(store.triples)[rng.choice(store.n_triples, batches * SPEED.batch_size, replace=False)]
    entities, relations = len(store), len(store.relations)
    factory = CoreTriplesFactory(
        torch.from_numpy(chosen.astype(np.int64)), num_entities=entities, num_relations=relations
    )
    theirs = pykeen_model(factory, SPEED, 0)
    ours = TransR.start(entities, relations, SPEED)
    corruptor = Corruptor(chosen, entities, relations, SPEED)
    seconds: dict[str, list[float]] = {"ours": [], "pykeen": []}
    for number in range(rounds + 1):  # the first round warms up
        begun = time.perf_counter()
        for start in range(0, len(chosen), SPEED.batch_size):
            batch = chosen[start : start + SPEED.batch_size].astype(np.int64)
            ours.step(torch.from_numpy(batch), corruptor.draw(batch, np.random.default_rng(number)), SPEED)
        took = {"ours": time.perf_counter() - begun, "pykeen": pykeen_train(theirs, factory, SPEED, 1)}
        if number:
            for name, value in took.items():
                seconds[name].append(value)
    ratios = [a / b for a, b in zip(seconds["pykeen"], seconds["ours"], strict=True)]
    rates = {name: round(len(chosen) / statistics.median(values)) for name, values in seconds.items()}
    return {"ratio": round(statistics.median(ratios), 2), **rates, "batches": batches, "rounds": rounds}


def quality(name: str, seeds: int, epochs: int) -> dict[str, Any]:
    """Filtered MRR of both on one of PyKEEN's graphs, by seed: ours by our evaluation, PyKEEN's by its own.

    `evaluation` says how far the two are apart on one set of weights.
    """
    from pykeen.datasets import get_dataset

    data = get_dataset(dataset=name)
    train, valid, test = (
        part.mapped_triples.numpy().astype(np.int32) for part in (data.training, data.validation, data.testing)
    )
    known = np.concatenate([train, valid, test])
    found: dict[str, list[float]] = {"ours": [], "pykeen": []}
    for seed in range(seeds):
        config = replace(SETTINGS, seed=seed, epochs=epochs)
        with tempfile.TemporaryDirectory() as place:
            ours, _ = train_transr(
                train, valid[:0], known, data.num_entities, data.num_relations, config, folder=Path(place), device="cpu"
            )
        found["ours"].append(_mrr(ours, test, known, config))
        theirs = pykeen_model(data.training, config, seed)
        pykeen_train(theirs, data.training, config, epochs)
        found["pykeen"].append(_pykeen_mrr(theirs, data))
    means = {f"mrr_{side}": round(statistics.mean(values), 4) for side, values in found.items()}
    return means | {f"by_seed_{side}": [round(value, 4) for value in values] for side, values in found.items()}


def evaluation(name: str) -> dict[str, float]:
    """The MRR of one set of weights by our evaluation and by PyKEEN's.

    Entities are shortened so that none is projected out of the unit ball, where PyKEEN would clip it.
    """
    from pykeen.datasets import get_dataset

    data = get_dataset(dataset=name)
    model = TransR.start(data.num_entities, data.num_relations, SETTINGS)
    model.matrices += 0.05 * torch.randn(model.matrices.shape, generator=torch.Generator().manual_seed(0))
    model.entities *= 0.3
    theirs = pykeen_model(data.training, SETTINGS, 0)
    weights = [model.relations, model.matrices.flatten(1)]
    with torch.no_grad():
        theirs.entity_representations[0]._embeddings.weight.copy_(model.entities)
        for representation, weight in zip(theirs.relation_representations, weights, strict=True):
            representation._embeddings.weight.copy_(weight)
    test = data.testing.mapped_triples.numpy()
    known = np.concatenate([part.mapped_triples.numpy() for part in (data.training, data.validation, data.testing)])
    return {"ours": round(_mrr(model, test, known, SETTINGS), 6), "pykeen": round(_pykeen_mrr(theirs, data), 6)}


def on_graph(graph: Path, recipe: str | None) -> dict[str, Any]:
    """A recipe's TransR on the whole graph: filtered ranks of held-out triples among all entities."""
    from kogner.recipe import load_recipe

    store, config = GraphStore.open(graph), load_recipe(recipe, ()).teacher.transr
    with tempfile.TemporaryDirectory() as place:
        trained = pretrain_transr(
            np.asarray(store.triples), len(store), len(store.relations), config, folder=Path(place)
        )
    return trained.metrics | {"recipe": recipe, "config": dataclasses.asdict(config)}


def _mrr(model: TransR, test: Any, known: Any, config: TransrConfig) -> float:
    return float(ranking_metrics(ranks(model, test, known, config), len(model.entities))["mrr"])


def _pykeen_mrr(model: Any, data: Any) -> float:
    from pykeen.evaluation import RankBasedEvaluator

    results = RankBasedEvaluator(filtered=True).evaluate(
        model,
        data.testing.mapped_triples,
        additional_filter_triples=[data.training.mapped_triples, data.validation.mapped_triples],
        use_tqdm=False,
        batch_size=256,
    )
    return float(results.get_metric("both.realistic.inverse_harmonic_mean_rank"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, required=True, help="graph store for the speed")
    parser.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE", "full"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only-graph", action="store_true", help="nothing but the ranks on the whole graph")
    parser.add_argument("--recipe", help="of --only-graph; default: our default")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    if args.only_graph:
        keep_freed_memory()
        found = on_graph(args.graph, args.recipe) | {"threads": args.threads}
        if args.out:
            record.write(args.out, found)
        print(json.dumps(found))
        return
    size: dict[str, Any] = SIZES[args.size]
    result: dict[str, Any] = {"evaluation": {name: evaluation(name) for name in size["datasets"]}}
    result["datasets"] = {name: quality(name, size["seeds"], size["epochs"]) for name in size["datasets"]}
    result |= speed(args.graph, size["batches"], size["rounds"])
    first = result["datasets"]["nations"]
    result |= {"mrr_ours": first["mrr_ours"], "mrr_pykeen": first["mrr_pykeen"], "threads": args.threads}
    result["size"] = {"name": args.size, **size}
    if args.out:
        record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
