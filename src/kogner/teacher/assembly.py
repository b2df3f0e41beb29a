"""From a graph to a bank: the three parts of the teacher, one after the other, each taken up where a run left it.

A part whose key (a hash of all that decides it) equals that of the bank already at the output is taken from there, so
changing the TransR settings trains TransR alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kogner.artifacts import MANIFEST, check_replaceable, locked
from kogner.config import TeacherConfig
from kogner.errors import ArtifactError
from kogner.graph.neighbours import Adjacency
from kogner.hardware import check_device
from kogner.mapping import to_mapping
from kogner.progress import note
from kogner.teacher.bank import KIND, Bank, write_bank
from kogner.teacher.classification import pretrain_unimp
from kogner.teacher.features import Pooler, features_key, text_features
from kogner.teacher.pretrain import pretrain_transr
from kogner.teacher.work import Stopwatch, Trained, hash_of, part_folder

if TYPE_CHECKING:
    from kogner.graph.store import GraphStore


def build(store: GraphStore, out: Path, config: TeacherConfig, *, device: str = "cpu") -> Bank:
    """Make all three parts and write the bank at `out`; work in progress lies in `<out>.work` until it is written.

    Raises ArtifactError where `out` holds something else than a bank or is being built already, ConfigError for a
    device that is not there.
    """
    check_device(device)
    check_replaceable(out, kind=KIND)
    work = out.with_name(f"{out.name}.work")
    with locked(work):
        _build(store, out, config, work=work, device=device)
        shutil.rmtree(work, ignore_errors=True)
    return Bank.open(out)


def _build(store: GraphStore, out: Path, config: TeacherConfig, *, work: Path, device: str) -> None:
    old = _bank_at(out)
    texts = store.texts()
    pooler = Pooler.load(config.features, device)
    keys = {"Z": features_key(texts, pooler)}
    keys["Z'"] = hash_of("Z'", store.artifact.hash, keys["Z"], to_mapping(config.unimp))
    keys["Z''"] = hash_of("Z''", store.artifact.hash, to_mapping(config.transr))

    def part(name: str, folder_name: str, make: Callable[[Path], Trained]) -> Trained:
        if old is not None and old.keys.get(name) == keys[name]:
            note(f"{name}: taken from {out}, made with the same input and settings")
            columns = slice(*old.parts[name])
            return Trained(old.vectors[:, columns], old.artifact.metrics.get(folder_name, {}))
        return make(part_folder(work, folder_name, keys[name]))

    def features(folder: Path) -> Trained:
        stopwatch = Stopwatch(folder)
        found = text_features(texts, pooler, folder=folder)
        return Trained(found.vectors, {"distinct_texts": found.distinct, "minutes": stopwatch.minutes()})

    z = part("Z", "features", features)
    z1 = part(
        "Z'",
        "unimp",
        lambda folder: pretrain_unimp(
            z.vectors,
            Adjacency.of(store),
            np.asarray(store.type_codes),
            store.types,
            config.unimp,
            folder=folder,
            device=device,
        ),
    )
    z2 = part(
        "Z''",
        "transr",
        lambda folder: pretrain_transr(
            np.asarray(store.triples), len(store), len(store.relations), config.transr, folder=folder, device=device
        ),
    )
    write_bank(
        out,
        store.all_ids(),
        {"Z": z.vectors, "Z'": z1.vectors, "Z''": z2.vectors},
        keys=keys,
        parents={"graph": store.artifact.hash},
        recipe={"teacher": to_mapping(config)},
        metrics={"features": z.metrics, "unimp": z1.metrics, "transr": z2.metrics},
    )


def _bank_at(out: Path) -> Bank | None:
    if not (out / MANIFEST).is_file():
        return None
    try:
        return Bank.open(out)
    except ArtifactError as error:
        note(f"the bank at {out} cannot be reused: {error}")
        return None
