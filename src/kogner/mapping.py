"""Configurations as plain data and back. An unknown key is an error that names the nearest one."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar

from kogner.errors import ConfigError

T = TypeVar("T")


def from_mapping(cls: type[T], raw: Mapping[str, Any], *, where: str) -> T:
    """Build a frozen dataclass from plain data, strictly. `where` names the source in errors."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    names = {f.name for f in fields}
    may_be_empty = {f.name for f in fields if f.default is None}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), sorted(names), n=1, cutoff=0.4)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(sorted(names))}"
            raise ConfigError(f"{where}: unknown key '{key}'{hint}")
        unsaid = value is None and key in may_be_empty
        values[key] = None if unsaid else _convert(hints[key], value, where=f"{where}: {key}")
    return cls(**values)


def _convert(kind: Any, value: Any, *, where: str) -> Any:
    options = typing.get_args(kind) if typing.get_origin(kind) in (UnionType, typing.Union) else (kind,)
    if value is None:
        if type(None) in options:
            return None
        raise ConfigError(f"{where} must not be empty")
    (kind,) = [option for option in options if option is not type(None)]
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}")
        return from_mapping(kind, value, where=where)  # type: ignore[arg-type]
    if typing.get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}")
        (key, item) = typing.get_args(kind)
        return {
            _convert(key, name, where=where): _convert(item, element, where=f"{where}.{name}")
            for name, element in value.items()
        }
    if typing.get_origin(kind) is tuple:
        (item, _) = typing.get_args(kind)
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, not {value!r}")
        return tuple(_convert(item, element, where=where) for element in value)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 5e-5 as text
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} must be of type {kind.__name__}, not {value!r}")


def to_mapping(config: Any) -> dict[str, Any]:
    """Plain data of a configuration, for manifests and YAML; the inverse of `from_mapping`."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return {key: plain(value) for key, value in dataclasses.asdict(config).items()}
