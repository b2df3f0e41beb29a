"""Prompts: what a language model is told to write about pairs of entities, as YAML templates with a version."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from string import Template
from typing import Any

from kogner.data.overlap import letters
from kogner.data.pairs import End, Pair
from kogner.data.written import key_of
from kogner.errors import ConfigError
from kogner.mapping import from_mapping
from kogner.recipe import RECIPES, read_mapping

FOLDER = "prompts"
PLACES = frozenset({"entities", "relations", "types", "count"})
# What every prompt asks for: the entities of the pairs come first in `ner`, in the order in which they were given.
MENTIONS: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"mention": {"type": "string"}, "type": {"type": "string"}},
        "required": ["mention", "type"],
        "additionalProperties": False,
    },
}
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"sentence": {"type": "string"}, "ner": MENTIONS},
    "required": ["sentence", "ner"],
    "additionalProperties": False,
}
_CAMEL = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z])")
_APART = re.compile(r"[\s_-]+")


@dataclass(frozen=True)
class Prompt:
    """A system and a user template.

    name, version: sentences are told by them where they come from. system, user: the user's with $entities, $relations,
    $types (all that may be annotated) and $count (of entities). pairs: how many go into one sentence. negative: the
    sentence must hold none of the entities, and its `ner` is about other things.
    """

    name: str
    version: int
    system: str
    user: str
    pairs: int = 1
    negative: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        if self.version < 1 or self.pairs < 1:
            raise ConfigError(f"prompt {self.name}: version and pairs must be at least 1")
        if not self.system.strip():
            raise ConfigError(f"prompt {self.name}: system must say what is to be written")
        template = Template(self.user)
        if any(found.group("invalid") is not None for found in template.pattern.finditer(self.user)):
            raise ConfigError(f"prompt {self.name}: a $ of the user template stands alone; write $$ for a dollar sign")
        used = set(template.get_identifiers()) if hasattr(template, "get_identifiers") else _identifiers(template)
        if unknown := sorted(used - PLACES):
            raise ConfigError(f"prompt {self.name}: ${unknown[0]} is unknown; there are {', '.join(sorted(PLACES))}")
        if "entities" not in used:
            raise ConfigError(f"prompt {self.name}: the user template must have $entities")

    @property
    def label(self) -> str:
        """`abstract@1`: name and version."""
        return f"{self.name}@{self.version}"

    @cached_property
    def hash(self) -> str:
        """Hex sha256 of all that the template asks with; a version is only as true as its author."""
        fields = [self.system, self.user, self.pairs, self.negative]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    @cached_property
    def examples(self) -> frozenset[str]:
        """The sentences of the answers that the template shows, as `letters`."""
        found: set[str] = set()
        decoder = json.JSONDecoder()
        for opening in re.finditer(r"\{", self.system):
            try:
                shown, _ = decoder.raw_decode(self.system, opening.start())
            except (ValueError, RecursionError):
                continue
            if isinstance(shown, dict) and isinstance(shown.get("sentence"), str):
                found.add(letters(shown["sentence"]))
        return frozenset(found)

    def fill(self, pairs: Sequence[Pair], types: Iterable[str]) -> tuple[str, str]:
        """The system and the user message about some pairs; types: that may be annotated."""
        ends = ends_of(pairs)
        entities = "\n".join(f"{number}. {end.name} ({spoken(end.type)})" for number, end in enumerate(ends, start=1))
        relations = "\n".join(
            f"- {pair.head.name} / {pair.tail.name}: {spoken(pair.relation)}" for pair in pairs
        )  # fmt: skip
        listed = ", ".join(sorted({spoken(kind) for kind in types}))
        user = Template(self.user).substitute(entities=entities, relations=relations, types=listed, count=len(ends))
        return self.system.strip(), user.strip()


def ends_of(pairs: Iterable[Pair]) -> list[End]:
    """The ends of some pairs, each entity once, in the order in which a prompt names them."""
    found: dict[str, End] = {}
    for pair in pairs:
        found[pair.head.id] = pair.head
        found[pair.tail.id] = pair.tail
    return list(found.values())


@lru_cache(10_000)
def spoken(name: str) -> str:
    """A type or relation of the graph as words; what has capitals inside stays as it is.

    >>> spoken("PharmacologicClass"), spoken("has_phenotype"), spoken("Cell-Line"), spoken("mRNA")
    ('pharmacologic class', 'has phenotype', 'cell-line', 'mRNA')
    """
    return " ".join(map(_lowered, _CAMEL.sub(" ", name.replace("_", " ")).split()))


def _lowered(word: str) -> str:
    parts = word.split("-")
    return "-".join(part if any(map(str.isupper, part[1:])) else part.lower() for part in parts)


@lru_cache(10_000)
def kind_key(name: str) -> str:
    """What two spellings of one type have in common.

    >>> kind_key("CellLine") == kind_key("cell line") == kind_key("CELL-LINE")
    True
    """
    return _APART.sub("", name).casefold()


def load(source: str | Path) -> Prompt:
    """A prompt from a YAML file or by the name of a shipped one. Raises ConfigError for one that cannot be used."""
    path = Path(source)
    if not path.is_file():
        found = [folder / f"{source}.yaml" for folder in _folders() if (folder / f"{source}.yaml").is_file()]
        if not found or path.parent != Path():
            raise ConfigError(f"prompt {source} is neither a file nor one of {', '.join(shipped())}")
        path = found[0]
    raw = read_mapping(path, ("name", "version", "system", "user"))
    return from_mapping(Prompt, raw, where=str(path))


def shipped() -> list[str]:
    """Names of the prompts that come with KoGNER."""
    return sorted({path.stem for folder in _folders() if folder.is_dir() for path in folder.glob("*.yaml")})


def grouped(pairs: Iterable[Pair], size: int) -> Iterator[tuple[Pair, ...]]:
    """Pairs as they go into one sentence: `size` of one relation type, in their order; those that are left at the end.

    Two entities of one name are not put together: no sentence could tell which of them it names. What is full stays the
    same whatever pairs follow.
    """
    begun: dict[str, list[list[Pair]]] = {}
    for pair in pairs:
        groups = begun.setdefault(pair.relation, [])
        group = next((one for one in groups if not _of_one_name([*one, pair])), None)
        if group is None:
            groups.append(group := [])
        group.append(pair)
        if len(group) == size:
            groups.remove(group)
            yield tuple(group)
    for groups in begun.values():
        yield from map(tuple, groups)


def _of_one_name(pairs: Iterable[Pair]) -> bool:
    """Whether two entities of some pairs have one name."""
    ends = ends_of(pairs)
    return len({key_of(end.name) for end in ends}) < len(ends)


def _folders() -> list[Path]:
    return [RECIPES / FOLDER, Path(__file__).parents[3] / "recipes" / FOLDER]


def _identifiers(template: Template) -> set[str]:
    """`Template.get_identifiers`, which Python 3.10 lacks."""
    found = template.pattern.finditer(template.template)
    return {name for match in found if (name := match.group("named") or match.group("braced"))}
