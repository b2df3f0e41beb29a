from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file

from kogner.annotate.labels import LabelCache, label_hash, read_labels
from kogner.annotate.predictor import Predictor, Settings
from kogner.errors import ArtifactError
from kogner.student.checkpoint import create

LABELS = ["chemical", "disease"]
LOW = Settings(threshold=0.001, overlap="all", multi_label=True)
TEXT = "Aspirin lowered the fever of rats."


class Encoder:
    """Vectors that say which label they are of, and a record of what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, labels):
        self.asked.extend(labels)
        return torch.tensor([[float(label), 1.0] for label in labels])


def cache(path=None, *, weights="a" * 64, limit=4096):
    encoder = Encoder()
    return LabelCache(encoder, width=2, weights=lambda: weights, path=path, limit=limit), encoder


def test_vectors_come_in_the_order_of_the_labels():
    kept, encoder = cache()
    kept.take(["3", "1"])
    assert kept.take(["1", "2", "3"])[:, 0].tolist() == [1, 2, 3]
    assert encoder.asked == ["3", "1", "2"]


def test_memory_holds_the_labels_asked_for_last():
    kept, _ = cache(limit=3)
    for labels in (["1", "2", "3"], ["1"], ["4"]):
        kept.take(labels)
    assert list(kept.vectors) == ["3", "1", "4"]
    assert kept.take([str(number) for number in range(10)]).shape == (10, 2), "one request may be larger"
    assert len(kept.vectors) == 3
    assert all(vector.untyped_storage().nbytes() == 8 for vector in kept.vectors.values()), "a row holds a whole chunk"


def test_the_file_spares_the_encoder_in_the_next_run(tmp_path):
    file = tmp_path / "deep" / "labels.safetensors"
    cache(file)[0].take(["1", "2"])
    second, encoder = cache(file)
    assert second.take(["2", "5"])[:, 0].tolist() == [2, 5]
    assert encoder.asked == ["5"]
    assert list(read_labels(file, weights="a" * 64, width=2)) == ["1", "2", "5"]


def test_two_writers_add_up_and_the_file_stays_bounded(tmp_path):
    file = tmp_path / "labels"
    (one, _), (two, _) = cache(file, limit=3), cache(file, limit=3)
    one.take(["1"])
    two.take(["2"])
    one.take(["3"])
    assert set(read_labels(file, weights="a" * 64, width=2)) == {"1", "2", "3"}
    two.take(["4"])
    assert set(read_labels(file, weights="a" * 64, width=2)) == {"1", "2", "4"}, "what the last writer knows stays"


def test_a_folder_has_a_file_for_each_checkpoint(tmp_path):
    for weights in ("a" * 64, "b" * 64):
        cache(tmp_path, weights=weights)[0].take(["1"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a" * 16 + ".safetensors", "b" * 16 + ".safetensors"]


def write_over_and_over(file):
    for number in range(30):
        kept, _ = cache(file)
        kept.take([str(number)])


def test_readers_never_meet_half_a_file(tmp_path):
    file = tmp_path / "labels"
    cache(file)[0].take(["0"])
    writer = multiprocessing.get_context("fork").Process(target=write_over_and_over, args=(file,))
    writer.start()
    while writer.is_alive():
        found = read_labels(file, weights="a" * 64, width=2)
        assert all(vector.tolist() == [float(label), 1.0] for label, vector in found.items())
    writer.join()
    assert writer.exitcode == 0
    assert len(read_labels(file, weights="a" * 64, width=2)) == 30


def damaged(file):
    file.write_bytes(file.read_bytes()[:-3])


def something_else(file):
    save_file({"weight": torch.zeros(2)}, file)


def newer(file):
    save_file(load_file(file), file, metadata={"kind": "kogner-label-vectors", "version": "9"})


def no_numbers(file):
    about = {"kind": "kogner-label-vectors", "version": "1", "weights": "a" * 64, "labels": '["1"]'}
    save_file({"vectors": torch.full((1, 2), torch.nan)}, file, metadata=about)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damaged, "is damaged or cut off"),
        (something_else, "is no label cache of KoGNER"),
        (newer, "has version 9, this KoGNER reads 1"),
        (no_numbers, "labels and vectors do not fit"),
    ],
)
def test_bad_files_are_named(tmp_path, harm, message):
    file = tmp_path / "labels"
    cache(file)[0].take(["1"])
    harm(file)
    with pytest.raises(ArtifactError, match=message):
        cache(file)[0].take(["1"])


def test_a_folder_that_cannot_be_written_to_is_only_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    kept, _ = cache(tmp_path / "file" / "labels")
    for label in ("1", "2"):
        assert kept.take([label]).shape == (1, 2)
    assert capsys.readouterr().err.count("are not kept on disk") == 1


def test_the_cache_of_another_checkpoint_is_refused(tiny_student, tmp_path):
    file = tmp_path / "labels"
    expected = Predictor(tiny_student, label_cache=file).predict_text(TEXT, labels=LABELS, settings=LOW)
    again = Predictor(tiny_student, label_cache=file)
    assert again.predict_text(TEXT, labels=LABELS, settings=LOW) == expected
    with torch.no_grad():
        tiny_student.span_head.out[3].bias.add_(1.0)  # which makes no label vector
    Predictor(tiny_student, label_cache=file).predict_text(TEXT, labels=LABELS)
    with torch.no_grad():
        tiny_student.type_head[3].bias.add_(1.0)
    for predictor in (again, Predictor(tiny_student, label_cache=file)):
        with pytest.raises(ArtifactError, match="belongs to another checkpoint"):
            predictor.predict_text(TEXT, labels=LABELS)


def test_vectors_from_disk_spare_the_label_encoder(tiny_student, tmp_path, monkeypatch):
    first = Predictor(tiny_student, label_cache=tmp_path).predict_text(TEXT, labels=LABELS, settings=LOW)
    monkeypatch.setattr(tiny_student, "encode_labels", None)
    second = Predictor(tiny_student, label_cache=tmp_path).predict_text(TEXT, labels=LABELS, settings=LOW)
    assert first == second
    assert len(first) > 5


def test_training_leaves_the_file_alone(tiny_student, tmp_path):
    predictor = Predictor(tiny_student.train(), label_cache=tmp_path)
    predictor.predict_text(TEXT, labels=LABELS)
    assert not list(tmp_path.iterdir())


def test_the_hash_is_that_of_the_weights_and_the_tokenizer(tiny_student):
    before = label_hash(tiny_student)
    tiny_student.encode_labels(["a", "long label"])  # which sets the padding of the tokenizer
    assert label_hash(tiny_student) == before
    tiny_student.label_tokenizer.add_tokens(["aspirine"])
    assert label_hash(tiny_student) != before


def test_a_uni_encoder_says_that_it_has_no_use_for_it(tiny_encoder, tmp_path, capsys):
    from kogner.config import StudentConfig

    predictor = Predictor(
        create(StudentConfig(architecture="uni", encoder=str(tiny_encoder), max_width=4)).eval(), label_cache=tmp_path
    )
    assert "the label cache is not used" in capsys.readouterr().err
    predictor.predict_text(TEXT, labels=LABELS)
    assert not list(tmp_path.iterdir())


def test_threads_may_share_it():
    kept, _ = cache(limit=40)

    def ask(first):
        return [kept.take([str(first + n) for n in range(30)])[:, 0].tolist() for _ in range(40)]

    firsts = [0, 100, 200]
    with ThreadPoolExecutor(3) as pool:
        for first, answers in zip(firsts, pool.map(ask, firsts), strict=True):
            assert all(answer == [first + n for n in range(30)] for answer in answers)
