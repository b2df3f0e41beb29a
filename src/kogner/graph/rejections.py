"""What a build left out: counted by reason, with the first places as examples. Nothing is dropped without an entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

EXAMPLES = 3


class Rejections:
    """Counts of left-out rows and triples by reason, and where the first few of each stood."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        # what was kept all the same and should be known, by reason
        self.remarks: Counter[str] = Counter()

    def add(self, reason: str, where: str = "") -> None:
        """Count one thing left out for `reason`; `where` (file:line, or the thing itself) is kept for the first few."""
        self.counts[reason] += 1
        if self.counts[reason] <= EXAMPLES and where:
            self.examples.setdefault(reason, []).append(where)

    def add_many(self, reason: str, count: int, examples: Sequence[str]) -> None:
        """Count `count` things left out for one reason; examples: the first few of them."""
        self.counts[reason] += count
        kept = self.examples.setdefault(reason, [])
        kept.extend(examples[: EXAMPLES - len(kept)])

    def remark(self, what: str, count: int = 1, where: str = "") -> None:
        """Count `count` things that were kept, though somebody should look at them; `where` as in `add`."""
        self.remarks[what] += count
        kept = self.examples.setdefault(what, [])
        if where and len(kept) < EXAMPLES:
            kept.append(where)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def as_dict(self) -> dict[str, int]:
        """Counts by reason, the most frequent first."""
        return dict(sorted(self.counts.items(), key=lambda item: (-item[1], item[0])))

    def lines(self) -> list[str]:
        """One sentence per reason for a person: `12 x empty id (first: nodes.tsv:3, nodes.tsv:8)`."""
        return self._lines(self.as_dict())

    def remark_lines(self) -> list[str]:
        """The remarks as `lines` gives the counts."""
        return self._lines(self.remarks)

    def _lines(self, counts: Mapping[str, int]) -> list[str]:
        return [
            f"{count:,} x {reason}"
            + (f" (first: {', '.join(self.examples[reason])})" if self.examples.get(reason) else "")
            for reason, count in counts.items()
        ]
