"""Which of a graph's entities annotators mark, learnt from the names in annotated documents by the teacher's vectors.

Each name that the scanner finds in a document is a mention there or is not. A logistic regression on the bank's row of
the entity, H_e = [Z_e; Z'_e; Z''_e] with each part brought to length 1, says how likely it is one; it says so of
entities, too, that stand in no annotated document, since kindred ones have kindred rows. Each entity of the documents
has besides a term of its own, for what its row does not say (a random intercept; both are shrunk, each by a penalty).
What is kept of it is one number for each entity: its log odds less those of a name of the type at large.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.names import Names
from kogner.config import CONTROLS
from kogner.data.linking import graph_types
from kogner.errors import ConfigError
from kogner.progress import counting, note
from kogner.records import Document
from kogner.teacher.bank import Bank
from kogner.train.splits import Split

# Of half the squared length, of the rows' weights and of the entities' own terms, to the log loss summed over names.
PENALTIES = tuple(itertools.product((8.0, 2.0, 0.5, 0.125), (2.0, 0.5, 0.125)))
FOLDS = 5
LEAST = 20  # names of a label, and of them marked and unmarked ones at least LEAST_OF_EACH
LEAST_OF_EACH = 3
_CHUNK = 8_192


@dataclass(frozen=True)
class Observed:
    """Names of a label in documents, (names,) each. rows: of the store. marked: bool. documents: their numbers."""

    rows: np.ndarray
    marked: np.ndarray
    documents: np.ndarray

    def of(self, kept: np.ndarray) -> Observed:
        """Some of them. kept: (names,) bool."""
        return Observed(self.rows[kept], self.marked[kept], self.documents[kept])


@dataclass(frozen=True)
class Learnt:
    """Weights by entity, by label what is told of them, and the hashes of the bank and the graph."""

    weights: EntityWeights
    told: dict[str, dict[str, Any]]
    origin: dict[str, str]


def learn(
    splits: Sequence[Split],
    types: Sequence[str],
    *,
    names: Names,
    bank: Bank,
    parts: Sequence[str] | None = None,
    control: str = "none",
    seed: int = 0,
) -> Learnt:
    """From the train documents of some splits. parts: of the bank; all that it has where None.

    control: `shuffled`, in which each entity has the row of another of its label, or `vocabulary`, in which that other
    is of the same type in the graph and the same vocabulary (`MESH:D`, `MESH:C`, `MONDO:`). What these find is what the
    documents say of entities that stand in them; that of `vocabulary` also what a vocabulary says. A label that has too
    few names in the documents, or of which nothing holds for documents left out (FOLDS of them), gets no weights; what
    is told says why. Entities that stand in several documents are on both sides of such a fold, as they are of the
    documents that teach and of those that are read later.
    Raises ConfigError for another control, where the bank holds none of the graph's entities of these types, or where
    two types differ in case.
    """
    if control not in CONTROLS:
        raise ConfigError(f"control is {' or '.join(CONTROLS)}, not {control!r}")
    parts = tuple(bank.ranges(tuple(bank.parts) if parts is None else parts))
    if len({label.lower() for label in types}) < len(types):
        raise ConfigError(f"{', '.join(types)}: two types differ in their case alone; call them by one name")
    if bank.artifact.parents.get("graph") not in (None, names.store.artifact.hash):
        note(f"{bank.path} was made of another graph than {names.store.path}: entities that it lacks stay as they are")
    seen = _observed(splits, types, names)
    origin = {"bank": bank.artifact.hash, "graph": names.store.artifact.hash}
    tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    told: dict[str, dict[str, Any]] = {}
    held = asked = False
    with counting("entities that annotators mark, types", len(seen)) as counter:
        for label, observed in seen.items():
            counter.advance(note=label)
            rows = _rows_of(label, names)
            if not len(rows):
                told[label] = {"left_out": "the graph has no type for it"}
                continue
            asked = True
            ids = names.store.ids(rows)
            at = [bank.row(one) for one in ids]
            known = np.array([one is not None for one in at], dtype=bool)
            if not known.any():
                told[label] = {"left_out": "the bank has no entity of it"}
                continue
            held = True
            in_bank = np.array([one for one in at if one is not None], dtype=np.int64)
            if control != "none":
                groups = _vocabularies(rows[known], names) if control == "vocabulary" else [0] * len(in_bank)
                in_bank = _within(in_bank, groups, seed)
            place = np.full(len(names.store), -1, dtype=np.int64)
            place[rows[known]] = in_bank
            has_row = place[observed.rows] >= 0
            observed, without = observed.of(has_row), int((~has_row).sum())
            told[label] = {"names": len(observed.rows), "without_row": without}
            found = _fitted(observed, place, bank, parts)
            if isinstance(found, str):
                told[label]["left_out"] = found
                continue
            own = np.zeros(len(bank))
            own[found.entities] = found.own
            logits = own[in_bank] + np.concatenate([
                (_features(bank, in_bank[first : first + _CHUNK], parts) - found.centre) @ found.weights + found.offset
                for first in range(0, len(in_bank), _CHUNK)
            ])  # fmt: skip
            tables[label.lower()] = EntityWeights.table((ids[one] for one in np.flatnonzero(known)), logits)
            told[label] |= {
                "marked": round(float(observed.marked.mean()), 4), "penalties": found.penalties,
                "entities": len(tables[label.lower()][0]),
            }  # fmt: skip
    if asked and not held:
        raise ConfigError(
            f"{bank.path} holds no entity of {', '.join(types)} that {names.store.path} has: give the bank "
            "that was made of this graph (kogner teacher build)"
        )
    return Learnt(EntityWeights({label: table for label, table in tables.items() if len(table[0])}), told, origin)


def _observed(splits: Sequence[Split], types: Sequence[str], names: Names) -> dict[str, Observed]:
    """By label, the names in documents whose annotators marked that type; those in doubt are left out."""
    found: dict[str, list[tuple[int, bool, int]]] = {label: [] for label in types}
    documents = [(one, [label for label in split.types if label in found]) for split in splits for one in split.train]
    for number, (document, asked) in enumerate(documents):
        labels = [label for label in asked if label in document.types]
        gold, unsure = _keys(document)
        for (start, end, at), row in names.rows(document.text, labels).items():
            span = (start, end, labels[at])
            if span not in unsure:
                found[labels[at]].append((row, span in gold, number))
    columns = {label: np.array(of, np.int64).reshape(-1, 3).T for label, of in found.items()}
    return {label: Observed(rows, marked.astype(bool), numbers) for label, (rows, marked, numbers) in columns.items()}


def _keys(document: Document) -> tuple[set[tuple[int, int, str]], set[tuple[int, int, str]]]:
    gold, unsure = ({(one.start, one.end, one.type) for one in of} for of in (document.mentions, document.unsure))
    return gold, unsure


def _rows_of(label: str, names: Names) -> np.ndarray:
    """Rows of the store whose names can be names of the label."""
    store = names.store
    codes = [number for number, kind in enumerate(store.types) if kind in graph_types(label, store.types)]
    found: np.ndarray = np.flatnonzero(np.isin(np.asarray(store.type_codes), codes))
    return found


def _vocabularies(rows: np.ndarray, names: Names) -> list[tuple[int, str]]:
    """Of each row of the store its type and what its id begins with, up to the first digit."""
    codes = np.asarray(names.store.type_codes)[rows]
    starts = (re.match(r"\D*", one) for one in names.store.ids(rows))
    return [(int(code), start.group() if start else "") for code, start in zip(codes, starts, strict=True)]


def _within(values: np.ndarray, groups: Sequence[Hashable], seed: int) -> np.ndarray:
    """Values, each in the place of another of its group."""
    random = np.random.default_rng(seed)
    places: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        places.setdefault(group, []).append(number)
    found = values.copy()
    for at in places.values():
        found[at] = random.permutation(values[at])
    return found


def _features(bank: Bank, rows: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """Rows of the bank with each part at length 1: (rows, width) float64."""
    found = []
    for start, stop in bank.ranges(parts).values():
        part = np.asarray(bank.vectors[rows, start:stop], np.float64)
        found.append(part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6))
    return np.concatenate(found, axis=1)


@dataclass(frozen=True)
class _Fit:
    """centre: mean row. weights: of a row less it. offset: beside a name at large. own: terms of rows `entities`."""

    centre: np.ndarray
    weights: np.ndarray
    offset: float
    entities: np.ndarray
    own: np.ndarray
    penalties: tuple[float, float]


def _fitted(observed: Observed, place: np.ndarray, bank: Bank, parts: Sequence[str]) -> _Fit | str:
    """The regression; or why nothing says anything of the names. place: by row of the store that of the bank."""
    marked, documents = observed.marked, observed.documents
    if len(marked) < LEAST or min(marked.sum(), (~marked).sum()) < LEAST_OF_EACH:
        return "too few names, or all of them marked, or none"
    distinct, which = np.unique(place[observed.rows], return_inverse=True)
    counts = np.zeros((FOLDS, len(distinct), 2))  # names of each entity that are marked, and that are not
    np.add.at(counts, (documents % FOLDS, which, (~marked).astype(np.int64)), 1)
    by_fold = torch.from_numpy(counts)
    features = _features(bank, distinct, parts)
    centre = np.average(features, axis=0, weights=counts.sum((0, 2)))
    rows, whole = torch.from_numpy(features - centre), by_fold.sum(0)
    loss = dict.fromkeys(PENALTIES, 0.0)
    constant = 0.0
    for test in by_fold:
        train = whole - test
        if not test.any() or not (train.sum(0) > 0).all():
            continue
        constant += float(_loss(_common(train).expand(len(rows)), test))
        start: torch.Tensor | None = None
        for penalties in PENALTIES:
            start = _logistic(rows, train, penalties, start)
            loss[penalties] += float(_loss(_logits(rows, start), test))
    penalties = min(PENALTIES, key=loss.__getitem__)
    if loss[penalties] >= constant:
        return "nothing that holds for documents left out"
    found = _logistic(rows, whole, penalties, None)
    offset, weights, own = found[:1], found[1 : 1 + rows.shape[1]], found[1 + rows.shape[1] :]
    return _Fit(centre, weights.numpy(), float(offset - _common(whole)), distinct, own.numpy(), penalties)


def _common(counts: torch.Tensor) -> torch.Tensor:
    """Log odds of a name at large."""
    marked, unmarked = counts.sum(0)
    return torch.log(marked / unmarked)


def _loss(logits: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Summed over names. logits: (entities,). counts: (entities, 2) marked and unmarked ones of each."""
    softplus = torch.nn.functional.softplus
    return (counts[:, 0] * softplus(-logits) + counts[:, 1] * softplus(logits)).sum()


def _logits(rows: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """(entities,). found: intercept, weights of a row, own terms."""
    return rows @ found[1 : 1 + rows.shape[1]] + found[1 + rows.shape[1] :] + found[0]


def _logistic(
    rows: torch.Tensor, counts: torch.Tensor, penalties: tuple[float, float], start: torch.Tensor | None
) -> torch.Tensor:
    """Intercept, which costs nothing, weights (width,) and own terms (entities,), where the penalised likelihood is
    largest; it has one summit.
    """
    width = rows.shape[1]
    first = torch.cat([_common(counts)[None], torch.zeros(width + len(rows), dtype=rows.dtype)])
    found = (first if start is None else start).clone().requires_grad_()
    optimizer = torch.optim.LBFGS([found], max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        squares = found[1:] ** 2
        cost = penalties[0] * squares[:width].sum() + penalties[1] * squares[width:].sum()
        loss = _loss(_logits(rows, found), counts) + cost / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return found.detach()
