from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, ConfigError, KognerError
from kogner.mapping import from_mapping, to_mapping
from kogner.recipe import load_recipe
from kogner.student import checkpoint, layout
from kogner.student.checkpoint import StudentInfo

TEXT = "aspirin lowered the fever of rats with il-2 gene"
LOW = Settings(threshold=0.02)


def write(student, folder, *, half=False, info=None):
    with artifacts.writing(folder, kind=checkpoint.KIND, version=checkpoint.VERSION) as building:
        checkpoint.save(student, info or StudentInfo(types=("chemical",)), building, half=half)
    return folder


@pytest.mark.parametrize("separate", [False, True], ids=["shared label encoder", "label encoder of its own"])
@pytest.mark.parametrize("hidden", [None, 24], ids=["encoder width", "projected"])
def test_a_saved_student_finds_the_same(tiny_encoder, tmp_path, separate, hidden):
    torch.manual_seed(0)
    label_encoder = str(tiny_encoder) if separate else "shared"
    config = StudentConfig(encoder=str(tiny_encoder), label_encoder=label_encoder, hidden=hidden, max_width=4)
    student = checkpoint.create(config).eval()
    info = StudentInfo(types=("chemical", "disease"), thresholds={"chemical": 0.4}, base="tiny")
    loaded, loaded_info, _ = checkpoint.load(write(student, tmp_path / "s", info=info))
    assert loaded_info == info
    before, after = (Predictor(s).predict_text(TEXT, labels=["chemical"], settings=LOW) for s in (student, loaded))
    assert before == after
    assert len(before) > 0
    names = set(student.state_dict())
    assert any(name.startswith("label_encoder.") for name in names) == separate


def test_half_precision_moves_scores_by_little(tiny_student, tmp_path):
    loaded, _, _ = checkpoint.load(write(tiny_student, tmp_path / "s", half=True))
    for a, b in zip(tiny_student.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert next(loaded.parameters()).dtype == torch.float32


def test_training_can_go_on_from_a_student(tiny_student, tmp_path):
    folder = write(tiny_student, tmp_path / "s")
    again = checkpoint.create(StudentConfig(initial=str(folder), max_width=4))
    assert all(torch.equal(a, b) for a, b in zip(tiny_student.parameters(), again.parameters(), strict=True))


def test_what_the_recipe_says_of_an_initial_student_counts(tiny_encoder, tmp_path, capsys):
    made = checkpoint.create(StudentConfig(encoder=str(tiny_encoder), max_width=4, words="gliner", context=30))
    folder = str(write(made, tmp_path / "s"))
    same = checkpoint.create(StudentConfig(initial=folder, max_width=4)).config
    assert (same.architecture, same.words, same.context) == ("bi", "gliner", 30)
    other = checkpoint.create(StudentConfig(initial=folder, max_width=6, words="kogner", context=0, architecture="bi"))
    assert (other.config.words, other.config.context, other.config.max_width) == ("kogner", 0, 6)
    assert other.span_head.max_width == 6
    said = " ".join(capsys.readouterr().err.split())
    assert "widened" in said
    assert "trained on gliner words" in said
    for fields in ({"architecture": "uni"}, {"hidden": 24}, {"rnn_layers": 1}):
        with pytest.raises(ConfigError, match=f"student.{next(iter(fields))}=.*another student.initial"):
            checkpoint.create(StudentConfig(initial=folder, **fields))


def test_a_fresh_student_says_all_that_is_left_to_an_initial_one():
    fresh = StudentConfig()
    assert (fresh.architecture, fresh.words, fresh.context) == ("bi", "kogner", 0)
    assert from_mapping(StudentConfig, {"architecture": None, "words": None, "context": None}, where="") == fresh
    later = from_mapping(StudentConfig, {"initial": "x"}, where="recipe")
    assert (later.architecture, later.words, later.context) == (None, None, None)
    assert from_mapping(StudentConfig, to_mapping(later), where="recipe") == later
    assert load_recipe("paper").student.architecture == "uni"


@pytest.mark.parametrize("rnn", [0, 1], ids=["plain", "with a BiLSTM"])
def test_a_saved_uni_encoder_finds_the_same(tiny_encoder, tmp_path, rnn):
    torch.manual_seed(0)
    config = StudentConfig(architecture="uni", encoder=str(tiny_encoder), hidden=24, max_width=4, rnn_layers=rnn)
    student = checkpoint.create(config).eval()
    loaded, _, _ = checkpoint.load(write(student, tmp_path / "s"))
    before, after = (Predictor(s).predict_text(TEXT, labels=["gene"], settings=LOW) for s in (student, loaded))
    assert before == after
    assert len(before) > 0
    assert student.state_dict().keys() == loaded.state_dict().keys()


def test_a_student_is_a_folder_of_either_kind_or_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ArtifactError, match="does not exist"):  # like a hub id, but in a folder that is here
        checkpoint.open_student("models/mine")
    with pytest.raises(ArtifactError, match="does not exist; a student folder is needed here, or a hub id"):
        checkpoint.open_student(tmp_path / "nothing here")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="is a file"):
        checkpoint.open_student(tmp_path / "file")


@pytest.mark.parametrize(("change", "message"), [("missing", "missing .*span_head"), ("extra", "unexpected .*ghost")])
def test_weights_that_do_not_fit_are_refused(tiny_student, tmp_path, change, message):
    with artifacts.writing(tmp_path / "s", kind=checkpoint.KIND, version=checkpoint.VERSION) as building:
        checkpoint.save(tiny_student, StudentInfo(), building)
        weights = load_file(building / "model.safetensors")
        if change == "missing":
            del weights["span_head.start.0.weight"]
        else:
            weights["ghost"] = torch.zeros(1)
        save_file(weights, building / "model.safetensors")
    with pytest.raises(ArtifactError, match=message):
        checkpoint.load(tmp_path / "s")


def change(file, **fields):
    """Change a JSON file without its manifest noticing."""
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    manifest = file.parent / artifacts.MANIFEST
    if not manifest.exists():
        manifest = file.parents[1] / artifacts.MANIFEST
    raw = json.loads(manifest.read_text())
    raw["files"][str(file.relative_to(manifest.parent))]["bytes"] = file.stat().st_size
    manifest.write_text(json.dumps(raw))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("student.json", {"info": {"types": [], "colour": 1}}, "'colour' of the student, which is not known"),
        ("student.json", {"info": None}, "must hold an object 'info'"),
        ("student.json", {"student": []}, "must hold an object 'student'"),
        ("student.json", {"info": {"types": ["a"], "thresholds": {"a": 2}}}, r"student.json: thresholds\['a'\]=2"),
        ("text_encoder/config.json", {"model_type": "no_such_model"}, "text_encoder is not an encoder"),
        ("text_encoder/config.json", {"num_attention_heads": 0}, "s: its configuration makes no model|not an encoder"),
        ("text_encoder/config.json", {"hidden_act": "nope"}, "s: its configuration makes no model|not an encoder"),
        ("text_encoder/config.json", {"hidden_size": "x"}, "s: its configuration makes no model|not an encoder"),
        ("text_encoder/tokenizer.json", {"model": None}, "text_encoder is not an encoder"),
    ],
)
def test_files_of_a_student_that_make_no_sense_are_refused(tiny_student, tmp_path, name, fields, message):
    folder = write(tiny_student, tmp_path / "s")
    change(folder / name, **fields)
    with pytest.raises(ArtifactError, match=message):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["a--b/c", "a/b..c", "a/b.git"])
def test_a_name_that_no_hub_has_is_an_error_of_ours(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(KognerError, match="hub"):
        checkpoint.open_student(name)


def test_a_newer_format_asks_for_an_upgrade(tiny_student, tmp_path):
    folder = write(tiny_student, tmp_path / "s")
    manifest = folder / artifacts.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    with pytest.raises(ArtifactError, match="upgrade KoGNER"):
        checkpoint.load(folder)


def test_sizes_that_the_weights_do_not_have_are_never_allocated(tiny_student, tmp_path):
    folder = write(tiny_student, tmp_path / "s")
    raw = json.loads((folder / "student.json").read_text())
    change(folder / "student.json", student=raw["student"] | {"hidden": 50_000_000})  # a matrix of 10 petabytes
    with pytest.raises(ArtifactError, match="does not fit its configuration"):
        checkpoint.load(folder)


def test_weights_that_are_not_finite_are_refused(tiny_student, tmp_path):
    with torch.no_grad():
        tiny_student.span_head.out[3].weight[0, 0] = float("nan")
    folder = write(tiny_student, tmp_path / "s")
    with pytest.raises(ArtifactError, match=r"damaged: span_head.out.3.weight has numbers that are not finite"):
        checkpoint.load(folder)


def test_brackets_without_end_are_no_json(tiny_student, tmp_path):
    folder = write(tiny_student, tmp_path / "s")
    (folder / "student.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="is not JSON"):
        layout.read_student(folder / "student.json")
