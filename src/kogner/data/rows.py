"""What a language model answered about some pairs: one row per request, written or rejected, never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kogner.data.formats.files import lines
from kogner.data.pairs import End, Pair
from kogner.data.prompts import ends_of
from kogner.errors import InputError


@dataclass(frozen=True, slots=True)
class Row:
    """One request and what came of it.

    id: `<prompt>:<first pair>~<request>`. types: labels of what may be annotated, as documents will have them.
    prompt: its label, `abstract@1`. negative: the sentence was to name none of the entities. request: hash of all that
    was asked. known: mentions of the sentence that are known already, half-open (start, end, type, graph id).
    answer: the JSON that came back, of whatever form; None where `rejected`, with `detail`, says why there is none.
    repaired: the JSON had to be mended. asked: hash of the template, temperature and seed; empty for what no model
    wrote. copied: the sentence is the template's own example.
    """

    id: str
    pairs: tuple[Pair, ...]
    types: tuple[str, ...]
    prompt: str
    model: str
    request: str
    negative: bool = False
    answer: Any = None
    repaired: bool = False
    rejected: str | None = None
    detail: str = ""
    known: tuple[tuple[int, int, str, str | None], ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    copied: bool = False

    @property
    def kge(self) -> list[tuple[str, str]]:
        """(name, graph id) of the ends of all pairs, each entity once, in the order in which a model was given them."""
        return [(end.name, end.id) for end in self.ends]

    @property
    def ends(self) -> list[End]:
        """The ends of `kge`."""
        return ends_of(self.pairs)

    def to_line(self) -> str:
        """As a line of JSON without its line end; `kge` is written for other readers and read from the pairs."""
        raw = {
            "id": self.id,
            "prompt": self.prompt,
            "negative": self.negative,
            "model": self.model,
            "request": self.request,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "types": list(self.types),
            "kge": [{"name": name, "id": identifier} for name, identifier in self.kge],
        }
        if self.known:
            raw["known"] = [list(one) for one in self.known]
        if self.asked:
            raw["asked"] = dict(self.asked)
        if self.copied:
            raw["copied"] = True
        if self.rejected is None:
            raw |= {"answer": self.answer, "repaired": self.repaired}
        else:
            raw |= {"rejected": self.rejected, "detail": self.detail}
        line = json.dumps(raw, ensure_ascii=False)
        try:
            line.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot hold but JSON can escape
            return json.dumps(raw)
        return line

    @classmethod
    def from_dict(cls, raw: Any) -> Row:
        """The row that `to_line` wrote. Raises KeyError or TypeError for anything else."""
        pairs = tuple(Pair.from_dict(pair) for pair in raw["pairs"])
        if not pairs:
            raise TypeError("pairs must hold one at least")
        if "answer" not in raw and "rejected" not in raw:
            raise KeyError("answer")
        if not isinstance(raw["types"], list):
            raise TypeError("types must be a list")
        if not isinstance(raw.get("asked", {}), dict):
            raise TypeError("asked must be an object")
        return cls(
            str(raw["id"]), pairs, tuple(map(str, raw["types"])), str(raw["prompt"]), str(raw["model"]),
            str(raw["request"]), bool(raw.get("negative")), raw.get("answer"), bool(raw.get("repaired")),
            _text_or_none(raw.get("rejected")), str(raw.get("detail", "")),
            tuple(map(_known, raw.get("known", ()))), raw.get("asked", {}), bool(raw.get("copied")),
        )  # fmt: skip


def _known(raw: Any) -> tuple[int, int, str, str | None]:
    start, end, kind, own = raw
    return int(start), int(end), str(kind), _text_or_none(own)


def _text_or_none(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text or null")
    return value


def read(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (line, row) of a file of `kogner data write`. Raises InputError with file and line for what is no row."""
    for number, line in lines(path):
        if line.strip():
            yield number, parse(line, path, number)


def parse(line: str, path: Path, number: int) -> Row:
    """The row of a line. path, number: what the InputError for what is no row names."""
    try:
        return Row.from_dict(json.loads(line))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"is no row of 'kogner data write': {type(error).__name__} {error}", path=path, line=number
        ) from error
