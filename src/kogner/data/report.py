"""What a reader met that was not as it should be, counted by reason, with the first places it was seen at."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from kogner.errors import InputError

EXAMPLES = 3
REFUSED = 10_000  # documents in a row that cannot be read, after which it is not the documents


@dataclass
class Report:
    """Counts by reason. `skipped`: lost to the corpus. `repaired`: kept after a change. `noted`: worth knowing only.

    strict: raise InputError at the first thing that would be skipped or repaired.
    lost: mentions among the skipped things, by the type they have in the file.
    examples: for each reason the first places, as `file:line (document ID): detail`.
    refused: why documents could not be read, in their places among the others, for who takes them from there before
    each document and behind the last; None = the first of them is raised.
    """

    strict: bool = False
    skipped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    refused: deque[InputError] | None = None

    def skip(
        self,
        reason: str,
        detail: str,
        *,
        path: Path,
        line: int | None,
        document: str | None = None,
        mention: str | None = None,
    ) -> None:
        """Count something that is left out; raises InputError where `strict`. mention: its type, if it is one."""
        if mention is not None:
            self.lost[mention] += 1
        self._add(self.skipped, reason, detail, path=path, line=line, document=document)

    def repair(self, reason: str, detail: str, *, path: Path, line: int | None, document: str | None = None) -> None:
        """Count something that was put right; raises InputError where `strict`."""
        self._add(self.repaired, reason, detail, path=path, line=line, document=document)

    def note(self, reason: str, count: int = 1) -> None:
        """Count something that loses and changes nothing."""
        self.noted[reason] += count

    def refuse(self, error: InputError) -> None:
        """Say that a document cannot be read, though the next ones may be: put down in `refused`, else raised."""
        if self.refused is None or len(self.refused) >= REFUSED:
            raise error
        self.refused.append(error)

    def lines(self) -> list[str]:
        """What was skipped or repaired, one sentence per reason with the first place it was seen at."""
        found = []
        for what, counts in (("skipped", self.skipped), ("repaired", self.repaired)):
            for reason, count in sorted(counts.items()):
                found.append(f"{what} {count:,}: {reason}, first at {self.examples[reason][0]}")
        return found

    def _add(
        self, counts: Counter[str], reason: str, detail: str, *, path: Path, line: int | None, document: str | None
    ) -> None:
        if self.strict:
            raise InputError(f"{reason}: {detail}", path=path, line=line, document=document)
        counts[reason] += 1
        places = self.examples.setdefault(reason, [])
        if len(places) < EXAMPLES:
            places.append(str(InputError(detail, path=path, line=line, document=document)))

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Plain data for JSON: {"skipped": {reason: count}, "repaired": {...}, "noted": {...}}."""
        return {
            "skipped": dict(sorted(self.skipped.items())),
            "repaired": dict(sorted(self.repaired.items())),
            "noted": dict(sorted(self.noted.items())),
        }
