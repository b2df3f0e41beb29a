"""Rules that decide scores and have changed: each has a number, and scores of different numbers are not compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RULES = {
    # `kogner.train.thresholds`, where dev decides; 1, the best of a grid, where an identity has none.
    "thresholds": 2,
    # The names that are found in a text; 1, where blanks beside Greek letters counted, if absent.
    "scanner": 2,
    # `kogner.train.name_evidence` and `kogner.annotate.names`, where dev decides; 1, the best of a grid, where an
    # identity has none; 2, where a name counted for nothing that the student gave less than NAME_FLOOR, and no name
    # lost; 3, where no name lost more than 3.
    "weighing": 4,
    # `kogner.train.trust` and how many texts are read; 1, where names that no span reached counted, if absent.
    "trust": 2,
}


def rules(said: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of the rules that decided a score, of its identity, by what they decide; today's are in `RULES`.

    An identity of before a rule had numbers has none, and then it is of the first, where the rule decided anything.
    """
    if "base" in said:
        weighed = "trust" if "texts" in said else "weighing" if said["base"].get("train") else None
        return rules(said["base"]) | {name: said.get(name, 1) for name in ("scanner", weighed) if name is not None}
    if "alone" in said:
        return {"scanner": said.get("scanner", 1)}
    if said.get("pseudo"):  # what decided its labels, thresholds of which it has its own
        own = rules({name: value for name, value in said.items() if name != "pseudo"} | {"initial": None})
        return {name: number for name, number in rules(said["pseudo"]["by"]).items() if name != "thresholds"} | own
    if not said.get("train"):  # nothing was fitted on what people annotated, but in what is scored as it is
        return rules(said["initial"]) if said.get("initial") else {}
    on_dev = any("dev" in (said.get("data", {}).get(name) or {}) for name in said["train"])
    return {"thresholds": said.get("thresholds", 1)} if on_dev or "thresholds" in said else {}


def by_today(numbers: Mapping[str, Sequence[int]] | None, *names: str) -> bool:
    """Whether today's rules decided what has these numbers (`rules` of a summary's row), of those that are named, or of
    all. None, of a summary of before rules had numbers: no.
    """
    return numbers is not None and all(
        number == RULES[name] for name in names or numbers for number in numbers.get(name, ())
    )
