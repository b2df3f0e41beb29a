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
    path = None if source is None else shipped(source)
    raw = {} if path is None else read_mapping(path)
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
    return from_mapping(Recipe, raw, where="recipe" if path is None else str(path))


def read_mapping(path: Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML file that is a mapping with at least these keys. Raises ConfigError for anything else."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        sections = ", ".join(needed) or "sections such as 'student:' and 'train:'"
        raise ConfigError(f"{path} must be a mapping with {sections}")
    missing = [key for key in needed if key not in raw]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return raw


def shipped(source: str | Path, folder: str = "") -> Path:
    """A YAML file, or the one of that name that is shipped with the recipes, or in a folder of theirs.

    `NAME`, `NAME.yaml` and `recipes/FOLDER/NAME.yaml` are one, wherever it is asked from.
    Raises ConfigError where there is none.
    """
    path = Path(source)
    if path.is_file():
        return path
    places = [recipes / folder for recipes in (RECIPES, Path(__file__).parents[2] / "recipes")]
    if path.parent in (Path(), Path("recipes") / folder):
        for place in places:
            found = place / (path.name if path.suffix == ".yaml" else f"{path.name}.yaml")
            if found.is_file():
                return found
    there = (
        sorted({file.stem for place in places for file in place.glob("*.yaml")}) if folder else ["small", "finetune"]
    )
    raise ConfigError(
        f"{source} is neither a file nor one of the shipped {folder or 'recipes'}, such as {', '.join(there[:20])}"
    )
