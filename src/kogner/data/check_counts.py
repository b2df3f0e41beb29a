"""What the rules of `kogner data check` say of a row, and how many rows became what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kogner.data.sanity import Rejected

REPAIRED = "sentence whose JSON had to be mended"


class Verdict(NamedTuple):
    """What the rules say of a row by itself, before it is compared with others.

    rejected: why it is left out, None where it is not. remarks: things that were left out of it. kinds, words: of its
    mentions, and how many the sentence has. hashes: what it is compared by, see `kogner.data.similar`; none where it is
    not. pieces: of its words, see `kogner.data.written`.
    """

    relation: str
    rejected: Rejected | None
    remarks: tuple[str, ...] = ()
    sentence: str = ""
    kinds: tuple[str, ...] = ()
    words: int = 0
    hashes: tuple[int, ...] = ()
    repaired: bool = False
    pieces: str = ""


@dataclass
class Checked:
    """Kept documents with the rows they come from, and counts.

    rejected: rows by reason. by_relation: per relation type its rows, how many were kept, and reasons. remarks: things
    of kept rows that were left out or changed, by what. types, lengths: of kept sentences, mentions and words.
    """

    rows: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    by_relation: dict[str, Counter[str]] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, verdict: Verdict, rejected: Rejected | None) -> None:
        """Count a row and what became of it."""
        self.rows += 1
        counts = self.by_relation.get(verdict.relation)
        if counts is None:
            counts = self.by_relation[verdict.relation] = Counter()
        counts["rows"] += 1
        if rejected is not None:
            self.rejected[rejected.reason] += 1
            counts[rejected.reason] += 1
            return
        self.kept += 1
        counts["kept"] += 1
        if verdict.repaired:
            self.remarks[REPAIRED] += 1
        for remark in verdict.remarks:
            self.remarks[remark] += 1
        for kind in verdict.kinds:
            self.types[kind] += 1
        self.lengths[verdict.words] += 1

    def take_back(self, verdict: Verdict, rejected: Rejected) -> None:
        """Count a row that was kept as rejected after all."""
        counts = self.by_relation[verdict.relation]
        self.kept -= 1
        counts["kept"] -= 1
        self.rejected[rejected.reason] += 1
        counts[rejected.reason] += 1
        self.types -= Counter(verdict.kinds)  # and no type is left with a count of zero
        self.lengths -= Counter([verdict.words])
        self.remarks -= Counter([*verdict.remarks, *[REPAIRED] * verdict.repaired])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; kept + all of rejected are the rows."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "rejected": dict(self.rejected.most_common()),
            "remarks": dict(self.remarks.most_common()),
            "mentions": dict(self.types.most_common()),
            "words": dict(sorted(self.lengths.items())),
            "by_relation": {name: dict(counts) for name, counts in sorted(self.by_relation.items())},
        }
