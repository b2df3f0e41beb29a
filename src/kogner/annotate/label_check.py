"""Labels as a user names them: cleaned, or refused with what is wrong."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from kogner.errors import InputError

MAX_LABELS = 2000


def check_labels(labels: Sequence[str]) -> list[str]:
    """Labels without surrounding blanks.

    Raises InputError where there are none, too many, doubled ones, one without a visible character, or one that is no
    text or not UTF-8.
    """
    if isinstance(labels, str):
        raise InputError(f"labels is one string, {labels!r}; give a list of labels, e.g. [{labels!r}]")
    if not isinstance(labels, Iterable):
        raise InputError(f"labels must be a list of strings, not {labels!r}")
    labels = list(labels)
    wrong = next((label for label in labels if not isinstance(label, str)), None)
    if wrong is not None:
        raise InputError(f"labels must be strings, not {wrong!r}")
    cleaned = [label.strip() for label in labels]
    if not cleaned or not any(cleaned):
        raise InputError("no labels given; name the entity types to look for, e.g. --labels chemical,disease")
    if not all(any(unicodedata.category(c)[0] not in "CZ" for c in label) for label in cleaned):
        raise InputError("one of the labels is empty; separate labels by single commas")
    for label in cleaned:
        try:
            label.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"label {label!r} is not UTF-8; write it in UTF-8") from None
    if len(cleaned) > MAX_LABELS:
        raise InputError(f"{len(cleaned)} labels given, the limit is {MAX_LABELS}; annotate in several runs")
    doubled = sorted(label for label, count in Counter(cleaned).items() if count > 1)
    if doubled:
        raise InputError(f"label {doubled[0]!r} is given more than once")
    return cleaned
