"""Texts that the student of one cell labels for the training of another."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner import artifacts
from kogner.data.pseudo import KIND, VERSION, PseudoSettings, label
from kogner.errors import InputError
from kogner.experiment.cell import Cell
from kogner.experiment.checks import PSEUDO
from kogner.experiment.folders import Folders
from kogner.experiment.hashes import sha256_of
from kogner.records import Document

if TYPE_CHECKING:
    from kogner.train.splits import Split

ANNOTATED = "document that is trained on with its annotation"


def student_of(cell: Cell, folders: Folders) -> Path:
    """Where the student is that a cell scores: its own, or that of what it starts from where it trains none."""
    return folders.student(cell) if cell.trains or cell.start is None else student_of(cell.start, folders)


def label_inputs(cell: Cell, by: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the labels: by, the identity of the cell that makes them, the texts, what is kept apart from them,
    and the settings. Raises InputError for a corpus without a train split.
    """
    assert cell.pseudo is not None
    texts = {name: train_text(cell, name) for name in cell.pseudo.texts}
    apart = {f"{name} {split}": sha256_of(file) for name, split, file in _kept_apart(cell)}
    return {"by": dict(by), "texts": texts, "apart": apart, "settings": dataclasses.asdict(PseudoSettings())}


def train_text(cell: Cell, name: str) -> str:
    """The hash of a corpus's train split. Raises InputError where it has none."""
    from kogner.data import corpora

    files = corpora.splits(cell.experiment.corpora[name])
    if "train" not in files:
        what = "are to be labelled" if cell.pseudo is not None else "are to say how much a name counts"
        raise InputError(f"corpus {name}, whose texts {what} for {cell.name}, has no train split")
    return sha256_of(files["train"])


def _kept_apart(cell: Cell) -> Iterator[tuple[str, str, Path]]:
    """Corpus, split and file of each dev and test split whose like is not to be trained on."""
    from kogner.data import corpora

    assert cell.pseudo is not None
    for name in dict.fromkeys((*cell.train, *cell.test, *cell.pseudo.texts)):
        for split, file in sorted(corpora.splits(cell.experiment.corpora[name]).items()):
            if split != "train":
                yield name, split, file


def pseudo_labelled(
    cell: Cell, folders: Folders, splits: Sequence[Split], *, device: str
) -> tuple[Split, dict[str, Any]]:
    """The texts with their labels, to train on, and what is told of them: the student, and counts.

    splits: those of the setting's corpora, then those of the arm's `beside`. Types are those of the setting's corpora,
    or without any those that the student that labels was trained on. The labels lie beside the student, and are made
    once. Raises InputError where no text is left.
    """
    from kogner.annotate.predictor import Predictor, Settings
    from kogner.data import corpora
    from kogner.data.formats import jsonl
    from kogner.experiment.weighing import learnt_by_entity, names_of
    from kogner.student.checkpoint import StudentInfo
    from kogner.student.layout import STUDENT, read_student
    from kogner.train.splits import Split

    assert cell.labeller is not None and cell.pseudo is not None
    student = student_of(cell.labeller, folders)
    types = tuple(dict.fromkeys(kind for split in splits[: len(cell.train)] for kind in split.types))
    if not cell.train:
        types = StudentInfo.read(read_student(student / STUDENT)[1], file=student / STUDENT).types
    of_student = artifacts.read_manifest(student).hash
    names = None
    weights: dict[str, float] = {}
    losses: dict[str, float] = {}
    scales: dict[str, float] = {}
    if cell.labeller.base is not None:
        names = names_of(cell.labeller)
        scored = json.loads(folders.scored(cell.labeller).read_text(encoding="utf-8"))
        weights = scored.get("name_weights", {})  # none are fitted where there is no dev: as by default
        losses = scored.get("name_losses", {})
        scales = {name: of["scale"] for name, of in scored.get("entity_weights", {}).items()}
    graph = None if names is None else names.store.artifact.hash
    recipe = {"types": types, "names": graph, "name_weights": weights} | ({"name_losses": losses} if losses else {})
    recipe |= {"untyped": ", ".join(sorted(cell.labeller.untyped))} if cell.labeller.untyped else {}
    if cell.labeller.by_entity is not None:
        bank = artifacts.read_manifest(Path(str(cell.labeller.bank))).hash
        recipe |= {"by_entity": dataclasses.asdict(cell.labeller.by_entity), "scales": scales, "bank": bank}
        recipe |= {"seed": str(cell.seed)}
    recipe |= label_inputs(cell, {"student": of_student})
    recipe = json.loads(json.dumps(recipe))
    out = folders.student(cell).with_name(f"{cell.name}.labels")
    if not (out / artifacts.MANIFEST).is_file() or artifacts.read_manifest(out).recipe != recipe:
        predictor = Predictor.load(str(student), device=device)
        predictor.info = dataclasses.replace(predictor.info, name_weights=weights, name_losses=losses)
        if names is not None and cell.labeller.by_entity is not None:
            learnt = learnt_by_entity(cell.labeller, splits[: len(cell.train)], names)
            predictor.entity_weights = learnt.weights.scaled(scales)
        left_out, spans = Counter[str](), Counter[str]()
        texts = list(_texts(cell, splits, left_out))
        if not texts:
            reasons = ", ".join(f"{count:,} x {reason}" for reason, count in left_out.items())
            raise InputError(f"no text of {', '.join(cell.pseudo.texts)} is left to label for {cell.name}: {reasons}")
        reading = Settings(token_budget=8192, threads=1)
        found = label(texts, predictor, [list(types)], names=names, reading=reading, counts=spans)
        counts: dict[str, Any] = {}
        out.parent.mkdir(parents=True, exist_ok=True)
        with artifacts.writing(out, kind=KIND, version=VERSION, recipe=recipe, metrics=counts) as folder:
            jsonl.write(folder / "train.jsonl", found)
            counts |= {"documents": len(texts), "spans": dict(sorted(spans.items())), "left_out": dict(left_out)}
    labelled = corpora.load(PSEUDO, out, "train")
    told = {"labeller": of_student, "labeller_weights": weights, PSEUDO: artifacts.read_manifest(out).metrics}
    told |= {"labeller_scales": scales} if scales else {}
    told |= {"labeller_losses": losses} if losses else {}
    return Split(PSEUDO, labelled.documents, (), tuple(sorted(types))), told


def _texts(cell: Cell, splits: Sequence[Split], left_out: Counter[str]) -> Iterator[Document]:
    """Train documents without annotation, but for those that are trained on and those like a dev or test document."""
    from kogner.data import corpora
    from kogner.data.overlap import Overlap
    from kogner.recipe import load_recipe
    from kogner.train.splits import subset

    assert cell.pseudo is not None
    train = load_recipe(cell.experiment.recipe, cell.overrides()).train
    annotated = {
        split.name: _ids(
            split.train if number >= len(cell.train) else subset(split.train, train.train_share, train.data_seed)
        )
        for number, split in enumerate(splits)
    }
    apart = Overlap(
        document
        for name, split, _ in _kept_apart(cell)
        for document in corpora.load(name, cell.experiment.corpora[name], split).documents
    )
    for name in cell.pseudo.texts:
        for document in corpora.load(name, cell.experiment.corpora[name], "train").documents:
            reason = ANNOTATED if document.id in annotated.get(name, ()) else apart.found(document)
            if reason is None:
                yield Document(f"{name}:{document.id}", document.text)
            else:
                left_out[reason] += 1


def _ids(documents: Iterable[Document]) -> set[str]:
    return {document.id for document in documents}
