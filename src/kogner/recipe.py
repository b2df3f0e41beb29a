"""Recipes: a YAML file and `section.key=value` flags become a `Recipe`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kogner.config import Recipe
from kogner.errors import ConfigError
from kogner.mapping import from_mapping

RECIPES = Path(__file__).parent / "recipes"


def load_recipe(source: str | Path | None, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file (or the name of a shipped one) and apply `section.key=value` overrides.

    Raises ConfigError for a missing file, bad YAML, an unknown key (naming the nearest) or a value of the wrong type.
    """
    raw: dict[str, Any] = {}
    where = "recipe"
    if source is not None:
        path = _find_recipe(Path(source))
        where = str(path)
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path} must be a mapping of sections such as 'student:' and 'train:'")
        raw = loaded
    for item in overrides:
        key, separator, value = item.partition("=")
        if not separator:
            raise ConfigError(f"--set {item!r} must look like section.key=value, e.g. train.steps=200")
        target = raw
        *sections, last = key.strip().split(".")
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {item!r}: {section} is a value, not a section")
        try:
            target[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {item!r}: {value!r} is not a YAML value: {error}") from error
    return from_mapping(Recipe, raw, where=where)


def read_mapping(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    """A YAML file that is a mapping with at least these keys. Raises ConfigError for anything else."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must be a mapping with {', '.join(needed)}")
    missing = [key for key in needed if key not in raw]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return raw


def shipped(source: str | Path, folder: str) -> Path:
    """A YAML file, or the one of that name that is shipped in a folder of the recipes.

    Raises ConfigError where there is neither.
    """
    path = Path(source)
    places = [RECIPES / folder, Path(__file__).parents[2] / "recipes" / folder]
    for found in (path, *(place / f"{source}.yaml" for place in places)):
        if found.is_file():
            return found
    raise ConfigError(f"{source} is neither a file nor one of the shipped {folder}")


def _find_recipe(path: Path) -> Path:
    if path.is_file():
        return path
    for folder in (RECIPES, Path(__file__).parents[2] / "recipes"):
        shipped = folder / (path.name if path.suffix else f"{path.name}.yaml")
        if path.parent in (Path(), Path("recipes")) and shipped.is_file():
            return shipped
    raise ConfigError(f"recipe {path} does not exist; give a YAML file or the name of a shipped one, such as 'small'")
