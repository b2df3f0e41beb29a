"""From a graph to a bank: the parts of the teacher, one after the other, each taken up where a run left it.

A part whose key (a hash of all that decides it) equals that of the bank already at the output is taken from there, so
changing the TransR settings trains TransR alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kogner.artifacts import MANIFEST, check_replaceable, locked
from kogner.config import PARTS, TeacherConfig
from kogner.errors import ArtifactError, ConfigError
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

# How each part is made, which no setting tells: a new number where code changes what comes out.
MADE = {"Z": 1, "Z'": 1, "Z''": 1}
FOLDERS = {"Z": "features", "Z'": "unimp", "Z''": "transr"}  # of the parts' work, and what their metrics are called


def build(
    store: GraphStore, out: Path, config: TeacherConfig, *, parts: Sequence[str] = PARTS, device: str = "cpu"
) -> Bank:
    """Make parts and write the bank at `out`; work in progress lies in `<out>.work` until it is written.

    parts: what the bank is to hold, in whatever order. Z' is made from Z, which is made for it but not kept.
    Raises ArtifactError where `out` holds something else than a bank or is being built already, ConfigError for a
    device that is not there, for unknown parts and for none.
    """
    check_device(device)
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ConfigError(f"a bank has parts of {', '.join(PARTS)}, not {unknown or 'none'}")
    check_replaceable(out, kind=KIND)
    work = out.with_name(f"{out.name}.work")
    with locked(work):
        _build(store, out, config, [part for part in PARTS if part in parts], work=work, device=device)
        shutil.rmtree(work, ignore_errors=True)
    return Bank.open(out)


def _build(
    store: GraphStore, out: Path, config: TeacherConfig, wanted: Sequence[str], *, work: Path, device: str
) -> None:
    old = _bank_at(out)
    keys = {"Z''": hash_of("Z''", MADE["Z''"], store.artifact.hash, to_mapping(config.transr))}
    made: dict[str, Trained] = {}

    def part(name: str, folder_name: str, make: Callable[[Path], Trained]) -> Trained:
        if old is not None and old.keys.get(name) == keys[name]:
            note(f"{name}: taken from {out}, made with the same input and settings")
            columns = slice(*old.parts[name])
            return Trained(old.vectors[:, columns], old.artifact.metrics.get(folder_name, {}))
        return make(part_folder(work, folder_name, keys[name]))

    if "Z" in wanted or "Z'" in wanted:
        texts = store.texts()
        pooler = Pooler.load(config.features, device)
        keys["Z"] = hash_of("Z", MADE["Z"], features_key(texts, pooler))
        keys["Z'"] = hash_of("Z'", MADE["Z'"], store.artifact.hash, keys["Z"], to_mapping(config.unimp))

        def features(folder: Path) -> Trained:
            stopwatch = Stopwatch(folder)
            found = text_features(texts, pooler, folder=folder)
            return Trained(found.vectors, {"distinct_texts": found.distinct, "minutes": stopwatch.minutes()})

        made["Z"] = part("Z", FOLDERS["Z"], features)
    if "Z'" in wanted:
        made["Z'"] = part(
            "Z'",
            FOLDERS["Z'"],
            lambda folder: pretrain_unimp(
                made["Z"].vectors,
                Adjacency.of(store),
                np.asarray(store.type_codes),
                store.types,
                config.unimp,
                folder=folder,
                device=device,
            ),
        )
    if "Z''" in wanted:
        made["Z''"] = part(
            "Z''",
            FOLDERS["Z''"],
            lambda folder: pretrain_transr(
                np.asarray(store.triples), len(store), len(store.relations), config.transr, folder=folder, device=device
            ),
        )
    write_bank(
        out,
        store.all_ids(),
        {name: made[name].vectors for name in wanted},
        keys={name: keys[name] for name in wanted},
        parents={"graph": store.artifact.hash},
        recipe={"teacher": to_mapping(config)},
        metrics={FOLDERS[name]: made[name].metrics for name in wanted},
    )


def _bank_at(out: Path) -> Bank | None:
    if not (out / MANIFEST).is_file():
        return None
    try:
        return Bank.open(out)
    except ArtifactError as error:
        note(f"the bank at {out} cannot be reused: {error}")
        return None
