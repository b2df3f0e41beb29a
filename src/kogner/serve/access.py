"""Who may ask: by key, by the name the server is called, and from which pages."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kogner.errors import ConfigError
from kogner.serve.keys import ApiKeys

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[^\s/:@*?#\[\]]+)(?::\d+)?")
_NAME = re.compile(r"[^\s/@?#\[\]*]+")


@dataclass(frozen=True)
class Access:
    """Who may ask. hosts: names that a Host header may have, None = any. origins: of pages that may ask (CORS)."""

    keys: ApiKeys
    hosts: Sequence[str] | None = None
    origins: Sequence[str] = ()


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, such as `getsockname` gives; names are none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def allowed_hosts(host: str, named: Sequence[str], *, bound: str) -> list[str] | None:
    """Names that a Host header may have where the server was to listen at `host`; None = any.

    bound: the address that its socket got for that, which tells whether it is loopback: `127.1` and the machine's own
    name may be.

    On loopback they are those of the machine for itself, so that no page of the net that had its own name point here
    can ask (DNS rebinding). named: by the user. Raises ConfigError for what is no name.
    """
    for name in named:
        if not _NAME.fullmatch(name) or (":" in name and not _is_address(name)):
            raise ConfigError(f"--allowed-host {name!r} must be a name or an address, without port and scheme")
    if is_loopback(bound):
        return [*dict.fromkeys((*LOOPBACK, host, *named))]
    return [*dict.fromkeys((host, *named))] if named else None


def check_origins(origins: Sequence[str]) -> Sequence[str]:
    """Origins as they are. Raises ConfigError for what is none, and for `*`, which would let all pages ask."""
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"--cors-origin {origin!r} must look like https://example.org or http://localhost:3000")
    return origins


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
