from __future__ import annotations

import pytest
import torch

from kogner.annotate.predictor import Predictor, Settings
from kogner.config import StudentConfig
from kogner.errors import ConfigError, InputError, ShapeError
from kogner.student import checkpoint
from kogner.student.encoder import tokenise

LABELS = ["chemical", "disease"]


@pytest.fixture
def student(tiny_encoder):
    torch.manual_seed(1)
    config = StudentConfig(architecture="uni", encoder=str(tiny_encoder), hidden=24, max_width=4, rnn_layers=1)
    return checkpoint.create(config).eval()


def logits(student, sentences, labels=LABELS):
    batch = student.collate(tokenise(student.tokenizer, sentences))
    with torch.inference_mode():
        return student(batch, student.encode_labels(labels))[0]


def test_a_sentence_scores_the_same_alone_and_beside_a_longer_one(student):
    short, long = ("aspirin", "lowered", "pain"), ("no", "fever", "was", "caused", "by", "the", "gene")
    alone, beside = logits(student, [short]), logits(student, [short, long])
    reached = alone.valid[0]
    torch.testing.assert_close(alone.logits[0][reached], beside.logits[0, :3][reached], atol=1e-5, rtol=1e-5)
    assert not beside.valid[0, 3:].any()


def test_types_are_read_with_the_text(student):
    first, second = ("aspirin", "lowered", "pain"), ("aspirin", "lowered", "fever")
    batch = student.collate(tokenise(student.tokenizer, [first, second]))
    prompt = student.encode_labels(LABELS)
    assert [student.tokenizer.convert_ids_to_tokens(int(prompt.ids[mark])) for mark in prompt.marks] == ["<<ENT>>"] * 2
    swapped = logits(student, [first], LABELS[::-1]).logits.flip(-1)
    assert not torch.allclose(swapped, logits(student, [first]).logits, atol=1e-6)
    assert batch.ids.shape[1] + len(prompt.ids) <= student.text_limit


def test_labels_and_text_share_the_encoders_room(student):
    assert student.room(LABELS) == student.text_limit - len(student.encode_labels(LABELS).ids)
    with pytest.raises(InputError, match=r"labels take \d+ of the 64 sub-tokens"):
        student.room(["chemical", "disease", "headache", "receptor", "inhibitor", "phenotype", "drug"])


def test_long_text_is_cut_beside_the_prompt_and_loses_no_start(student):
    text = " ".join(["the rats with fever"] * 40)
    found = Predictor(student).predict_text(text, labels=LABELS, settings=Settings(threshold=0.001, overlap="all"))
    assert {mention.start for mention in found} == {i for i in range(len(text)) if i == 0 or text[i - 1] == " "}


def test_more_than_the_encoder_reads_is_refused(student):
    with pytest.raises(InputError, match="cut windows"):
        logits(student, [("the",) * 60])


def test_types_of_the_other_architecture_are_refused(student, tiny_student):
    batch = student.collate(tokenise(student.tokenizer, [("the", "gene")]))
    with pytest.raises(ShapeError, match="as a prompt"):
        student(batch, torch.zeros(2, 24))
    with pytest.raises(ShapeError, match="no set of type vectors"):
        tiny_student(batch, student.encode_labels(LABELS))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "poly"}, "must be one of"),
        ({"rnn_layers": 1}, "0 unless student.architecture=uni"),
        ({"architecture": "uni", "label_encoder": "minilm"}, "must be shared"),
        ({"architecture": "uni", "rnn_layers": 1, "hidden": 25}, "must be even"),
        ({"words": "spaces"}, "must be one of"),
        ({"ent_token": "<<SEP>>"}, "two different marks"),
    ],
)
def test_configurations_without_a_meaning_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        StudentConfig(**fields)
