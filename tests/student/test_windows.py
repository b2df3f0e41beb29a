from __future__ import annotations

import numpy as np
import pytest

from kogner.student.encoder import Encoded
from kogner.student.windows import Window, windows


def sentence(pieces: list[int]) -> Encoded:
    """Words of the given sub-token counts, between one special token on each side."""
    first = 1 + np.concatenate([[0], np.cumsum(pieces)[:-1]])
    ids = np.concatenate([[900], np.arange(sum(pieces)), [901]])
    return Encoded(ids, first.astype(np.int64))


def check(pieces: list[int], *, max_tokens: int, max_words: int, max_width: int) -> list[Window]:
    """Cut, and check that each span of the limit's width that a window can hold is owned once, by one that holds it."""
    whole = sentence(pieces)
    cut = windows(whole, specials=(1, 1), max_tokens=max_tokens, max_words=max_words, max_width=max_width)
    assert [start for window in cut for start in range(*window.owned)] == list(range(len(pieces)))
    for window in cut:
        count = len(window.encoded.first)
        assert len(window.encoded.ids) <= max_tokens
        assert 1 <= count <= max_words
        last = window.first + count
        for start in range(*window.owned):
            assert window.first <= start < last
            for end in range(start + 1, min(start + max_width, len(pieces)) + 1):
                if sum(pieces[start:end]) <= max_tokens - 2 and end - start <= max_words:
                    assert end <= last, f"span {start}, {end} is lost"
        texts = window.encoded.ids[window.encoded.first]
        assert texts.tolist() == whole.ids[whole.first[window.first : last]].tolist()
        assert (window.encoded.ids[0], window.encoded.ids[-1]) == (900, 901)
    return cut


def test_a_short_sentence_is_one_window():
    whole = sentence([1, 2, 1])
    (only,) = windows(whole, specials=(1, 1), max_tokens=10, max_words=10, max_width=2)
    assert only.encoded is whole
    assert only.owned == (0, 3)


@pytest.mark.parametrize("seed", range(20))
def test_every_span_is_owned_once_and_lies_inside_its_window(seed):
    random = np.random.default_rng(seed)
    pieces = random.integers(1, 4, size=int(random.integers(30, 200))).tolist()
    check(pieces, max_tokens=40, max_words=25, max_width=5)


@pytest.mark.parametrize("seed", range(20))
def test_so_it_is_with_few_words_a_window(seed):
    random = np.random.default_rng(seed)
    pieces = random.choice([1, 2, 8, 32], size=200).tolist()
    check(pieces, max_tokens=int(random.integers(34, 200)), max_words=int(random.integers(1, 30)), max_width=12)


@pytest.mark.parametrize("pieces", [1, 8, 16, 32])
def test_words_of_many_pieces_lose_no_span_of_a_real_encoder(pieces):
    count = 2400
    cut = check([pieces] * count, max_tokens=512, max_words=384, max_width=12)
    # A window of 15 words of 32 pieces has room for 3 starts besides a span of 12; more room means fewer windows.
    assert len(cut) <= count / {1: 361, 8: 39, 16: 10, 32: 3}[pieces] + 2


def test_starts_behind_the_first_window_have_words_before_them():
    for window in check([2] * 1000, max_tokens=200, max_words=384, max_width=12)[1:]:
        assert window.owned[0] - window.first == 12


def test_a_word_larger_than_the_window_is_cut_and_moves_on():
    pieces = [1] * 5 + [50] + [1] * 5
    cut = check(pieces, max_tokens=60, max_words=4, max_width=2)
    assert all(len(window.encoded.first) <= 4 for window in cut)
    check(pieces, max_tokens=20, max_words=4, max_width=2)
