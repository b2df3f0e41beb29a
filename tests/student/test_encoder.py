from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from kogner import artifacts, encoders
from kogner.config import StudentConfig
from kogner.errors import InputError
from kogner.student.checkpoint import StudentInfo
from kogner.student.encoder import PIECES_PER_WORD, collate, collate_labels, max_tokens, tokenise


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


def test_labels_switch_no_padding_on_for_texts_of_other_threads(tokenizer):
    before = tokenizer._tokenizer.padding
    ids, mask = collate_labels(tokenizer, ["aspirin", "the rats with pain"], limit=20)
    assert tokenizer._tokenizer.padding == before
    padded = tokenizer(["aspirin", "the rats with pain"], padding=True)
    assert ids.tolist() == padded["input_ids"] and mask.tolist() == padded["attention_mask"]


@pytest.mark.parametrize("kind", ["roberta", "camembert", "data2vec-text"])
def test_positions_that_relatives_of_roberta_lose(tokenizer, kind, monkeypatch):
    monkeypatch.setattr(tokenizer, "model_max_length", 10**30)
    assert max_tokens(tokenizer, SimpleNamespace(model_type=kind, max_position_embeddings=514)) == 512
    assert max_tokens(tokenizer, SimpleNamespace(model_type="bert", max_position_embeddings=512)) == 512


def test_an_encoder_published_in_half_precision_is_not_rounded_again(tiny_encoder, tmp_path):
    from kogner.student import checkpoint

    half = tmp_path / "half"
    tokenizer, model = encoders.load(str(tiny_encoder))[:2]
    model.bfloat16().save_pretrained(half)
    tokenizer.save_pretrained(half)
    student = checkpoint.create(StudentConfig(encoder=str(half), max_width=4))
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(0.001)
    with artifacts.writing(tmp_path / "out", kind=checkpoint.KIND, version=checkpoint.VERSION) as place:
        checkpoint.save(student, StudentInfo(types=("x",)), place)
    opened = checkpoint.load(tmp_path / "out")[0]
    for name, weight in opened.state_dict().items():
        torch.testing.assert_close(weight, student.state_dict()[name].half().to(weight.dtype), rtol=0, atol=0)


def test_padding_changes_no_word_vector(tiny_student):
    short, long = tokenise(tiny_student.tokenizer, [["aspirin", "fever"], ["the", "rats", "with", "pain", "xyzzy"]])
    with torch.inference_mode():
        alone = tiny_student.encode_words(collate([short], pad_id=0))
        padded = tiny_student.encode_words(collate([short, long], pad_id=0))
    torch.testing.assert_close(alone[0], padded[0, :2], atol=1e-5, rtol=1e-5)


def test_a_label_beyond_the_encoder_is_an_error_with_its_limit(tokenizer):
    with pytest.raises(InputError, match="sub-tokens, the label encoder reads 64"):
        collate_labels(tokenizer, ["gene", "x" * 1000 + " " + "y " * 100], limit=64)
