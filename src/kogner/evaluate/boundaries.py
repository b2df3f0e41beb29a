"""Scores that forgive a boundary, beside the exact ones: what a model found but did not cut as the annotators did."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence

from kogner.evaluate.spans import SIDES, SpanScores, compare, scored_types, summed
from kogner.records import Document, Mention


def forgiving(
    gold: Sequence[Document], predicted: Sequence[Document], *, types: Collection[str] | None = None
) -> dict[str, SpanScores]:
    """Scores of three weaker matches; types and errors as in `kogner.evaluate.spans.compare`.

    relaxed: same type and at least one character in common. left, right: same type and the same start or the same end
    (the boundary scores of the JNLPBA shared task, Kim et al. 2004). Each prediction is right for one gold mention
    only and the other way round, so that a prediction over a whole sentence finds one mention, not all in it.
    """
    matches = {"relaxed": overlapping, "left": _same_start, "right": _same_end}
    counts = {name: {side: Counter[str]() for side in SIDES} for name in matches}
    for pair in compare(gold, predicted, types=types):
        right, guess = _by_type(pair.gold), _by_type(pair.predicted)
        for name, match in matches.items():
            sides = counts[name]
            sides["gold"].update({kind: len(mentions) for kind, mentions in right.items()})
            sides["predicted"].update({kind: len(mentions) for kind, mentions in guess.items()})
            sides["correct"].update({kind: match(right[kind], guess[kind]) for kind in right.keys() & guess.keys()})
    kinds = scored_types(gold, types)
    return {name: summed(of, types=kinds) for name, of in counts.items()}


def overlapping(gold: Sequence[Mention], predicted: Sequence[Mention]) -> int:
    """How many pairs of overlapping mentions can be made, each mention in one pair at most.

    Equal spans are paired first; then gold mentions by their ends take the first free prediction that overlaps. Where
    neither side overlaps itself there is no larger number of pairs.
    """
    theirs = Counter((mention.start, mention.end) for mention in predicted)
    ours = Counter((mention.start, mention.end) for mention in gold)
    equal = ours & theirs
    rest = sorted((theirs - equal).elements(), key=_by_end)
    ends = [end for _, end in rest]
    longest = max((end - start for start, end in rest), default=0)
    free = [True] * len(rest)
    pairs = equal.total()
    for start, end in sorted((ours - equal).elements(), key=_by_end):
        for at in range(bisect_right(ends, start), len(rest)):
            if ends[at] - longest >= end:
                break
            if free[at] and rest[at][0] < end:
                free[at] = False
                pairs += 1
                break
    return pairs


def _by_end(span: tuple[int, int]) -> tuple[int, int]:
    return span[1], span[0]


def _same_start(gold: Sequence[Mention], predicted: Sequence[Mention]) -> int:
    return (Counter(mention.start for mention in gold) & Counter(mention.start for mention in predicted)).total()


def _same_end(gold: Sequence[Mention], predicted: Sequence[Mention]) -> int:
    return (Counter(mention.end for mention in gold) & Counter(mention.end for mention in predicted)).total()


def _by_type(mentions: Sequence[Mention]) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = {}
    for mention in mentions:
        found.setdefault(mention.type, []).append(mention)
    return found
