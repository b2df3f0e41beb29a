"""What a document says elsewhere of the same text: a name that is found in one place is likely one in another.

A student reads sentences, and decides about `lithium` anew in each. Here the places of a document are brought together
after that: where the text of an entity stands again, on its own and not found, its score moves towards the best one
that the text has in this document; and an entity whose text is not found in most of its places loses some. What the
student decided between overlapping spans stays as it is. How much of this is right for a type is fitted on dev
documents (`kogner calibrate`), 0 where it does not help: sentences without a document around them have no other places.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from kogner.annotate.names import shifted
from kogner.student.decode import Candidate, decode

FLOOR = 0.03  # score from which a span can be found because of others
SUREST = 4.0  # logits that the best score counts at most
DOUBT = 4.0  # logits that an entity loses, times the weight, where its text is found nowhere else in many places


def settled(
    text: str,
    chosen: Sequence[Candidate],
    others: Iterable[Candidate],
    *,
    thresholds: Sequence[float],
    weights: Sequence[float],
) -> list[Candidate]:
    """The entities of a document, put right by each other.

    chosen: what was decided sentence by sentence; others: spans that score less, of which those below FLOOR count as
    not found. start and end of both are characters of the text. thresholds, weights: by type; weights in [0, 1), of
    which 0 leaves its type as it is. A text in capitals is looked for as it is written, others in any case.
    Returned in order of the text, outer before inner.
    """
    places = sorted((one.start, one.end) for one in chosen)
    starts, reached = [start for start, _ in places], list(accumulate((end for _, end in places), max))
    scores = {(one.start, one.end, one.type): one.score for one in others}
    added: list[Candidate] = []
    kept: list[Candidate] = []
    for (kind, _, _), same in _by_text(text, chosen).items():
        weight = weights[kind]
        free = [place for place in _occurrences(text, same[0]) if _is_free(place, starts, reached)] if weight else []
        if not free:
            kept += same
            continue
        best = max(_logit(one.score) for one in same)
        found = []
        for start, end in free:
            score = scores.get((start, end, kind), 0.0)
            raised = shifted(score, weight * (best - _logit(score))) if score >= FLOOR else 0.0
            if raised >= thresholds[kind]:
                found.append(Candidate(start, end, kind, raised))
        lost = 0.0 if found else DOUBT * weight * len(free) / (len(free) + len(same))
        kept += [one for one in same if shifted(one.score, -lost) >= thresholds[kind]]
        added += found
    return sorted([*kept, *decode(added)], key=lambda one: (one.start, -one.end))


def _logit(score: float) -> float:
    return min(math.log(score / (1 - score)), SUREST) if score < 1 else SUREST


def _by_text(text: str, chosen: Iterable[Candidate]) -> dict[tuple[int, bool, str], list[Candidate]]:
    """Entities by type and text."""
    found: dict[tuple[int, bool, str], list[Candidate]] = {}
    for one in chosen:
        written = text[one.start : one.end]
        shouted = written.isupper()
        found.setdefault((one.type, shouted, written if shouted else written.casefold()), []).append(one)
    return found


def _occurrences(text: str, one: Candidate) -> list[tuple[int, int]]:
    """Where the text of an entity stands at word edges, half-open."""
    written = text[one.start : one.end]
    pattern = re.compile(rf"(?<!\w){re.escape(written)}(?!\w)", 0 if written.isupper() else re.IGNORECASE)
    return [match.span() for match in pattern.finditer(text)]


def _is_free(place: tuple[int, int], starts: Sequence[int], reached: Sequence[int]) -> bool:
    """Whether a place shares no character with those that are taken.

    starts: of these, ascending. reached: the furthest end of each and those before it, as they may lie in one another.
    """
    before = bisect_left(starts, place[1])
    return not before or reached[before - 1] <= place[0]
