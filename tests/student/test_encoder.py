from __future__ import annotations

import pytest
import torch

from kogner import encoders
from kogner.errors import InputError
from kogner.student.encoder import PIECES_PER_WORD, collate, collate_labels, tokenise


@pytest.fixture
def tokenizer(tiny_encoder):
    return encoders.load(str(tiny_encoder))[0]


def test_first_sub_tokens_belong_to_their_words(tokenizer):
    words = ["aspirin", "xyz", "-", "12"]
    (encoded,) = tokenise(tokenizer, [words])
    assert len(encoded.first) == 4
    firsts = tokenizer.convert_ids_to_tokens(encoded.ids[encoded.first].tolist())
    assert firsts == ["aspirin", "x", "-", "1"]


def test_words_the_tokenizer_drops_keep_their_place(tokenizer):
    (encoded,) = tokenise(tokenizer, [["aspirin", "\u0301", "fever"]])
    tokens = tokenizer.convert_ids_to_tokens(encoded.ids[encoded.first].tolist())
    assert tokens == ["aspirin", "[UNK]", "fever"]


def test_an_endless_word_is_capped_and_its_neighbours_stay(tokenizer):
    (encoded,) = tokenise(tokenizer, [["pain", "x1" * 40, "fever"]])
    assert encoded.first[2] - encoded.first[1] <= PIECES_PER_WORD
    assert tokenizer.convert_ids_to_tokens(int(encoded.ids[encoded.first[2]])) == "fever"


def test_padding_changes_no_word_vector(tiny_student):
    short, long = tokenise(tiny_student.tokenizer, [["aspirin", "fever"], ["the", "rats", "with", "pain", "xyzzy"]])
    with torch.inference_mode():
        alone = tiny_student.encode_words(collate([short], pad_id=0))
        padded = tiny_student.encode_words(collate([short, long], pad_id=0))
    torch.testing.assert_close(alone[0], padded[0, :2], atol=1e-5, rtol=1e-5)


def test_a_label_beyond_the_encoder_is_an_error_with_its_limit(tokenizer):
    with pytest.raises(InputError, match="sub-tokens, the label encoder reads 64"):
        collate_labels(tokenizer, ["gene", "x" * 1000 + " " + "y " * 100], limit=64)
