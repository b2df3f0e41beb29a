"""Rows that were rejected are asked again, and nothing else is paid: the others stay in the file as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.data import rows as written
from kogner.data.formats.files import lines
from kogner.data.prompts import Prompt
from kogner.data.rows import Row
from kogner.data.write import Task, WriteSettings, request_about
from kogner.errors import ConfigError, InputError

if TYPE_CHECKING:
    from kogner.llm.request import ModelId


@dataclass(frozen=True)
class Again:
    """Rows to ask again. ids: theirs. seed: of the new requests."""

    ids: frozenset[str]
    seed: int

    @classmethod
    def of(cls, path: Path, seed: int) -> Again:
        """The rejected rows of a file: of `kogner data write`, or the `rejected.jsonl` of `kogner data check`.

        The seed comes from what the file says and from the one that is given: the same command asks the same again, so
        that it can be stopped and go on, and what is rejected then is asked something else.
        Raises InputError for a line that is neither, and for a file without a rejected row.
        """
        ids: set[str] = set()
        digest = hashlib.sha256(str(seed).encode())
        for number, line in lines(path):
            if not line.strip():
                continue
            try:
                raw: Any = json.loads(line)
                name, reason = raw["id"], raw["reason"] if "reason" in raw else raw.get("rejected")
                if "reason" not in raw and "rejected" not in raw and "answer" not in raw:
                    raise KeyError("reason")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"is no row of 'kogner data write' or of rejected.jsonl: {type(error).__name__} {error}",
                    path=path, line=number,
                ) from error  # fmt: skip
            if reason is not None:
                ids.add(str(name))
                digest.update(line.strip().encode(errors="surrogatepass"))
        if not ids:
            raise InputError("holds no rejected row", path=path)
        return cls(frozenset(ids), int.from_bytes(digest.digest()[:4], "big") >> 1)  # servers take 31 bits


def tasks(
    rows: Iterable[Row], again: Again, prompts: Sequence[Prompt], model: ModelId, settings: WriteSettings
) -> Iterator[Task]:
    """What is asked about those of some rows that are to be asked again; a task's id is the row's.

    Raises ConfigError for a row of another prompt.
    """
    by_label = {prompt.label: prompt for prompt in prompts}
    for row in rows:
        if row.id in again.ids:
            prompt = by_label.get(row.prompt)
            if prompt is None:
                raise ConfigError(
                    f"row {row.id} is of the prompt {row.prompt}, not of {', '.join(by_label)}; give it with --prompt"
                )
            request = request_about(row.pairs, prompt, row.types, model, settings, again.seed)
            yield Task(row.id, row.pairs, prompt, request, row.types)


def merged(rows: Iterable[Row], answered: Iterable[Row]) -> Iterator[Row]:
    """Some rows, and instead of those that were asked again, and answered, what came of it. Both in one order."""
    others = iter(answered)
    other = next(others, None)
    for row in rows:
        if other is not None and other.id == row.id:
            yield other
            other = next(others, None)
        else:
            yield row


def kept(path: Path) -> Mapping[str, Row]:
    """The rows of a file, if it is there, that were asked again and answered; an id says what was asked at first."""
    if not path.is_file():
        return {}
    later = (row for row in all_of(path) if not row.id.endswith(f"~{row.request[:8]}"))
    return {row.id: row for row in later if row.rejected is None}


def all_of(path: Path) -> Iterator[Row]:
    """All rows of a file."""
    return (row for _, row in written.read(path))
