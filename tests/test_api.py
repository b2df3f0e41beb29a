from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch

from kogner import FoundEntity, KoGNER, artifacts, read_config
from kogner.annotate.predictor import Predictor
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, ConfigError, InputError, KognerError
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo
from kogner.student.encoder import tokenise

TEXT = "aspirin lowered the fever of rats with il-2 gene"
LABELS = ["chemical", "disease"]


@pytest.fixture
def model(tiny_student):
    return KoGNER(Predictor(tiny_student, StudentInfo(types=("chemical",))))


@pytest.fixture
def uni(tiny_encoder):
    torch.manual_seed(1)
    return KoGNER(Predictor(checkpoint.create(StudentConfig(architecture="uni", encoder=str(tiny_encoder)))))


def test_entities_are_plain_objects_of_the_users_text(model):
    (found, nothing) = model.predict([TEXT, " "], labels=LABELS, threshold=0.02)
    assert nothing == []
    assert found
    for entity in found:
        assert isinstance(entity, FoundEntity)
        assert TEXT[entity.start : entity.end] == entity.text
        assert entity.type in LABELS
        assert 0 <= entity.score <= 1
        assert entity.entity_id is None


def test_a_stream_reads_texts_as_it_goes(model):
    read = []

    def texts():
        for number in range(50):
            read.append(number)
            yield TEXT

    stream = model.stream(texts(), labels=LABELS, threshold=0.02, block=100)
    assert next(stream) == model.predict([TEXT], labels=LABELS, threshold=0.02)[0]
    assert len(read) < 10


def test_what_cannot_be_meant_is_said(model):
    with pytest.raises(InputError, match="one string"):
        model.predict(TEXT, labels=LABELS)
    with pytest.raises(InputError, match="must be a string, not int"):
        model.predict([1], labels=LABELS)
    with pytest.raises(InputError, match="treshold"):
        model.predict([TEXT], labels=LABELS, treshold=0.5)
    with pytest.raises(InputError, match="no labels"):
        model.predict([TEXT], labels=[])


def test_a_graph_gives_entities_their_ids(model, tmp_path):
    from kogner.graph.rejections import Rejections
    from kogner.graph.store import build
    from kogner.link.linker import EntityLinker, LinkSettings
    from kogner.records import Entity

    build([Entity("X:1", "Disease", "fever", (), ("MESH:D1",))], [], tmp_path / "graph", rejected=Rejections())
    linker = EntityLinker.open(tmp_path / "graph", LinkSettings(("MESH",)))
    linked = KoGNER(model.predictor, linker=linker)
    (found,) = linked.predict([TEXT], labels=["disease"], threshold=0.02, overlap="all")
    ids = {one.text: (one.entity_id, one.entity_score) for one in found}
    assert ids["fever"][0] == "MESH:D1" and ids["fever"][1] > 0.9
    (plain,) = model.predict([TEXT], labels=["disease"], threshold=0.02, overlap="all")
    score = {one.text: one.score for one in plain}
    raised = {one.text: one.score for one in found}
    odds = raised["fever"] / (1 - raised["fever"]) / (score["fever"] / (1 - score["fever"]))
    assert odds == pytest.approx(np.e, rel=0.01)  # a name of the graph: one logit more
    assert all(raised[text] == value for text, value in score.items() if text != "fever")


def test_span_vectors_are_the_span_heads(model):
    student = model.predictor.student
    vectors = model.embed_spans(TEXT, [(20, 25), (0, 7)])
    with torch.inference_mode():
        words = student.encode_words(student.collate(tokenise(student.tokenizer, [TEXT.replace("-", " - ").split()])))
        expected = student.span_head.vectors(words, torch.tensor([[0, 3, 3], [0, 0, 0]]))
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)
    assert model.embed_spans(TEXT, []).shape == (0, student.hidden)


def test_spans_of_long_texts_and_wide_spans_have_vectors(model):
    text = " ".join(["rats with fever"] * 40)
    assert model.embed_spans(text, [(0, 15), (len(text) - 5, len(text)), (0, 36)]).shape == (3, 32)
    with pytest.raises(InputError, match="wider than a window"):
        model.embed_spans(text, [(0, len(text))])
    with pytest.raises(InputError, match="off word edges"):
        model.embed_spans(text, [(1, 4)])


def test_spans_read_together_have_the_vectors_they_have_alone(model, monkeypatch):
    text, spans = "", []
    for number in range(30):
        spans.append((len(text), len(text) + 1))
        text += f"{'BFHKQ'[number % 5]} {'of old rats ' * (number % 4)}was seen. "
    monkeypatch.setattr("kogner.annotate.embed._TOKENS", 100)
    together = model.embed_spans(text, spans[::-1])
    alone = [model.embed_spans(text, [span])[0] for span in spans[::-1]]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-4)


def test_span_vectors_of_a_uni_encoder_need_labels(uni):
    with pytest.raises(InputError, match="give labels"):
        uni.embed_spans(TEXT, [(0, 7)])
    assert uni.embed_spans(TEXT, [(0, 7)], labels=LABELS).shape == (1, 32)


def test_saved_and_opened_again_it_finds_the_same(model, tmp_path):
    model.save_pretrained(tmp_path / "s")
    again = KoGNER.from_pretrained(tmp_path / "s")
    assert again.types == ("chemical",)
    assert again.config.max_width == 4
    a, b = (m.predict([TEXT], labels=LABELS, threshold=0.02) for m in (model, again))
    assert a == b


def test_a_student_that_is_saved_again_keeps_its_past(tiny_student, tmp_path):
    with artifacts.writing(
        tmp_path / "old",
        kind=checkpoint.KIND,
        version=checkpoint.VERSION,
        recipe={"steps": 3},
        metrics={"f1": 80},
        parents={"bank": "b" * 64},
    ) as building:
        checkpoint.save(tiny_student, StudentInfo(), building)
        (building / checkpoint.CARD).write_text("# My card")
    model = KoGNER.from_pretrained(tmp_path / "old")
    model.save_pretrained(tmp_path / "same")
    same = artifacts.read_manifest(tmp_path / "same")
    assert (same.recipe, same.metrics, same.parents) == ({"steps": 3}, {"f1": 80}, {"bank": "b" * 64})
    assert (tmp_path / "same" / checkpoint.CARD).read_text() == "# My card"
    with torch.no_grad():
        model.predictor.student.span_head.out[3].bias += 1
    model.save_pretrained(tmp_path / "changed")
    changed = artifacts.read_manifest(tmp_path / "changed")
    old = artifacts.read_manifest(tmp_path / "old")
    assert (changed.recipe, changed.metrics) == ({"steps": 3}, {})
    assert changed.parents == {"bank": "b" * 64, "student": old.hash}
    assert "My card" not in (tmp_path / "changed" / checkpoint.CARD).read_text()


@pytest.mark.parametrize("spans", [[(0,)], [("a", "b")], [(0.0, 7.0)], 5])
def test_spans_are_pairs_of_numbers(model, spans):
    with pytest.raises(InputError, match="pairs"):
        model.embed_spans(TEXT, spans)
    assert len(model.embed_spans(TEXT, np.array([[0, 7]]))) == 1


def test_labels_of_spans_and_texts_are_checked(uni, model):
    for labels in ("disease", [""]):
        with pytest.raises(InputError, match="label"):
            uni.embed_spans(TEXT, [(0, 7)], labels=labels)
    with pytest.raises(InputError, match="must be a string"):
        model.embed_spans(None, [(0, 7)])
    for texts in (None, 5):
        with pytest.raises(InputError, match="texts must be a list"):
            model.predict(texts, labels=LABELS)


def test_saved_for_gliner_it_finds_the_same(model, tmp_path):
    model.save_pretrained(tmp_path / "g", format="gliner")
    assert (tmp_path / "g" / "gliner_config.json").is_file()
    again = KoGNER.from_pretrained(tmp_path / "g")
    assert again.types == ("chemical",)
    a, b = (m.predict([TEXT], labels=LABELS, threshold=0.02) for m in (model, again))
    assert a == b
    with pytest.raises(ConfigError, match="float32"):
        model.save_pretrained(tmp_path / "h", format="gliner", half=True)
    with pytest.raises(ConfigError, match="'kogner' or 'gliner'"):
        model.push_to_hub("me/mine", format="onnx")


def test_push_writes_the_saved_folder_to_the_hub(model, monkeypatch):
    import huggingface_hub

    calls = {}

    class Api:
        def create_repo(self, repo, **options):
            return f"https://hub/{repo}"

        def upload_folder(self, *, repo_id, folder_path, delete_patterns, **options):
            written = [str(file.relative_to(folder_path)) for file in Path(folder_path).rglob("*") if file.is_file()]
            left = [name for name in written if not any(fnmatch(name, pattern) for pattern in delete_patterns)]
            assert left == ["README.md"]  # of the other format nothing stays that could be read in its place
            calls[repo_id] = checkpoint.open_student(folder_path)[0].hidden

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert model.push_to_hub("me/mine") == "https://hub/me/mine"
    assert model.push_to_hub("me/theirs", format="gliner") == "https://hub/me/theirs"
    assert calls == {"me/mine": 32, "me/theirs": 32}
    with pytest.raises(ArtifactError, match="owner/name"):
        model.push_to_hub("mine")


def test_the_hub_is_asked_for_safe_files_only(monkeypatch, tmp_path, model):
    import huggingface_hub

    model.save_pretrained(tmp_path / "s")
    asked, revisions = {}, {}

    def snapshot(name, *, revision, allow_patterns, ignore_patterns):
        asked[name] = allow_patterns
        revisions[name] = revision
        return str(tmp_path / "s")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert KoGNER.from_pretrained("me/mine").config.max_width == 4
    assert not any(pattern.endswith((".bin", ".py", ".pkl", ".pt")) for pattern in asked["me/mine"])
    assert read_config("me/tagged@v1.0").max_width == 4
    assert revisions == {"me/mine": None, "me/tagged": "v1.0"}
    assert all(pattern.endswith(".json") for pattern in asked["me/tagged"])

    def fails(name, **options):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(KognerError, match="could not be fetched from the model hub: no network"):
        KoGNER.from_pretrained("me/mine")

    class ProxyError(Exception):
        """What the HTTP library below raises, and huggingface_hub lets through."""

    def refused(name, **options):
        raise ProxyError("403 Forbidden")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(KognerError, match="could not be fetched from the model hub: 403 Forbidden"):
        KoGNER.from_pretrained("me/mine")


def test_a_folder_of_the_hubs_cache_goes_by_its_id(tmp_path):
    from kogner.hub import name_of

    assert name_of(tmp_path / "models--some--old-one" / "snapshots" / "abc") == "some/old-one"
    assert name_of(tmp_path / "old") == str(tmp_path / "old")
