"""What decides a training besides its plan: the files that it reads, and today's rules.

`Files` tells it of what is there now, `Recorded` of a stored identity, so that scores can be looked at where the data,
a bank or a graph are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kogner.artifacts import read_manifest
from kogner.experiment.cell import Cell
from kogner.experiment.hashes import hash_of, sha256_of
from kogner.experiment.pseudo import label_inputs, train_text
from kogner.experiment.rules import RULES


class Inputs(Protocol):
    """Of one training. Files are told by their hashes."""

    def of(self, cell: Cell, name: str) -> Inputs:
        """Those of a training that it stands on. name: what its identity has that one's under."""

    def data(self, corpora: Sequence[str]) -> dict[str, dict[str, str] | None]:
        """Files by split, of each corpus."""

    def texts(self, corpora: Sequence[str]) -> dict[str, str | None]:
        """The train split of each."""

    def graph(self, name: str) -> str | None:
        """The graph, which its identity has under this name."""

    def bank(self) -> Any:
        """The bank, of which every entity counts."""

    def distilled(self) -> Any:
        """The bank that is distilled from: what it was made of, since a slice of it teaches the same."""

    def labels(self, by: Mapping[str, Any]) -> dict[str, Any]:
        """What decides the labels that another training gives its texts. by: the identity of that one."""

    def rule(self, name: str) -> dict[str, int]:
        """The number of a rule, by its name; none where it was recorded before rules had numbers."""

    def folder(self, name: str, folder: str) -> dict[str, str]:
        """All files of a folder that its recipe names, where it is one."""


class Files:
    """Inputs as they are now."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def of(self, cell: Cell, name: str) -> Files:
        """See `Inputs`."""
        return Files(cell)

    def data(self, corpora: Sequence[str]) -> dict[str, dict[str, str] | None]:
        """See `Inputs`."""
        return {
            name: {split: sha256_of(file) for split, file in files_of(self._cell, name).items()} for name in corpora
        }

    def texts(self, corpora: Sequence[str]) -> dict[str, str | None]:
        """See `Inputs`."""
        return {name: train_text(self._cell, name) for name in corpora}

    def graph(self, name: str) -> str | None:
        """See `Inputs`."""
        return read_manifest(Path(str(self._cell.experiment.graph))).hash

    def bank(self) -> Any:
        """See `Inputs`."""
        return read_manifest(Path(str(self._cell.bank))).hash

    def distilled(self) -> Any:
        """See `Inputs`."""
        from kogner.teacher.bank import origin

        return None if self._cell.bank is None else origin(read_manifest(Path(self._cell.bank)))

    def labels(self, by: Mapping[str, Any]) -> dict[str, Any]:
        """See `Inputs`."""
        return label_inputs(self._cell, by)

    def rule(self, name: str) -> dict[str, int]:
        """See `Inputs`."""
        return {name: RULES[name]}

    def folder(self, name: str, folder: str) -> dict[str, str]:
        """See `Inputs`."""
        path = Path(folder)
        if path == Path() or not path.is_dir():
            return {}
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {name: hash_of({str(file.relative_to(path)): sha256_of(file) for file in files})}


class Recorded:
    """Inputs as a stored identity has them, which may lack what the plan asks for by now."""

    def __init__(self, cell: Cell, told: Mapping[str, Any]) -> None:
        self._cell, self._told = cell, told

    def of(self, cell: Cell, name: str) -> Recorded:
        """See `Inputs`."""
        told = (self._told.get("pseudo") or {}) if name == "by" else self._told
        return Recorded(cell, told.get(name) or {})

    def data(self, corpora: Sequence[str]) -> dict[str, dict[str, str] | None]:
        """See `Inputs`."""
        return {name: self._told.get("data", {}).get(name) for name in corpora}

    def texts(self, corpora: Sequence[str]) -> dict[str, str | None]:
        """See `Inputs`."""
        return {name: (self._told.get("texts") or {}).get(name) for name in corpora}

    def graph(self, name: str) -> str | None:
        """See `Inputs`."""
        return self._told.get(name)

    def bank(self) -> Any:
        """See `Inputs`."""
        return self._told.get("bank")

    def distilled(self) -> Any:
        """See `Inputs`."""
        return self._cell.bank and self._told.get("bank")

    def labels(self, by: Mapping[str, Any]) -> dict[str, Any]:
        """See `Inputs`."""
        assert self._cell.pseudo is not None
        before = self._told.get("pseudo") or {}
        texts = {name: (before.get("texts") or {}).get(name) for name in self._cell.pseudo.texts}
        return {**before, "by": dict(by), "texts": texts}

    def rule(self, name: str) -> dict[str, int]:
        """See `Inputs`."""
        return {name: self._told[name]} if name in self._told else {}

    def folder(self, name: str, folder: str) -> dict[str, str]:
        """See `Inputs`."""
        return {name: self._told[name]} if name in self._told else {}


def files_of(cell: Cell, corpus: str) -> dict[str, Path]:
    """Files by split: what is trained on may be an arm's own, what is scored is the plan's."""
    from kogner.data import corpora

    files = corpora.splits(cell.folder(corpus))
    scored = corpora.splits(cell.experiment.corpora[corpus]) if cell.own else files
    return files | {split: file for split, file in scored.items() if split == "test"}
