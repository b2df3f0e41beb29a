from __future__ import annotations

import json
import random
import shutil
import sys

import numpy as np
import pytest
import torch

from kogner import artifacts
from kogner.annotate import onnx, onnx_export
from kogner.annotate.entity_weights import EntityWeights
from kogner.annotate.predictor import Predictor, Settings
from kogner.commands import checkpoint as command
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, ConfigError, KognerError, MissingExtraError
from kogner.records import Document
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

LABELS = ["chemical", "disease", "a gene of il"]
WORDS = (
    "the",
    "of",
    "aspirin",
    "fever",
    "lowered",
    "by",
    "rats",
    "headache",
    "(",
    "morphine",
    "il",
    "-",
    "2",
    "zyx",
    "α",
)
INFO = StudentInfo(types=("chemical",), default_threshold=0.03, temperatures={"chemical": 1.5})
PUBTATOR = (
    "1|t|Aspirin and fever\n1|a|Morphine caused pain.\n"
    "1\t0\t7\tAspirin\tChemical\tD001241\n1\t34\t38\tpain\tDisease\tD010146\n\n"
)


@pytest.fixture(scope="module")
def runtime():
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def student_of(tiny_encoder, **more):
    torch.manual_seed(1)
    return checkpoint.create(StudentConfig(encoder=str(tiny_encoder), max_width=4, **more)).eval()


def written(student, out):
    with artifacts.writing(out, kind=onnx.KIND, version=onnx.VERSION) as folder:
        onnx_export.export_onnx(student, INFO, folder)
    return out


@pytest.fixture(scope="module")
def exported(runtime, tiny_encoder, tmp_path_factory):
    return written(student_of(tiny_encoder), tmp_path_factory.mktemp("onnx") / "export")


def documents(count):
    draw = random.Random(0)
    return [Document(str(i), " ".join(draw.choices(WORDS, k=draw.randint(1, 90)))) for i in range(count)]


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"hidden": 24},
        {"own labels": True},
        {"architecture": "uni"},
        {"architecture": "uni", "hidden": 24, "rnn_layers": 1},
        {"architecture": "uni", "rnn_layers": 2},
    ],
)
def test_the_same_entities_as_torch(runtime, tiny_encoder, tmp_path, shape, engine):
    if engine == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    shape = dict(shape)
    if shape.pop("own labels", False):
        shape["label_encoder"] = str(tiny_encoder)
    student = student_of(tiny_encoder, **shape)
    out = written(student, tmp_path / "export")
    settings = Settings(token_budget=500)
    ours = list(Predictor(student, INFO).predict(documents(50), labels=LABELS, settings=settings))
    theirs = list(Predictor.load(out, engine=engine).predict(documents(50), labels=LABELS, settings=settings))
    assert sum(len(d.mentions) for d in ours) > 100
    for one, other in zip(ours, theirs, strict=True):
        assert [m.key for m in one.mentions] == [m.key for m in other.mentions]
        assert [m.score for m in one.mentions] == pytest.approx([m.score for m in other.mentions], abs=2e-4)


def encoder_of(kind, folder, tiny_encoder):
    """A tiny encoder whose positions are not BERT's, as a folder."""
    from transformers import AutoTokenizer, DebertaV2Config, DebertaV2Model, ModernBertConfig, ModernBertModel

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=200)
    torch.manual_seed(2)
    shape = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    if kind == "deberta":
        config = DebertaV2Config(
            **shape, intermediate_size=64, relative_attention=True, position_buckets=8, share_att_key=True,
            pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0,
        )  # fmt: skip
        model = DebertaV2Model(config)
    else:
        special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
        config = ModernBertConfig(**shape, **special, intermediate_size=64, local_attention=16)
        model = ModernBertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", ["bi", "uni"])
@pytest.mark.parametrize("kind", ["deberta", "modernbert"])
def test_positions_are_not_frozen(runtime, tiny_encoder, tmp_path, kind, architecture):
    encoder = encoder_of(kind, tmp_path / "encoder", tiny_encoder)
    student = student_of(encoder, architecture=architecture, context=150)
    out = written(student, tmp_path / "export")
    settings = Settings(threshold=1e-6, overlap="all", multi_label=True, digits=9)
    ours = list(Predictor(student, INFO).predict(documents(10), labels=LABELS, settings=settings))
    theirs = list(Predictor.load(out).predict(documents(10), labels=LABELS, settings=settings))
    for one, other in zip(ours, theirs, strict=True):
        scores = {m.key: m.score for m in one.mentions}
        assert scores == pytest.approx({m.key: m.score for m in other.mentions}, abs=1e-4)
    scores = [m.score for document in ours for m in document.mentions]
    assert max(scores) - min(scores) > 0.01  # so that a frozen position would be seen


def test_an_export_annotates_and_no_more(exported):
    predictor = Predictor.load(exported)
    assert predictor.config.max_width == 4
    assert predictor.info == INFO
    with pytest.raises(ConfigError, match="is an ONNX export: it annotates only"):
        _ = predictor.student
    with pytest.raises(ConfigError, match="engine torch cannot run"):
        Predictor.load(exported, engine="torch")
    with pytest.raises(ConfigError, match="runs as it was written"):
        predictor.predict_text("aspirin", labels=LABELS, settings=Settings(precision="bf16"))


def test_its_label_vectors_are_kept_on_disk_too(exported, tmp_path):
    file = tmp_path / "labels"
    first = Predictor.load(exported, label_cache=file).predict_text("aspirin lowered fever", labels=LABELS)
    assert Predictor.load(exported, label_cache=file).predict_text("aspirin lowered fever", labels=LABELS) == first
    with pytest.raises(ArtifactError, match="belongs to another checkpoint"):
        broken = Predictor.load(exported, label_cache=file)
        broken._labels._weights = lambda: "f" * 64
        broken.predict_text("aspirin", labels=LABELS)


def test_a_graph_that_cannot_be_run_is_named(exported, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(exported, broken)
    size = (broken / onnx.LABELS).stat().st_size
    (broken / onnx.LABELS).write_bytes(b"\0" * size)
    with pytest.raises(ArtifactError, match="cannot be run by ONNX Runtime"):
        Predictor.load(broken)
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with pytest.raises(ArtifactError, match="cannot be run by OpenVINO"):
        Predictor.load(broken, engine="openvino")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_student_is_no_export(tmp_path, engine):
    with pytest.raises(ConfigError, match=f"which the engine {engine} runs; make one: kogner export --to onnx"):
        Predictor.load(tmp_path, engine=engine)


def test_an_engine_that_is_not_known(exported):
    with pytest.raises(ConfigError, match="engine 'tensorrt' is not known; use one of torch, onnx, openvino"):
        Predictor.load(exported, engine="tensorrt")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("student.json", lambda raw: raw.pop("info"), "must hold an object 'info'"),
        (
            "student.json",
            lambda raw: raw["info"].update(newer=1),
            "says 'newer' of the student",
        ),
        ("text_encoder/config.json", lambda raw: raw.clear(), "export the student again"),
    ],
)
def test_a_damaged_export_is_a_clear_error(exported, tmp_path, file, change, message):
    with artifacts.writing(tmp_path / "damaged", kind=onnx.KIND, version=onnx.VERSION) as folder:
        shutil.copytree(exported, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifacts.MANIFEST))
        raw = json.loads((folder / file).read_text())
        change(raw)
        (folder / file).write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match=message):
        Predictor.load(tmp_path / "damaged")


def test_vectors_that_are_not_finite_are_an_error(exported, monkeypatch):
    predictor = Predictor.load(exported)
    run = onnx.OnnxEngine._run
    monkeypatch.setattr(onnx.OnnxEngine, "_run", lambda engine, inputs: [x * float("nan") for x in run(engine, inputs)])
    with pytest.raises(KognerError, match="not finite"):
        predictor.predict_text("aspirin", labels=LABELS)


def test_openvino_that_is_not_there_says_how_to_get_it(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"kogner\[openvino\]"):
        Predictor.load(exported, engine="openvino")


def test_a_graph_that_froze_a_shape_is_refused(runtime, tiny_student, tmp_path, monkeypatch):
    forward = onnx_export._TextPart.forward

    def frozen(part, ids, mask, window, token):
        starts, ends = forward(part, ids, mask, window, token)
        return starts + len(window), ends

    monkeypatch.setattr(onnx_export._TextPart, "forward", frozen)
    with pytest.raises(KognerError, match=r"text.onnx differs from it by .* of another shape"):
        onnx_export.export_onnx(tiny_student, INFO, tmp_path)


def test_without_the_extra_the_way_out_is_said(tiny_student, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kogner\[onnx\]'"):
        onnx.session(tmp_path / "text.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kogner\[onnx\]'"):
        onnx_export.export_onnx(tiny_student, INFO, tmp_path)


def test_the_gate_compares_every_corpus():
    onnx_export.check_drop({"a": 80.0, "b": 70.0}, {"a": 79.7, "b": 75.0}, max_drop=0.3)
    with pytest.raises(KognerError, match=r"more than 0.3 F1 on dev \(b 70.00 to 69.60\); nothing was written"):
        onnx_export.check_drop({"a": 80.0, "b": 70.0}, {"a": 81.0, "b": 69.6}, max_drop=0.3)


@pytest.fixture
def saved(tiny_encoder, tmp_path):
    out = tmp_path / "student"
    with artifacts.writing(out, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(student_of(tiny_encoder), INFO, folder)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "dev.PubTator.txt").write_text(PUBTATOR)
    return out


def export(*arguments):
    from click.testing import CliRunner

    return CliRunner().invoke(command.export, [str(argument) for argument in arguments])


def test_names_count_by_their_entities_as_before(runtime, saved, tmp_path):
    weights = {"chemical": EntityWeights.table(["MESH:D001241", "MESH:D005334"], np.array([2.0, -1.0]))}
    EntityWeights(weights).save(saved)
    done = export("--to", "onnx", saved, tmp_path / "onnx")
    assert done.exit_code == 0, done.output
    assert Predictor.load(tmp_path / "onnx").entity_weights.logit("chemical", "MESH:D001241") == 2.0


def test_int8_stands_behind_its_gate(runtime, saved, tmp_path, monkeypatch):
    check = f"made={tmp_path / 'made'}"
    out = tmp_path / "int8"
    done = export("--int8", "--check", check, "--max-drop", 100, saved, out)
    assert done.exception is None
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["dev_f1"].keys() == {"made"}
    assert artifacts.read_manifest(out).metrics["dev_f1"] == said["dev_f1"]
    assert said["dev_f1"]["made"].keys() == {"fp32", "int8"}
    text = "aspirin lowered fever"
    entities = Predictor.load(out).predict_text(text, labels=LABELS, settings=Settings(threshold=0.01))
    assert entities
    assert all(entity.text == text[entity.start : entity.end] for entity in entities)

    figures = iter([{"made": 80.0}, {"made": 79.0}])
    monkeypatch.setattr(command, "_dev_f1", lambda *_: next(figures))
    refused = export("--int8", "--check", check, saved, tmp_path / "refused")
    assert isinstance(refused.exception, KognerError)
    assert "made 80.00 to 79.00" in str(refused.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8", "made", "student"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to write"),
        (["--int8"], "only with --check"),
        (["--int8", "--to", "gliner"], "does not go with --to gliner"),
        (["--to", "onnx", "--check", "a=b"], "--check belongs to --int8"),
        (["--int8", "--check", "nowhere"], "--check 'nowhere' must look like NAME=DIR"),
    ],
)
def test_options_that_do_not_go_together(saved, tmp_path, arguments, message):
    done = export(*arguments, saved, tmp_path / "out")
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
