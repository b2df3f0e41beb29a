"""API keys: read once, kept as hashes, compared in constant time, never shown."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from kogner.errors import ConfigError, InputError
from kogner.progress import note

VARIABLE = "KOGNER_API_KEYS"
SHORTEST = 16
_KEY = re.compile(rf"[!-~]{{{SHORTEST},256}}")


class ApiKeys:
    """Keys that clients may come with."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = tuple(dict.fromkeys(map(_hash, keys)))

    def __len__(self) -> int:
        return len(self._hashes)

    def allows(self, key: str) -> bool:
        """Whether a key is one of these, in a time that does not depend on how much of it is right."""
        own, found = _hash(key), False
        for one in self._hashes:
            found |= hmac.compare_digest(own, one)
        return found

    @classmethod
    def read(cls, file: Path | None, environment: Mapping[str, str] | None = None) -> ApiKeys:
        """Keys of a file, one a line (blank lines and those that begin with # are none), and of KOGNER_API_KEYS.

        Raises InputError for a file that cannot be read or holds none, ConfigError or InputError for what is no
        key, and for a variable that is set and holds none.
        """
        named = (os.environ if environment is None else environment).get(VARIABLE)
        keys = [key for key in re.split(r"[,\s]+", named or "") if key]
        if named is not None and not keys:  # it was meant to close the server
            raise ConfigError(f"{VARIABLE} is set and holds no key; unset it to serve without keys")
        if any(not _KEY.fullmatch(key) for key in keys):
            raise ConfigError(f"{VARIABLE} holds what is no key: {_wanted()}; separate keys by commas")
        if file is None:
            return cls(keys)
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            if file.stat().st_mode & stat.S_IROTH:
                note(f"{file} can be read by everyone on this machine; chmod 600 {file}")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"keys cannot be read ({type(error).__name__})", path=file) from None
        found = []
        for number, line in enumerate(lines, start=1):
            key = line.strip()
            if not key or key.startswith("#"):
                continue
            if not _KEY.fullmatch(key):
                raise InputError(f"is no key: {_wanted()}", path=file, line=number)
            found.append(key)
        if not found:
            raise InputError("holds no key; write one a line, e.g. of: openssl rand -hex 24", path=file)
        return cls([*keys, *found])


def given(headers: Mapping[str, str]) -> str | None:
    """The key that a request came with: `Authorization: Bearer KEY` or `X-API-Key: KEY`."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key") or None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).digest()


def _wanted() -> str:
    return f"a key has {SHORTEST} to 256 visible ASCII characters"
