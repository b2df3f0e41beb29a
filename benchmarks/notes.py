"""What a long benchmark has measured so far, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import record


class Notes:
    """Races of a run that is under way, a line of JSON each, for when it is stopped. file: None keeps nothing."""

    def __init__(self, file: Path | None, **setting: Any) -> None:
        now = record.environment()
        self.file, self.revision = file, now["revision"]
        self.setting = json.loads(json.dumps(setting | {name: now[name] for name in ("machine", "versions")}))
        self.revisions: set[str] = set()

    def take(self, model: str, key: str) -> dict[str, Any] | None:
        """The race that an earlier run noted, or None."""
        for noted in self._noted():
            if (noted["model"], noted["key"], noted["setting"]) == (model, key, self.setting):
                self.revisions.add(noted["revision"])
                print(f"{model} {key}: taken from a run at revision {noted['revision']}", file=sys.stderr, flush=True)
                race: dict[str, Any] = noted["race"]
                return race
        return None

    def _noted(self) -> Iterator[dict[str, Any]]:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file and self.file.is_file() else []
        for line in lines:
            with suppress(json.JSONDecodeError):  # a line that was cut off when the run was stopped
                yield json.loads(line)

    def add(self, model: str, key: str, race: dict[str, Any]) -> None:
        """Note a race that ended."""
        self.revisions.add(self.revision)
        noted = {"model": model, "key": key, "setting": self.setting, "revision": self.revision, "race": race}
        print(json.dumps({key: race}), file=sys.stderr, flush=True)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(noted) + "\n")
