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
from kogner.errors import ArtifactError, ConfigError, InputError
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
    store: GraphStore,
    out: Path,
    config: TeacherConfig,
    *,
    parts: Sequence[str] = PARTS,
    entities: Sequence[str] | None = None,
    device: str = "cpu",
) -> Bank:
    """Make parts and write the bank at `out`; work in progress lies in `<out>.work` until it is written.

    parts: what the bank is to hold, in whatever order. Z' is made from Z, which is made for it but not kept.
    entities: ids of those that Z is made for, all where None; the other parts learn from the whole graph.
    Raises ArtifactError where `out` holds something else than a bank or is being built already, ConfigError for a
    device that is not there, for unknown parts and for none, and for entities where not Z alone is made, InputError
    for ids that the graph does not have and for none.
    """
    check_device(device)
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ConfigError(f"a bank has parts of {', '.join(PARTS)}, not {unknown or 'none'}")
    if entities is not None and set(parts) != {"Z"}:
        raise ConfigError("Z' and Z'' learn from the whole graph; make Z alone (--part Z) for some of its entities")
    rows = None if entities is None else _rows(store, entities)
    check_replaceable(out, kind=KIND)
    work = out.with_name(f"{out.name}.work")
    with locked(work):
        _build(store, out, config, [part for part in PARTS if part in parts], rows, work=work, device=device)
        shutil.rmtree(work, ignore_errors=True)
    return Bank.open(out)


def _rows(store: GraphStore, entities: Sequence[str]) -> list[int]:
    """Rows of entities, each once, in the graph's order. Raises InputError for unknown ids, and for none."""
    numbers = {entity_id: row for row, entity_id in enumerate(store.all_ids())}
    if unknown := [entity_id for entity_id in entities if entity_id not in numbers]:
        shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise InputError(f"has no {shown} ({len(unknown):,} of {len(entities):,} ids)", path=store.path)
    if not entities:
        raise InputError("no entity is asked for; name some, or make the part for all of the graph", path=store.path)
    return sorted({numbers[entity_id] for entity_id in entities})


def _build(
    store: GraphStore,
    out: Path,
    config: TeacherConfig,
    wanted: Sequence[str],
    rows: Sequence[int] | None,
    *,
    work: Path,
    device: str,
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
        texts = store.texts(rows)
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
        store.all_ids() if rows is None else store.ids(rows),
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
