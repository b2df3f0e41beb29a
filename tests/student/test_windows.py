from __future__ import annotations

import numpy as np
import pytest

from kogner.student.encoder import Encoded
from kogner.student.windows import windows


def sentence(pieces: list[int]) -> Encoded:
    """Words of the given sub-token counts, between one special token on each side."""
    first = 1 + np.concatenate([[0], np.cumsum(pieces)[:-1]])
    ids = np.concatenate([[900], np.arange(sum(pieces)), [901]])
    return Encoded(ids, first.astype(np.int64))


def test_a_short_sentence_is_one_window():
    whole = sentence([1, 2, 1])
    (only,) = windows(whole, specials=(1, 1), max_tokens=10, max_words=10, overlap=4)
    assert only.encoded is whole
    assert only.owned == (0, 3)


@pytest.mark.parametrize("seed", range(20))
def test_every_span_is_owned_once_and_lies_inside_its_window(seed):
    random = np.random.default_rng(seed)
    count, width = int(random.integers(30, 200)), 5
    whole = sentence(random.integers(1, 4, size=count).tolist())
    cut = windows(whole, specials=(1, 1), max_tokens=40, max_words=25, overlap=2 * width)
    owned = [start for window in cut for start in range(*window.owned)]
    assert owned == list(range(count))
    for window in cut:
        assert len(window.encoded.ids) <= 40
        assert len(window.encoded.first) <= 25
        last = window.first + len(window.encoded.first)
        assert all(start + width <= last for start in range(*window.owned) if start + width <= count)
        texts = window.encoded.ids[window.encoded.first]
        first_of_words = whole.ids[whole.first[window.first : last]]
        assert texts.tolist() == first_of_words.tolist()
        assert (window.encoded.ids[0], window.encoded.ids[-1]) == (900, 901)


def test_a_word_larger_than_the_window_still_moves_on():
    whole = sentence([1] * 5 + [50] + [1] * 5)
    cut = windows(whole, specials=(1, 1), max_tokens=60, max_words=4, overlap=2)
    assert [start for window in cut for start in range(*window.owned)] == list(range(11))
